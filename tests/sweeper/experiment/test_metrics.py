"""Metrics of one's own data: their names, functions of one's own, and what identifies results."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sweeper.data import EmbeddedDataSpec
from sweeper.data.examples import _BY_LIKELIHOOD
from sweeper.errors import MissingError, SpecError
from sweeper.evaluation.metrics import METRICS
from sweeper.experiment.loading import build_sweep, load_sweep
from sweeper.experiment.metrics import MODES, PythonMetricSpec, mode_of, own_modes
from sweeper.experiment.sweep import Sweep
from sweeper.experiment.trial import EvaluationSpec, TrainSpec, TrialSpec
from sweeper.models import EmbeddedModelSpec
from sweeper_adapters.methods import LoraSpec
from tests import places
from tests.sweeper.experiment.spaces import problems_of_space

SCORE = "def score(predictions, references):\n    return [1.0 for _ in predictions]\n"


def test_each_metric_has_a_mode() -> None:
    assert METRICS.keys() - MODES.keys() == set()


def test_the_others_are_of_written_answers() -> None:
    by_likelihood = {x.name for x in METRICS.values() if x.takes in {"choices", "losses"}}
    assert by_likelihood == _BY_LIKELIHOOD


@pytest.mark.parametrize(
    ("metric", "mode"),
    [
        ("eval_loss", "min"),
        ("accuracy", "max"),
        ("accuracy/capitals", "max"),
        # A domain may be called anything.
        ("accuracy/loss", "max"),
        ("accuracy_macro", "max"),
        ("boolq/loss", "min"),
        ("wikitext/perplexity", "min"),
        ("gsm8k/final_number", "max"),
        ("mmlu/accuracy_macro", "max"),
        ("mmlu/stem", None),
        ("my_score", None),
        ("", None),
    ],
)
def test_the_mode_follows_from_the_metric(metric: str, mode: str | None) -> None:
    assert mode_of(metric) == mode
    assert mode_of("distance/loss", own={"distance": "max"}) == "max"


def own(metrics: str) -> str:
    return f"evaluation={{metrics: {metrics}}}"


@pytest.mark.parametrize(
    ("metrics", "place", "words"),
    [
        (
            "[rougel]",
            ".0",
            "got 'rougel': no metric of this name; known: bert_score, .*rouge_l; did",
        ),
        ("[accuracy]", ".0", "did you mean 'choice'"),
        ("[zzz]", ".0", "a function of your own is {python: FILE.py:FUNCTION, mode: max}"),
        ("[pass_at_1]", ".0", "runs programs on the tests that HumanEval's rows have"),
        ("[exact, bleu, exact]", "", "exact stands there more than once"),
        ("rouge_l", "", r"it must be a list; write \[rouge_l\]"),
        ("[7]", ".0", "a metric is a name, or {python: "),
        ("[{python: 'json:dumps'}]", ".0.mode", "is missing; give mode"),
        ("[{python: 'json:dumps', mode: up}]", ".0.mode", "allowed: min, max"),
        ("[{python: 'json:dumps', mode: max, nam: x}]", ".0.nam", "did you mean 'name'"),
        ("[{python: score, mode: max}]", ".0.python", "write, for example, my_metrics.py:score"),
        ("[{python: 'json:bleu', mode: max}]", ".0.name", "name of a number of the sweeper's own"),
        ("[{python: 'json:x', mode: max, name: x_se}]", ".0.name", "rename the function, or give"),
        ("[{python: 'json:x', mode: max, name: 'a/b'}]", ".0.name", "letters, digits and _"),
    ],
)
def test_what_is_no_metric_is_told_once(space: Path, metrics: str, place: str, words: str) -> None:
    problems = problems_of_space(space, own(metrics))
    assert list(problems) == [f"evaluation.metrics{place}"]
    with pytest.raises(SpecError, match=words):
        load_sweep(space, overrides=[own(metrics)])


def test_tasks_name_their_own(space: Path) -> None:
    data = "data={kind: tasks, train: [boolq]}"
    problems = problems_of_space(space, data, own("[rouge_l]"))
    assert "metrics is [rouge_l], and the data is made of tasks" in problems["evaluation"]
    assert len(problems) == 1


@pytest.fixture
def function(space: Path) -> Path:
    path = space.parent / "my_metrics.py"
    path.write_text(SCORE)
    return path


def with_function(space: Path, *overrides: str, entry: str = "mode: max") -> Sweep:
    entries = f"[bleu, {{python: 'my_metrics.py:score', {entry}}}]"
    return load_sweep(space, overrides=[own(entries), *overrides])


def trial_of(sweep: Sweep) -> str:
    spec = sweep.spec
    return sweep.space.any_trial().identity(data_fingerprint=spec.fingerprint("rows"))


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
    assert named.evaluation.fingerprint() == ""


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
    function.unlink()
    spec = moved.spec.evaluation.functions[0].model_copy(update={"python": f"{function}:score"})
    with pytest.raises(
        MissingError, match=r"there is no file .*my_metrics.py; .*; correct the path"
    ):
        spec.digest()


def test_a_module_is_found_without_being_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "of_mine" / "inner"
    package.mkdir(parents=True)
    (tmp_path / "of_mine" / "__init__.py").write_text("raise RuntimeError('it was run')")
    (package / "scores.py").write_text(SCORE)
    own = PythonMetricSpec(python="of_mine.inner.scores:score", mode="max")
    assert own.path() == package / "scores.py"
    assert len(own.digest()) == 64
    spec = PythonMetricSpec(python="tests.places:score", mode="max")
    assert (spec.name, spec.path()) == ("score", Path(places.__file__))
    missing = PythonMetricSpec(python="no_such_package.inner:score", mode="max")
    with pytest.raises(MissingError, match="there is no Python module no_such_package"):
        missing.digest()
