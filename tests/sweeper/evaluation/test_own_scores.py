"""Metrics of data that is not made of tasks, against what one row at a time gives."""

import json
import math
from dataclasses import replace
from statistics import fmean, stdev

import numpy as np
import pytest
import torch

from sweeper.analysis.statistics.paired import differences
from sweeper.data import Example, MessagesFormat, Splits
from sweeper.data.questions import questions_of
from sweeper.data.row_order import row_order
from sweeper.errors import BadInputError
from sweeper.evaluation.answers import write_answers
from sweeper.evaluation.final import evaluate_final
from sweeper.evaluation.generation import prompts_of
from sweeper.evaluation.metrics import METRICS
from sweeper.evaluation.protocol import generation_settings, rung_protocol
from sweeper.evaluation.scoring import evaluate_base, evaluate_on, frozen_forward
from sweeper.experiment.metrics import PythonMetricSpec
from sweeper.experiment.sweep import FinalSpec
from sweeper.experiment.trial import EvaluationSpec
from sweeper.preflight.objective import metric_names
from sweeper.report.summary import task_metrics
from sweeper.tracking.row_scores import RowScores, read_row_scores, write_row_scores
from tests.sweeper import tiny
from tests.sweeper.data.tokens.chat_templates import TEMPLATES, tokenizer_of
from tests.sweeper.evaluation.test_likelihood import ROUNDING, lively
from tests.sweeper.evaluation.test_task_scores import CPU, answers, ask

SCORE = """
def length(predictions, references):
    return [abs(len(a) - len(b)) for a, b in zip(predictions, references, strict=True)]
"""
NAMED = ("exact", "perplexity")


def sums(count=6, domains="xy"):
    return [
        Example(f"{n}+{n}=", str(2 * n), domain=domains[n % len(domains)])
        for n in range(10, 10 + count)
    ]


def letters(count=4, domain="z"):
    return [
        Example(f"{n} ", "abc"[n % 3], domain=domain, choices=("a", "b", "c")) for n in range(count)
    ]


def base(*examples, metrics=NAMED, model=None):
    made = tiny.base()
    rows = tuple(examples)
    made.data.splits = Splits(made.data.splits.train, rows, rows).scored_by(metrics)
    made.model = model or lively()
    return made


def spec_of(*metrics, **settings):
    return EvaluationSpec(metrics=metrics, **settings)


@pytest.fixture
def length(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SCORE)
    return PythonMetricSpec(python=f"{path}:length", mode="min").with_hash()


def names(metrics):
    return {name for name in metrics if not name.endswith("_se")}


def test_written_answers_are_scored_as_a_whole_and_by_domain(monkeypatch, length):
    spec = spec_of("exact", length, generates=True)
    found = base(*sums(), metrics=spec.metric_names)
    # Right are the first, the fourth and the last.
    answers(monkeypatch, ["20", "2", "2424", "26", "", "30"])
    metrics = ask(found, spec)
    exact = [1.0, 0.0, 0.0, 1.0, 0.0, 1.0]
    lengths = [0.0, 1.0, 2.0, 0.0, 2.0, 0.0]
    for name, values in (("exact", exact), ("length", lengths)):
        assert metrics[name] == pytest.approx(fmean(values))
        assert metrics[f"{name}_se"] == pytest.approx(stdev(values) / math.sqrt(6))
        assert metrics[f"{name}/x"] == pytest.approx(fmean(values[::2]))
        assert metrics[f"{name}/y"] == pytest.approx(fmean(values[1::2]))
        assert metrics[f"{name}/y_se"] == pytest.approx(stdev(values[1::2]) / math.sqrt(3))
    own = ("exact", "length", "greedy_exact")
    parts = {f"{name}{part}" for name in own for part in ("", "/x", "/y")}
    assert names(metrics) == {"eval_loss", *parts}


def test_a_statistic_of_all_rows_is_measured_anew_on_each_part(monkeypatch):
    wanted = ["1 2 3 4", "1 2 3 5", "4 3 2 1", "4 3 2 5"]
    rows = [
        Example(f"{n}+{n}=", text, domain="xxyy"[n], metrics=("bleu",))
        for n, text in enumerate(wanted)
    ]
    texts = ["1 2 3 4", "1 2 3 4", "4 3 2 1", "1"]
    answers(monkeypatch, texts)
    metrics = ask(base(*rows, metrics=("bleu",)), spec_of("bleu", generates=True))
    bleu = METRICS["bleu"].measure
    assert metrics["bleu"] == bleu(texts, wanted).value
    assert metrics["bleu/x"] == bleu(texts[:2], wanted[:2]).value
    assert metrics["bleu/x"] > metrics["bleu/y"] > 0


