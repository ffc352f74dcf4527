"""The limits of a sweep while it runs, on its own folder; without Ray."""

import re
from pathlib import Path

import pytest

from sweeper.errors import BadInputError, DamagedFileError
from sweeper.execution.owner import (
    Admission,
    keep_limits,
    require_time_left,
    require_trial_fits,
    sentence_of_limit,
)
from sweeper.execution.pool import Job
from sweeper.experiment.loading import load_sweep
from sweeper.preflight.forecast import corner_trials
from sweeper.tracking.owner import Limits, Meter
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder
from tests.sweeper.preflight.forecast.test_micro_batch import costs_of

DRIVER = "0123456789ab"
SHARED = {"stop": "share", "sampler": "gp", "share": {"finalists": 2}}


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def sweep():
    return load_sweep(
        Path("search_spaces/masa.yaml"), overrides=("final.trials=0", "search.asha=null")
    )


@pytest.fixture
def folder(tmp_path, sweep):
    return SweepFolder.create(tmp_path, "night", document=sweep.document)


def begun(folder, sweep, limits):
    """Returns what admits trials, the clock, and what one of them takes by the forecast."""
    costs = costs_of(sweep, low=0.9, high=1.0)
    keep_limits(folder.path, limits, costs)
    clock = Clock()
    admission = Admission(folder, sweep)
    admission.begin(Meter(folder.path, DRIVER, clock), replicas=1)
    return admission, clock, costs.of(corner_trials(sweep)[0]).trial_s


def added(folder, sweep, name):
    trial = corner_trials(sweep)[0]
    return folder.add_trial(
        name,
        spec=trial.model_dump(mode="json"),
        number=0,
        method=trial.method.label,
        steps_total=trial.train.steps,
    )


def test_without_limits_every_trial_begins(folder, sweep):
    admission = Admission(folder, sweep)
    admission.begin(Meter(folder.path, DRIVER, Clock()), replicas=1)
    assert admission.admits("a", ["b"])
    assert admission.ending_s() is None
    assert admission.end(8, "All is well.") == ("complete", "All is well.")


def test_a_trial_begins_while_there_is_time_for_it(folder, sweep):
    for name in ("a", "b"):
        added(folder, sweep, name)
    admission, clock, trial_s = begun(folder, sweep, Limits(max_hours=1))
    assert admission.admits("a", [])
    clock.now_s = 3600 - 1.5 * trial_s
    # One fits, two after each other do not.
    assert not admission.admits("b", ["a"])
    status, note = admission.end(8, "")
    assert status == "stopped"
    assert note.startswith("The limit of 1 h 00 min is reached (")
    assert "8 trials were not begun or not ended. 'resume night --max-hours MORE' goes" in note


def test_what_a_trial_has_done_need_not_be_done_again(folder, sweep):
    trial = added(folder, sweep, "a")
    admission, clock, trial_s = begun(folder, sweep, Limits(max_hours=1))
    clock.now_s = 3600 - 0.8 * trial_s
    assert not admission.admits("a", [])
    trial.begin()
    trial.append(corner_trials(sweep)[0].train.steps // 2, {"train_loss": 1.0})
    assert admission.admits("a", [])


def test_a_sweep_ends_with_time_for_checkpoints(folder, sweep):
    admission, clock, _ = begun(folder, sweep, Limits(max_hours=1))
    assert admission.ending_s() is None
    clock.now_s = 3599
    assert (admission.ending_s() or 0) > 0


def test_a_limit_of_the_cost_is_one_of_the_time(tmp_path):
    priced = load_sweep(
        Path("search_spaces/masa.yaml"),
        overrides=("resources.price_per_hour=2", "final.trials=0"),
    )
    folder = SweepFolder.create(tmp_path, "night", document=priced.document)
    admission, clock, _ = begun(folder, priced, Limits(max_cost=4))
    clock.now_s = 7100
    assert admission.ending_s() is None
    clock.now_s = 7199
    assert admission.ending_s() is not None


def test_without_the_costs_nobody_knows_what_fits(folder, sweep):
    keep_limits(folder.path, Limits(max_hours=1), None)
    with pytest.raises(DamagedFileError, match=r"costs.json"):
        Admission(folder, sweep).begin(Meter(folder.path, DRIVER, Clock()), replicas=1)


def test_a_sweep_without_time_left_does_not_go_on(folder, sweep):
    limits = Limits(max_hours=1)
    resources = sweep.spec.resources
    require_time_left(folder, limits, resources)
    clock = Clock()
    meter = Meter(folder.path, DRIVER, clock)
    clock.now_s = 3595
    meter.note(is_last=True)
    with pytest.raises(BadInputError, match="has used up its limit of 1 h 00 min") as caught:
        require_time_left(folder, limits, resources)
    assert "'resume night --max-hours 2'" in str(caught.value)
    require_time_left(folder, Limits(max_hours=2), resources)
    folder.mark("complete")
    require_time_left(folder, limits, resources)


def used_up(folder, *, hours, cost):
    """Lets a sweep have taken so much."""
    clock = Clock()
    meter = Meter(folder.path, DRIVER, clock)
    meter.price(cost / hours)
    clock.now_s = 3600 * hours
    meter.note(is_last=True)
    return meter.usage


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(max_hours=1), "'resume night --max-hours 10'"),
        (Limits(max_cost=4), "'resume night --max-cost 20'"),
        (Limits(max_hours=9, max_cost=4), "'resume night --max-cost 20'"),
        (Limits(max_hours=1, max_cost=4), "'resume night --max-hours 10 --max-cost 20'"),
    ],
)
def test_what_is_proposed_is_more_than_was_used(folder, sweep, limits, said):
    used_up(folder, hours=5, cost=10)
    with pytest.raises(BadInputError) as caught:
        require_time_left(
            folder, limits, sweep.spec.resources.model_copy(update={"price_per_hour": 2.0})
        )
    assert said in str(caught.value)


