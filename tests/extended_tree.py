"""A source tree to which all that docs/extending.md says is done, and its tiny experiment."""

import re
from pathlib import Path

import numpy as np
import yaml
from PIL import Image
from workflow_trials import ROOT, TINY, copy_tree, write_config

PAGE = ROOT / "docs/extending.md"
STEP = re.compile(
    r"^(?:New file `(?P<new>[^`]+)`|In `(?P<file>[^`]+)`, (?P<side>above|below) `(?P<line>[^`]+)`):"
    r"\n\n```(?:python)?\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SECTIONS = (
    "A data format", "A method", "A figure", "A metric", "A command", "A loss", "A config key",
    "A tracker",
)  # fmt: skip


def section(name: str) -> str:
    """The text of a section of the page."""
    return PAGE.read_text(encoding="utf-8").partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def blocks(name: str, language: str) -> list[str]:
    """The code blocks in a section of the page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", section(name), re.MULTILINE | re.DOTALL)


def yaml_of(name: str, key: str) -> dict:
    """What the first YAML of a section says under `key`."""
    return yaml.safe_load(blocks(name, "yaml")[0])[key]


def follow(tree: Path, name: str) -> None:
    """Do to the source tree what a section says."""
    steps = list(STEP.finditer(section(name)))
    assert steps, f"{PAGE}: nothing to do under {name!r}"
    for step in steps:
        if step["new"]:
            assert not (tree / step["new"]).exists()
            (tree / step["new"]).write_text(step["code"], encoding="utf-8")
        else:
            insert(tree / step["file"], step["line"], step["side"], step["code"])


def insert(file: Path, anchor: str, side: str, code: str) -> None:
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    found = [index for index, line in enumerate(lines) if anchor in line]
    assert len(found) == 1, f"{file}: {anchor!r} stands on {len(found)} lines, not on one"
    gap = "\n\n" if code.startswith("def ") else ""
    lines.insert(found[0] + (side == "below"), code + gap)
    file.write_text("".join(lines), encoding="utf-8")


def append(file: Path, text: str) -> None:
    file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")


def write_pets(folder: Path) -> None:
    """Pictures as the page's data format wants them."""
    rng = np.random.default_rng(0)
    for part, images in (("train", 24), ("test", 12)):
        (folder / part).mkdir(parents=True)
        lines = []
        for number in range(images):
            names = [name for name in ("cat", "dog") if rng.random() < 0.5]
            pixels = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / part / f"{number}.jpg")
            lines.append(",".join([f"{number}.jpg", *names]))
        (folder / f"{part}.csv").write_text("\n".join(lines))


def extend(tree: Path) -> None:
    """Copy the sources to `tree`, extend them, and write the experiment that uses all of it."""
    copy_tree(tree)
    for name in SECTIONS:
        follow(tree, name)
    (rule,) = blocks("A threshold rule", "python")
    append(tree / "satl/threshold_rules.py", f"\n\n{rule}")
    write_pets(tree / "pets")
    write_config(tree, **experiment())


def experiment() -> dict:
    """The experiment, as changes to TINY."""
    pets = {**yaml_of("A data format", "datasets")["pets"], "folder": "pets"}
    return {
        "datasets": {**TINY["datasets"], "pets": pets},
        "methods": yaml_of("A method", "methods") | yaml_of("A threshold rule", "methods"),
        "known_ratios": [0.5],
        "runs_per_job": 4,
        "model": yaml_of("A backbone", "model"),
        "training": {
            **TINY["training"], **yaml_of("A config key", "training"), "batch_size": 10
        },
    }  # fmt: skip
