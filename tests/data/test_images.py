import numpy as np
import pytest
import torch
from PIL import Image

from satl.data.images import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Augmentation,
    Images,
    augmentation_draws,
    consecutive_order,
    normalise,
    read_image,
    training_order,
)
from satl.errors import UserError


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_reading_is_pillow_bicubic(picture):
    expected = Image.open(picture).resize((16, 16), Image.Resampling.BICUBIC)
    found = read_image(picture, 16).permute(1, 2, 0).numpy()
    assert np.array_equal(found, np.asarray(expected))


def test_grey_and_transparent_pictures_become_rgb(tmp_path):
    for mode in ("L", "RGBA", "P", "CMYK"):
        path = tmp_path / f"{mode}.{'tif' if mode == 'CMYK' else 'png'}"
        Image.new(mode, (9, 9)).save(path)
        assert read_image(path, 8).shape == (3, 8, 8)


def test_a_missing_and_a_truncated_file_are_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.jpg: no such image file"):
        read_image(tmp_path / "gone.jpg", 8)
    path = tmp_path / "cut.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"cut\.jpg: cannot be decoded \(.*truncated"):
        read_image(path, 8)
    path.write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"cut\.jpg: cannot be decoded"):
        read_image(path, 8)


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_hold_the_images_asked_for(train_table, cached, workers):
    images = Images(train_table.paths(), 16, cached, "x")
    order = [[3, 0], [7]]
    batches = list(images.batches(order, workers))
    assert [len(b) for b in batches] == [2, 1]
    assert torch.equal(batches[0][1], read_image(train_table.paths()[0], 16))


def test_an_error_in_a_worker_still_names_the_file(train_table, tmp_path):
    images = Images([*train_table.paths()[:3], tmp_path / "gone.jpg"], 16, False, "x")
    with pytest.raises(UserError, match=r"gone\.jpg: no such image file"):
        list(images.batches([[0, 1], [2, 3]], workers=1))


def test_training_order_depends_on_seed_and_epoch_alone():
    first = training_order(10, 4, drop_last=False, seed=0, epoch=1)
    assert first == training_order(10, 4, drop_last=False, seed=0, epoch=1)
    assert first != training_order(10, 4, drop_last=False, seed=0, epoch=2)
    assert first != training_order(10, 4, drop_last=False, seed=1, epoch=1)
    assert sorted(index for batch in first for index in batch) == list(range(10))


@pytest.mark.parametrize(
    ("images", "drop_last", "sizes"),
    [(10, True, [4, 4]), (10, False, [4, 4, 2]), (9, False, [4, 4]), (3, True, [3])],
)
def test_incomplete_batches(images, drop_last, sizes):
    order = training_order(images, 4, drop_last, seed=0, epoch=0)
    assert [len(batch) for batch in order] == sizes


def test_consecutive_order_covers_every_image_once():
    assert consecutive_order(5, 2) == [[0, 1], [2, 3], [4]]


def test_normalise():
    images = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    expected = (images.permute(0, 2, 3, 1) / 255 - mean) / std
    assert torch.allclose(normalise(images).permute(0, 2, 3, 1), expected, atol=1e-5)


def test_augmentation_depends_on_the_image_not_on_its_batch():
    augment, draws = Augmentation([1.0, 0.5], 12, flip=True), augmentation_draws(6, 3, 2)
    images = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8)
    together = augment(images, draws)
    for index in range(6):
        alone = augment(images[index : index + 1], draws[index : index + 1])
        assert torch.equal(alone[0], together[index])
    assert not torch.equal(together, augment(images, augmentation_draws(6, 3, 4)))


def test_draws_depend_on_seed_and_epoch_and_not_on_how_many_there_are():
    draws = augmentation_draws(9, seed=1, epoch=2)
    assert np.array_equal(draws[:4], augmentation_draws(4, seed=1, epoch=2))
    assert not np.array_equal(draws, augmentation_draws(9, seed=1, epoch=3))
    assert not np.array_equal(draws, augmentation_draws(9, seed=2, epoch=2))


def test_augmented_crops_are_crops_of_the_image():
    augment = Augmentation([0.5], 8, flip=False)
    image = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(50, 3, 16, 16)
    crops = augment(image, augmentation_draws(50, 0, 0))[:, 0]
    corners = set()
    for crop in crops:
        top, left = divmod(int(crop[0, 0]), 16)
        assert torch.equal(crop, image[0, 0, top : top + 8, left : left + 8].float())
        corners.add((top, left))
    assert len(corners) > 20


def test_flip_turns_about_half_of_the_images():
    augment = Augmentation([1.0], 4, flip=True)
    image = torch.arange(4, dtype=torch.uint8).view(1, 1, 1, 4).expand(400, 3, 4, 4)
    turned = augment(image, augmentation_draws(400, 0, 0))[:, 0, 0, 0] == 3
    assert 0.4 < turned.float().mean() < 0.6


def test_resized_crops_agree_with_pillow_within_rounding():
    pixels = np.random.default_rng(1).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(pixels).resize((8, 8)).resize((32, 32)))
    expected = np.asarray(Image.fromarray(smooth).resize((20, 20), Image.Resampling.BICUBIC))
    tensor = torch.from_numpy(smooth.copy()).permute(2, 0, 1)[None]
    found = Augmentation([1.0], 20, flip=False)(tensor, augmentation_draws(1, 0, 0))[0]
    assert np.abs(found.permute(1, 2, 0).numpy() - expected).max() <= 1
