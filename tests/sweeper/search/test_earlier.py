"""Trials of earlier sweeps: which agree with a search, how the study has them, and who counts."""

from __future__ import annotations

import shutil
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from sweeper.errors import BadInputError, DamagedFileError
from sweeper.execution.trial_factory import TrialFactory
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.sweep import Sweep
from sweeper.search import (
    Suggestion,
    Suggestions,
    ended_trials,
    importances_of,
    open_study,
    past_values,
    preview,
    trials_left,
)
from sweeper.search.driving.attributes import OBSERVED
from sweeper.search.earlier import (
    OBSERVATIONS_FILE,
    add_observations,
    earlier_trials,
    noted_observations,
    observed_in,
)
from sweeper.tracking.databases import StudyPlace
from sweeper.tracking.stored import Observations
from sweeper.tracking.sweep_folder import SweepFolder
from tests.places import SPACES
from tests.sweeper.experiment.spaces import problems_of_loading

EMBEDDED = str(SPACES / "profiles" / "embedded.yaml")
SPACE = """
name: s
methods: [{name: lora, rank: {choice: [4, 8]}}, {name: mosa, rank: 4}]
train: {learning_rate: {loguniform: [1e-4, 1e-1]}}
search: {trials: 4, startup_trials: 2}
"""
ROWS = "rows"


def load(tmp_path: Path, *overrides: str, text: str = SPACE) -> Sweep:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    # Whole trials are compared, unless a test says otherwise.
    stop = () if any("search.stop" in x for x in overrides) else ("search.stop=asha",)
    return load_sweep(path, profile=EMBEDDED, overrides=(*stop, *overrides))


def ran(
    tmp_path: Path, name: str, sweep: Sweep, *, trials: int = 4, rows: str = ROWS
) -> SweepFolder:
    """A sweep of the first trials of a search, the last of which was pruned."""
    folder = SweepFolder.create(tmp_path, name, document=sweep.document)
    factory = TrialFactory(folder, sweep, data_fingerprint=rows)
    points = preview(sweep.space, sweep.spec.search)
    for number in range(trials):
        point, _ = next(points)
        trial_id = factory.identify(point)
        factory.job(Suggestion(number, point, trial_id))
        trial = folder.trial(trial_id)
        trial.begin(trainable=5, total=10)
        for step in (30, 60, 90, 120):
            trial.append(step, {"eval_loss": 2.0 - step / 120 + number / 8})
        (trial.prune if number == trials - 1 else trial.complete)()
    return folder


def whys(found: Observations) -> dict[str, int]:
    return {left.why: left.trials for left in found.left_out}


def taken(tmp_path: Path, *overrides: str, rows: str = ROWS, text: str = SPACE) -> Observations:
    sweep = load(tmp_path, "search.from=[old]", *overrides, text=text)
    return earlier_trials(sweep, tmp_path, data_fingerprint=rows)


@pytest.fixture
def old(tmp_path: Path) -> SweepFolder:
    return ran(tmp_path, "old", load(tmp_path))


def test_what_this_search_could_draw_is_taken(tmp_path, old):
    found = taken(tmp_path)
    assert len(found.taken) == 3
    assert whys(found) == {"is pruned, not complete": 1}
    first = found.taken[0]
    assert (first.sweep, len(first.values)) == ("old", 4)
    sweep = load(tmp_path)
    for one in found.taken:
        assert sweep.space.trial(one.point).identity(data_fingerprint=ROWS) == one.trial


def test_another_seed_is_taken_and_another_length_is_not(tmp_path, old):
    assert len(taken(tmp_path, "train.seed=7").taken) == 3
    found = taken(tmp_path, "train.steps=60")
    assert found.taken == ()
    assert whys(found)["has train.steps 120, where this sweep has 60"] == 3


