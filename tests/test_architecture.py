"""The rules that keep the design, where no linter does: what is loaded, which lists must agree.

Who may import whom is for Import Linter: the contracts are in pyproject.toml, and `make lint`
checks them.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from satl.core.places import METHODS
from satl.methods.registry import method_class

ROOT = Path(__file__).parent.parent


def imported_by(statement):
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_engine_imports_no_more_than_it_needs():
    loaded = imported_by("import satl.training.engine")
    assert not loaded & {"mlflow", "snakemake", "ijson", "matplotlib", "sklearn", "seaborn"}
    assert not loaded & {"torchvision", "timm"}, "these take seconds; to be imported where used"


def test_the_workflow_imports_no_array_code():
    rules = "".join(path.read_text() for path in sorted(ROOT.glob("workflow/rules/*.smk")))
    statement = re.compile(
        r"^(?:import satl.*|from satl\S* import (?:\([^)]*\)|.*))$", re.MULTILINE
    )
    imports = statement.findall(rules)
    assert len(imports) >= 5
    loaded = imported_by("\n".join(imports))
    assert not loaded & {"torch", "numpy", "pandas", "matplotlib", "mlflow"}


def test_the_conda_environment_agrees_with_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(d for d in environment["dependencies"] if isinstance(d, dict))["pip"]
    assert pip == project["dependencies"]
    assert f"python {project['requires-python']}" in environment["dependencies"][0]


def test_the_lock_pins_what_pyproject_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = (ROOT / "requirements.lock").read_text()
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    for requirement in wanted:
        name = requirement.split("=")[0].split(">")[0]
        assert f"\n{name}==" in lock, f"{name} is not locked: run `make lock`"
    assert "\ntorch==2.15.0 " in lock
    assert "\ntorchvision==0.29.2 " in lock
    assert lock.count("--hash=sha256:") > 500


@pytest.mark.parametrize("method", METHODS)
def test_every_method_says_what_it_is(method):
    kind = method_class(method)
    assert kind.__doc__
    assert sys.modules[kind.__module__].__doc__
    for name, field in kind.Options.model_fields.items():
        assert field.description, f"{method}.{name} has no description"
