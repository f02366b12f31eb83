"""What an experiment will cost, told beforehand."""

import re
import time
from dataclasses import replace

import pytest
import torch
import yaml

from satl.cli import main
from satl.config import parse
from satl.config.report import Report
from satl.core.errors import UserError
from satl.data.formats.base import DatasetSize
from satl.estimate.cards import STEP_SECONDS, Card, count
from satl.estimate.frozen import count_frozen, random_backbone
from satl.estimate.sizes import dataset_sizes, feature_bytes, pixel_bytes, run_bytes, trained_bytes
from satl.estimate.times import Cost, DatasetCosts, all_hours, measure
from satl.methods.parts import prototypes
from satl.methods.registry import checked_methods
from satl.training.run import TrainingRun

CONFIG = {
    "name": "x",
    "device": "cpu",
    "datasets": {
        "photos": {
            "format": "coco",
            "train": {"images": "a", "annotations": "a.json", "expected_images": 1000},
            "test": {"images": "b", "annotations": "b.json", "expected_images": 300},
        },
        "drawn": {"format": "glyphs", "train_images": 40, "test_images": 20},
    },
    "methods": {"satl": {}, "sst": {}},
    "known_ratios": [0.1, 0.5, 0.9],
    "runs_per_job": 3,
    "model": {"backbone": "tiny", "weights": "random", "feature_dim": 8, "attention_dim": 4},
    "training": {"epochs": 2, "batch_size": 10, "resize": 36, "image_size": 32},
}


def experiment(**changes):
    return parse({**CONFIG, **changes}, "x.yaml")


def cached(**changes):
    """The same with a frozen backbone whose feature maps are computed once, for three views."""
    training = {**CONFIG["training"], "cached_views": 3}
    model = {**CONFIG["model"], "frozen": "all"}
    return experiment(**{"model": model, "training": training, **changes})


def test_sizes_come_from_the_config_before_anything_is_there():
    sizes = dataset_sizes(experiment())
    assert sizes["photos"] == DatasetSize(1000, 300, 80, "80 categories assumed")
    assert sizes["drawn"] == DatasetSize(40, 20, 20)


def test_sizes_come_from_the_annotations_once_they_are_there(tmp_path, coco_folder):
    section = {
        part: {"images": "x", "annotations": str(coco_folder / part / "instances.json")}
        for part in ("train", "test")
    }
    sizes = dataset_sizes(experiment(datasets={"photos": {"format": "coco", **section}}))
    assert sizes["photos"] == DatasetSize(24, 12, 4)


def test_unknown_sizes_are_asked_for():
    section = {part: {"images": "x", "annotations": f"{part}.json"} for part in ("train", "test")}
    wanted = experiment(datasets={"photos": {"format": "coco", **section}})
    with pytest.raises(UserError, match=r"datasets\.photos: train\.json.*train\.expected_images"):
        dataset_sizes(wanted)


def test_disk():
    size = DatasetSize(1000, 300, 80)
    assert pixel_bytes(experiment(), size) == 0
    on_disk = experiment(training={**CONFIG["training"], "image_cache": "disk"})
    assert pixel_bytes(on_disk, size) == 3 * (1000 * 36 * 36 + 300 * 32 * 32)
    every_epoch = 4 * 2 * 300 * 80 + 1000 * 80 * 0.2
    assert trained_bytes(experiment(), size) == every_epoch + 4 * 1000 * 80
    assert run_bytes(experiment(), size) == every_epoch, "two epochs: the last and the best"


def test_run_folders_do_not_grow_with_epochs():
    size = DatasetSize(1000, 300, 80)
    few, many = (
        experiment(training={**CONFIG["training"], "epochs": epochs}) for epochs in (2, 20)
    )
    assert run_bytes(many, size) == run_bytes(few, size)
    everything = many.model_copy(update={"report": Report(keep_scores="all")})
    assert run_bytes(everything, size) == trained_bytes(many, size) > 10 * run_bytes(many, size)


