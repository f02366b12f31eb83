"""The worked examples of docs/extending.md, done in a copy of the source tree and run."""

import re

import pandas as pd
import pytest
import yaml
from workflow_trials import ROOT, TINY, copy_tree, output, snakemake

pytestmark = pytest.mark.slow


def blocks(section, language):
    """The code blocks in a section of the page."""
    page = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    body = page.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", body, re.M | re.S)


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A tree with another method and another rule, run on another backbone."""
    tree = tmp_path_factory.mktemp("extended")
    copy_tree(tree)
    (method,) = blocks("A method", "python")
    (tree / "baselines/label_smoothing.py").write_text(method, encoding="utf-8")
    (rule,) = blocks("A threshold rule", "python")
    with (tree / "satl/threshold_rules.py").open("a", encoding="utf-8") as file:
        file.write(f"\n\n{rule}")
    methods = {}
    for section in ("A method", "A threshold rule"):
        methods |= yaml.safe_load(blocks(section, "yaml")[0])["methods"]
    model = yaml.safe_load(blocks("A backbone", "yaml")[0])["model"]
    config = {**TINY, "name": "extended", "methods": methods, "model": model, "known_ratios": [0.5]}
    (tree / "extended.yaml").write_text(yaml.safe_dump(config))
    done = snakemake(tree, config="extended.yaml")
    assert done.returncode == 0, output(done)
    return tree, methods


def test_what_was_added_is_in_the_tables(extended):
    tree, methods = extended
    summary = pd.read_csv(tree / "results/extended/summary.csv")
    assert set(summary["method"]) == set(methods) >= {"label_smoothing", "satl-one-sigma"}
    assert summary["mAP"].between(0, 100).all()
    table = (tree / "results/extended/tables/glyphs.csv").read_text()
    assert all(name in table for name in methods)


def test_the_options_and_the_backbone_are_on_record(extended):
    tree, _ = extended
    runs = tree / "results/extended/runs/glyphs"
    smoothed = yaml.safe_load(
        (runs / "label_smoothing-strong/known-0.50/seed-0/config.yaml").read_text()
    )
    assert smoothed["method_class"] == "label_smoothing"
    assert smoothed["options"] == {"smoothing": 0.3}
    assert smoothed["model"]["backbone"] == "resnet10t"
    assert smoothed["model"]["frozen"] == "layer2"
    rule = yaml.safe_load((runs / "satl-one-sigma/known-0.50/seed-0/config.yaml").read_text())
    assert rule["options"]["rule"] == "one_sigma"


def test_thresholds_are_those_of_the_new_rule(extended):
    tree, _ = extended
    run = tree / "results/extended/runs/glyphs/satl-one-sigma/known-0.50/seed-0"
    rows = pd.read_parquet(run / "thresholds.parquet")
    rows = rows[rows["tau_pos"] < float("inf")]
    assert len(rows)
    assert (rows["tau_pos"] - (rows["mu_pos"] - rows["sigma_pos"])).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": {"frozen": "layer5"}},
            r"no stage 'layer5' .*its stages are act1",
        ),
        ({"model": {"backbone": "resnet10x"}}, r"unknown backbone 'resnet10x' \(did you mean"),
        ({"methods": {"satl": {"rule": "one_sgima"}}}, r"satl\.rule: .*did you mean 'one_sigma'"),
        ({"methods": {"label_smothing": {}}}, r"did you mean 'label_smoothing'"),
    ],
)
def test_what_is_misspelt_is_named_before_anything_runs(extended, changes, message):
    tree, _ = extended
    config = yaml.safe_load((tree / "extended.yaml").read_text()) | {"name": "bad"}
    for section, values in changes.items():
        config[section] = {**config[section], **values} if section == "model" else values
    (tree / "bad.yaml").write_text(yaml.safe_dump(config))
    done = snakemake(tree, config="bad.yaml")
    assert done.returncode != 0
    assert re.search(message, output(done)), output(done)
    assert "bad.yaml is not valid" in output(done)
    assert not (tree / "results/bad").exists()
