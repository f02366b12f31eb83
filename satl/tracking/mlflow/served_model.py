"""What `mlflow models serve` runs: MLflow copies this file into the model and executes it there.

It imports no other module of this package, which would need the whole suite's libraries.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext
from numpy.typing import NDArray

from satl.data.images.reading import Undecodable, decode_bytes
from satl.metrics import probabilities
from satl.prediction.predictor import Predictor
from satl.prediction.table import decided
from satl.training.engine import choose_device
from satl.training.model_file import read_model


class ServedRun(PythonModel):
    """Scores encoded images: the column `image` holds the bytes of one file in each row."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the model file that lies beside this one."""
        model = read_model(Path(context.artifacts["model"]))
        self.predictor = Predictor(model, choose_device("auto"))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: Any = None
    ) -> list[dict[str, Any]]:
        """For each image the categories that it has, and the scores of all."""
        facts, side = self.predictor.facts, self.predictor.training.image_size
        images = [_decoded(row, data, side) for row, data in enumerate(model_input["image"])]
        size = self.predictor.training.eval_batch_size
        batches = [np.stack(images[i : i + size]) for i in range(0, len(images), size)]
        return [
            {
                "present": np.array(facts.categories)[decided(facts, logits)].tolist(),
                "scores": dict(zip(facts.categories, probabilities(logits).tolist(), strict=True)),
            }
            for batch in batches
            for logits in self._logits(batch)
        ]

    def _logits(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, S, S, 3) images to (B, C)."""
        images = torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)))
        return self.predictor.logits(images.to(self.predictor.device)).cpu().numpy()


def _decoded(row: int, data: bytes, side: int) -> NDArray[np.uint8]:
    try:
        return decode_bytes(data, Path(f"image {row}"), side)
    except Undecodable as error:
        raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from error


set_model(ServedRun())