def test_hours_are_those_of_shared_and_own_parts():
    """100 steps and 300 test images an epoch, two epochs; three runs share a job."""
    costs = DatasetCosts(Cost(train=3.0, test=1.0), {"satl": Cost(2.0, 0.1), "sst": Cost(4.0, 0.2)})
    config = experiment(datasets={"photos": CONFIG["datasets"]["photos"]})
    shared, satl, sst = 200 * 3 + 600, 200 * 2 + 60, 200 * 4 + 120
    hours = all_hours(config, dataset_sizes(config), {"photos": costs})
    assert hours.training == pytest.approx((2 * shared + 3 * satl + 3 * sst) / 3600)
    assert hours.one_by_one == pytest.approx((6 * shared + 3 * satl + 3 * sst) / 3600)
    assert hours.features == 0


def test_with_cached_views_the_frozen_stages_are_passed_once_per_view():
    """Three views of 100 batches and 300 test images, whatever the number of jobs and epochs."""
    costs = DatasetCosts(Cost(train=3.0, test=1.0), {"satl": Cost(2.0, 0.1), "sst": Cost(4.0, 0.2)})
    config = cached(datasets={"photos": CONFIG["datasets"]["photos"]})
    hours = all_hours(config, dataset_sizes(config), {"photos": costs})
    assert hours.features == pytest.approx((3 * 100 * 3 + 300) / 3600)
    heads = 3 * (200 * 2 + 60) + 3 * (200 * 4 + 120)
    assert hours.training == hours.one_by_one == pytest.approx(heads / 3600)


def test_cached_feature_maps_take_disk_and_spare_jobs_the_frozen_stages():
    config = cached()
    maps = count_frozen(random_backbone(config), 32).maps
    size = DatasetSize(1000, 300, 80)
    assert feature_bytes(config, size, maps.numel()) == 2 * maps.numel() * (3 * 1000 + 300)
    assert feature_bytes(experiment(), size, maps.numel()) == 0
    methods, sizes = checked_methods(config), dataset_sizes(config)
    counts = count(config, methods, sizes)["drawn"]
    assert counts.shared.fixed == 2 * 4 * config.training.eval_batch_size * maps.numel()
    assert counts.features_bytes > counts.shared.fixed
    short = Card("short", int(counts.features_bytes), {"fp32": 1e12})
    assert counts.most_runs(config, short) == 0, "the maps cannot be computed"


def test_measuring_times_every_method():
    config = experiment()
    costs = measure(
        config, checked_methods(config), dataset_sizes(config), torch.device("cpu"), seconds=0.5
    )
    assert costs.keys() == {"photos", "drawn"}
    for cost in costs.values():
        assert cost.methods.keys() == {"satl", "sst"}
        assert all(c.train > c.test > 0 for c in (cost.shared, *cost.methods.values()))


def test_neither_renewals_nor_small_test_batches_are_timed(monkeypatch):
    """A renewal is one step in thousands; the test set is predicted in larger batches."""
    config = experiment(methods={"sarb": {}}, training={**CONFIG["training"], "epochs": 20})
    predicted, real = set(), TrainingRun.predict

    def k_means(points, clusters, _):
        time.sleep(1)
        return points[:, :clusters]

    def predict(run, maps):
        predicted.add(len(maps))
        return real(run, maps)

    monkeypatch.setattr(prototypes, "k_means", k_means)
    monkeypatch.setattr(TrainingRun, "predict", predict)
    costs = measure(
        config, checked_methods(config), dataset_sizes(config), torch.device("cpu"), seconds=0.5
    )
    assert all(cost.methods["sarb"].train < 0.5 for cost in costs.values())
    assert predicted == {config.training.eval_batch_size}


def test_the_command(tmp_path, capsys):
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(CONFIG))
    path = str(tmp_path / "x.yaml")
    assert main(["estimate", "--config", path, "--seconds", "0.2"]) == 0
    text = capsys.readouterr().out
    assert "x: 12 runs in 4 training jobs" in text
    assert "photos: 1,000 training and 300 test images, 80 categories (80 categories" in text
    times = re.findall(r"^  (.+?)  +(?:[\d.]+ \w+|under a minute)$", text, re.MULTILINE)
    assert times == ["all training jobs", "with runs_per_job: 1"]
    assert not list(tmp_path.glob("results")), "nothing is written"