def test_the_limit_that_is_reached_is_the_one_to_be_raised(folder):
    usage = used_up(folder, hours=5, cost=10)
    limits = Limits(max_hours=9, max_cost=10)
    assert "'resume night --max-cost MORE'" in sentence_of_limit(folder, limits, usage, left=1)
    said = "the evaluation after the trials was not begun or not ended. 'resume night --max-cost"
    assert said in sentence_of_limit(folder, limits, usage, left=0)
    limits = Limits(max_hours=5, max_cost=20)
    assert "'resume night --max-hours MORE'" in sentence_of_limit(folder, limits, usage, left=1)


def test_a_trial_of_another_sweep_says_nothing_of_the_time_here(folder, sweep, monkeypatch):
    admission, _, _ = begun(folder, sweep, Limits(max_hours=10))
    taken = added(folder, sweep, "a" * 12)
    taken.begin()
    taken.complete(train_time_s=1.0)
    monkeypatch.setattr(type(taken), "taken_from", lambda _: "another sweep")
    added(folder, sweep, "b" * 12)
    assert admission.admits("b" * 12, [])
    assert admission._keeper.times._ratios == []


def test_a_trial_that_was_interrupted_and_has_waited_stops_no_sweep(folder, sweep):
    admission, _, trial_s = begun(folder, sweep, Limits(max_hours=10))
    begin = corner_trials(sweep)[0].train.steps // 2
    ended = added(folder, sweep, "a" * 12)
    wall_clock = Clock()
    TrialFolder(ended.path, clock=wall_clock).begin()
    wall_clock.now_s = trial_s / 2
    metrics = {"train_loss": 1.0, "step_time_s": trial_s / 2}
    TrialFolder(ended.path, clock=wall_clock).append(begin, metrics)
    wall_clock.now_s = 1e6
    TrialFolder(ended.path, clock=wall_clock).prune()
    added(folder, sweep, "b" * 12)
    assert admission.admits("b" * 12, [])
    assert admission._keeper.times._ratios == pytest.approx([1.0])


def test_a_trial_whose_steps_nobody_has_measured_says_nothing_of_the_time(folder, sweep):
    admission, _, _ = begun(folder, sweep, Limits(max_hours=10))
    ended = added(folder, sweep, "a" * 12)
    ended.begin()
    ended.append(10, {"train_loss": 1.0})
    ended.prune()
    added(folder, sweep, "b" * 12)
    assert admission.admits("b" * 12, [])
    assert admission._keeper.times._ratios == []


