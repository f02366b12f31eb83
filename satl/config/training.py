"""The sections `model`, `training` and `pretraining` of the experiment file."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from satl.config.catalogue import IMAGENET_WEIGHTS, PACKAGED_WEIGHTS
from satl.config.explain import explain, suggestion
from satl.config.input_size import PUBLISHED
from satl.core.errors import UserError
from satl.core.strict import Strict, setting


class Model(Strict):
    """The network that all methods share."""

    backbone: str = Field(
        "resnet101",
        pattern=r"^(timm/)?[A-Za-z0-9_.]+$",
        description="resnet18, resnet50, resnet101 (torchvision's), tiny, or any network of "
        "timm's by its name there, such as convnext_tiny, swin_tiny_patch4_window7_224 or "
        "vit_small_patch16_dinov3 (timm/resnet50 is timm's)",
    )
    frozen: str | None = Field(
        None,
        min_length=1,
        description="name of the last frozen stage or block, e.g. layer3, blocks_7; all: the whole "
        "backbone is frozen; none: nothing is; by default all but the last is frozen",
    )
    weights: str = Field(
        "imagenet",
        description="imagenet (torchvision's IMAGENET1K_V1, downloaded; for tf_efficientnet_lite0 "
        "installed with this suite), hub (of a network of timm's, downloaded by its name there), "
        "glyphs (a short pre-training on single glyphs), random, or "
        "the path of a state_dict (.pt, .safetensors)",
    )
    feature_dim: int = Field(1024, ge=1, description="D, channels after the 1x1 convolution")
    attention_dim: int = Field(512, ge=1, description="width of the semantic attention")
    word_vectors: str | None = Field(
        None,
        description="of the category names: glove (GloVe 840B, downloaded), or the path of a text "
        "file in GloVe's format; none: random vectors that depend on the name alone, without "
        "meaning",
    )

    @model_validator(mode="after")
    def _check_weights(self) -> "Model":
        known = ("imagenet", "hub", "glyphs", "random")
        if self.weights not in known and not set(self.weights) & set("./\\"):
            raise ValueError(
                f"weights {self.weights!r}{suggestion(self.weights, known)}: neither one of "
                f"{', '.join(known)} nor the path of a file"
            )
        at_hand = (*IMAGENET_WEIGHTS, *PACKAGED_WEIGHTS)
        if self.weights == "imagenet" and self.backbone not in at_hand:
            raise ValueError(
                f"there are no ImageNet weights for backbone {self.backbone!r}"
                f"{suggestion(self.backbone, at_hand)} to be had, only for "
                f"{', '.join(at_hand)}: set `weights` to the path of a state_dict, or to hub for "
                "those that timm downloads"
            )
        if self.weights == "hub" and self.backbone in PUBLISHED:
            raise ValueError(
                f"weights hub: {self.backbone} is not timm's; for torchvision's weights set "
                "`weights: imagenet`, or name timm's network, such as timm/resnet50"
            )
        words = self.word_vectors
        if words is not None and words != "glove" and not set(words) & set("./\\"):
            raise ValueError(
                f"word_vectors {words!r}{suggestion(words, ['glove'])}: neither glove nor the "
                "path of a file"
            )
        return self


class Training(Strict):
    """Optimisation and images; the defaults are the published protocol of SST and SARB."""

    epochs: int = Field(20, ge=1)
    batch_size: int = Field(8, ge=2)
    learning_rate: float = Field(1e-5, gt=0)
    weight_decay: float = Field(5e-4, ge=0, description="L2 term of Adam")
    schedule: Literal["step", "one_cycle"] = Field(
        "step",
        description="of the learning rate. step: as published, lr_gamma times as much every "
        "lr_step epochs; one_cycle: up to learning_rate in the first quarter of all steps, then "
        "down to nothing along a cosine",
    )
    lr_step: int = Field(10, ge=1, description="epochs between two decays of the learning rate")
    lr_gamma: float = Field(0.1, gt=0, le=1)
    accumulate: int = Field(
        1, ge=1, description="batches whose gradients are averaged into one optimiser step"
    )
    precision: Literal["fp32", "tf32", "bf16"] = Field(
        "fp32",
        description="fp32: float32 throughout; tf32: on a GPU, matrix products and convolutions "
        "round their factors to TF32 (on the CPU the same as fp32); bf16: autocast of the network "
        "alone, while losses, pseudo-labels and weights stay in float32",
    )
    deterministic: bool = Field(
        True,
        description="the same numbers each time on the same device and software, as far as "
        "PyTorch can (it warns of an operation for which it cannot); false is faster on a GPU, "
        "where cuDNN then also tries algorithms out",
    )
    compile: bool = Field(False, description="torch.compile the network")
    drop_last: bool = Field(True, description="leave out the last, incomplete training batch")
    resize: int = Field(
        512,
        ge=8,
        description="side of the square before the random crop; for a network of timm's by "
        "default image_size divided by the share that its own protocol crops",
    )
    image_size: int = Field(
        448,
        ge=8,
        description="side of the square that the network sees; for a network of timm's by default "
        "that for which its weights were trained",
    )
    crop_scales: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        [1.0, 0.875, 0.75, 0.625, 0.5], min_length=1, description="crop sides, of `resize`"
    )
    cached_views: int | None = Field(
        None,
        ge=1,
        description="compute the feature maps of the frozen stages once, for so many augmented "
        "views per training image, of which every epoch shows one (satl features); none: augment "
        "the images and compute their features anew in every epoch",
    )
    # Not part of a run's identity: the features that it is shown are.
    cached_strong_views: int | None = setting(
        None,
        affects="speed",
        ge=1,
        description="beside cached_views: so many strongly augmented views per training image, "
        "where a method compares two views (sr_st)",
    )
    flip: bool = Field(True, description="random horizontal flip")
    eval_batch_size: int = Field(64, ge=1)
    eval_every: int = Field(
        1,
        ge=1,
        description="epochs from one prediction of the test images (and those held out) to the "
        "next, counted back from the last epoch, which always has one; the epochs without have no "
        "mAP and cannot be selected",
    )
    workers: int = setting(
        2, affects="speed", ge=0, description="processes that decode images (0: none)"
    )
    image_cache: Literal["none", "memory", "disk"] = setting(
        "none",
        affects="speed",
        description="decoded, resized images: made again at each use, kept in the memory of each "
        "job, or in one file of 3 * side**2 bytes per image that all jobs of a machine share",
    )
    threads: int = Field(1, ge=1, description="CPU threads of a training job")
    keep_weights: Literal["last", "best_on_validation"] | None = setting(
        None,
        affects="files",
        description="keep the trained network as model.safetensors in the run folder, for satl "
        "predict and export: that of the last epoch, or of the best on the known labels of the "
        "images held out (`validation`); none: only what it scored",
    )

    @model_validator(mode="after")
    def _check_views(self) -> "Training":
        if self.cached_strong_views and not self.cached_views:
            raise ValueError(
                "cached_strong_views is set without cached_views: set that too, or leave both out"
            )
        return self

    def evaluates(self, epoch: int) -> bool:
        """Whether test images, and those held out, are predicted after `epoch`, from 1."""
        return (self.epochs - epoch) % self.eval_every == 0

    @property
    def evaluations(self) -> int:
        """After how many epochs they are."""
        return 1 + (self.epochs - 1) // self.eval_every

    def with_own(self, values: Mapping[str, float]) -> "Training":
        """The same protocol with what a method has of its own (`MethodEntry.own_training`)."""
        return self.model_copy(update=values)

    def with_settings(self, given: Mapping[str, Any]) -> "Training":
        """The same protocol with other values for some keys. Raises UserError that names them."""
        try:
            return type(self).model_validate({**self.model_dump(), **given})
        except ValidationError as error:
            raise UserError(explain(error, Training, {}, within="training")) from error


class Pretraining(Strict):
    """Supervised pre-training of the backbone on single glyphs (`model.weights: glyphs`)."""

    images: int = Field(5000, ge=1)
    image_size: int = Field(32, ge=16, description="side; a glyph then has its size in scenes")
    epochs: int = Field(6, ge=1)
    batch_size: int = Field(64, ge=2)
    learning_rate: float = Field(2e-3, gt=0)
    seed: int = Field(0, ge=0)
    threads: int = Field(2, ge=1, description="CPU threads")