@pytest.mark.parametrize(
    ("change", "why", "left"),
    [
        ({"rows": "others"}, "saw other rows or weights, or ran with another version", 3),
        ({"text": SPACE.replace(", {name: mosa, rank: 4}", "")}, "is of mosa, which is not", None),
        ({"text": SPACE.replace("1e-1]", "1.1e-4]")}, "has a train.learning_rate outside of", 3),
        (
            {"text": SPACE.replace("mosa, rank: 4", "mosa, rank: 8")},
            "has method.rank 4, where",
            None,
        ),
    ],
)
def test_why_a_trial_is_not_taken(tmp_path, old, change, why, left):
    found = taken(tmp_path, **change)
    (number,) = [n for text, n in whys(found).items() if text.startswith(why)]
    assert number == left if left else 0 < number < 3
    assert len(found.taken) + sum(whys(found).values()) == 4


def test_another_objective_is_told(tmp_path, old):
    found = taken(tmp_path, "objective={metric: accuracy, mode: max}")
    assert whys(found)["does not report accuracy"] == 3


def test_a_trial_of_two_sweeps_is_taken_once(tmp_path, old):
    shutil.copytree(old.path, tmp_path / "copy")
    sweep = load(tmp_path, "search.from=[old, copy]")
    found = earlier_trials(sweep, tmp_path, data_fingerprint=ROWS)
    assert len(found.taken) == 3
    assert whys(found)["is of another of these sweeps, too"] == 3


def test_a_damaged_trial_is_left_out(tmp_path, old):
    trial = next(x for x in old.trial_folders() if x.read().status == "complete")
    (trial.path / "spec.json").write_text("{")
    found = taken(tmp_path)
    assert (len(found.taken), whys(found)["cannot be read by this version"]) == (2, 1)


def test_a_sweep_is_named_by_its_folder_too(tmp_path, old):
    sweep = load(tmp_path, f"search.from=[{old.path}]")
    elsewhere = tmp_path / "elsewhere"
    assert len(earlier_trials(sweep, elsewhere, data_fingerprint=ROWS).taken) == 3
    with pytest.raises(BadInputError, match=r"^search\.from: got 'nope'; "):
        earlier_trials(load(tmp_path, "search.from=[nope]"), tmp_path, data_fingerprint=ROWS)


def study_of(tmp_path: Path, sweep: Sweep, found: Observations):
    place = StudyPlace("s", tmp_path / "optuna.db")
    return open_study(
        place,
        objective=sweep.spec.objective,
        space=sweep.space,
        search=sweep.spec.search,
        find_observations=lambda: found.taken,
    )


def suggestions_of(study, sweep: Sweep) -> Suggestions:
    def identify(point):
        return sweep.space.trial(point).identity(data_fingerprint=ROWS)

    return Suggestions(study, space=sweep.space, search=sweep.spec.search, identify=identify)


def test_observations_are_no_trials_of_the_sweep(tmp_path, old):
    sweep, found = load(tmp_path, "search.from=[old]"), taken(tmp_path)
    study = study_of(tmp_path, sweep, found)
    assert [trial.state for trial in study.trials[:3]] == [TrialState.COMPLETE] * 3
    assert [trial.value for trial in study.trials[:3]] == [x.values[-1] for x in found.taken]
    assert observed_in(study) == 3
    assert (ended_trials(study), past_values(study)) == ([], [])
    assert trials_left(study, sweep.spec.search) == 4
    assert importances_of(study).trials == 0
    suggestions = suggestions_of(study, sweep)
    first = suggestions.next()
    assert first is not None
    assert first.number == 0
    suggestions.end(0, evaluation=4, value=0.5, is_complete=True)
    assert [trial.value for trial in ended_trials(study)] == [0.5]
    assert past_values(study) == [[0.5]]
    second = suggestions.next()
    assert second is not None
    suggestions.report(second.number, evaluation=1, value=0.7)
    assert second.number == 1
    assert study.trials[4].intermediate_values == {1: 0.7}


def test_the_sampler_learns_from_them(tmp_path, old):
    """With as many as its random start takes, it draws at once by what they say."""
    sweep, found = load(tmp_path, "search.from=[old]"), taken(tmp_path)
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    drawn = {}
    for folder, observations in (("with", found), ("without", Observations())):
        study = study_of(tmp_path / folder, sweep, observations)
        suggestions = suggestions_of(study, sweep)
        drawn[folder] = [suggestions.next().point for _ in range(4)]
    # What is enqueued has the same rates with and without them; what is drawn has not.
    rates = {name: [x["train.learning_rate"] for x in points] for name, points in drawn.items()}
    assert rates["with"][:2] == rates["without"][:2]
    assert rates["with"][2:] != rates["without"][2:]


