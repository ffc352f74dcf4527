"""lm-evaluation-harness and our scoring agree, row by row, on the same rows and prompts."""

import logging
import math
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from sweeper.data import EmbeddedDataSpec, Splits
from sweeper.data.questions import questions_of
from sweeper.data.tasks import find_task
from sweeper.errors import BadInputError, MissingError, TrialError
from sweeper.estimates import to_metrics
from sweeper.evaluation.adapter import with_adapter
from sweeper.evaluation.generation import generate, prompts_of
from sweeper.evaluation.harness import run
from sweeper.evaluation.harness.run import find_harness_tasks, run_harness
from sweeper.evaluation.likelihood import can_share_prompts, score_candidates
from sweeper.evaluation.scoring import evaluate, frozen_forward
from sweeper.experiment.trial import TrainSpec, TrialSpec
from sweeper.models import EmbeddedModelSpec, FolderModelSpec
from sweeper.training.adapter_file import adapter_elements, save_adapter
from sweeper_adapters.methods import LoraSpec, MasaSpec, Method, MtlLoraSpec, PromptTuningSpec
from tests.places import SHARED
from tests.sweeper import arc, tiny

STORIES = SHARED / "models" / "stories260K" / "hf"
# Sums of some twenty float32 log-probabilities, of batches that are padded differently.
ROUNDING = 1e-4
LENGTH = 200
TASKS = ("arc_first", "arc_second")

METHODS: dict[str, Method] = {
    "lora": LoraSpec(rank=4),
    "masa": MasaSpec(rank=4, experts=2, group_size=2),
    "mtl_lora": MtlLoraSpec(rank=4, tasks=2),
    "prompt_tuning": PromptTuningSpec(virtual_tokens=3),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The harness tells in its results what is installed; to find out takes it five seconds."""
    evaluator = pytest.importorskip("lm_eval.evaluator")
    monkeypatch.setattr(evaluator, "add_env_info", lambda results: None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Tasks of the harness: the questions in two parts, and one that is answered in words."""
    root = tmp_path_factory.mktemp("harness")
    for name, part in zip(TASKS, ((0, 7), (7, 16)), strict=True):
        arc.write_task(root, name, arc.write_rows(root / f"{name}.jsonl", arc.rows(*part)))
    written = {
        "output_type": "generate_until",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 5},
        "doc_to_choice": None,
        "doc_to_target": "{{choices.text[0]}}",
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }
    arc.write_task(root, "arc_written", root / "arc_second.jsonl", **written)
    return root


@pytest.fixture(scope="module")
def tasks(folder):
    return find_harness_tasks(TASKS, folder=folder)


def examples():
    """The same rows, as our loader reads them; each part is a task and a domain."""
    read = find_task("arc_easy_cloze").read
    found = []
    for number, row in enumerate(arc.rows()):
        name = TASKS[number >= 7]
        (example,) = read(row, "a row")
        found.append(replace(example, task=name, domain=name, metrics=("choice",)))
    return tuple(found)


def base_of(spec):
    loaded = spec.load("fp32")
    return tiny.base_of(spec, loaded, Splits(examples(), examples(), examples()))


def trial_of(method):
    return TrialSpec(
        method=METHODS[method],
        train=TrainSpec(steps=4, learning_rate=1e-3, max_length=LENGTH),
        model=EmbeddedModelSpec(),
        data=EmbeddedDataSpec(),
    )


