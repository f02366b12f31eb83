"""Large loss: what is learned late is a hidden positive (Kim et al., CVPR 2022).

Unknown labels count as absent; those of the largest loss in a batch, more of them each epoch, are
left out (LL-R, `reject`), count as present in that step (LL-Ct, `correct`), or become present for
the rest of the run (LL-Cp, `correct_permanently`). Made for one positive per image, and for labels
that are really partial.

The published code does not bound how many it takes by how many are unknown: where it runs out of
these, it drops or flips *known* labels. It also compares the scheme by identity, so that LL-Cp
given on the command line runs as LL-Ct. Neither is so here.
"""

from satl.methods.parts.large_loss import LargeLossMethod, LargeLossOptions, large_loss_terms

__all__ = ["LargeLoss", "large_loss_terms"]


class LargeLoss(LargeLossMethod[LargeLossOptions]):
    """BCE averaged over all entries, unknown ones absent, save those of large loss."""
