"""The view that links to a sweep open: its trials by their result, what varies, few charts."""

from __future__ import annotations

import json

from sweeper.experiment.objective import ObjectiveSpec
from sweeper.tracking.mlflow_view.content import table_query, table_view

ACCURACY = ObjectiveSpec(metric="arc_easy/accuracy", mode="max")
PARAMS = ("method", "learning_rate", "seed")


def view(**options):
    known = {"objective": ACCURACY, "params": PARAMS, "splits": ["test"]}
    key, value = table_view("masa-1", **{**known, **options})
    assert key == f"mlflow.sharedViewState.{table_query('masa-1').partition('=')[2]}"
    # What an experiment's tag may have.
    assert len(value) <= 5000
    return json.loads(value)


def test_the_best_trial_is_first_with_what_varies_beside_it():
    found = view()
    assert (found["orderByKey"], found["orderByAsc"]) == (
        "metrics.`1_result/arc_easy.accuracy`",
        False,
    )
    assert found["selectedColumns"] == [
        *(f"params.`{name}`" for name in PARAMS),
        "metrics.`1_result/arc_easy.accuracy`",
        "metrics.`1_result/test_arc_easy.accuracy`",
        "metrics.`1_result/wall_time_s`",
        "tags.`status`",
    ]
    (chart,) = found["compareRunCharts"]
    assert (chart["selectedParams"], chart["type"]) == (list(PARAMS), "PARALLEL")


def test_what_is_looked_up_is_folded():
    sections = view(folded=["accuracy", "arc_easy"])["compareRunSections"]
    opened = [section["name"] for section in sections if section["display"]]
    assert opened == ["1_result", "Model metrics"]
    assert {"cost", "standard_error", "accuracy", "arc_easy"} <= {x["name"] for x in sections}
    assert len({section["uuid"] for section in sections}) == len(sections)


def test_a_view_of_many_tasks_still_fits_its_tag():
    found = view(folded=[f"bigbench_task_number_{n}" for n in range(200)])
    assert len(found["compareRunSections"]) > 10
