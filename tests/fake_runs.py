"""Synthetic run folders that look like real ones, for tests of what is made from run folders.

They hold the files that reports read: all but predictions.npz and training_scores.npz. The
numbers are drawn from normal distributions of logits, and depend on the run's key alone; what
resampled test images add to a score is largely the same for all runs on a data set.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm

from satl.config import Experiment, parse
from satl.core.files import write_arrays, write_json, write_text, write_yaml
from satl.metrics import METRIC_COLUMNS
from satl.runs.fingerprint import known_settings
from satl.runs.folder import THRESHOLD_COLUMNS, RunKey, run_keys

CATEGORIES = (
    "person", "chair", "cup", "dining table", "traffic light", "sports ball",
    "umbrella", "zebra", "kite", "stop sign", "hair drier", "toaster",
)  # fmt: skip
IMAGES = 1000
POSITIVES = np.round(IMAGES * 0.42 * 0.65 ** np.arange(len(CATEGORIES))).astype(int)
EPOCHS = 10
RESAMPLES = 300
WARMUP = 2
OPTIONS: dict[str, dict[str, Any]] = {
    "satl": {"rule": "posterior", "q": 0.95, "gap_weight": 1.0, "warmup": None},
    "fixed_threshold": {"tau": 0.9, "epoch": WARMUP},
    "partial_bce": {},
    "assume_negative": {},
}
SKILL = {"satl": 4.5, "fixed_threshold": 3.2, "partial_bce": 3.0, "assume_negative": 1.5}


def experiment(**changes: Any) -> Experiment:
    """Four methods at three known ratios on one small data set; `changes` replace keys."""
    content = {
        "name": "fake",
        "datasets": {"glyphs": {"format": "glyphs"}},
        "methods": {name: {} for name in OPTIONS},
        "known_ratios": [0.1, 0.5, 0.9],
        "training": {"epochs": EPOCHS},
    }
    return parse(content | changes, "fake")


def write_runs(experiment: Experiment, results: Path) -> list[Path]:
    """Write a run folder for each run of `experiment`; returns them in config order."""
    return [write_run(experiment, results, key) for key in run_keys(experiment)]


def write_run(experiment: Experiment, results: Path, key: RunKey) -> Path:
    """Write one evaluated run folder below `results` (results/NAME) and return its path."""
    entry = experiment.trained[key.method]
    config = {
        "experiment": experiment.name,
        "dataset": key.dataset,
        "method": key.method,
        "method_class": entry.method,
        "options": OPTIONS[entry.method] | entry.options,
        "known_ratio": key.known_ratio,
        "observe": experiment.observation(key.known_ratio).model_dump(mode="json"),
        "seed": key.seed,
        "mask_seed": experiment.mask_seed,
        "model": experiment.model.model_dump(mode="json"),
        "training": experiment.training_of(key.method).model_dump(mode="json"),
        "validation": experiment.validation,
        "split": {"mask_sha256": "0" * 64, "realised_known_ratio": share(key)},
    }
    folder = key.folder(results)
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(zlib.crc32(repr(key).encode()))
    write_yaml(folder / "config.yaml", config)
    thresholds = _thresholds(entry.method, key, random)
    thresholds.to_parquet(folder / "thresholds.parquet")
    quality = [_quality(entry.method, thresholds, epoch) for epoch in range(1, EPOCHS + 1)]
    metrics = _metrics(entry.method, key, quality, random)
    if experiment.validation:
        _add_held_out(metrics)
    write_json(folder / "metrics.json", metrics)
    write_text(folder / "metrics.jsonl", _losses(key))
    _histogram(entry.method, key, random).to_parquet(folder / "score_histogram.parquet")
    write_json(folder / "run.json", _record(config))
    score = metrics["selections"]["last"]["mAP"]
    write_arrays(folder / "bootstrap.npz", mAP=_resampled(score, key, random))
    return folder


def share(key: RunKey) -> float:
    """Of the labels that are known; the same for all settings that are not known ratios."""
    return 0.3 if isinstance(key.known_ratio, str) else key.known_ratio


def _means(method: str, ratio: float, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean logits of the positives and negatives of each category, (C,)."""
    learnt = (0.4 + ratio) ** 0.3 * (1 - np.exp(-epoch / 3))
    rarity = np.linspace(0.3, -0.6, len(CATEGORIES)) + 0.5 * np.sin(np.arange(len(CATEGORIES)))
    centre = rarity - 1.5 * learnt
    half_gap = SKILL[method] * learnt / 2 * (1 + 0.3 * np.cos(np.arange(len(CATEGORIES))))
    return centre + half_gap, centre - half_gap


