"""What a person sees first: views of MLflow's UI, kept as tags of the experiment, and their links.

A new browser shows names and durations. MLflow opens a view that was shared, a tag
`mlflow.sharedViewState.KEY` with the state of the page, where the link asks for its key.
"""

import json
from collections.abc import Collection
from math import ceil, floor
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from satl.tracking.mlflow.store import Store

TAG = "mlflow.sharedViewState."
PARENTS = "tags.kind = 'parent'"


TABLE = {
    "searchFilter": PARENTS,
    "orderByKey": "metrics.`mAP_average`",
    "orderByAsc": False,
    "selectedColumns": ["metrics.`mAP_average`", "metrics.`mAP`"],
}
MODES = {"curves": "CHART", "table": "TABLE"}
TITLES = {"curves": "mAP by known ratio", "table": "runs by mAP"}


def save_views(client: MlflowClient, experiment: str, scores: Collection[float]) -> None:
    """Keep the views with the MLflow experiment of this id; `scores` are the mAPs to be shown."""
    there = client.get_experiment(experiment).tags
    for view, state in {"curves": _curves(scores), "table": TABLE}.items():
        text = json.dumps(state)
        if there.get(TAG + view) != text:
            client.set_experiment_tag(experiment, TAG + view, text)


def _curves(scores: Collection[float]) -> dict[str, Any]:
    """One curve per method, the mean over its seeds."""
    section = {"uuid": "satl", "name": "mAP", "display": True, "columns": 1, "cardHeight": 380}
    return {
        "searchFilter": PARENTS,
        "orderByKey": "metrics.`mAP_average`",
        "orderByAsc": False,
        "runsHiddenMode": "SHOWALL",
        "groupBy": {
            "aggregateFunction": "average",
            "groupByKeys": [{"mode": "param", "groupByData": "method"}],
        },
        "compareRunSections": [section],
        "compareRunCharts": [_map_chart(scores)],
    }


def _map_chart(scores: Collection[float]) -> dict[str, Any]:
    """The axis of grouped runs would start at 0, where curves cannot be told apart."""
    y_range = {}
    if scores:
        y_range = {
            "yMin": 5 * floor((min(scores) - 1) / 5),
            "yMax": 5 * ceil((max(scores) + 1) / 5),
        }
    return {
        "uuid": "satl-mAP", "type": "LINE", "metricSectionId": "satl",
        "isGenerated": False, "deleted": False,
        "displayName": "mAP (%) by known ratio (%)", "metricKey": "mAP",
        "selectedMetricKeys": ["mAP"], "yAxisKey": "metric", "yAxisExpressions": [],
        "xAxisKey": "step", "selectedXAxisMetricKey": "", "useGlobalXaxisKey": False,
        "xAxisScaleType": "linear", "scaleType": "linear", "range": y_range,
        "lineSmoothness": 0, "useGlobalLineSmoothing": False, "ignoreOutliers": False,
        "displayPoints": True,
    }  # fmt: skip


def link(experiment: str, view: str, server: str = "") -> str:
    """The address of a view of the MLflow experiment with this id."""
    where = f"{server}/#/experiments/{experiment}/runs"
    return f"{where}?viewStateShareKey={view}&compareRunsMode={MODES[view]}"


def links(folder: Path, server: str, uri: str | None = None) -> dict[str, dict[str, str]]:
    """By MLflow experiment and title, the addresses of the views in a UI at `server`.

    Args:
        folder: of all results.
        server: its address, http://localhost:5000.
        uri: an MLflow store; see `Store`. An SQLite file is created where there is none.

    Raises:
        UserError: the store cannot be used.
    """
    with Store(folder, uri).opened() as client:
        return {
            found.name: {TITLES[view]: link(found.experiment_id, view, server) for view in MODES}
            for found in client.search_experiments()
            if all(TAG + view in found.tags for view in MODES)
        }
