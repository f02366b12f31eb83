"""The rules that keep the design: who may import whom, and which lists must agree."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from satl.core.registry import METHODS, method_class
from satl.runs import codehash

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in ("satl", "baselines")
    for path in (ROOT / package).rglob("*.py")
)

# Whatever is not on a module's level or below it must not be imported by it.
LEVELS = [
    {"satl", "satl.core"},
    {"satl.config", "satl.runs", "satl.metrics", "satl.losses", "satl.thresholds"},
    {"satl.data"},
    {"satl.models", "satl.download", "satl.evaluation", "satl.report"},
    {"satl.methods", "satl.tracking"},
    {"baselines"},
    {"satl.training"},
    {"satl.estimate"},
    {"satl.cli", "satl.__main__"},
]


def level(module):
    while module:
        for index, names in enumerate(LEVELS):
            if module in names:
                return index
        module = module.rpartition(".")[0]
    raise AssertionError(f"{module} is on no level: add it to LEVELS")


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downwards(module):
    for imported in codehash._imports(module):
        assert level(imported) <= level(module), f"{module} imports {imported}"


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("baselines.")])
def test_baselines_do_not_import_each_other(module):
    others = [i for i in codehash._imports(module) if i.startswith("baselines.")]
    assert others == []


def test_only_tracking_imports_mlflow():
    for module in MODULES:
        tree = ast.parse(codehash._source(module).read_text())
        names = {
            alias.name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        } | {
            (node.module or "").split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
        }
        assert "mlflow" not in names or module.startswith("satl.tracking."), module
        assert "snakemake" not in names, module


def imported_by(statement):
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_engine_needs_neither_mlflow_nor_snakemake_nor_the_report():
    loaded = imported_by("import satl.training.engine")
    assert not loaded & {"mlflow", "snakemake", "pycocotools", "matplotlib", "sklearn", "seaborn"}


def test_the_workflow_imports_no_array_code():
    lines = (ROOT / "workflow/rules/common.smk").read_text().splitlines()
    imports = [line for line in lines if line.startswith(("import satl", "from satl"))]
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
