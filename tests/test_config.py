import sys
from pathlib import Path

import jsonschema
import pytest

from satl.config import load, parse
from satl.core.errors import UserError
from satl.core.places import METHODS
from satl.methods.registry import checked_methods, method_class
from satl.methods.schema import experiment_schema

ROOT = Path(__file__).parent.parent
GLYPHS = {"format": "glyphs"}
MINIMAL = {
    "name": "x",
    "datasets": {"d": GLYPHS},
    "methods": {"satl": {}},
    "known_ratios": [0.1],
}


@pytest.fixture(scope="module")
def schema():
    return jsonschema.Draft202012Validator(experiment_schema())


VG = {
    "format": "vg", "images": ["a", "b"], "objects": "o.json", "train_list": "train.txt",
    "test_list": "test.txt", "index": "i.json",
}  # fmt: skip


def changed(**changes):
    return {**MINIMAL, **changes}


def test_the_resolved_config_reads_back():
    experiment = parse(changed(methods={"satl": None, "a": {"method": "satl", "q": 0.9}}), "x")
    assert parse(experiment.source(), "x") == experiment
    assert experiment.methods["a"].options == {"q": 0.9}


@pytest.mark.parametrize(
    ("backbone", "training", "sizes"),
    [
        ("resnet101", {}, (448, 512)),
        ("timm/resnet101.a1_in1k", {}, (224, 235)),
        ("tf_efficientnet_lite0", {"image_size": 160, "resize": 180}, (160, 180)),
        ("vit_tiny_patch16_224", {}, (224, 248)),
        ("vit_tiny_patch16_224", {"image_size": 64}, (64, 71)),
        ("vit_tiny_patch16_224", {"resize": 256}, (224, 256)),
        ("vit_small_patch14_dinov2", {}, (518, 518)),
    ],
)
def test_the_size_of_images_is_by_default_that_of_the_weights(backbone, training, sizes):
    """The published one is for the networks of the published protocol."""
    model = {"backbone": backbone, "weights": "random"}
    found = parse(changed(model=model, training=training), "x")
    assert (found.training.image_size, found.training.resize) == sizes
    assert parse(found.source(), "x") == found


