"""Functions of a search space: where they are found, what is kept, what names a trial."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import pytest

from sweeper.data import EmbeddedDataSpec
from sweeper.experiment.loading import build_sweep, load_sweep
from sweeper.experiment.metrics import own_modes
from sweeper.experiment.sweep import Sweep
from sweeper.experiment.trial import EvaluationSpec, TrainSpec, TrialSpec
from sweeper.models import EmbeddedModelSpec
from sweeper_adapters.methods import LoraSpec
from tests.sweeper.experiment.metrics.test_entries import own
from tests.sweeper.experiment.spaces import problems_of_space

SCORE = "def score(predictions, references):\n    return [1.0 for _ in predictions]\n"


@pytest.fixture
def function(space: Path) -> Path:
    path = space.parent / "my_metrics.py"
    path.write_text(SCORE)
    return path


def with_function(space: Path, *overrides: str, entry: str = "mode: max") -> Sweep:
    entries = f"[bleu, {{python: 'my_metrics.py:score', {entry}}}]"
    return load_sweep(space, overrides=[own(entries), *overrides])


def trial_of(sweep: Sweep) -> str:
    return sweep.space.any_trial().identity(data_fingerprint="rows")


def test_a_file_is_looked_for_beside_the_space_then_here(
    space: Path, function: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    sweep = with_function(space)
    (found,) = sweep.spec.evaluation.functions
    assert found.python == f"{function}:score"
    assert sweep.spec.evaluation.metric_names == ("bleu", "score")
    # What is kept of the sweep makes the same one again, wherever that is.
    monkeypatch.chdir("/")
    assert build_sweep(sweep.document, source="kept").spec == sweep.spec
    assert found.sha256 == hashlib.sha256(SCORE.encode()).hexdigest()
    monkeypatch.chdir(here)
    function.rename(here / "my_metrics.py")
    (found,) = with_function(space).spec.evaluation.functions
    assert found.python == f"{here / 'my_metrics.py'}:score"
    (here / "my_metrics.py").rename(here / "my_metric.py")
    problems = problems_of_space(space, own("[{python: 'my_metrics.py:score', mode: max}]"))
    message = problems["evaluation.metrics.0.python"]
    assert (
        f"there is no file {space.parent / 'my_metrics.py'} or {here / 'my_metrics.py'}" in message
    )
    assert "did you mean 'my_metric.py'" in message


def test_a_hash_that_is_given_is_held(space: Path, function: Path) -> None:
    right = hashlib.sha256(SCORE.encode()).hexdigest()
    with_function(space, entry=f"mode: max, sha256: '{right}'")
    entry = f"[{{python: 'my_metrics.py:score', mode: max, sha256: '{'f' * 64}'}}]"
    problems = problems_of_space(space, own(entry))
    assert "is not the file that the sweep was made with" in problems["evaluation.metrics.0.python"]


def test_the_mode_of_the_objective_is_the_functions(
    space: Path, function: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for mode in ("min", "max"):
        sweep = with_function(space, "objective.metric=score", entry=f"mode: {mode}")
        assert sweep.spec.objective.mode == mode
        assert sweep.document["objective"] == {"metric": "score", "mode": mode}
    assert own_modes(sweep.document) == {"score": "max"}
    assert own_modes({"evaluation": {"metrics": ["bleu", {"python": 3}]}}) == {}
    with caplog.at_level(logging.WARNING):
        with_function(space, "objective={metric: score, mode: min}")
    assert "higher values of score are better" in caplog.text


# What stood in records before there was the field; it is compared byte by byte.
def test_without_metrics_a_trial_is_what_it_was() -> None:
    trial = TrialSpec(
        method=LoraSpec(rank=4, targets=("q_proj", "v_proj", "down_proj")),
        train=TrainSpec(
            steps=3,
            learning_rate=1e-2,
            batch_size=2,
            evaluations=2,
            eval_examples=9,
            max_length=16,
            seed=3,
        ),
        model=EmbeddedModelSpec(),
        data=EmbeddedDataSpec(),
    )
    assert trial.identity(data_fingerprint="tiny") == "f1f1c11d788d"
    assert "metrics" not in trial.model_dump_json()
    named = trial.model_copy(update={"evaluation": EvaluationSpec(metrics=("bleu",))})
    assert named.identity(data_fingerprint="tiny") != trial.identity(data_fingerprint="tiny")
    assert TrialSpec.model_validate_json(named.model_dump_json()) == named


def test_what_changes_a_value_changes_the_trial(space: Path, function: Path) -> None:
    first = trial_of(with_function(space))
    assert trial_of(with_function(space)) == first
    # Neither what is better nor where the file lies changes a value.
    assert trial_of(with_function(space, entry="mode: min")) == first
    elsewhere = space.parent / "elsewhere" / "my_metrics.py"
    elsewhere.parent.mkdir()
    elsewhere.write_text(SCORE)
    moved = load_sweep(
        space, overrides=[own(f"[bleu, {{python: '{elsewhere}:score', mode: max}}]")]
    )
    assert trial_of(moved) == first
    assert trial_of(with_function(space, entry="mode: max, name: other")) != first
    function.write_text(SCORE.replace("1.0", "2.0"))
    assert trial_of(with_function(space)) != first