def _thresholds(method: str, key: RunKey, random: np.random.Generator) -> pd.DataFrame:
    epochs = [_epoch_thresholds(method, key, epoch, random) for epoch in range(1, EPOCHS + 1)]
    columns = {name: np.concatenate([one[name] for one in epochs]) for name in epochs[0]}
    return pd.DataFrame(columns)[list(THRESHOLD_COLUMNS)]


def _epoch_thresholds(
    method: str, key: RunKey, epoch: int, random: np.random.Generator
) -> dict[str, np.ndarray]:
    """Columns of one epoch, (C,) each."""
    positive, negative = _means(method, share(key), epoch)
    rows = {name: np.full(len(CATEGORIES), np.nan) for name in THRESHOLD_COLUMNS[2:]}
    rows |= {"epoch": np.full(len(CATEGORIES), epoch), "category": np.array(CATEGORIES)}
    if method == "fixed_threshold":
        rows["tau_pos"][:] = logit(0.9)
    if method == "satl":
        wobble = random.normal(0, 0.15, (2, len(CATEGORIES)))
        rows["mu_pos"], rows["mu_neg"] = positive + wobble[0], negative + wobble[1]
        rows["sigma_pos"][:], rows["sigma_neg"][:] = 1.1, 0.9
        rows["n_pos"] = POSITIVES * share(key)
        rows["n_neg"] = (IMAGES - POSITIVES) * share(key)
        middle, gap = (rows["mu_pos"] + rows["mu_neg"]) / 2, rows["mu_pos"] - rows["mu_neg"]
        prior = (rows["n_pos"] + 0.5) / (rows["n_pos"] + rows["n_neg"] + 1)
        rows["tau_pos"] = middle + (logit(0.95) - logit(prior)) / gap
        rows["tau_neg"] = middle - logit(0.95) / gap
        if share(key) < 0.2 and epoch < 3:
            toaster = CATEGORIES.index("toaster")
            rows["tau_pos"][toaster], rows["tau_neg"][toaster] = np.inf, -np.inf
    return rows


def _quality(method: str, thresholds: pd.DataFrame, epoch: int) -> dict[str, float | None]:
    """Precision and recall of the pseudo-labels, in per cent, as the normal tails give them."""
    now = thresholds[thresholds["epoch"] == epoch]
    positive, negative = _means(method, 0.1, epoch)
    hits = (POSITIVES * norm.sf(now.tau_pos, positive - 0.8, 1.2)).sum()
    false = ((IMAGES - POSITIVES) * norm.sf(now.tau_pos, negative, 1)).sum()
    rejected = ((IMAGES - POSITIVES) * norm.cdf(now.tau_neg, negative, 1)).sum()
    lost = (POSITIVES * norm.cdf(now.tau_neg, positive - 0.8, 1.2)).sum()
    total = IMAGES * len(CATEGORIES)
    values = {
        "pseudo_positive_precision": hits / (hits + false),
        "pseudo_positive_recall": hits / POSITIVES.sum(),
        "pseudo_negative_precision": rejected / (rejected + lost),
        "pseudo_negative_recall": rejected / (total - POSITIVES.sum()),
        "pseudo_coverage": np.nansum([hits, false, rejected, lost]) / total,
    }
    makes_any = epoch > WARMUP and now["tau_pos"].notna().any()
    return {
        name: float(100 * value) if makes_any and np.isfinite(value) else None
        for name, value in values.items()
    }