def test_without_timm_the_sizes_are_asked_for(monkeypatch):
    """As in a workflow with --use-conda, where only the rules' environment has it."""
    monkeypatch.setitem(sys.modules, "timm", None)
    model = {"backbone": "vit_tiny_patch16_224", "weights": "random"}
    with pytest.raises(
        UserError, match=r"training\.image_size and training\.resize: give both; vit"
    ):
        parse(changed(model=model), "x")
    sizes = {"image_size": 224, "resize": 256}
    assert parse(changed(model=model, training=sizes), "x").training.resize == 256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"epoch": 3}}, r"training\.epoch: unknown key \(did you mean 'epochs'\?\)"),
        ({"training": {"epochs": 0}}, r"training\.epochs: .*greater than or equal to 1 \(found 0"),
        ({"training": {"learning_rate": float("inf")}}, r"learning_rate: .*finite number"),
        ({"training": {"weight_decay": "nan"}}, r"weight_decay: .*finite number \(found 'nan'"),
        ({"training": {"epochs": "many"}}, r"training\.epochs: .*found 'many'"),
        ({"known_ratios": [0.5, 0]}, r"known_ratios: 0\.0 is outside \(0, 1\]"),
        ({"known_ratios": [1.1]}, r"known_ratios: 1\.1 is outside"),
        ({"known_ratios": [0.125]}, r"more than two decimals"),
        ({"known_ratios": [0.1, 0.1]}, r"names a ratio twice"),
        ({"seeds": [1, 0, 1]}, r"seeds: \[1, 0, 1\] names seed 1 twice"),
        ({"lanes": 9}, r"lanes: this key is now called 'runs_per_job'"),
        ({"known_ratios": []}, r"give `known_ratios`, `observe` or both"),
        (
            {"observe": {"singel_positive": {}}},
            r"observe\.singel_positive: unknown kind .*\(did you mean 'single_positive'\?\)",
        ),
        (
            {"observe": {"few": {"kind": "per_category", "positives": 5}}},
            r"observe\.few\.negatives: field required",
        ),
        (
            {"observe": {"biased": {"known_ratio": 0.1, "positivess": 2}}},
            r"observe\.biased\.positivess: unknown key \(did you mean 'positives'\?\)",
        ),
        (
            {
                "observe": {"few": {"kind": "per_category", "positives": 5, "negatives": 5}},
                "validation": 0.1,
            },
            r"observe\.few: counts labels per category, .* leave `validation` out",
        ),
        ({"observe": {"0.10": {"kind": "as_is"}}}, r"observe\.0\.10: string should match"),
        ({"observe": {"average": {"kind": "as_is"}}}, r"observe\.average: the average over"),
        ({"observe": {"as_is": {"kind": "random"}}}, r"as_is: is the name of a kind"),
        ({"observe": {"a": 3}}, r"observe: a: must be a mapping of options, found 3"),
        ({"observe": ["as_is"]}, r"observe: must be a mapping of names"),
        ({"methods": {"stal": {}}}, r"unknown method 'stal' \(did you mean 'satl'\?\)"),
        ({"methods": {"a": {"method": "b"}}}, r"unknown method 'b'"),
        ({"methods": ["satl"]}, r"methods: must be a mapping"),
        (
            {"datasets": {"d": {"format": "tfds"}}},
            r"datasets\.d: unknown format 'tfds'; the formats are coco, csv, glyphs, lvis, ",
        ),
        ({"datasets": {"d": {"format": "coco"}}}, r"datasets\.d\.train: field required"),
        (
            {"datasets": {"coco": {"format": "glyphs", "train_image": 1}}},
            r"datasets\.coco\.train_image: unknown key \(did you mean 'train_images'\?\)",
        ),
        ({"training": {"resize": 64, "image_size": 65}}, r"image_size \(65\) exceeds"),
        ({"ablations": {"a": ["stal"]}}, r"ablations\.a: 'stal' .*\(did you mean 'satl'\?\)"),
        ({"ablations": {"a": ["satl", "satl"]}}, r"ablations\.a names a method twice"),
        ({"ablations": {"a": []}}, r"ablations\.a: list should have at least 1"),
        (
            {"datasets": dict.fromkeys(("d", "d-a"), GLYPHS), "ablations": {"a": ["satl"]}},
            r"two tables would be called 'd-a': .*; give one of these another name",
        ),
        ({"ablations": {"differences": ["satl"]}}, r"two tables would be called 'd-differences'"),
        (
            {"ablations": {"a": ["satl"]}, "observe": {"a": {"kind": "single_positive"}}},
            r"two tables would be called 'd-a'",
        ),
        ({"name": "../up"}, r"name: "),
        ({"device": "gpu"}, r"device: .*found 'gpu'"),
        ({"seeds": [-1]}, r"seeds"),
        ({"model": {"weights": "imagnet"}}, r"weights 'imagnet' \(did you mean 'imagenet'\?\)"),
        ({"model": {"backbone": "tiny"}}, r"no ImageNet weights for backbone 'tiny'"),
        ({"model": {"backbone": "convnext_tiny"}}, r"set `weights` to the path of a state_dict"),
        ({"model": {"backbone": "resnet1O1"}}, r"'resnet1O1' \(did you mean 'resnet101'\?\)"),
        (
            {"datasets": {"d": {"fromat": "coco"}}},
            r"`format` is missing: one of coco, csv, glyphs, lvis",
        ),
        (
            {"datasets": {"d": {"format": "glyph"}}},
            r"unknown format 'glyph' \(did you mean 'glyphs'",
        ),
        ({"colour": 1}, r"colour: unknown key"),
        (
            {"training": {"keep_weights": "best_on_validation"}},
            r"keep_weights: best_on_validation needs images held out, .*set validation: 0\.1",
        ),
        ({"training": {"keep_weights": "best"}}, r"training\.keep_weights: input should be 'last'"),
    ],
)
def test_what_is_wrong_is_named(changes, message):
    with pytest.raises(UserError, match=message):
        parse(changed(**changes), "file.yaml")


def test_settings_beside_known_ratios(schema):
    content = changed(
        observe={"single_positive": None, "few": {"kind": "random", "known_ratio": 0.05}},
        mask_seed=3,
    )
    schema.validate(content)
    experiment = parse(content, "x")
    assert experiment.known("d") == [0.1, "single_positive", "few"]
    known = {name: shown.known for name, shown in experiment.tables("d").items()}
    assert known == {"d": [0.1], "d-single_positive": ["single_positive"], "d-few": ["few"]}
    seeds = [experiment.observation(known).seed for known in experiment.known("d")]
    assert seeds == [3, 1200, 3]
    assert parse(experiment.source(), "x") == experiment
    alone = parse(changed(known_ratios=[], observe="single_positive"), "x")
    assert alone.known("d") == alone.tables("d")["d"].known == ["single_positive"]


def test_masks_by_size_and_place_take_a_format_with_boxes():
    content = changed(observe={"large": {"kind": "salient", "by": "size"}})
    large = parse(content, "x").observation("large")
    assert (large.by, large.positives, large.seed) == ("size", 1, 0)
    content["datasets"] = {"d": VG}
    with pytest.raises(UserError, match=r"observe\.large: depends on boxes .* format vg of 'd'"):
        parse(content, "x")


