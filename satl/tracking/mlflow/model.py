"""A trained run as an MLflow model, which `mlflow models serve` serves."""

import logging
import os
import shutil
import warnings
from importlib.metadata import version
from pathlib import Path

from mlflow import pyfunc
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from satl.core.errors import UserError
from satl.core.files import cannot_write
from satl.core.places import ROOT
from satl.training.model_file import model_path

SERVED = Path(__file__).with_name("served_model.py")
CODE = ("satl", "baselines")
# What scoring an image imports; the rest of the suite's libraries is not needed for it.
LIBRARIES = (
    "torch", "torchvision", "timm", "safetensors", "numpy", "pandas", "pillow", "pydantic",
    "pyyaml", "filelock", "tqdm", "mlflow",
)  # fmt: skip


def save_mlflow_model(run: Path, out: Path) -> None:
    """Write the model of a run, with all code that it needs, as a folder.

    Its input has a column `image`, the bytes of an image file (in JSON: base64); its output is, for
    each image, `present`, the categories that it has, and `scores` by category.

    Args:
        run: a run folder, or a model file.
        out: the folder, which must not exist.

    Raises:
        UserError: the run has no model, `out` exists, or it cannot be written.
    """
    if out.exists():
        raise UserError(f"{out}: exists already; remove it, or name another folder with --out")
    model = model_path(run)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.part")
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Of signatures that it cannot infer, and needs no example for: here is one.
            warnings.simplefilter("ignore", UserWarning)
            pyfunc.save_model(
                temporary,
                python_model=str(SERVED),
                artifacts={"model": model.resolve().as_uri()},
                code_paths=[str(ROOT / name) for name in CODE],
                signature=ModelSignature(Schema([ColSpec("binary", "image")])),
                pip_requirements=[f"{name}=={version(name)}" for name in LIBRARIES],
            )
        temporary.rename(out)
    except OSError as error:
        raise cannot_write(out, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
