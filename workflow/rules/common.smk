# What all rules share: the checked experiment, where things lie, and how to call `satl`.
# Imports no torch, NumPy or pandas: with --use-conda, only the rules' own environment has them.
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(workflow.basedir))

from satl.runs.code import code_digest
from satl.runs.fingerprint import (
    differences,
    flatten,
    known_settings,
    library_versions,
    name_of,
    recorded_fingerprint,
    settings,
    training_code,
)
import satl.config
from satl.core.errors import UserError
from satl.core.files import digest, write_text
from satl.core.locks import hold_until_exit
from satl.core.places import method_module
from satl.runs.layout import JOB_PATH, KNOWN_PART, run_keys, training_jobs

CONFIG_FILES = ", ".join(map(str, workflow.configfiles))


def checked_experiment():
    """The experiment of the config files; stops with what is wrong in them (options: check.smk)."""
    try:
        return satl.config.parse(config, CONFIG_FILES)
    except UserError as error:
        raise WorkflowError(str(error))


EXPERIMENT = checked_experiment()
RESULTS = f"results/{EXPERIMENT.name}"
CONFIG = f"{RESULTS}/config.yaml"
DATA = f"{RESULTS}/data/{{dataset}}"
# Methods and known labels of each table, by the name of its files.
TABLES = {
    name: [shown.methods, shown.known]
    for dataset in EXPERIMENT.datasets
    for name, shown in EXPERIMENT.tables(dataset).items()
}
# Known ratios as paths write them, 0.50, and the names of other ways in which labels are known.
KNOWN = {
    satl.config.ratio_name(known): known
    for dataset in EXPERIMENT.datasets
    for known in EXPERIMENT.known(dataset)
}
RUNS = [str(key.folder(RESULTS)) for key in run_keys(EXPERIMENT)]
JOBS = {str(job.folder(RESULTS)): job for job in training_jobs(EXPERIMENT)}
ENVIRONMENT = f"{workflow.basedir}/environment.yml"

# Under --use-conda `python` is that of the rule's environment; otherwise it is Snakemake's own.
_conda = "conda" in {str(m) for m in workflow.deployment_settings.deployment_method}
_python = "python" if _conda else shlex.quote(sys.executable)
SATL = f"PYTHONPATH={shlex.quote(str(workflow.basedir))} {_python} -m satl"


def checked_ownership():
    """Stop before the results of another config file of the same name are overwritten."""
    if not Path(CONFIG).is_file():
        return
    owner = (
        Path(CONFIG).read_text(encoding="utf-8").splitlines()[0].removeprefix("# resolved from ")
    )
    if owner != CONFIG_OWNER:
        raise WorkflowError(
            f"{RESULTS} holds the results of another config, {owner}, and {CONFIG_OWNER} has the "
            f"same `name: {EXPERIMENT.name}`. Give it another name, or, if the file was only "
            f"renamed, delete {CONFIG}."
        )


def _tidy(file):
    file = Path(file).resolve()
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)


CONFIG_OWNER = ", ".join(map(_tidy, workflow.configfiles))
checked_ownership()


# Training jobs on a GPU wait for each other (profiles/default allows one at a time).
_on_gpu = EXPERIMENT.device.startswith("cuda") or (
    EXPERIMENT.device == "auto" and shutil.which("nvidia-smi") is not None
)
GPUS = int(_on_gpu)


wildcard_constraints:
    dataset="|".join(EXPERIMENT.datasets),
    method="|".join(EXPERIMENT.trained),
    part="|".join(EXPERIMENT.parts),
    ratio="|".join(map(re.escape, KNOWN)),
    seed=r"\d+",


# The resolved config is written when a run starts, and is no job's input: as the output of a rule,
# even an `ancient` one, it would hide from Snakemake that the params of other jobs have changed.
# Snakemake's own lock (off in our profiles) is a file that stays after a kill.
onstart:
    import yaml

    text = yaml.safe_dump(EXPERIMENT.source(), sort_keys=False, allow_unicode=True)
    try:
        hold_until_exit(Path(RESULTS, ".lock"), RESULTS)
        LOGS_BEFORE.update(log_states())
        write_text(Path(CONFIG), f"# resolved from {CONFIG_OWNER}\n{text}")
    except UserError as error:
        raise WorkflowError(str(error))
    if is_slow_here():
        logger.warning(
            f"No GPU here (no nvidia-smi): {EXPERIMENT.model.backbone} is trained on the CPU at "
            f"{EXPERIMENT.training.image_size} pixels, which may take days. Without a GPU, take a "
            "frozen network whose feature maps are computed once: `model` and `training` of "
            "my.yaml in README.md. `device: cpu` says that you mean it."
        )
    start_follower()


LOGS_BEFORE = {}


def is_slow_here():
    """Whether a large network is to be trained on the CPU, presumably by oversight.

    A user's first config is likely to have the defaults, those of the published protocol.
    """
    images_every_epoch = EXPERIMENT.training.cached_views is None
    large = EXPERIMENT.model.backbone != "tiny"
    unplanned = EXPERIMENT.device == "auto" and not GPUS and workflow.local_exec
    return unplanned and large and images_every_epoch


def start_follower():
    """Show runs in MLflow while they train. It ends by itself once this process has ended.

    It is no job: nothing depends on it, and it may fail or be killed. Its session is its own, so
    that a Ctrl-C, which is for the jobs, leaves it the time to see how they end.
    """
    if find_spec("mlflow") is None:  # with --use-conda only the rules' own environment has it
        return
    log = Path(RESULTS, "logs", "watch.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "satl", "watch", "--config", CONFIG, "--while-workflow"]
    environment = {**os.environ, "PYTHONPATH": str(workflow.basedir)}
    with open(log, "w", encoding="utf-8") as file:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=environment,
            start_new_session=True,
        )


def log_states():
    """Size and time of each log: a log that was written has another one, whatever the clock."""
    states = {log: log.stat() for log in Path(RESULTS, "logs").rglob("*.log")}
    return {log: (state.st_size, state.st_mtime_ns) for log, state in states.items()}


def errors_of_this_run():
    """What the commands of failed jobs said."""
    logs = [log for log, state in log_states().items() if LOGS_BEFORE.get(log) != state]
    # Not at the start of a line, where a progress bar was cut short.
    found = (re.search(r"satl [\w-]+: error: .*", log.read_text(), re.S) for log in logs)
    return "\n".join(sorted({match[0].strip() for match in found if match}))


def full_disk():
    """What to say where even the log of a failed job found no space; else nothing."""
    if shutil.disk_usage(RESULTS).free > 2**20:
        return ""
    return f"{RESULTS}: the disk is full. Free some space and run the same command again."


onerror:
    # Last, below the many lines that Snakemake has written about it.
    said = errors_of_this_run() or full_disk() or "See the messages above."
    print(f"\n{said}", file=sys.stderr)


onsuccess:
    print(f"\nPage: {RESULTS}/index.html   tables and figures: beside it   MLflow: make ui")
