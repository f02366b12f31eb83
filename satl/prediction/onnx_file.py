"""Export to ONNX, checked against PyTorch before the file is written."""

import json
import logging
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch.onnx import OnnxExporterError, ONNXProgram

from satl.core.errors import UserError
from satl.core.files import writing
from satl.metrics import probabilities
from satl.models.network import Network
from satl.training.model_file import ModelFacts, TrainedModel

# Of scores between 0 and 1. EfficientNet-Lite0 stays below 1e-4; but a deep network amplifies the
# rounding of float32: a ResNet-101 of random weights differs by 2e-3 from itself when PyTorch
# computes its convolutions in another way.
TOLERANCE = 1e-2
CHECKED_BATCHES = (1, 3)


def export_onnx(model: TrainedModel, path: Path) -> float:
    """Write the network for any batch size, in float32; returns the largest difference of scores.

    Input `images`: (B, 3, S, S) uint8 RGB, resized to the square. Output `logits`: (B, C).
    Metadata of the file (JSON texts): `categories`, and `thresholds`, the logits from which on a
    category counts as present.

    Raises:
        UserError: a package is missing; the network cannot be exported; onnxruntime does not agree
            with PyTorch; the file cannot be written.
    """
    onnxruntime = _packages()
    network, side = model.network.cpu().eval(), model.facts.training.image_size
    program = _program(network, side)
    program.model.metadata_props.update(_metadata(model.facts))
    with writing(path) as temporary:
        program.save(temporary)
        difference = _difference(onnxruntime, temporary, network, side)
        if not difference <= TOLERANCE:
            raise UserError(
                f"{path}: not written, as onnxruntime gives other scores than PyTorch (by "
                f"{difference:.2g}; allowed are {TOLERANCE:g}). Please report this, with the "
                "versions of torch, onnx and onnxruntime"
            )
    return difference


def _program(network: Network, side: int) -> ONNXProgram:
    try:
        program = torch.onnx.export(
            network,
            (_noise(2, side),),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            dynamo=True,
            verbose=False,
        )
    except OnnxExporterError as error:
        raise UserError(
            "this network cannot be exported: PyTorch's exporter gives up "
            f"({str(error).strip().splitlines()[0]}); `--format mlflow` takes every network"
        ) from error
    assert program is not None, "what dynamo exports is a program"
    return program


def _packages() -> ModuleType:
    """onnxruntime; the others are used by torch. Raises UserError where one is missing."""
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"--format onnx needs packages that are not installed ({error}): "
            "pip install onnx onnxruntime onnxscript"
        ) from error
    for noisy in ("onnxscript", "onnx_ir", "torch.onnx"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    return onnxruntime


def _metadata(facts: ModelFacts) -> dict[str, str]:
    thresholds = json.dumps(facts.thresholds)
    return {"categories": json.dumps(facts.categories), "thresholds": thresholds}


def _noise(count: int, side: int) -> torch.Tensor:
    """Images of random pixels."""
    pixels = np.random.default_rng(count).integers(0, 256, (count, 3, side, side), dtype=np.uint8)
    return torch.from_numpy(pixels)


def _difference(onnxruntime: ModuleType, path: Path, network: Network, side: int) -> float:
    """The largest difference of scores between onnxruntime and PyTorch, on random images."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def of_batch(count: int) -> float:
        images = _noise(count, side)
        with torch.inference_mode():
            expected = network(images).numpy()
        found = session.run(["logits"], {"images": images.numpy()})[0]
        return float(np.abs(probabilities(found) - probabilities(expected)).max())

    return max(map(of_batch, CHECKED_BATCHES))
