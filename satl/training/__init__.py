"""Training: from partial labels to finished run folders. The one training loop is here."""
