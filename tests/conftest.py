"""A small COCO-style data set of generated pictures, and tables made of it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from file_server import serving
from PIL import Image
from trials import every_epoch_saves, kept, shared, weights  # noqa: F401 (fixtures)

from satl.data.formats.coco import read_coco
from satl.data.splits import split
from satl.data.table import LabelTable

# Test files run side by side, a process each; more threads would only get in each other's way.
torch.set_num_threads(1)

GOLDEN = Path(__file__).parent / "golden"
CATEGORY_NAMES = ("red", "green", "blue", "dark")


def pytest_collection_modifyitems(items):
    """Files with slow tests first: none is left over at the end, for one worker alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _restore_torch_state():
    yield
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(False)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.deterministic = torch.backends.cudnn.benchmark = False


def golden(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return dict(arrays)


def write_coco(folder: Path, images: int, seed: int, categories=CATEGORY_NAMES) -> None:
    """Coloured rectangles: `folder`/images/*.jpg and `folder`/instances.json, ids with gaps."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    records, annotations = [], []
    for index in range(images):
        pixels = rng.integers(150, 200, (24, 32, 3), dtype=np.uint8)
        for category in np.flatnonzero(rng.random(len(categories)) < 0.4):
            top, left = rng.integers(0, 14), rng.integers(0, 20)
            colour = np.eye(3)[category] * 255 if category < 3 else np.zeros(3)
            pixels[top : top + 10, left : left + 12] = colour
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 10 * index + 7,
                    "category_id": 3 * int(category) + 2,
                    "bbox": [int(left), int(top), 12, 10],
                    "area": 120,
                    "iscrowd": 0,
                }
            )
        name = f"{index:04d}.jpg"
        Image.fromarray(pixels).save(folder / "images" / name, quality=95)
        records.append({"id": 10 * index + 7, "file_name": name, "width": 32, "height": 24})
    content = {
        "images": records,
        "annotations": annotations,
        "categories": [{"id": 3 * i + 2, "name": name} for i, name in enumerate(categories)],
    }
    (folder / "instances.json").write_text(json.dumps(content))


@pytest.fixture(scope="session")
def coco_folder(tmp_path_factory) -> Path:
    """Folders train and test, of 24 and 12 images."""
    folder = tmp_path_factory.mktemp("coco")
    write_coco(folder / "train", images=24, seed=1)
    write_coco(folder / "test", images=12, seed=2)
    return folder


@pytest.fixture(scope="session")
def train_table(coco_folder) -> LabelTable:
    return read_coco(coco_folder / "train/instances.json", coco_folder / "train/images")


@pytest.fixture(scope="session")
def test_table(coco_folder) -> LabelTable:
    return read_coco(coco_folder / "test/instances.json", coco_folder / "test/images")


@pytest.fixture(scope="session")
def observed(train_table) -> LabelTable:
    return split(train_table, 0.5)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter, config):
    """Below the tables, what benchmarks have noted beside their times (images per second)."""
    noted = [b for b in config._benchmarksession.benchmarks if b.extra_info]
    if noted:
        terminalreporter.section("beside the times")
    for benchmark in noted:
        values = ", ".join(f"{name} {value:,}" for name, value in benchmark.extra_info.items())
        terminalreporter.write_line(f"{benchmark.name:40} {values}")


@pytest.fixture
def table(train_table, tmp_path) -> LabelTable:
    """A table of 24 images that a test may damage."""
    shutil.copytree(train_table.folder, tmp_path / "images")
    return replace(train_table, folder=str(tmp_path / "images"))


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


@pytest.fixture
def web(server):
    """A server that nobody has asked for anything yet."""
    server.seen.clear()
    server.served = 0
    return server
