"""The ways in which labels are known, found by their place: each file of this folder has one.

Importing this imports neither torch nor NumPy: the workflow reads configs without them.
"""

from satl.core.plugins import sections_by_name
from satl.data.observe.base import Observation

KINDS = sections_by_name(__name__, __path__, Observation, "kind")
"""The class of each way, by the name that configs give as `kind`."""
