"""The second, strongly augmented view of an image, for methods that compare two views."""

import numpy as np
import torch
from torch import Tensor

from satl.core.seeds import derive_seed
from satl.data.images.batches import Augmentation

CUTOUT_AREA = 0.25  # a square of half the side
GREY = 127.0


def strong_draws(images: int, seed: int, epoch: int) -> np.ndarray:
    """(images, 5) uniform numbers: what happens to each image's strong view in this epoch.

    A stream of its own: the ordinary view is the same whether or not there is a strong one.
    """
    return np.random.default_rng(derive_seed(seed, "strong view", epoch)).random((images, 5))


class StrongAugmentation:
    """A crop and flip of its own, then RandAugment (Cubuk et al., 2020) and cutout.

    RandAugment is torchvision's with its defaults, two operations of magnitude 9; cutout
    (DeVries and Taylor, 2017) paints a grey square of half the side that lies in the image.

    Args:
        ordinary: crop, resize and flip.
    """

    def __init__(self, ordinary: Augmentation) -> None:
        # Slow to import, and only methods that ask for strong views need it.
        from torchvision.transforms import v2

        self.ordinary = ordinary
        square = {"scale": (CUTOUT_AREA, CUTOUT_AREA), "ratio": (1.0, 1.0)}
        cutout = v2.RandomErasing(p=1.0, value=GREY, **square)
        self.distort = v2.Compose([v2.RandAugment(), cutout])

    def __call__(self, images: Tensor, draws: np.ndarray) -> Tensor:
        """(B, 3, S, S) uint8 images to (B, 3, side, side) float in 0..255.

        Of `draws` (B, 5) in [0, 1) the first four are those of `ordinary`, the last seeds the rest:
        the result depends on image and draws alone, whatever else the batch holds.
        """
        cropped = self.ordinary(images, draws[:, :4]).to(torch.uint8)
        seeds = (draws[:, 4] * 2**53).astype(np.int64).tolist()
        with torch.random.fork_rng(devices=[]):
            return torch.stack([*map(self._distorted, cropped, seeds)]).float()

    def _distorted(self, image: Tensor, seed: int) -> Tensor:
        # torchvision draws from torch's global generator, even for images on a GPU.
        torch.default_generator.manual_seed(seed)
        return self.distort(image)