def test_a_sweep_in_whose_time_no_trial_ends_is_refused_before_ray_starts(folder, sweep):
    costs = costs_of(sweep, low=0.9, high=1.0)
    trial_s = costs.of(corner_trials(sweep)[0]).trial_s
    # A start takes 12 s and the 5 s of the base, the end 12 s and a step.
    enough_s = trial_s + 12 + 5 + 12
    require_trial_fits(folder, sweep, Limits(max_hours=(enough_s + 30) / 3600), costs)
    with pytest.raises(BadInputError, match=r"left of its limit of .* was started") as caught:
        require_trial_fits(folder, sweep, Limits(max_hours=(enough_s - 1) / 3600), costs)
    more = float(re.findall(r"'resume night --max-hours (.+)'", str(caught.value))[0])
    assert enough_s / 3600 <= more <= 1.2 * (enough_s + 10) / 3600
    require_trial_fits(folder, sweep, Limits(max_hours=more), costs)
    # Of one that was interrupted a part is done.
    half = added(folder, sweep, "a")
    half.begin()
    half.append(corner_trials(sweep)[0].train.steps // 2, {"train_loss": 1.0})
    require_trial_fits(folder, sweep, Limits(max_hours=(enough_s - 1) / 3600), costs)
    folder.mark("complete")
    require_trial_fits(folder, sweep, Limits(max_hours=1e-6), costs)


def test_a_cost_in_which_no_trial_ends_says_which_would_do(tmp_path):
    priced = load_sweep(
        Path("search_spaces/masa.yaml"),
        overrides=("resources.price_per_hour=2", "final.trials=0"),
    )
    folder = SweepFolder.create(tmp_path, "night", document=priced.document)
    costs = costs_of(priced)
    with pytest.raises(BadInputError, match=r"a cost of 0\.01") as caught:
        require_trial_fits(folder, priced, Limits(max_cost=0.01, max_hours=100), costs)
    assert "--max-hours" not in str(caught.value).partition("give more")[2]
    more = float(re.findall(r"'resume night --max-cost (.+)'", str(caught.value))[0])
    require_trial_fits(folder, priced, Limits(max_cost=more, max_hours=100), costs)


def job_of(trial):
    return Job(trial.id, 0, trial.path, (), "{}")


def test_clones_begin_while_there_is_time_for_those_before_them_too(folder, sweep, monkeypatch):
    # Trials of a test take no time.
    monkeypatch.setattr(Admission, "_learn", lambda _: None)
    clones = [added(folder, sweep, name) for name in ("a", "b", "c")]
    admission, clock, trial_s = begun(folder, sweep, Limits(max_hours=1))
    jobs = [job_of(trial) for trial in clones]
    assert admission.admits_clones(jobs) == jobs
    assert not admission.has_refused
    clock.now_s = 3600 - 1.7 * trial_s
    # One fits, two after each other do not, whatever fits of the third one.
    clones[2].begin()
    clones[2].append(corner_trials(sweep)[0].train.steps * 3 // 4, {"train_loss": 1.0})
    assert admission.admits_clones(jobs) == [jobs[0], jobs[2]]
    assert admission.has_refused


def test_a_sweep_whose_clones_have_no_time_is_not_complete(folder, sweep):
    clone = added(folder, sweep, "a")
    clone.begin()
    clone.complete(train_time_s=1.0)
    admission, clock, trial_s = begun(folder, sweep, Limits(max_hours=1))
    clock.now_s = 3600 - trial_s / 2
    waits = job_of(added(folder, sweep, "b"))
    assert admission.admits_clones([waits]) == []
    # All of its trials have ended.
    status, note = admission.end(1, "")
    assert status == "stopped"
    assert "1 trial was not begun or not ended" in note


def test_time_is_kept_free_for_those_that_go_on_and_is_theirs_then(tmp_path, monkeypatch):
    # Trials of a test take no time.
    monkeypatch.setattr(Admission, "_learn", lambda _: None)
    sweep = load_sweep(
        Path("search_spaces/masa.yaml"),
        overrides=("final.trials=0", "search.share.finalists=2", "train.steps=1000"),
    )
    folder = SweepFolder.create(tmp_path, "night", document={**sweep.document, "search": SHARED})
    trials = [added(folder, sweep, name) for name in ("a", "b", "c")]
    admission, clock, trial_s = begun(folder, sweep, Limits(max_hours=10))
    # A trial takes a quarter of its steps, and two rests of three quarters come after it.
    clock.now_s = 36_000 - 1.9 * trial_s - 60
    assert admission.admits("a", [])
    clock.now_s = 36_000 - 1.6 * trial_s - 60
    assert not admission.admits("a", [])
    for trial in trials[:2]:
        trial.begin()
        trial.append(corner_trials(sweep)[0].train.steps // 4, {"train_loss": 1.0})
        trial.prune()
    jobs = [job_of(trial) for trial in trials[:2]]
    assert admission.admits_finalists(jobs) == jobs
    clock.now_s = 36_000 - 1.2 * trial_s - 60
    assert admission.admits_finalists(jobs) == jobs[:1]
    status, note = admission.end(2, "")
    assert status == "stopped"
    assert "1 trial was not begun or not ended" in note


def test_without_limits_all_of_the_best_go_on(folder, sweep):
    jobs = [Job("a", 0, folder.path, (), "{}")]
    assert Admission(folder, sweep).admits_finalists(jobs) == jobs


def test_a_search_that_was_cut_stays_so_when_the_best_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(Admission, "_learn", lambda _: None)
    overrides = ("final.trials=0", "search.share.finalists=2")
    sweep = load_sweep(Path("search_spaces/masa.yaml"), overrides=overrides)
    folder = SweepFolder.create(tmp_path, "night", document={**sweep.document, "search": SHARED})
    first, _ = (added(folder, sweep, name) for name in ("a", "b"))
    admission, clock, trial_s = begun(folder, sweep, Limits(max_hours=1))
    # Two quarters and two rests of three quarters are two whole ones.
    clock.now_s = 3600 - 1.9 * trial_s
    assert not admission.admits("b", ["a"])
    jobs = [job_of(first)]
    assert admission.admits_finalists(jobs) == jobs
    assert admission.has_refused
    status, note = admission.end(2, "")
    assert (status, "2 trials were not begun" in note) == ("stopped", True)
