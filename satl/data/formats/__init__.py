"""The data formats, found by their place: each file of this folder defines one.

Importing this imports neither torch nor NumPy: the workflow reads configs without them.
"""

from satl.core.plugins import sections_by_name
from satl.data.formats.base import DataFormat

FORMATS = sections_by_name(__name__, __path__, DataFormat, "format")
"""The class of each format, by the name that configs give as `format`."""