def _metrics(
    method: str, key: RunKey, quality: list[dict[str, float | None]], random: np.random.Generator
) -> dict[str, Any]:
    top = 62 + 5 * SKILL[method] + 8 * np.log10(share(key)) + random.normal(0, 0.6)
    course = [top - 30 * np.exp(-epoch / 2) for epoch in range(1, EPOCHS + 1)]
    best = dict.fromkeys(METRIC_COLUMNS, course[-1] + 0.4)
    return {
        "selections": {
            "last": {"epoch": EPOCHS} | dict.fromkeys(METRIC_COLUMNS, course[-1]),
            "best_on_test": {"epoch": EPOCHS - 1} | best,
        },
        "epochs": [
            {"epoch": epoch, "test_mAP": value} | quality[epoch - 1]
            for epoch, value in enumerate(course, start=1)
        ],
        "per_category_AP": _per_category(method, top, random) | {"toaster": None},
        "categories_without_positives": ["toaster"],
    }


def _add_held_out(metrics: dict[str, Any]) -> None:
    """The known labels held out see the same course a little lower."""
    for line in metrics["epochs"]:
        line["validation_mAP"] = line["test_mAP"] - 3
    selections = metrics["selections"]
    selections["best_on_validation"] = selections["best_on_test"]


def _per_category(method: str, top: float, random: np.random.Generator) -> dict[str, float]:
    """Rare categories are harder, and gain more by a method of skill."""
    rarity = np.linspace(0, 1, len(CATEGORIES))
    ap = top - 20 * rarity + 3 * (SKILL[method] - 3) * rarity + random.normal(0, 1, len(rarity))
    return dict(zip(CATEGORIES, map(float, ap), strict=True))


def _resampled(score: float, key: RunKey, random: np.random.Generator) -> np.ndarray:
    images = np.random.default_rng(zlib.crc32(key.dataset.encode())).normal(0, 1.2, RESAMPLES)
    method = np.random.default_rng(zlib.crc32(key.method.encode())).normal(0, 0.3, RESAMPLES)
    return (score + images + method + random.normal(0, 0.2, RESAMPLES)).astype(np.float32)


def _losses(key: RunKey) -> str:
    lines = [
        {
            "epoch": epoch, "loss": float(np.exp(-epoch / 4)), "loss_known": 0.5 / epoch,
            "learning_rate": 1e-5, "seconds": 12.5, "pseudo_positives": 10 * epoch,
            "pseudo_negatives": 100 * epoch,
        }
        for epoch in range(1, EPOCHS + 1)
    ]  # fmt: skip
    return "".join(json.dumps(line) + "\n" for line in lines)


def _histogram(method: str, key: RunKey, random: np.random.Generator) -> pd.DataFrame:
    """Logits of the last epoch by label; known positives score above the hidden ones."""
    positive, negative = _means(method, share(key), EPOCHS)
    edges = np.linspace(-9, 9, 81)
    counts = {}
    for c, name in enumerate(CATEGORIES):
        known = (
            round(POSITIVES[c] * share(key)),
            round((IMAGES - POSITIVES[c]) * share(key)),
        )
        groups = {
            "known_positive": random.normal(positive[c], 1.1, known[0]),
            "hidden_positive": random.normal(positive[c] - 0.8, 1.3, POSITIVES[c] - known[0]),
            "known_negative": random.normal(negative[c], 0.9, known[1]),
            "hidden_negative": random.normal(
                negative[c] + 0.1, 1.0, IMAGES - POSITIVES[c] - known[1]
            ),
        }
        for label, logits in groups.items():
            counts[name, label] = np.histogram(logits, edges)[0]
    bins = len(edges) - 1
    return pd.DataFrame({
        "category": np.repeat([name for name, _ in counts], bins),
        "label": np.repeat([label for _, label in counts], bins),
        "left": np.tile(edges[:-1], len(counts)),
        "right": np.tile(edges[1:], len(counts)),
        "count": np.concatenate(list(counts.values())),
    })  # fmt: skip


def _record(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "commit": "0123abcd" * 5,
        "versions": {"python": "3.11", "torch": "2.15.0"},
        "device": "cpu",
        "seconds": 125.0,
        "images_per_second": float(expit(1) * 100),
        "fingerprint": {"code": "feed" * 4, "method": config["method_class"]}
        | {name: config[name] for name in ("options", "model", "training", "seed", "validation")}
        | known_settings(config["known_ratio"], config["observe"]),
        "started": "2026-01-01T12:00:00+00:00",
        "finished": "2026-01-01T12:02:05+00:00",
    }
