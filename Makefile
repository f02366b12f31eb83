# The commands of a newcomer, on a machine with Python >= 3.11, git and make. `make help` lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
CORES ?= all
ARGS ?=
PAGE ?= results/demo/index.html
# A file's tests stay together, as they share what has been run; the slow files come first.
PYTEST = pytest -n 3 --dist loadfile --no-loadscope-reorder
# Without byte code every training job would compile torch again: some machines forbid writing it.
export PYTHONDONTWRITEBYTECODE =
# Whatever Python environment the shell is in, the project uses its own.
export PYTHONPATH =
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help run page test test-long coverage bench docs ui venv lint format lock schema clean

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 11

run: venv ## run the benchmark on the embedded data set (or: ARGS="--configfile FILE")
	snakemake --cores $(CORES) $(ARGS)

test: venv ## run the tests
	$(PYTEST) -m "not long" $(ARGS)

test-long: venv ## run the long ones: README and tutorial as typed, the paper in miniature, random kills, compilation
	$(PYTEST) -m long $(ARGS)

bench: venv ## run the speed benchmarks
	pytest tests/bench --benchmark-only --benchmark-columns=min,mean,stddev,rounds $(ARGS)

page: venv ## open the page of results (another experiment: PAGE=results/NAME/index.html)
	@test -f $(PAGE) || { echo "$(PAGE): no results yet; 'make run' first"; exit 1; }
	python -m webbrowser -t "file://$(abspath $(PAGE))"

ui: venv ## show the runs in the MLflow UI on http://localhost:5000, also while they train
	@python -m satl links --tracking-uri sqlite:///results/mlflow.db
	MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri sqlite:///results/mlflow.db --port 5000 $(ARGS)

docs: venv ## build the documents as a site: site/index.html
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

coverage: venv ## run the tests and list the lines that none has run
	$(PYTEST) --cov --cov-report=term $(ARGS)

lint: venv ## check style, imports, types, spelling and workflow
	ruff check .
	ruff format --check .
	lint-imports
	mypy
	codespell
	snakefmt --check Snakefile workflow/rules
	.ci/lint-workflow

format: venv ## format Python and the workflow's rules
	ruff check --fix .
	ruff format .
	snakefmt Snakefile workflow/rules

lock: venv ## renew requirements.lock after a change to pyproject.toml
	uv pip compile pyproject.toml --extra dev --extra docs --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-emit-index-url --upgrade -o requirements.lock

schema: venv ## renew the schema after a change to options
	mkdir -p .schemas
	python -m satl schema > .schemas/config.schema.json

clean: ## remove what runs leave, results included
	rm -rf results/*/ results/mlflow.db results/mlartifacts .snakemake

# `make ui` may be typed while `make run` is still at it.
venv:
	@$(PYTHON) -c 'import fcntl, subprocess, sys; lock = open(".venv.lock", "w"); \
	    fcntl.flock(lock, fcntl.LOCK_EX); sys.exit(subprocess.call(sys.argv[1:]))' \
	    $(MAKE) -s .venv/ready

.venv/ready: requirements.lock requirements-uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "$(PYTHON) is older than Python 3.11; say which to use: make PYTHON=python3.12 ..."; exit 1; }
	@test ! -L .venv || { echo ".venv is a link: remove it, so that its target is not overwritten"; exit 1; }
	@echo "Setting up .venv from requirements.lock: once, half a minute and about 6 GB on Linux"
	@$(PYTHON) -m venv --clear .venv || \
	    { echo "cannot make a virtual environment; on Debian: apt install python3-venv"; exit 1; }
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	.venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements.lock
	@touch $@
