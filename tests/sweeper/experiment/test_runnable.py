"""What of a list of trials can be run, and that it is run."""

from __future__ import annotations

import json

import pytest

from sweeper.errors import SpecError
from sweeper.experiment.loading import build_sweep
from sweeper.experiment.runnable import only_runnable
from sweeper.search import Suggestion
from sweeper.search.draws import draw_all
from sweeper.search.driving.drawing import draw
from sweeper.search.study import open_study
from sweeper.tracking.databases import StudyPlace
from tests.sweeper.experiment.spaces import TRIALS


def test_trials_on_other_models_and_repeated_ones_are_not_run(list_of):
    sweep, left_out = only_runnable(list_of())
    assert left_out == ("elsewhere", "again")
    assert [trial.space.name for trial in draw_all(sweep)] == ["small", "large", "here"]
    assert sweep.spec.search.trials == 3
    # What is written down of the sweep is what is run.
    again = build_sweep(sweep.document, source="sweep.json")
    assert again.space == sweep.space
    assert only_runnable(again) == (again, ())


def test_where_nothing_can_be_run_the_profile_is_wrong(list_of):
    elsewhere = [TRIALS[2], {**TRIALS[3], "architecture": "llama2-7b"}]
    with pytest.raises(SpecError, match=r"none of the 2 trials .* on llama2-7b, llama3-8b; take"):
        only_runnable(list_of(elsewhere))


def test_a_search_is_run_as_it_is(list_of):
    document = {**list_of().document, "methods": [{"name": "lora"}]}
    del document["trials"]
    sweep = build_sweep(document, source="a search")
    assert only_runnable(sweep) == (sweep, ())


def test_each_trial_of_a_list_gets_its_folder_and_its_job(list_of, tmp_path):
    """All that a driver does before a replica has the trial, resumed in the middle."""
    from sweeper.execution import TrialFactory
    from sweeper.execution.pool.jobs import Job
    from sweeper.tracking.sweep_folder import SweepFolder

    sweep, _ = only_runnable(list_of())
    folder = SweepFolder.create(tmp_path / "sweeps", "list-1", document=sweep.document)
    jobs: list[Job] = []
    for number in range(3):
        # A driver that starts anew goes on where the one before was.
        again = build_sweep(folder.document, source="sweep.json")
        trials = TrialFactory(folder, again, "fingerprint")
        study = open_study(
            StudyPlace("list-1", folder.path / "optuna.db"),
            objective=again.spec.objective,
            space=again.space,
            search=again.spec.search,
        )
        trial, point = draw(study, again.space, again.spec.search)
        suggestion = Suggestion(trial.number, point, trials.identify(point))
        jobs.append(trials.job(suggestion))
        study.tell(trial, 1.0 + number)
    records = folder.trials()
    assert [record.id for record in records] == [job.trial_id for job in jobs]
    assert [record.params["trial"] for record in records] == ["small", "large", "here"]
    assert [record.params["learning_rate"] for record in records] == [1e-3, 1e-4, 1e-3]
    assert {record.origin for record in records} == {"baseline"}
    assert json.loads(jobs[1].spec_json)["method"]["rank"] == 9
