"""The documents name no file that is not there."""

import re

import pytest
from workflow_trials import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FILE = re.compile(
    r"\b(?:tests|satl|baselines|workflow|docs)/[\w/.-]+\.(?:py|ya?ml|smk|md|csv|html)\b"
)
NEW = re.compile(r"^New file `([^`]+)`:$", re.MULTILINE)  # which the reader is to write


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_files_that_it_names_are_there(document):
    text = document.read_text(encoding="utf-8")
    written = {file for path in DOCUMENTS for file in NEW.findall(path.read_text("utf-8"))}
    named = {file for file in FILE.findall(text) if "NAME" not in file}
    assert [file for file in sorted(named - written) if not (ROOT / file).exists()] == []
