"""Which downloads a config needs, and what it may say about them."""

import re
from pathlib import Path

import pytest

from satl.config import parse
from satl.config.catalogue import CATALOGUE, GLOVE, IMAGENET_WEIGHTS, Checks
from satl.core.errors import UserError
from satl.download.needs import needed, provided, receipt, source_of, sources_of, vectors_path

COCO = {
    "format": "coco",
    "train": {
        "images": "data/coco2014/train2014",
        "annotations": "data/coco2014/annotations/instances_train2014.json",
    },
    "test": {"images": "elsewhere/val2014", "annotations": "elsewhere/instances_val2014.json"},
}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def experiment(dataset=COCO, model=(), **changes):
    return parse(
        {
            "name": "x",
            "datasets": {"d": dataset},
            "methods": {"satl": {}},
            "known_ratios": [0.5],
            "model": {"backbone": "tiny", "weights": "random", **dict(model)},
            **changes,
        },
        "x.yaml",
    )


def test_only_what_the_paths_name_is_needed():
    assert needed(experiment()) == ["train2014.zip", "annotations_trainval2014.zip"]
    assert needed(experiment({"format": "glyphs"})) == []


def test_the_data_folder_may_be_elsewhere_and_paths_written_in_another_way(tmp_path):
    here = {**COCO, "test": {**COCO["test"], "images": f"{tmp_path}/data/./coco2014//val2014/"}}
    assert needed(experiment(here)) == [
        "train2014.zip", "val2014.zip", "annotations_trainval2014.zip"
    ]  # fmt: skip
    assert needed(experiment(here, data_folder="other")) == []


def test_similar_names_are_not_taken_for_downloads():
    other = experiment()
    assert source_of(other, "data/coco2014/train2014-small") is None
    assert source_of(other, "data/vg/VG_100K_2/1.jpg") == "images2.zip"
    assert source_of(other, "data/vg/VG_100K/1.jpg") == "images.zip"
    assert source_of(other, "data/coco2014") is None


def test_what_the_user_put_there_is_not_needed():
    folder = Path("data/coco2014/train2014")
    folder.mkdir(parents=True)
    assert needed(experiment()) == ["annotations_trainval2014.zip"]
    note = receipt(experiment(), "train2014.zip")
    note.parent.mkdir()
    note.touch()
    assert needed(experiment()) == ["train2014.zip", "annotations_trainval2014.zip"]


@pytest.mark.parametrize("backbone", IMAGENET_WEIGHTS)
def test_imagenet_weights_and_glove_are_needed_where_they_are_asked_for(backbone):
    model = {"backbone": backbone, "weights": "imagenet", "word_vectors": "glove"}
    asking = experiment({"format": "glyphs"}, model)
    assert needed(asking) == [GLOVE, IMAGENET_WEIGHTS[backbone]]
    assert vectors_path(asking) == "data/glove/glove.840B.300d.txt"
    assert vectors_path(experiment()) is None


@pytest.mark.parametrize("backbone", IMAGENET_WEIGHTS)
def test_the_weights_are_those_that_torchvision_names(backbone):
    from torchvision.models import get_model_weights

    source = CATALOGUE[IMAGENET_WEIGHTS[backbone]]
    weights = get_model_weights(backbone).IMAGENET1K_V1
    assert source.urls == (weights.url,)
    assert source.checks.sha256 == re.search(r"-([0-9a-f]{8})\.pth$", weights.url)[1]
    megabytes = weights.meta["_file_size"]
    assert source.size == pytest.approx(megabytes * 2**20, rel=0.02)


def test_voc_is_as_torchvision_has_it():
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    for year in ("2007", "2007-test", "2012"):
        known = DATASET_YEAR_DICT[year]
        source = CATALOGUE[known["filename"]]
        assert source.urls[0] == known["url"]
        assert source.checks.md5 == known["md5"]
        assert source_of(experiment(), f"data/{source.provides}/x") == known["filename"]


def test_the_catalogue_is_consistent():
    for name, source in CATALOGUE.items():
        for url in source.urls:
            assert re.fullmatch(r"https?://\S+/" + re.escape(name), url)
        assert (source.unpacked is not None) == name.endswith((".zip", ".tar"))
        assert source.checks.bytes in (None, source.size)
        assert len(source.checks.md5 or 32 * "0") == 32
    places = [source.provides for source in CATALOGUE.values()]
    assert len(set(places)) == len(places)
    assert str(provided(experiment(), "images.zip")) == "data/vg/VG_100K"


def test_other_addresses_keep_the_checks_and_other_checks_replace_them_all():
    name = "annotations_trainval2014.zip"
    url = "https://example.org/a.zip"

    def source(**override):
        return sources_of(experiment(sources={name: override}))[name]

    moved = source(urls=[url])
    assert moved.urls == (url,) and moved.checks == CATALOGUE[name].checks
    assert source(urls=[url], unchecked=True).checks == Checks()
    assert source(sha256="ab" * 32).checks == Checks(sha256="ab" * 32)
    assert source(sha256="ab" * 32).urls == CATALOGUE[name].urls
    assert source(path="/x").checks == CATALOGUE[name].checks


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({"train2015.zip": {}}, r"unknown source 'train2015\.zip' \(did you mean 'train2014\.zip'"),
        ({"val2014.zip": {"url": "http://x"}}, r"val2014\.zip\.url: unknown key .*mean 'urls'"),
        (
            {"val2014.zip": {"urls": ["ftp://x/y"]}},
            r"sources\.val2014\.zip\.urls\.0: .*'ftp://x/y'",
        ),
        ({"val2014.zip": {"urls": []}}, r"sources\.val2014\.zip\.urls"),
        ({"val2014.zip": {"urls": ["http://x"], "path": "y"}}, "`urls` or `path`, not both"),
        ({"val2014.zip": {"unchecked": True, "bytes": 5}}, "`unchecked` contradicts"),
        ({"val2014.zip": {"md5": "abc"}}, r"sources\.val2014\.zip\.md5"),
    ],
)
def test_wrong_sources_are_named(sources, message):
    with pytest.raises(UserError, match=message):
        experiment(sources=sources)


def test_a_misspelt_glove_is_not_taken_for_a_file():
    with pytest.raises(UserError, match=r"word_vectors 'golve' \(did you mean 'glove'\?\)"):
        experiment(model={"word_vectors": "golve"})
