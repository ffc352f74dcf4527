"""How MLflow's pages open on a sweep: its trials by their results, with what varies beside them.

By itself the table of runs shows neither parameters nor metrics, and folds the trials away under
the sweep's run. A view that somebody shares is kept by MLflow as a tag of the experiment, which a
link names; this is such a view, so it changes nothing for those who come without the link.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from sweeper.experiment.objective import ObjectiveSpec
from sweeper.tracking.mlflow_view.content.metrics import FIRST, FOLDED, result_name

__all__ = ["table_query", "table_view"]

# MLflow's web client of 3.17 (EXPERIMENT_PAGE_VIEW_STATE_SHARE_TAG_PREFIX and its state).
_TAG, _PARAMETER = "mlflow.sharedViewState.", "viewStateShareKey"
# Characters of an experiment's tag (mlflow/utils/validation.py), and some to spare.
_MOST_CHARACTERS = 4_900
# Columns of a table that still fits a screen.
_MOST_PARAMS = 6
# MLflow's own names of the sections for metrics without a prefix, and for the machine's.
_PLAIN, _SYSTEM = "Model metrics", "System metrics"


def table_query(sweep: str) -> str:
    """Returns the query of a link to the view of a sweep.

    Args:
        sweep: its name.
    """
    return f"{_PARAMETER}={quote(_key(sweep))}"


def table_view(
    sweep: str,
    *,
    objective: ObjectiveSpec,
    params: Sequence[str],
    splits: Sequence[str],
    folded: Iterable[str] = (),
) -> tuple[str, str]:
    """Returns name and value of the experiment's tag that keeps the view of a sweep.

    Args:
        sweep: its name.
        objective: by which the table is sorted.
        params: names of the parameters, the most telling first.
        splits: of the evaluations after the search.
        folded: prefixes of more metrics that are looked up rather than looked at.
    """
    best = result_name(objective.metric)
    finals = [result_name(objective.metric, split=split) for split in splits]
    columns = [
        *(f"params.`{name}`" for name in params[:_MOST_PARAMS]),
        *(f"metrics.`{name}`" for name in (best, *finals, f"{FIRST}/wall_time_s")),
        "tags.`status`",
    ]
    state: dict[str, object] = {
        # Without the sweep's own run, under which MLflow would fold the others away.
        "searchFilter": f"tags.sweep = '{sweep}' AND tags.trial != ''",
        "orderByKey": f"metrics.`{best}`",
        "orderByAsc": objective.mode == "min",
        "selectedColumns": columns,
        "columnOrder": columns,
        "compareRunCharts": [_parallel(sweep, params[:_MOST_PARAMS], best)],
    }
    # Other charts MLflow adds by itself, into these sections; the folded ones are a click away.
    more = sorted({*folded} - {FIRST, *FOLDED})
    while True:
        names = dict.fromkeys((FIRST, *sorted((*FOLDED, *more)), _PLAIN, _SYSTEM))
        state["compareRunSections"] = [
            _section(sweep, name, is_open=name in {FIRST, _PLAIN}) for name in names
        ]
        text = json.dumps(state, separators=(",", ":"))
        if len(text) <= _MOST_CHARACTERS or not more:
            return f"{_TAG}{_key(sweep)}", text
        more.pop()


def _parallel(sweep: str, params: Sequence[str], metric: str) -> dict[str, object]:
    """Returns the chart of parallel coordinates, which MLflow does not draw by itself."""
    return {
        "type": "PARALLEL",
        "uuid": _id(sweep, "parallel"),
        "metricSectionId": _id(sweep, FIRST),
        "runsCountToCompare": 10,
        "deleted": False,
        "isGenerated": False,
        "selectedParams": list(params),
        "selectedMetrics": [metric],
        "showAllRuns": False,
    }


def _section(sweep: str, name: str, *, is_open: bool) -> dict[str, object]:
    flags = {"isReordered": False, "deleted": False, "isGenerated": True}
    return {"uuid": _id(sweep, name), "name": name, "display": is_open, **flags}


def _key(sweep: str) -> str:
    return f"sweep-{sweep}"


def _id(sweep: str, what: str) -> str:
    return hashlib.sha256(f"{sweep}/{what}".encode()).hexdigest()[:12]
