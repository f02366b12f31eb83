"""`workflow/config/paper.yaml` to its end: its data sets in miniature, from a local server."""

import hashlib
import io
import json
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import write_coco
from file_server import Reply, serving
from make_vg import NAMES, TEST, TRAIN, write_vg
from make_voc import voc_config
from workflow_trials import ROOT, copy_tree, output, planned, snakemake

from satl.config.catalogue import CATALOGUE
from satl.data.formats import voc
from satl.models.backbone import initial_weights

pytestmark = [pytest.mark.slow, pytest.mark.long]
COCO_WORDS = ("red", "green", "blue", "dark")


def zip_of(*files):
    """Bytes of a zip of (path, name in the archive)."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path, name in files:
            archive.write(path, name)
    return file.getvalue()


def zip_of_folder(folder):
    return zip_of(*((path, f"{folder.name}/{path.name}") for path in sorted(folder.iterdir())))


def coco_archives(folder):
    notes = []
    for part, images in (("train2014", 24), ("val2014", 12)):
        write_coco(folder / f"{part} made", images, seed=images)
        (folder / f"{part} made/images").rename(folder / part)
        notes.append((folder / f"{part} made/instances.json", f"annotations/instances_{part}.json"))
        yield f"{part}.zip", zip_of_folder(folder / part)
    yield "annotations_trainval2014.zip", zip_of(*notes)


def vg_files(folder):
    write_vg(folder)
    yield "images.zip", zip_of_folder(folder / "VG_100K")
    yield "images2.zip", zip_of_folder(folder / "VG_100K_2")
    yield "objects.json.zip", zip_of((folder / "objects.json", "objects.json"))
    yield "train_list_500.txt", (folder / "train.txt").read_bytes()
    yield "test_list_500.txt", (folder / "test.txt").read_bytes()
    yield "vg_category_500_labels_index.json", (folder / "index.json").read_bytes()


def voc_archives(folder):
    voc_config(folder, train=24, test=12)
    for part in ("trainval", "test"):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as archive:
            archive.add(folder / part / "VOCdevkit", "VOCdevkit")
        yield f"VOC{part}_06-Nov-2007.tar", file.getvalue()


def shared_files(folder):
    voc_words = [voc.IN_WORDS.get(name, name) for name in voc.CATEGORIES]
    words = sorted({word for name in (*COCO_WORDS, *NAMES, *voc_words) for word in name.split()})
    vectors = np.random.default_rng(0).standard_normal((len(words), 300)).round(4)
    lines = [f"{w} {' '.join(map(str, v))}\n" for w, v in zip(words, vectors, strict=True)]
    (folder / "glove.txt").write_text("".join(lines))
    yield "glove.840B.300d.zip", zip_of((folder / "glove.txt", "glove.840B.300d.txt"))
    torch.save(initial_weights("resnet101", "random"), folder / "weights.pth")
    yield "resnet101-63fe2227.pth", (folder / "weights.pth").read_bytes()


def small_paper(sources):
    """paper.yaml with all its data sets and sections; fewer runs, smaller pictures, a CPU."""
    config = yaml.safe_load((ROOT / "workflow/config/paper.yaml").read_text())
    coco, vg, voc2007 = (config["datasets"][name] for name in ("coco2014", "vg200", "voc2007"))
    for dataset in (coco, voc2007):
        dataset["train"]["expected_images"], dataset["test"]["expected_images"] = 24, 12
    vg |= {"categories": len(NAMES), "expected_images": {"train": TRAIN, "test": TEST}}
    config["training"] |= {
        "epochs": 1, "batch_size": 6, "resize": 72, "image_size": 64, "threads": 2,
        "precision": "fp32",
    }  # fmt: skip
    few = {"methods": {"satl": {}, "sst": {}}, "known_ratios": [0.5, 0.9], "device": "cpu"}
    config["report"]["reference"] = "sst"
    return {**config, **few, "runs_per_job": 4, "sources": sources}


def test_the_paper_in_miniature_from_the_net_to_its_tables(tmp_path):
    tree = tmp_path / "tree"
    copy_tree(tree)
    (tmp_path / "made").mkdir()
    makers = (coco_archives, vg_files, voc_archives, shared_files)
    files = {name: body for make in makers for name, body in make(tmp_path / "made")}
    with serving() as web:
        sources = {
            name: {
                "urls": [web.offer(name, Reply(body))],
                "sha256": hashlib.sha256(body).hexdigest(),
            }
            for name, body in files.items()
        }
        assert sources.keys() <= CATALOGUE.keys()
        (tree / "paper.yaml").write_text(yaml.safe_dump(small_paper(sources)))
        jobs = planned(tree, config="paper.yaml")
        assert jobs["train"] == {"satl-known-0.50+3"}, "both methods and ratios, of each data set"
        done = snakemake(tree, config="paper.yaml")
        assert done.returncode == 0, output(done)
        assert sorted(path for path, _ in web.seen) == sorted(files), "each once"

    results = tree / "results/paper"
    summary = pd.read_csv(results / "summary.csv")
    assert len(summary) == 3 * 2 * 2 * 2  # data sets, methods, ratios, selections
    assert summary["mAP"].between(0, 100).all()
    for dataset in ("coco2014", "vg200", "voc2007"):
        assert "published" in (results / f"tables/{dataset}.md").read_text()
    run = results / "runs/vg200/sst/known-0.90/seed-0"
    assert np.load(run / "predictions.npz")["categories"].tolist() == list(NAMES)
    record = json.loads((run / "run.json").read_text())
    assert record["images_per_second"] > 0
    assert "Nothing to be done" in output(snakemake(tree, config="paper.yaml"))
