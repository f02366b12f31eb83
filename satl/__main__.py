"""`python -m satl`: the command line, from the source tree or installed."""

import sys

from satl.cli import main

sys.exit(main())