def test_the_command_says_what_is_done_once(tmp_path, capsys):
    changed = cached(name="y").source()
    (tmp_path / "y.yaml").write_text(yaml.safe_dump(changed))
    assert main(["estimate", "--config", str(tmp_path / "y.yaml"), "--seconds", "0.2"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"feature maps +[\d.]+\n", text), "disk"
    assert re.search(r"feature maps .*\(once; 3 views per training image\)", text)
    assert "with runs_per_job: 1" not in text, "jobs share nothing that takes time"


@pytest.mark.skipif(torch.accelerator.is_available(), reason="has a GPU")
def test_without_a_gpu_the_costs_on_three_cards_are_counted(tmp_path, capsys):
    (tmp_path / "x.yaml").write_text(yaml.safe_dump({**CONFIG, "device": "auto"}))
    assert main(["estimate", "--config", str(tmp_path / "x.yaml")]) == 0
    text = capsys.readouterr().out
    assert "x: 12 runs" in text
    assert "no GPU here" in text
    assert "measuring" not in text
    cards = re.findall(r"^  (RTX 4090|A100|H100).* (\d+) +([\d.]+)$", text, re.MULTILINE)
    assert [name for name, _, _ in cards] == ["RTX 4090", "A100", "H100"]
    assert {most for _, most, _ in cards} == {"6"}, "no more runs share a data set and a seed"


def test_counted_work_and_memory_follow_the_network():
    config = experiment(methods={"partial_bce": {}, "ssgrl": {}, "sst": {}})
    counts = count(config, checked_methods(config), dataset_sizes(config))["drawn"]
    plain, graph, pairs = counts.methods.values()
    # A convolution's forward pass costs half of its backward pass.
    assert plain.train == pytest.approx(3 * plain.test, rel=0.2)
    assert plain.train < graph.train < pairs.train
    assert graph.test == pairs.test, "prediction has no use for pairs"
    assert plain.per_image < graph.per_image < pairs.per_image
    one, two, three = (counts.job_bytes(config, runs) for runs in (1, 2, 3))
    assert three - two == pytest.approx(two - one)
    assert two > one
    card = Card("exact", int(two) + 1, {"fp32": 1e12})
    assert counts.most_runs(config, card) == 2
    assert counts.most_runs(config, replace(card, memory=int(one) - 1)) == 0
    slow, fast = (counts.costs(config, replace(card, peak={"fp32": p})) for p in (1e8, 2e8))
    assert slow.shared.train == pytest.approx(2 * fast.shared.train)
    endless = counts.costs(config, replace(card, peak={"fp32": 1e30}))
    assert endless.methods["sst"].train == STEP_SECONDS, "Python issues each operation"


@pytest.mark.parametrize(
    ("name", "operations", "widest"),
    [
        # Products of a ViT with L tokens of D values: of the patches, then 12 D² L in the layers
        # and 2 D L² in the attention of each block. Swin-T: Liu et al., ICCV 2021, table 1.
        # Widest is the hidden layer of the first block.
        (
            "vit_tiny_patch16_224",
            768 * 192 * 196 + 12 * (12 * 192**2 * 197 + 2 * 192 * 197**2),
            4 * 192 * 197,
        ),
        ("swin_tiny_patch4_window7_224", 4.5e9, 4 * 96 * 56 * 56),
    ],
)
def test_transformers_are_counted_like_convolutional_networks(name, operations, widest):
    def counted(frozen):
        model = {**CONFIG["model"], "backbone": name, "frozen": frozen}
        sizes = {"image_size": 224, "resize": 256}
        config = experiment(model=model, training={**CONFIG["training"], **sizes})
        frozen = count_frozen(random_backbone(config), 224)
        (one, *_) = count(config, checked_methods(config), dataset_sizes(config)).values()
        return frozen, one.methods["satl"]

    (all_frozen, head), (none_frozen, whole) = counted("all"), counted("none")
    assert all_frozen.flops == pytest.approx(2 * operations, rel=0.01)
    assert all_frozen.largest == widest
    assert none_frozen.flops == none_frozen.largest == 0
    assert whole.test == pytest.approx(head.test + all_frozen.flops, rel=1e-3)
    assert whole.train == pytest.approx(3 * whole.test, rel=0.05)
    assert whole.fixed == pytest.approx(head.fixed + 4 * all_frozen.weight_bytes, rel=0.01)
    assert whole.per_image > 4 * 4 * widest, "what autograd keeps of all layers"
