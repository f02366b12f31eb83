"""Trainings of an experiment, finished and unfinished, by what they are and by fingerprint.

    STORE/DATASET/METHOD/known-RATIO/seed-SEED/NAME-OF-THE-FINGERPRINT/
        fingerprint.json
        checkpoint/…        while it is being trained
        config.yaml … run.json   once it is finished (satl.runs.folder)

Snakemake deletes the outputs of a job before it runs and when it fails. What lies here it does
not know, so a training survives a kill, and a run that is needed again is linked, not trained:
when jobs are put together in another way, or inputs were made anew with the same content.
"""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from satl.core.files import link_files, write_json, write_text
from satl.core.locks import held
from satl.runs.fingerprint import Fingerprint, differences, name_of
from satl.runs.layout import MODEL_FILE, RunKey, trained_files
from satl.runs.model_facts import read_facts
from satl.runs.trainings import is_finished

RECORD = "fingerprint.json"
# In a run folder that training has written: the way from there to the same training in its store.
STORED_AT = ".stored-at"


class Store:
    """The trainings below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def entry(self, key: RunKey, fingerprint: Fingerprint) -> "Entry":
        """The training of `key` with this fingerprint; a new one where there is none."""
        home = key.within(self.folder)
        for record in sorted(home.glob(f"*/{RECORD}")):
            if not differences(json.loads(record.read_text(encoding="utf-8")), fingerprint):
                return Entry(record.parent)
        folder = home / name_of(fingerprint)
        write_json(folder / RECORD, fingerprint)
        return Entry(folder)


class Entry:
    """One training in the store; finished, it is a run folder of the files of training."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def checkpoint(self) -> Path:
        """The folder of its checkpoint."""
        return self.folder / "checkpoint"

    def in_training(self) -> AbstractContextManager[None]:
        """Hold this in the block that trains it: a workflow that was killed may have left a job.

        Raises:
            UserError: another process is training it.
        """
        return held(self.checkpoint / ".lock", str(self.folder))

    def is_finished(self, weights: Mapping[str, str] | None = None) -> bool:
        """Whether it has been trained to the end.

        Args:
            weights: facts of the weights that it must have kept (satl.runs.model_facts), if any.
        """
        if not is_finished(self.folder):
            return False
        return weights is None or weights.items() <= read_facts(self.folder / MODEL_FILE).items()

    def link_to(self, folder: Path) -> None:
        """Once it is finished: give its files a second name in the run folder `folder`."""
        link_files(self.folder, folder, trained_files(self.folder))
        write_text(folder / STORED_AT, os.path.relpath(self.folder.resolve(), folder.resolve()))

    def close(self) -> None:
        """Once it is finished: remove its checkpoint, and what it supersedes."""
        shutil.rmtree(self.checkpoint, ignore_errors=True)
        for other in self.folder.parent.iterdir():
            if other != self.folder:
                shutil.rmtree(other, ignore_errors=True)


def stored_at(folder: Path) -> Path | None:
    """The folder of the store that the files of a run folder are from, if it is still there."""
    if not (folder / STORED_AT).is_file():
        return None
    stored = folder.resolve() / (folder / STORED_AT).read_text(encoding="utf-8")
    return stored if (stored / RECORD).is_file() else None
