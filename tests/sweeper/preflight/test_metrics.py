"""Metrics of one's own data that cannot be computed, told before anything starts."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from sweeper.data import EmbeddedDataSpec, Example, Splits
from sweeper.errors import BadInputError, MissingError, SpecError
from sweeper.evaluation.metrics import METRICS
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.metrics import PythonMetricSpec
from sweeper.experiment.trial import EvaluationSpec
from sweeper.preflight.checks import require_runnable
from sweeper.preflight.metrics import require_metrics, require_scorable
from sweeper.preflight.objective import require_objective
from sweeper.preflight.plan import plan_of
from tests.places import SPACES


def checked(*metrics, rows=(), **settings):
    spec = EvaluationSpec(metrics=metrics, **settings)
    require_metrics(EmbeddedDataSpec(), spec, has_final=True)
    require_scorable(Splits((), tuple(rows), ()).scored_by(spec.metric_names), spec)


def row(answer="two words", **fields):
    return Example("q: ", answer, **fields)


def function(folder: Path, body: str) -> PythonMetricSpec:
    path = folder / "mine.py"
    path.write_text(f"def score(predictions, references):\n    {body}\n")
    return PythonMetricSpec(python=f"{path}:score", mode="max")


def test_what_scores_the_rows_passes(tmp_path):
    own = function(tmp_path, "return [float(p == r) for p, r in zip(predictions, references)]")
    checked("exact", own, rows=[row()])
    checked("final_number", rows=[row("4"), row("so #### 5")])
    checked("choice", "exact", rows=[row("a", choices=("a", "b"))])
    checked("perplexity", rows=[row(is_document=True)])
    checked("option", rows=[row("the correct answer is answer2")])


@pytest.mark.parametrize(
    ("metric", "rows", "words"),
    [
        ("choice", [row()], r"no row has options; .*\(data.format: \{name: choices\}\)"),
        ("exact", [row(is_document=True)], "the rows are plain text, in which nothing is asked"),
        ("option", [row()], "option cannot score the rows: reference 0 does not end in an option"),
        ("final_number", [row("4"), row()], "reference 1 has no number: got 'two words'"),
        ("bert_score", [row()], "bert_score needs an encoder, and evaluation.encoder is null"),
        ("dialogue_mean", [row()], "dialogue_mean needs an encoder"),
    ],
)
def test_what_cannot_score_the_rows_is_refused(metric, rows, words, monkeypatch):
    for name in ("bleu", "meteor", "rouge_l"):
        passed = replace(METRICS[name], measure=METRICS["exact"].measure)
        monkeypatch.setitem(METRICS, name, passed)
    with pytest.raises(SpecError, match=f"evaluation.metrics: .*{words}"):
        checked(metric, rows=rows)


def test_a_missing_package_is_told_with_its_command(monkeypatch):
    def measure(predictions, references):
        raise MissingError("run: pip install 'masa-mosa-sweeper[metrics]'")

    monkeypatch.setitem(METRICS, "rouge_l", replace(METRICS["rouge_l"], measure=measure))
    with pytest.raises(MissingError, match="pip install"):
        checked("rouge_l", rows=[row()])


def test_a_function_is_tried_on_one_text(tmp_path):
    note = "__import__('pathlib').Path(__file__ + '.seen').write_text"
    seen = f"{note}(repr((predictions, references))); return [1.0]"
    checked(function(tmp_path, seen), rows=[row(" first "), row("second")])
    assert (tmp_path / "mine.py.seen").read_text() == "(['first'], ['first'])"
    with pytest.raises(SpecError, match=r"score cannot score the rows: .* returned 0 values for 1"):
        checked(function(tmp_path, "return []"), rows=[row()])
    own = function(tmp_path, "return []")
    missing = own.model_copy(update={"python": f"{own.place}:missing"})
    with pytest.raises(BadInputError, match="'missing' is not there in"):
        checked(missing)


def test_metrics_that_nobody_computes_are_warned_of(caplog):
    for generates, has_final in ((False, True), (True, False)):
        spec = EvaluationSpec(metrics=("exact",), generates=generates)
        require_metrics(EmbeddedDataSpec(), spec, has_final=has_final)
    spec = EvaluationSpec(metrics=("perplexity",))
    require_metrics(EmbeddedDataSpec(), spec, has_final=False)
    assert caplog.messages == []
    require_metrics(EmbeddedDataSpec(), EvaluationSpec(metrics=("exact",)), has_final=False)
    assert "no evaluation generates any: final.trials is 0" in caplog.text


@pytest.fixture
def space(tmp_path):
    """A space on rows of JSON, of two domains."""
    data = tmp_path / "data"
    data.mkdir()
    for number, split in enumerate(("train", "validation", "test")):
        rows = [{"q": f"{n} and {number}?", "a": f"yes {n}", "d": "ab"[n % 2]} for n in range(12)]
        (data / f"{split}.jsonl").write_text("".join(json.dumps(x) + "\n" for x in rows))
    form = {"name": "fields", "prompt": "{q}", "answer": " {a}", "domain": "{d}"}
    profile = {
        "extends": "embedded",
        "data": {"kind": "jsonl", "path": str(data), "format": form},
        "train": {"steps": 2, "evaluations": 1},
        "hygiene": {"contamination": "allow"},
    }
    (tmp_path / "profiles").mkdir()
    base = SPACES / "profiles" / "embedded.yaml"
    (tmp_path / "profiles" / "embedded.yaml").write_text(base.read_text())
    (tmp_path / "profiles" / "p.yaml").write_text(yaml.safe_dump(profile))
    search = {"trials": 1, "asha": None}
    methods = [{"name": "lora", "rank": 2}]
    own = {"name": "s", "profile": "p", "methods": methods, "search": search}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(own))
    (tmp_path / "mine.py").write_text(
        "def overlap(predictions, references):\n    return [1.0 for _ in predictions]\n"
    )
    return tmp_path / "s.yaml"


METRICS_SET = "evaluation.metrics=[exact, perplexity, {python: 'mine.py:overlap', mode: max}]"


def test_an_objective_of_generated_answers_needs_them_in_training(space):
    def load(metric, *overrides):
        chosen = f"objective.metric={metric}"
        return load_sweep(space, overrides=[METRICS_SET, chosen, *overrides])

    for metric in ("exact", "overlap", "overlap/a"):
        with pytest.raises(SpecError, match=r"set evaluation\.generates to true") as caught:
            plan_of(load(metric))
        assert "reported are eval_loss, perplexity, perplexity/a, perplexity/b" in str(caught.value)
        require_objective(load(metric, "evaluation.generates=true"))
    require_objective(load("perplexity/b"))
    require_objective(load("greedy_exact"))
    # Rows without options have no accuracy that says something.
    with pytest.raises(SpecError, match=r"got 'accuracy', which evaluations"):
        require_objective(load("accuracy"))


def test_all_checks_before_the_start_know_the_metrics(space):
    sweep = load_sweep(space, overrides=[METRICS_SET])
    require_runnable(sweep)
    with pytest.raises(SpecError, match="no row has options"):
        require_runnable(load_sweep(space, overrides=["evaluation.metrics=[choice]"]))
    path = space.parent / "mine.py"
    path.write_text("def overlap(p, r):\n    return []\n")
    # The sweep was made with another one.
    with pytest.raises(BadInputError, match=r"mine\.py is not the file that the sweep was made"):
        require_runnable(sweep)
    with pytest.raises(SpecError, match=r"mine\.py returned 0 values for 1 pairs"):
        require_runnable(load_sweep(space, overrides=[METRICS_SET]))
    path.unlink()
    with pytest.raises(MissingError, match=r"there is no file .*mine\.py"):
        require_runnable(sweep)
