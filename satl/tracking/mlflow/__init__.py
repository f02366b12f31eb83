"""MLflow as a sink: it receives what runs have left on disk, while they train and afterwards.

No result is ever read from it, and this package alone imports it: training, evaluation and
reports do without.

    store       where MLflow keeps runs, and who may write there
    entries     what one MLflow run is to hold, whatever it stands for
    writing     brings the runs of an MLflow experiment to what entries say
    runs        single runs as entries, evaluated ones and those in training
    parents     one entry per method and seed: the curve of the mAP over the known ratios
    report      tables and figures as an entry, and the description of the experiment
    views       the views of the UI that links lead to
    tracking    all of it, once (`satl track`)
    following   all of it, again and again while the runs train (`satl watch`)
    model       a run as an MLflow model (`satl export`), and what serves it (served_model)
"""

from satl.tracking.mlflow.following import follow
from satl.tracking.mlflow.tracking import track
from satl.tracking.mlflow.views import links

__all__ = ["follow", "links", "track"]
