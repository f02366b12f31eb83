"""Where MLflow keeps its runs: an SQLite file beside the results, or a server."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from sqlalchemy.exc import SQLAlchemyError

from satl.core.errors import UserError
from satl.core.files import writing

# Read while mlflow is imported: no usage reports, no handlers on the root logger, no bars.
os.environ.update(
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="true",
    MLFLOW_CONFIGURE_LOGGING="false",
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true",
)
# A mistyped server is given up after some 15 seconds; MLflow's own 7 retries take minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

for noisy in ("mlflow", "alembic"):
    logging.getLogger(noisy).setLevel(logging.WARNING)
# It logs a traceback of each error that it raises, such as of a full disk, which `opened` names.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

SQLITE = "sqlite:///"


class Store:
    """An MLflow store that several processes write to, one after the other.

    Args:
        folder: of all results.
        uri: where MLflow keeps runs; by default what MLFLOW_TRACKING_URI says, else mlflow.db in
            `folder`. With sqlite:///PATH, artifacts go to `mlartifacts` beside the database.
    """

    def __init__(self, folder: Path, uri: str | None = None) -> None:
        self.uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{folder}/mlflow.db"
        self.database = None
        if self.uri.startswith(SQLITE):
            self.database = Path(self.uri.removeprefix(SQLITE))
        self._lock = f"{self.database or folder / 'mlflow'}.lock"

    @contextmanager
    def opened(self) -> Iterator[MlflowClient]:
        """A client, while no other process of ours writes.

        SQLite breaks when two processes create a store at once, and nobody shall create the same
        run twice.

        Raises:
            UserError: the store cannot be opened or, in the block, read or written.
        """
        try:
            Path(self._lock).parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._lock):
                if self.database and not self.database.exists():
                    _create(self.database)
                yield MlflowClient(self.uri)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{self.uri}: cannot be used as MLflow store: {reason}") from error

    def experiment_id(self, client: MlflowClient, name: str) -> str:
        """The MLflow experiment `name`, created if need be.

        MLflow keeps absolute artifact paths: after the folder of the store was moved they lead
        nowhere, so that the old experiment is put away and filled anew in the new place.
        """
        location = None
        if self.database:
            location = str(self.database.resolve().parent / "mlartifacts" / name)
        found = client.get_experiment_by_name(name)
        if found and location and found.artifact_location != location:
            client.rename_experiment(found.experiment_id, f"{name} ({found.artifact_location})")
            client.delete_experiment(found.experiment_id)
            found = None
        if found and found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return found.experiment_id if found else client.create_experiment(name, location)


def _create(database: Path) -> None:
    """Under another name first: MLflow can neither use nor mend a store that was half made
    when the disk was full or the process was killed.
    """
    with writing(database) as temporary:
        new = MlflowClient(f"{SQLITE}{temporary}")
        for experiment in new.search_experiments():  # an empty "Default", which only puzzles
            new.delete_experiment(experiment.experiment_id)
