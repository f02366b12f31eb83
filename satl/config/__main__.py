"""`python -m satl.config FILE…` reads experiment files and tells what is wrong in them.

For the hook in .pre-commit-config.yaml: quick, as no method is imported, so that the options of
methods are not looked at.
"""

import sys
from pathlib import Path

from satl.config import load
from satl.core.errors import UserError


def main(files: list[str]) -> int:
    """The exit status: 1 if a file is not valid."""
    status = 0
    for file in files:
        try:
            load(Path(file))
        except UserError as error:
            print(error, file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