def test_a_function_is_called_once_whatever_the_domains(monkeypatch, tmp_path):
    path = tmp_path / "counted.py"
    path.write_text(
        "CALLS = []\ndef calls(p, r):\n    CALLS.append(1)\n    return [len(CALLS)] * len(p)\n"
    )
    spec = spec_of(PythonMetricSpec(python=f"{path}:calls", mode="max"), generates=True)
    answers(monkeypatch, ["1"] * 6)
    metrics = ask(base(*sums(), metrics=spec.metric_names), spec)
    assert {metrics["calls"], metrics["calls/x"], metrics["calls/y"]} == {1.0}


def test_in_training_nothing_is_written_unless_asked_for(length):
    spec = spec_of("exact", "perplexity", length)
    metrics = ask(base(*sums(domains="x"), metrics=spec.metric_names), spec)
    assert names(metrics) == {"eval_loss", "perplexity", "greedy_exact"}
    plain = ask(base(*sums(domains="x"), metrics=()))
    assert names(plain) == {"eval_loss", "accuracy"}
    assert metrics["greedy_exact"] == plain["accuracy"]
    assert metrics["eval_loss"] == plain["eval_loss"]


def test_perplexity_contributes_by_row():
    found = base(*sums(), model=tiny.model())
    questions = found.data.questions(max_length=16)
    settings = generation_settings(found, spec_of(*NAMED), max_length=16)
    with torch.no_grad():
        estimates = evaluate_on(found, frozen_forward(found), questions, settings)
    own = estimates["perplexity"]
    assert own.contributions is not None
    assert fmean(own.contributions) == pytest.approx(own.value)
    assert stdev(own.contributions) / math.sqrt(6) == pytest.approx(own.standard_error)
    assert estimates["perplexity/y"].rows == (1, 3, 5)


def test_choices_keep_their_accuracy_whatever_scores_them_besides(monkeypatch):
    plain = ask(base(*letters(6, "x"), metrics=()))
    assert names(plain) == {"eval_loss", "accuracy", "accuracy_per_character"}
    for named in (("choice",), ("perplexity",), ("exact",)):
        answers(monkeypatch, ["a"] * 6)
        spec = spec_of(*named, generates=True)
        metrics = ask(base(*letters(6, "x"), metrics=named), spec)
        shared = {name: metrics[name] for name in plain}
        assert shared == pytest.approx(plain, rel=ROUNDING)
        assert names(metrics) - names(plain) == set(named) - {"choice"}
    assert metrics["exact"] == pytest.approx(2 / 6)


def test_accuracy_is_of_the_choices_alone_where_there_are_others():
    mixed = ask(base(*letters(6), *sums()), spec_of(*NAMED))
    alone = ask(base(*letters(6), metrics=("choice",)), spec_of("choice"))
    assert mixed["accuracy"] == pytest.approx(alone["accuracy"])
    assert mixed["accuracy/z"] == mixed["accuracy"]
    assert {"greedy_exact/x", "greedy_exact/y"} <= mixed.keys()
    assert not {"accuracy/x", "greedy_exact/z"} & mixed.keys()


@pytest.mark.parametrize("generates", [False, True])
def test_the_names_are_known_before_the_start(generates, monkeypatch, length):
    spec = spec_of("exact", "bleu", "choice", "perplexity", length, generates=generates)
    found = base(*letters(3), *sums(4), metrics=spec.metric_names)
    answers(monkeypatch, ["1"] * 7)
    rows = found.data.splits.validation
    assert set(metric_names(rows, spec, generates=generates)) == names(ask(found, spec))


def test_an_answer_may_be_as_long_as_the_longest_of_the_rows():
    rows = [replace(sums()[0], answer="1"), replace(sums()[1], answer="123456")]
    found = base(*rows)
    questions = found.data.questions(max_length=16)
    settings = generation_settings(found, spec_of(*NAMED), max_length=16)
    # Six letters and the end of the text.
    assert settings.settings(questions) == {"": {"max_new_tokens": 7, "stop": []}}
    with torch.no_grad():
        written = write_answers(frozen_forward(found), questions, settings, device=CPU)
    assert all(len(one.ids) == 7 or one.end == "end_of_text" for one in written.values())
    limited = replace(settings, spec=spec_of(*NAMED, max_new_tokens=2))
    assert limited.settings(questions)[""]["max_new_tokens"] == 2
    with pytest.raises(BadInputError, match="64 tokens but the model has 64 positions"):
        ask(found, spec_of(*NAMED, max_new_tokens=64, generates=True))


