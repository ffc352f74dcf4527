"""Answers for which there is no room: what is asked all the same, left out, and counted."""

from dataclasses import replace

import pytest

from sweeper.data.questions import questions_of
from sweeper.estimates import to_metrics
from sweeper.evaluation.protocol import generation_settings, rung_protocol
from sweeper.evaluation.scoring import evaluate
from sweeper.experiment.trial import EvaluationSpec
from tests.sweeper import tiny
from tests.sweeper.evaluation.test_likelihood import ROUNDING, lively
from tests.sweeper.evaluation.test_task_scores import CPU, answers, ask, base, choice, written

LONG = "1234567890123456"
"""An answer for which there is no room."""


def with_long_answers():
    """A base with two answers without room: one of a choice, one that is written."""
    letters = [*(choice(n) for n in range(3)), replace(choice(3), choices=("a", LONG))]
    sums = [*(written(n) for n in range(3)), replace(written(3), answer=LONG)]
    return base(*letters, *sums, model=lively())


def test_what_is_written_needs_no_room_for_the_right_answer(monkeypatch):
    found = with_long_answers()
    without = base(
        *found.data.splits.validation[:3], *found.data.splits.validation[4:7], model=found.model
    )
    answers(monkeypatch, ["0", "3", "4", LONG] * 2)
    spec = EvaluationSpec(generates=True)
    metrics = ask(found, spec)
    # The last one is written, and right; it has no loss.
    assert metrics["sums/exact"] == 0.75
    answers(monkeypatch, ["0", "3", "4"])
    plain = ask(without, spec)
    for name in ("eval_loss", "eval_loss_se", "sums/loss", "letters/loss", "letters/accuracy"):
        assert metrics[name] == pytest.approx(plain[name], rel=ROUNDING), name
    assert set(metrics) == set(plain)


def test_without_generation_what_has_no_room_is_left_out():
    found = with_long_answers()
    without = base(
        *found.data.splits.validation[:3], *found.data.splits.validation[4:7], model=found.model
    )
    assert ask(found) == ask(without)


def test_a_metric_that_is_not_measured_leaves_greedy_decoding_of_what_has_room(monkeypatch):
    sums = [written(n, metrics=("bert_score", "perplexity")) for n in range(3)]
    found = base(*sums, replace(sums[0], answer=LONG))
    answers(monkeypatch, ["0"] * 7)
    metrics = ask(found, EvaluationSpec(generates=True))
    to_metrics = ask(base(*sums), EvaluationSpec(generates=True))
    assert metrics == pytest.approx(to_metrics, rel=ROUNDING)
    assert {"sums/greedy_exact", "sums/perplexity"} <= set(metrics)


def test_answers_can_be_written_where_none_has_room_for_the_right_one(monkeypatch):
    found = base()
    rows = [replace(written(n), answer=LONG) for n in range(2)]
    questions = questions_of(rows, found.tokenizer, 16, domains=found.data.domains)
    writing = generation_settings(found, EvaluationSpec(), max_length=16)

    def forward(**inputs):
        raise AssertionError("there is no likelihood to ask for")

    for shares_prompts in (False, True):
        answers(monkeypatch, ["1", LONG])
        estimates = evaluate(
            forward,
            questions,
            pad_id=0,
            device=CPU,
            writing=writing,
            shares_prompts=shares_prompts,
        )
        metrics = to_metrics(estimates)
        assert metrics["sums/exact"] == metrics["accuracy"] == 0.5
        assert not {"eval_loss", "sums/loss"} & set(metrics)


def test_the_record_says_what_was_left_out():
    found, train = with_long_answers(), tiny.trial(eval_examples=8).train
    names = ("rows", "rows_left_out", "rows_without_loss", "task_rows", "task_rows_left_out")
    protocol = rung_protocol(found, train, EvaluationSpec(generates=True))
    tasks = {"letters": 3, "sums": 4}, {"letters": 1}
    assert [protocol[name] for name in names] == [7, 1, 1, *tasks]
    protocol = rung_protocol(found, train, EvaluationSpec())
    tasks = {"letters": 3, "sums": 3}, {"letters": 1, "sums": 1}
    assert [protocol[name] for name in names] == [6, 2, 0, *tasks]
