"""Everything that an experiment has, to MLflow."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from mlflow import MlflowClient
from tqdm import tqdm

from satl.config import Experiment
from satl.core.errors import UserError
from satl.runs.layout import RunKey, run_keys
from satl.tracking.mlflow.parents import Child, parent_entry
from satl.tracking.mlflow.report import describe, report_entry
from satl.tracking.mlflow.runs import names_like
from satl.tracking.mlflow.store import Store
from satl.tracking.mlflow.views import save_views
from satl.tracking.mlflow.watching import Watcher
from satl.tracking.mlflow.writing import Contents, Writer

Children = Mapping[RunKey, Child]


def track(experiment: Experiment, results: Path, uri: str | None = None) -> dict[str, int]:
    """Log all runs, as children of one run per method and seed, and a run `report`, a data set.

    Evaluated runs are logged whole, trainings as far as they are, or were when they ended. What
    is there already and unchanged stays as it is; what `follow` or a killed process has left
    unfinished is completed; a run whose folder has changed is deleted and logged anew.

    Args:
        experiment: the experiment.
        results: its folder, results/NAME.
        uri: an MLflow store; see `satl.tracking.mlflow.store.Store`.

    Returns:
        How many MLflow runs were "added", "continued", "unchanged" and "replaced".

    Raises:
        UserError: the store cannot be opened or written, or a run folder is of another config or
            damaged.
    """
    watcher = Watcher(experiment, results)
    children = watcher.look()
    for error in watcher.errors.values():
        raise error
    if not children:
        raise UserError(f"{results}: no evaluated run to track; train and evaluate one first")
    return Sender(experiment, results, uri).send_all(children)


class Sender:
    """Sends runs of one experiment, and remembers what it has sent.

    Args:
        experiment, results, uri: see `track`.
    """

    def __init__(self, experiment: Experiment, results: Path, uri: str | None = None) -> None:
        self.experiment, self.results = experiment, Path(results)
        self.store = Store(self.results.parent, uri)
        self._sent: dict[RunKey, Child] = {}
        self._logged: dict[str, Contents] = {}  # of each MLflow run

    def send_new(self, children: Children) -> bool:
        """Log what has changed since it was sent last; whether there was anything.

        Raises:
            UserError: the store cannot be used just now; nothing counts as sent.
        """
        new = {key for key, child in children.items() if self._sent.get(key) is not child}
        if new:
            with self.store.opened() as client:
                for dataset in dict.fromkeys(key.dataset for key in new):
                    number = self._mlflow_experiment(client, dataset, children)
                    for group in self._groups(dataset):
                        if new.intersection(group):
                            writer = Writer(client, number, self._logged, names_like(group[0]))
                            self._send_group(writer, group, children, new)
            self._sent = dict(children)
        return bool(new)

    def forget(self) -> None:
        """Have `send_new` log all runs: what it says of parents depends on the workflow, too."""
        self._sent = {}

    def send_all(self, children: Children) -> dict[str, int]:
        """Log all there is, tables and figures included; how many runs were added, and so on."""
        counts = {"added": 0, "continued": 0, "unchanged": 0, "replaced": 0}
        with self.store.opened() as client:
            for dataset in dict.fromkeys(key.dataset for key in children):
                number = self._mlflow_experiment(client, dataset, children)
                writer = Writer(client, number, self._logged)
                for outcome in self._send_data_set(writer, dataset, children):
                    counts[outcome] += 1
        return counts

    def _send_data_set(self, writer: Writer, dataset: str, children: Children) -> Iterator[str]:
        for group in tqdm(list(self._groups(dataset)), desc=f"MLflow {dataset}", unit="method"):
            if any(key in children for key in group):
                yield from self._send_group(writer, group, children, set(children))
        for entry in report_entry(self.experiment, dataset, self.results):
            yield writer.write(entry)
        writer.end_others()
        describe(writer.client, writer.experiment, self.experiment, dataset, self.results)

    def _mlflow_experiment(self, client: MlflowClient, dataset: str, children: Children) -> str:
        """The id of a data set's MLflow experiment, whose views fit the scores that there are."""
        number = self.store.experiment_id(client, f"{self.experiment.name}/{dataset}")
        scores = [child.score for key, child in children.items() if key.dataset == dataset]
        save_views(client, number, [score for score in scores if score is not None])
        return number

    def _groups(self, dataset: str) -> Iterator[list[RunKey]]:
        """The runs of each method and seed."""
        groups: dict[tuple[str, int], list[RunKey]] = {}
        for key in run_keys(self.experiment):
            if key.dataset == dataset:
                groups.setdefault((key.method, key.seed), []).append(key)
        yield from groups.values()

    def _send_group(
        self, writer: Writer, group: list[RunKey], children: Children, new: set[RunKey]
    ) -> list[str]:
        """A parent, and its children if they are new or it is another run than before."""
        outcomes = [writer.write(parent_entry(self.experiment, self.results, group, children))]
        moved = outcomes[0] in ("added", "replaced")
        for key in group:
            if key in children and (moved or key in new):
                outcomes.append(writer.write(children[key].entry))
        return outcomes
