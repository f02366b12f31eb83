"""Using a trained run: scores and decisions for images of any origin, and export to ONNX."""
