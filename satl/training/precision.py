"""Number formats and determinism of training, set up once per process."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from satl.config import Training
from satl.core.errors import UserError
from satl.training.memory import keep_freed_memory


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """The context of a forward pass: PyTorch's autocast for `bf16`, else none."""
    if precision != "bf16":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def prepare_torch(training: Training, device: torch.device) -> None:
    """Threads, memory, number formats and determinism as `training` says, for this whole process.

    On a GPU it makes `device` the current one, so that nothing opens a context on another.
    """
    if device.type == "cpu":
        torch.set_num_threads(training.threads)
        keep_freed_memory()
    if device.type == "cuda":
        _prepare_cuda(training, device)
    # On the CPU all that training uses is deterministic; of GPU operations without such a version
    # PyTorch warns, instead of ending a training.
    warn_only = device.type != "cpu"
    torch.use_deterministic_algorithms(training.deterministic, warn_only=warn_only)
    # A debugging aid that comes with it and costs a tenth of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False
    if training.compile:
        _prepare_compiler()


def _prepare_cuda(training: Training, device: torch.device) -> None:
    if device.index is not None:
        torch.cuda.set_device(device)
    tf32 = training.precision == "tf32"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.deterministic = training.deterministic
    torch.backends.cudnn.benchmark = not training.deterministic
    if training.deterministic:
        # Read when the first matrix product creates cuBLAS's handle.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


# Runs of a job share the code of their models, and each is traced in training and in prediction,
# with whole and with last batches.
RECOMPILE_LIMIT = 256


def _prepare_compiler() -> None:
    """Whatever cannot be compiled is an error, never a silent fall-back to eager mode."""
    from torch._dynamo import config

    config.recompile_limit = RECOMPILE_LIMIT
    config.accumulated_recompile_limit = 4 * RECOMPILE_LIMIT
    config.fail_on_recompile_limit_hit = True


@contextmanager
def compiler_errors(training: Training) -> Iterator[None]:
    """Raise a UserError where torch.compile gives up: a recompile limit, or untraceable code."""
    if not training.compile:
        yield
        return
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

    try:
        yield
    except (FailOnRecompileLimitHit, TorchDynamoException) as error:
        raise UserError(
            f"the network cannot be compiled ({str(error).splitlines()[0]}); "
            "set training.compile: false"
        ) from error