def write_adapter(trial, folder):
    """Saves an adapter with random values, as after a training."""
    model = trial.method.inject(trial.model.load("fp32").model, seed=0)
    elements = adapter_elements(model)
    training = trial.method.training(model, steps=1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    with training.finished():
        save_adapter(model, folder, elements=training.file_elements(elements))
    return folder


@contextmanager
def asked_model(method, base, folder):
    """The model with an adapter of a method, or without; how we ask it, and how the harness."""
    if method is None:
        yield frozen_forward(base), base.model, {}, True
        return
    trial = trial_of(method)
    with with_adapter(trial, base, write_adapter(trial, folder)) as found:
        told: dict[str, Mapping[str, int] | int | None] = {}
        if trial.method.needs_task_ids:
            ids = trial.method.task_ids(base.data.domains)
            told["task_ids"] = dict(zip(base.data.domains, ids, strict=True))
        if found.virtual_tokens:
            told["max_length"] = base.model.config.max_position_embeddings - found.virtual_tokens
        yield found.forward, found.model, told, found.virtual_tokens == 0


def of_harness(tasks, model, tokenizer, told):
    """What the harness logs of each row, and its table."""
    from lm_eval import simple_evaluate

    from sweeper.evaluation.harness.model import HarnessModel

    asked = HarnessModel(model, tokenizer, **told)
    return simple_evaluate(model=asked, tasks=list(tasks.names), task_manager=tasks.manager)


CASES = [
    *(pytest.param("embedded", method, id=f"embedded-{method}") for method in (None, *METHODS)),
    pytest.param(
        "stories260K",
        None,
        marks=pytest.mark.skipif(not STORIES.is_dir(), reason=f"no model at {STORIES}"),
    ),
]


@pytest.mark.parametrize(("model", "method"), CASES)
def test_each_row_is_scored_and_answered_alike(model, method, tasks, tmp_path):
    spec = EmbeddedModelSpec() if model == "embedded" else FolderModelSpec(path=str(STORIES))
    base = base_of(spec)
    questions = questions_of(examples(), base.tokenizer, LENGTH, domains=base.data.domains)
    assert len(questions) == len(arc.QUESTIONS)
    with asked_model(method, base, tmp_path) as (forward, asked, told, can_share), torch.no_grad():
        common = {"pad_id": base.pad_id, "device": base.device}
        common["shares_prompts"] = can_share and can_share_prompts(
            base.model.config, max_length=LENGTH
        )
        ours = score_candidates(forward, [q.candidates for q in questions], **common)
        metrics = to_metrics(evaluate(forward, questions, **common))
        theirs = of_harness(tasks, asked, base.tokenizer, told)
        told_by_us = run_harness(tasks, asked, base.tokenizer, **told)

    logged = [row for name in TASKS for row in theirs["samples"][name]]
    rows = {row["doc"]["id"]: row for row in logged}
    for number, (question, scores) in enumerate(zip(questions, ours, strict=True)):
        row = rows[f"row {number}"]
        example = question.example
        assert row["arguments"][0][0] == example.prompt
        assert [text for _, text in row["arguments"]] == list(example.choices)
        found = [log_probability for log_probability, _ in row["filtered_resps"]]
        expected = [-score.text_loss for score in scores]
        assert found == pytest.approx(expected, rel=ROUNDING), example.prompt
        assert largest(found) == largest(expected)
        lengths = question.characters
        assert row["acc"] == (largest(expected) == question.gold)
        by_character = [x / n for x, n in zip(expected, lengths, strict=True)]
        assert row["acc_norm"] == (largest(by_character) == question.gold)
    for name in TASKS:
        for one, other in (("accuracy", "acc"), ("accuracy_per_character", "acc_norm")):
            for end in ("", "_se"):
                value = told_by_us.metrics[f"{name}/{other}{end}"]
                assert metrics[f"{name}/{one}{end}"] == pytest.approx(value), (name, one, end)
    assert told_by_us.metrics == pytest.approx(run_metrics(theirs))
    assert told_by_us.rows == {"arc_first": 7, "arc_second": 9}


def largest(values):
    return max(range(len(values)), key=values.__getitem__)


def run_metrics(theirs):
    return {
        f"{name}/{metric}{end}": theirs["results"][name][f"{metric}{of_harness},none"]
        for name in TASKS
        for metric in ("acc", "acc_norm")
        for end, of_harness in (("", ""), ("_se", "_stderr"))
    }


def test_the_two_accuracies_are_not_the_same_as_the_one_with_the_end(tasks):
    """So that the test above would see it if the wrong one was compared."""
    base = base_of(EmbeddedModelSpec())
    questions = questions_of(examples(), base.tokenizer, LENGTH, domains=base.data.domains)
    with torch.no_grad():
        scores = score_candidates(
            frozen_forward(base), [q.candidates for q in questions], pad_id=0, device=base.device
        )
    with_end = [largest([-s.loss for s in found]) for found in scores]
    text = [largest([-s.text_loss for s in found]) for found in scores]
    by_character = [
        largest([-s.text_loss / n for s, n in zip(found, q.characters, strict=True)])
        for q, found in zip(questions, scores, strict=True)
    ]
    assert with_end != text
    assert by_character != text


@pytest.mark.parametrize("method", [None, "mtl_lora"])
def test_what_is_written_is_the_same(method, folder, tmp_path):
    base = base_of(EmbeddedModelSpec())
    tasks = find_harness_tasks(["arc_written"], folder=folder)
    # As the harness has it: what it asks is not among the trained domains, so of the first.
    asked_examples = [replace(e, domain=TASKS[0]) for e in examples()[7:]]
    prompts = prompts_of(
        asked_examples, base.tokenizer, max_length=LENGTH, domains=base.data.domains
    )
    with asked_model(method, base, tmp_path) as (forward, model, told, _), torch.no_grad():
        ours = generate(
            forward,
            prompts,
            tokenizer=base.tokenizer,
            device=base.device,
            max_new_tokens=5,
            stop_strings=("\n",),
        )
        theirs = of_harness(tasks, model, base.tokenizer, told)
        found = run_harness(tasks, model, base.tokenizer, rows=4, **told)
    rows = sorted(theirs["samples"]["arc_written"], key=lambda row: row["doc_id"])
    assert [row["filtered_resps"][0].strip() for row in rows] == [g.text.strip() for g in ours]
    assert len({g.text for g in ours}) > 1
    assert found.rows == {"arc_written": 4}
    assert "arc_written/exact_match" in found.metrics


def test_task_ids_matter_to_the_harness(tasks, tmp_path):
    """A method that treats tasks apart would not notice a wrong number by itself."""
    base = base_of(EmbeddedModelSpec())
    with asked_model("mtl_lora", base, tmp_path) as (_, model, told, _):
        ids = told["task_ids"]
        assert len(set(ids.values())) == 2
        swapped = dict(zip(ids, reversed(ids.values()), strict=True))
        right, wrong = (
            of_harness(tasks, model, base.tokenizer, {"task_ids": numbers})
            for numbers in (ids, swapped)
        )
    first, second = (
        [row["filtered_resps"] for row in found["samples"]["arc_first"]] for found in (right, wrong)
    )
    assert all(a != b for a, b in zip(first, second, strict=True))


def test_rows_that_are_too_long_for_the_model_are_an_error_of_the_evaluation(folder):
    base = base_of(EmbeddedModelSpec())
    tasks = find_harness_tasks(["arc_written"], folder=folder)
    with pytest.raises(TrialError, match=r"could not evaluate arc_written: .* may have 4 tokens"):
        run_harness(tasks, base.model, base.tokenizer, max_length=4)


def test_a_model_that_is_given_is_no_reason_to_warn(tasks, caplog):
    base = base_of(EmbeddedModelSpec())
    with caplog.at_level(logging.WARNING):
        run_harness(tasks, base.model, base.tokenizer, rows=1)
    assert [record.message for record in caplog.records if "pretrained" in record.message] == []


# What cannot be asked.


def test_without_the_harness_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr(run, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"run: pip install 'masa-mosa-sweeper\[harness\]'"):
        find_harness_tasks(["arc_easy"])


@pytest.mark.whole
@pytest.mark.slow
def test_an_unknown_task_is_told_with_near_names(folder):
    with pytest.raises(BadInputError, match=r"got 'arc_firs', .*did you mean .*'arc_first'"):
        find_harness_tasks(["arc_firs"], folder=folder)


def test_a_folder_without_tasks(tmp_path):
    with pytest.raises(MissingError, match=r"no \*\.yaml in .*; name another folder"):
        find_harness_tasks(["arc_easy"], folder=tmp_path)


def test_data_that_is_not_there(tmp_path):
    arc.write_task(tmp_path, "lost", tmp_path / "nowhere.jsonl")
    with pytest.raises(MissingError, match=r"data of a task among lost cannot be had: .*nowhere"):
        find_harness_tasks(["lost"], folder=tmp_path)


def test_a_task_that_is_wrong(tmp_path):
    file = arc.write_rows(tmp_path / "rows.jsonl", arc.rows(0, 2))
    arc.write_task(tmp_path, "wrong", file, test_split="exam")
    with pytest.raises(BadInputError, match=r"among wrong cannot be used: KeyError.*correct the"):
        find_harness_tasks(["wrong"], folder=tmp_path)


def test_a_task_that_runs_programs_is_refused(tmp_path):
    file = arc.write_rows(tmp_path / "rows.jsonl", arc.rows(0, 2))
    arc.write_task(tmp_path, "programs", file, unsafe_code=True)
    with pytest.raises(BadInputError, match=r"the programs generated for programs without a sand"):
        find_harness_tasks(["programs"], folder=tmp_path)


def test_what_is_no_number_is_no_metric():
    results = {
        "maths": {
            "alias": "maths",
            "exact_match,strict": 0.5,
            "exact_match_stderr,strict": 0.1,
            "bleu,none": 3.5,
            "bleu_stderr,none": "N/A",
        }
    }
    assert run._metrics(results) == {
        "maths/exact_match/strict": 0.5,
        "maths/exact_match/strict_se": 0.1,
        "maths/bleu": 3.5,
    }
    assert math.isfinite(sum(run._metrics(results).values()))