def test_a_study_that_is_opened_again_has_them_once(tmp_path, old):
    sweep, found = load(tmp_path, "search.from=[old]"), taken(tmp_path)
    study = study_of(tmp_path, sweep, found)
    again = study_of(tmp_path, sweep, found)
    assert (observed_in(again), len(again.trials)) == (3, len(study.trials))
    assert [x.user_attrs[OBSERVED] for x in again.trials[:3]] == [
        f"old/{x.trial}" for x in found.taken
    ]


def test_where_trials_are_stopped_at_a_share_they_count_with_what_they_had_there(tmp_path, old):
    share = ("search.from=[old]", "search.stop=share")
    sweep = load(tmp_path, *share)
    found = earlier_trials(sweep, tmp_path, data_fingerprint=ROWS)
    # One that was pruned had come so far, too.
    assert (len(found.taken), found.left_out) == (4, ())
    study = study_of(tmp_path, sweep, found)
    assert [x.value for x in study.trials[:4]] == [x.values[0] for x in found.taken]
    assert [x.intermediate_values for x in study.trials[:4]] == [
        {1: x.values[0]} for x in found.taken
    ]


def test_a_driver_that_died_while_it_added_them_adds_the_rest(tmp_path, old):
    sweep, found = load(tmp_path, "search.from=[old]"), taken(tmp_path)
    study = optuna.create_study()
    add_observations(study, sweep.space, lambda: found.taken[:1], sweep.spec.search)
    add_observations(study, sweep.space, lambda: found.taken, sweep.spec.search)
    assert [x.value for x in study.trials] == [x.values[-1] for x in found.taken]
    # What began without them goes on without them: its own trials are numbered already.
    begun = study_of(tmp_path, sweep, Observations())
    assert observed_in(study_of(tmp_path, sweep, found)) == 0
    assert len(begun.trials) > 0


def test_what_was_taken_is_noted_and_outlives_the_old_sweep(tmp_path, old):
    sweep = load(tmp_path, "search.from=[old]")
    folder = SweepFolder.create(tmp_path, "new", document=sweep.document)
    first = noted_observations(folder, sweep, data_fingerprint=ROWS)
    assert len(first.taken) == 3
    shutil.rmtree(old.path)
    assert noted_observations(folder, sweep, data_fingerprint=ROWS) == first
    (folder.path / OBSERVATIONS_FILE).write_text('{"taken": 3}')
    with pytest.raises(DamagedFileError, match="observations"):
        noted_observations(folder, sweep, data_fingerprint=ROWS)


def test_a_sweep_without_them_notes_nothing(tmp_path):
    sweep = load(tmp_path)
    folder = SweepFolder.create(tmp_path, "new", document=sweep.document)
    assert noted_observations(folder, sweep, data_fingerprint=ROWS) == Observations()
    assert not (folder.path / OBSERVATIONS_FILE).exists()


def test_a_file_that_searches_nothing_learns_from_nothing(tmp_path):
    text = SPACE.replace("{choice: [4, 8]}", "4").replace("{loguniform: [1e-4, 1e-1]}", "1e-3")
    problems = problems_of_loading(load, tmp_path, "search.from=[old]", text=text)
    assert "this file searches nothing" in problems["search.from"]


def test_rates_that_auto_would_not_give_are_one_reason(tmp_path):
    ran(tmp_path, "old", load(tmp_path, "train.learning_rate={loguniform: [1.0e-6, 1.0e-5]}"))
    found = taken(tmp_path, "train.learning_rate=auto")
    assert whys(found) == {
        "has another train.learning_rate than auto gives here": 3,
        "is pruned, not complete": 1,
    }


def test_numbers_that_differ_are_as_short_as_they_are_told_apart(tmp_path, old):
    found = taken(tmp_path, "train.warmup_ratio=0.123456789")
    (why,) = [x for x in whys(found) if "warmup_ratio" in x]
    assert why.endswith("where this sweep has 0.123")