def test_the_record_names_the_metrics_and_what_a_function_was(length):
    spec = spec_of("exact", length, generates=True)
    found = base(*sums(), metrics=spec.metric_names)
    protocol = rung_protocol(found, tiny.trial().train, spec)
    assert protocol["metrics"] == ["exact", "length"]
    assert protocol["functions"] == {"length": length.model_dump()}
    assert length.sha256
    json.dumps(protocol)
    assert "metrics" not in rung_protocol(base(*sums(), metrics=()), tiny.trial().train, spec)


def test_rows_pair_in_the_evaluation_after_the_search(length, tmp_path):
    spec = spec_of("exact", "bleu", "perplexity", length)
    trial = tiny.trial().model_copy(update={"evaluation": spec})
    found = base(*sums(), metrics=spec.metric_names)
    result, scores = evaluate_final(trial, found, FinalSpec(), adapter=None)
    own = {"exact", "bleu", "perplexity", "length"}
    assert own | {"greedy_exact"} <= result.metrics.keys()
    assert set(task_metrics(result)) == own
    write_row_scores(tmp_path / "rows.npz", scores)
    kept = read_row_scores(tmp_path / "rows.npz")
    assert kept is not None
    assert set(kept.metrics) == names(result.metrics)
    places, values = kept.metrics["length/y"]
    assert list(places) == [1, 3, 5]
    assert np.mean(values) == pytest.approx(result.metrics["length/y"])


def test_two_models_are_paired_by_row(monkeypatch):
    spec = spec_of("exact", generates=True)
    found = base(*sums(), metrics=spec.metric_names)
    questions = found.data.questions(max_length=16)
    settings = generation_settings(found, spec, max_length=16)
    estimates = []
    for texts in (["20", "22", "", "", "", ""], ["20", "22", "24", "", "", ""]):
        answers(monkeypatch, texts)
        with torch.no_grad():
            estimates.append(evaluate_on(found, frozen_forward(found), questions, settings))
    gain = differences(estimates[1], estimates[0])["exact"]
    assert gain.value == pytest.approx(1 / 6)
    assert gain.standard_error == pytest.approx(stdev([0, 0, 1, 0, 0, 0]) / math.sqrt(6))
    order = row_order(questions, generates=True)
    assert RowScores.of(estimates[0], order, split="test").metrics.keys() == estimates[0].keys()


# Chats.


TURNS = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "ho"},
    {"role": "user", "content": "and?"},
    {"role": "assistant", "content": "bye"},
]


@pytest.mark.parametrize("family", TEMPLATES)
def test_a_chat_is_gone_on_with_from_its_last_question(family):
    tokenizer = tokenizer_of(family)
    chat = MessagesFormat().read({"messages": TURNS}, where="f:1")
    expected = tokenizer.apply_chat_template(
        TURNS[:3], add_generation_prompt=True, return_dict=False
    )
    other = Example("1+1=", "2")
    found = prompts_of([other, chat], tokenizer, max_length=500)
    assert list(found[1].ids) == expected
    assert found[1].answer_start == len(expected)
    (short,) = prompts_of([chat], tokenizer, max_length=9)
    start = tokenizer.bos_token_id is not None and expected[0] == tokenizer.bos_token_id
    assert len(short.ids) == 9
    assert list(short.ids[start:]) == list(found[1].ids[-9 + start :])


@pytest.mark.parametrize("family", ["chatml", "gemma"])
def test_what_ends_a_turn_ends_an_answer(family):
    """A model that says "bye", ends its turn, and would go on, is not heard any further."""
    tokenizer = tokenizer_of(family)
    chat = MessagesFormat().read({"messages": TURNS}, where="f:1")
    example = replace(chat, metrics=("exact",))
    questions = questions_of([example], tokenizer, 500)
    end = {"chatml": "<|im_end|>", "gemma": "<end_of_turn>"}[family]
    said = [*tokenizer("bye")["input_ids"], tokenizer.convert_tokens_to_ids(end)]
    said += tokenizer("and more")["input_ids"]
    turn = iter(said)

    def forward(*, input_ids, logits_to_keep, **_):
        logits = torch.zeros(len(input_ids), len(tokenizer))
        logits[:, next(turn)] = 1.0
        return logits

    settings = replace(
        generation_settings(tiny.base(), spec_of("exact", max_new_tokens=9), max_length=500),
        tokenizer=tokenizer,
        positions=None,
    )
    (written,) = write_answers(forward, questions, settings, device=CPU).values()
    assert (written.text.strip(), written.end) == ("bye", "end_of_text")


def test_evaluate_base_knows_own_metrics_of_the_data_alone():
    # Whose rows have none is scored as ever, whatever the spec names.
    found = base(*sums(), metrics=())
    assert evaluate_base(found, max_length=16, spec=spec_of("exact")) == ask(found)
