"""A sweep that is read from its folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweeper.errors import DamagedFileError
from sweeper.execution.driver import SweepDriver
from sweeper.execution.trial_factory import TrialFactory
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.runnable import only_runnable
from sweeper.experiment.space.rates import RatePrior, packaged_prior
from sweeper.experiment.space.starts import starts_of
from sweeper.search import Suggestions
from sweeper.tracking.asked import new_sweep_folder, prior_of, read_sweep
from sweeper.tracking.owner.revising import revise
from sweeper.tracking.places import SWEEP_FILE
from sweeper.tracking.sweep_folder import SweepFolder
from tests.places import SPACES

AUTO = ["train.learning_rate=auto"]


def later() -> RatePrior:
    """The prior of a later version, which expects ten times as much of each method."""
    prior = packaged_prior()
    methods = {
        name: value.model_copy(update={"log10_rate": value.log10_rate + 1})
        for name, value in prior.methods.items()
    }
    return prior.model_copy(update={"methods": methods})


def under(prior: RatePrior, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goes on as the version that has this prior in its package."""
    for module in ("space.space", "loading"):
        monkeypatch.setattr(f"sweeper.experiment.{module}.packaged_prior", lambda: prior)
    monkeypatch.setattr("sweeper.tracking.places.packaged_prior", lambda: prior)


def begun(folder: SweepFolder) -> str:
    """Draws the first trial of a sweep as its driver does; returns its identity."""
    driver = SweepDriver.open(folder)
    trials = TrialFactory(folder, driver.sweep, driver.data_fingerprint)
    suggestions = Suggestions(
        driver._study,
        space=driver.sweep.space,
        search=driver.sweep.spec.search,
        identify=trials.identify,
    )
    suggestion = suggestions.next()
    assert suggestion is not None
    folder.trial(trials.job(suggestion).trial_id).begin()
    return suggestion.trial_id


def test_a_trial_left_in_the_middle_is_the_same_under_a_later_prior(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = load_sweep(SPACES / "masa.yaml", profile="embedded", overrides=AUTO)
    folder = new_sweep_folder(tmp_path, sweep)
    first = begun(folder)
    under(later(), monkeypatch)
    again = load_sweep(SPACES / "masa.yaml", profile="embedded", overrides=AUTO)
    # The later version does have other rates, for a sweep that it begins.
    old, new = (x.space.any_trial().train.learning_rate for x in (sweep, again))
    assert new == pytest.approx(10 * old)
    assert begun(SweepFolder(folder.path)) == first
    assert [record.id for record in folder.trials()] == [first]


def test_what_is_made_of_a_sweep_that_was_read_keeps_its_prior(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = load_sweep(SPACES / "masa.yaml", profile="embedded")
    folder = new_sweep_folder(tmp_path, sweep)
    under(later(), monkeypatch)
    found = read_sweep(folder)
    assert found.space == sweep.space
    assert starts_of(found.space) == starts_of(sweep.space) != {}
    assert only_runnable(found)[0].space.prior == packaged_prior()
    revise(folder, ["methods.lora.rank={choice: [4]}"])
    assert read_sweep(folder).space.prior == packaged_prior()


def test_a_sweep_that_keeps_no_prior_takes_that_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = load_sweep(SPACES / "masa.yaml", profile="embedded", overrides=AUTO)
    folder = new_sweep_folder(tmp_path, sweep)
    file = folder.path / SWEEP_FILE
    about = json.loads(file.read_text(encoding="utf-8"))
    del about["rate_prior"]
    file.write_text(json.dumps(about), encoding="utf-8")
    under(later(), monkeypatch)
    old = SweepFolder(folder.path)
    assert prior_of(old) is None
    assert read_sweep(old).space.prior == later()


def test_a_prior_of_a_newer_version_is_told_and_the_rest_can_be_read(tmp_path: Path) -> None:
    sweep = load_sweep(SPACES / "masa.yaml", profile="embedded")
    folder = new_sweep_folder(tmp_path, sweep)
    file = folder.path / SWEEP_FILE
    about = json.loads(file.read_text(encoding="utf-8"))
    about["rate_prior"]["by_depth"] = {"exponent": 0.5, "spread": 0.1}
    file.write_text(json.dumps(about), encoding="utf-8")
    newer = SweepFolder(folder.path)
    with pytest.raises(DamagedFileError, match=r"newer version: rate_prior\.by_depth: it is unk"):
        read_sweep(newer)
    # How it is searched is noted with it.
    assert newer.document["search"] == {"trials": 24, "sampler": "gp", "stop": "share"}
    assert {**newer.document, "search": {"trials": 24}} == sweep.document
