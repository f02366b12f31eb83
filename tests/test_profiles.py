"""The profile for Slurm gives a GPU to the rules that ask for one."""

import re

import yaml
from workflow_trials import ROOT


def test_slurm_gives_a_gpu_to_every_rule_that_asks_for_one():
    rules = "".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
    blocks = re.findall(r"^rule (\w+):\n((?:[ ].*\n|\n)*)", rules, re.MULTILINE)
    asking = {name for name, body in blocks if re.search(r"^\s+gpu=GPUS", body, re.MULTILINE)}
    heirs = dict(re.findall(r"^use rule (\w+) as (\w+) with:", rules, re.MULTILINE))
    asking |= {heirs[name] for name in asking & heirs.keys()}
    profile = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text())
    assert {"train", "features", "strong_features", "backbone"} <= asking
    assert {rule for rule, told in profile["set-resources"].items() if told["gpu"]} == asking
