"""Weights out of timm's hub, by the names that timm knows networks by."""

import shutil
from pathlib import Path

from satl.core.errors import UserError
from satl.core.files import writing


def fetch_weights(name: str, out: Path) -> None:
    """Write the state_dict of timm's network `name`, classifier included, as safetensors.

    Where the hub is, and how it is asked, are timm's affair: what environment variables say of it
    (HF_ENDPOINT, HF_TOKEN, HTTPS_PROXY) counts.

    Args:
        name: with the tag of its weights, or without: timm's default.
        out: the file.

    Raises:
        UserError: timm is not installed, has no such weights, or does not reach its hub.
    """
    cache = out.with_name(f"{out.name}.hub")
    try:
        import timm
        from safetensors.torch import save

        network = timm.create_model(name, pretrained=True, cache_dir=cache)
    except Exception as error:  # of timm, its hub and the net, which share no type
        raise UserError(
            f"model.weights: hub: the weights of {name} could not be fetched from timm's hub "
            f"({type(error).__name__}: {error}). Run the same command again where the network is "
            "reached, or save the state_dict of `timm.create_model(..., pretrained=True)` there "
            "and give its path as model.weights"
        ) from error
    # Cloned, as safetensors refuses tensors that share their memory.
    weights = {key: value.clone().contiguous() for key, value in network.state_dict().items()}
    with writing(out) as temporary:
        temporary.write_bytes(save(weights))
    shutil.rmtree(cache, ignore_errors=True)
