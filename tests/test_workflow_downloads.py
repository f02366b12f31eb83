"""The workflow on a data set that comes from a server, laid out as COCO 2014 is."""

import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
from conftest import write_coco
from file_server import Reply, serving
from workflow_trials import TINY, copy_tree, output, planned, snakemake, write_config

pytestmark = pytest.mark.slow
COCO = "data/coco2014"


def zip_of(folder, name_in_archive):
    """Bytes of a zip of the files in `folder`, under `name_in_archive`/."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"{name_in_archive}/{path.name}")
    return file.getvalue()


def miniatures(folder):
    """Bytes of archives laid out as those of COCO 2014 and GloVe are, by name."""
    (folder / "annotations").mkdir()
    archives = {}
    for part, images in (("train2014", 24), ("val2014", 12)):
        write_coco(folder / part, images, seed=images)
        archives[f"{part}.zip"] = zip_of(folder / part / "images", part)
        (folder / part / "instances.json").rename(folder / f"annotations/instances_{part}.json")
    archives["annotations_trainval2014.zip"] = zip_of(folder / "annotations", "annotations")
    words = {word: np.random.default_rng(len(word)).random(5).round(5) for word in
             ("red", "unused", "green", "blue", "dark")}  # fmt: skip
    (folder / "glove").mkdir()
    text = "".join(f"{word} {' '.join(map(str, vector))}\n" for word, vector in words.items())
    (folder / "glove/glove.840B.300d.txt").write_text(text)
    glove = io.BytesIO()
    with zipfile.ZipFile(glove, "w") as archive:
        archive.write(folder / "glove/glove.840B.300d.txt", "glove.840B.300d.txt")
    archives["glove.840B.300d.zip"] = glove.getvalue()
    return archives


@pytest.fixture
def web():
    with serving() as server:
        yield server


def test_a_data_set_from_the_net(web, tmp_path):
    tree, made = tmp_path / "tree", tmp_path / "made"
    made.mkdir()
    copy_tree(tree)
    archives = miniatures(made)
    sources = {
        name: {
            "urls": [web.offer(name, Reply(body, cut=len(body) // 2), Reply(body))],
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        for name, body in archives.items()
    }
    split = {
        part: {
            "images": f"{COCO}/{year}", "annotations": f"{COCO}/annotations/instances_{year}.json"
        }
        for part, year in (("train", "train2014"), ("test", "val2014"))
    }  # fmt: skip
    write_config(
        tree, name="net", datasets={"coco": {"format": "coco", **split}}, known_ratios=[0.5],
        methods={"partial_bce": {}}, sources=sources,
        model={**TINY["model"], "weights": "random", "word_vectors": "glove"},
        training={**TINY["training"], "epochs": 1, "batch_size": 8},
    )  # fmt: skip

    jobs = planned(tree)  # before anything is there
    assert jobs.keys() >= {"download", "table", "embeddings", "split", "train"}
    assert web.seen == []

    done = snakemake(tree, "--until", "split", "embeddings")
    assert done.returncode == 0, output(done)
    assert {path for path, _ in web.seen} == set(archives)
    assert len(web.seen) == 2 * len(archives)  # each was cut once
    assert list((tree / "results/net/data/coco").glob("known-0.50.npz"))
    words = (tree / "results/net/data/coco/embeddings.txt").read_text().splitlines()
    assert [line.split()[0] for line in words] == ["red", "green", "blue", "dark"]
    receipt = json.loads((tree / "data/receipts/val2014.zip.json").read_text())
    assert receipt["provides"] == f"{COCO}/val2014"
    assert not [p for p in (tree / "data/downloads").iterdir() if p.name[0] != "."]

    assert "download" not in planned(tree)
    done = snakemake(tree, "--until", "train")
    assert done.returncode == 0, output(done)
    assert planned(tree, "--until", "train") == {}
    assert len(web.seen) == 2 * len(archives)

    # A forced repetition finds the data, and keeps the receipt that tells of its origin.
    done = snakemake(tree, "--force", "data/receipts/val2014.zip.json")
    assert done.returncode == 0, output(done)
    assert json.loads((tree / "data/receipts/val2014.zip.json").read_text()) == receipt
