"""Brings the runs of one MLflow experiment to what entries say."""

from collections.abc import Iterator, Sequence
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.entities import Run as MlflowRun
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID

from satl.tracking.mlflow.entries import FINISHED, KILLED, RUNNING, Entry

CONTENT = "satl.content"  # the tag by which a complete run is known to hold what its entry says
KIND = "kind"
MOST = {"metrics": 1000, "params": 100, "tags": 100}  # that MLflow takes in one call

Contents = set[tuple[str, int, float]]


class Writer:
    """The runs of one MLflow experiment, by name.

    Args:
        client: of the store, which nobody else writes to meanwhile.
        experiment: the id of the MLflow experiment.
        logged: what is known to be logged of each run, by its id; whoever keeps it from one
            writer to the next is spared the question.
        names: the pattern, as of SQL's LIKE, of the names of all runs that will be written; to ask
            for all runs takes MLflow 4 ms each.
    """

    def __init__(
        self,
        client: MlflowClient,
        experiment: str,
        logged: dict[str, Contents] | None = None,
        names: str = "%",
    ) -> None:
        self.client, self.experiment = client, experiment
        self.logged = {} if logged is None else logged
        self.runs = _runs_by_name(client, experiment, names)
        self.written: set[str] = set()

    def write(self, entry: Entry) -> str:
        """Make `entry` the only run of its name.

        A run that is not complete, because it is in training or a process was killed, is
        continued, so that its address stays. What says something else is deleted.

        Returns:
            What that took: "added", "continued", "replaced" or "unchanged".
        """
        found = self.runs.get(entry.name, [])
        run = next((run for run in found if self._is_current(run, entry)), None)
        outcome = "unchanged"
        if run is None:
            run = next((run for run in found if self._can_be_continued(run, entry)), None)
            outcome = "continued" if run else "replaced" if found else "added"
            run = self._log(entry, run or self._create(entry))
        for other in found:
            if other.info.run_id != run.info.run_id:
                self.client.delete_run(other.info.run_id)
        self.runs[entry.name] = [run]
        self.written.add(entry.name)
        self._set_parent(run, entry)
        return outcome

    def end_others(self) -> None:
        """End the runs that count as running although nothing of them was written here."""
        for run in (run for runs in self.runs.values() for run in runs):
            ours = KIND in run.data.tags and run.info.status == RUNNING
            if ours and run.info.run_name not in self.written:
                self.client.set_terminated(run.info.run_id, KILLED)

    def _is_current(self, run: MlflowRun, entry: Entry) -> bool:
        if not entry.complete:
            # What is trained and not yet evaluated (again) tells less than its complete run.
            return _is_complete(run) and entry.status != RUNNING
        return _is_complete(run) and run.data.tags[CONTENT] == entry.content

    def _can_be_continued(self, run: MlflowRun, entry: Entry) -> bool:
        """Whether the run is not complete and says nothing but what is in `entry`."""
        return (
            not _is_complete(run)
            and run.data.params.items() <= entry.params.items()
            and self._logged(run) <= {point.content for point in entry.points}
        )

    def _logged(self, run: MlflowRun) -> Contents:
        if run.info.run_id not in self.logged:
            self.logged[run.info.run_id] = {
                (name, point.step, point.value)
                for name in run.data.metrics
                for point in self.client.get_metric_history(run.info.run_id, name)
            }
        return self.logged[run.info.run_id]

    def _create(self, entry: Entry) -> MlflowRun:
        return self.client.create_run(
            self.experiment, entry.started, tags={KIND: entry.kind}, run_name=entry.name
        )

    def _log(self, entry: Entry, run: MlflowRun) -> MlflowRun:
        """Log what is missing; a run that ought to be complete is so with the last line."""
        run_id, logged = run.info.run_id, self._logged(run)
        inputs = _missing_inputs(entry, run)
        if inputs:
            self.client.log_inputs(run_id, inputs)
        self._log_batches(run_id, "params", [
            Param(*item) for item in sorted(entry.params.items() - run.data.params.items())
        ])  # fmt: skip
        new = [point for point in entry.points if point.content not in logged]
        self._log_batches(run_id, "metrics", [
            Metric(point.name, point.value, point.time, point.step) for point in new
        ])  # fmt: skip
        logged.update(point.content for point in new)
        for path, folder in entry.artifacts:
            self.client.log_artifact(run_id, str(path), folder)
        told = entry.tags | ({CONTENT: entry.content} if entry.complete else {})
        self._log_batches(run_id, "tags", [
            RunTag(*item) for item in sorted(told.items() - run.data.tags.items())
        ])  # fmt: skip
        self._set_status(run, entry)
        return self.client.get_run(run_id)

    def _log_batches(self, run_id: str, what: str, values: Sequence[Any]) -> None:
        for start in range(0, len(values), MOST[what]):
            batch: dict[str, Any] = {what: values[start : start + MOST[what]]}
            self.client.log_batch(run_id, **batch)

    def _set_status(self, run: MlflowRun, entry: Entry) -> None:
        if run.info.status == entry.status and not entry.complete:
            return
        if entry.status == RUNNING:
            self.client.update_run(run.info.run_id, RUNNING)
        else:
            self.client.set_terminated(run.info.run_id, entry.status, entry.ended)

    def _set_parent(self, run: MlflowRun, entry: Entry) -> None:
        if entry.parent:
            parent = self.runs[entry.parent][0].info.run_id
            if run.data.tags.get(MLFLOW_PARENT_RUN_ID) != parent:
                self.client.set_tag(run.info.run_id, MLFLOW_PARENT_RUN_ID, parent)


def _runs_by_name(client: MlflowClient, experiment: str, names: str) -> dict[str, list[MlflowRun]]:
    by_name: dict[str, list[MlflowRun]] = {}
    for run in _runs_named(client, experiment, names):
        by_name.setdefault(run.info.run_name, []).append(run)
    return by_name


def _runs_named(client: MlflowClient, experiment: str, names: str) -> Iterator[MlflowRun]:
    token, like = None, f"attributes.run_name LIKE '{names}'"
    while True:
        page = client.search_runs([experiment], like, max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _is_complete(run: MlflowRun) -> bool:
    return run.info.status == FINISHED and CONTENT in run.data.tags


def _missing_inputs(entry: Entry, run: MlflowRun) -> list[DatasetInput]:
    """The partial labels that the run is trained on, as MLflow's column "Dataset" shows them."""
    there = {one.dataset.digest for one in run.inputs.dataset_inputs} if run.inputs else set()
    context = [InputTag(MLFLOW_DATASET_CONTEXT, "training")]
    return [
        DatasetInput(
            Dataset(entry.tags["dataset"], digest, "local", f'{{"path": "{file}"}}'), context
        )
        for file, digest in entry.datasets.items()
        if digest not in there
    ]