def test_a_data_set_whose_labels_are_partial_as_they_are():
    datasets = {"d": GLYPHS, "partial": {**GLYPHS, "observe": "as_is"}}
    experiment = parse(changed(datasets=datasets), "x")
    assert experiment.known("d") == [0.1]
    assert experiment.known("partial") == ["as_is"]
    assert parse(changed(datasets={"d": datasets["partial"]}, known_ratios=[]), "x")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"rnaking_weight": 1},
            r"methods\.mine\.rnaking_weight: unknown key \(did you mean 'ranking_weight'\?\); "
            r"there are rule, q, warmup, pseudo_weight, ranking_weight",
        ),
        ({"q": 2}, r"methods\.mine\.q: .*less than 1 \(found 2\)"),
        ({"rule": "mean"}, r"methods\.mine\.rule: .*'mean' \(did you mean 'means'\?\)"),
    ],
)
def test_what_is_wrong_with_options_is_named(options, message):
    methods = {"mine": {"method": "satl", **options}, "partial_bce": {"q": 1}}
    with pytest.raises(UserError, match=message) as error:
        checked_methods(parse(changed(methods=methods), "x"))
    assert "methods.partial_bce.q: unknown key; there are divisor" in str(error.value)


def rows(experiment):
    """The methods of each table of the data set d."""
    return {name: shown.methods for name, shown in experiment.tables("d").items()}


def test_ablations_take_variants_out_of_the_main_table():
    methods = {"satl": {}, "a": {"method": "satl"}, "b": {"method": "satl"}, "partial_bce": {}}
    assert rows(parse(changed(methods=methods), "x")) == {"d": list(methods)}
    ablations = {"one": ["b", "satl"], "two": ["partial_bce", "b"]}
    experiment = parse(changed(methods=methods, ablations=ablations), "x")
    assert rows(experiment) == {
        "d": ["satl", "a", "partial_bce"], "d-one": ["b", "satl"], "d-two": ["partial_bce", "b"],
    }  # fmt: skip
    assert parse(experiment.source(), "x") == experiment


def test_a_main_table_that_would_be_empty_shows_all():
    methods = {"a": {"method": "satl"}, "b": {"method": "satl", "q": 0.9}}
    experiment = parse(changed(methods=methods, ablations={"q": ["a", "b"]}), "x")
    assert rows(experiment) == {"d": ["a", "b"], "d-q": ["a", "b"]}


def test_numbers_without_a_point_are_numbers():
    """YAML reads 1e-3 as text."""
    methods = {"satl": {"ranking_weight": "1e-1"}}
    experiment = parse(changed(training={"learning_rate": "1e-3"}, methods=methods), "x")
    assert experiment.training.learning_rate == 1e-3
    assert experiment.methods["satl"].options == {"ranking_weight": 0.1}


def test_visual_genome_and_its_names_by_hand(schema):
    content = changed(datasets={"d": {**VG, "names": {17: "tv"}}})
    schema.validate(content)
    dataset = parse(content, "x").datasets["d"]
    assert (dataset.categories, dataset.unannotated, dataset.names) == (200, "keep", {17: "tv"})
    assert parse(parse(content, "x").source(), "x") == parse(content, "x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": []}, r"datasets\.d\.images: list should have at least 1"),
        ({"images": ["a", "b", "a/"]}, r"datasets\.d\.images: names a folder twice"),
        ({"categories": 0}, r"datasets\.d\.categories: .*\(found 0\)"),
        ({"names": {-1: "tv"}}, r"datasets\.d\.names\.-1"),
        ({"expected_images": {"train": 0}}, r"datasets\.d\.expected_images\.train: .*\(found 0\)"),
        ({"crowds": "drop"}, r"datasets\.d\.crowds: unknown key"),
        ({"trainlist": "x"}, r"trainlist: unknown key \(did you mean 'train_list'\?\)"),
    ],
)
def test_what_is_wrong_with_visual_genome_is_named(change, message):
    with pytest.raises(UserError, match=message):
        parse(changed(datasets={"d": {**VG, **change}}), "x")


def test_missing_and_malformed_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.yaml: no such file"):
        load(tmp_path / "none.yaml")
    path = tmp_path / "bad.yaml"
    path.write_text("a: [1")
    with pytest.raises(UserError, match=r"bad\.yaml: not valid YAML"):
        load(path)
    path.write_text("just text")
    with pytest.raises(UserError, match=r"bad\.yaml: must hold a mapping"):
        load(path)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"satl": {"qq": 1}}, "'qq'"),
        ({"satl": {"q": 2}}, "2"),
        ({"a": {"method": "fixed_threshold", "rule": "means"}}, "'rule'"),
        ({"a": {}}, "'method' is a required property"),
    ],
)
def test_the_schema_refuses_bad_options_of_methods(methods, message, schema):
    with pytest.raises(jsonschema.ValidationError, match=message):
        schema.validate(changed(methods=methods))


@pytest.mark.parametrize("method", METHODS)
def test_the_schema_accepts_every_method_by_its_defaults(method, schema):
    defaults = method_class(method).Options().model_dump(mode="json")
    for options in (None, {}, defaults):
        schema.validate(changed(methods={method: options}))
    renamed = {"mine": {"method": method, **defaults}}
    schema.validate(changed(methods=renamed))
