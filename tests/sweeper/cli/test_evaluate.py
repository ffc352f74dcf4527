"""`python -m sweeper evaluate`: what it asks, prints and keeps, and its exit codes."""

import io
import json
import re
import subprocess
import sys
from collections import Counter

import pytest
from rich.console import Console
from typer.testing import CliRunner

from sweeper.analysis.lookup import find_trial
from sweeper.analysis.trial_evaluation import (
    EVALUATIONS_FOLDER,
    EvaluationRequest,
    evaluate_trial,
)
from sweeper.cli import app
from sweeper.data import TasksDataSpec
from sweeper.errors import BadInputError, DataError
from sweeper.evaluation.adapter import evaluate_adapter, evaluate_frozen, hold_base_of
from sweeper.evaluation.harness import run
from sweeper.experiment.metrics import PythonMetricSpec
from sweeper.experiment.trial import EvaluationSpec
from sweeper.report.terminal import evaluation_view
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper_adapters.methods import LoraSpec, MtlLoraSpec
from tests.sweeper import arc, exported

LORA, OF_TASKS, BY_DOMAIN = (f"{number:012x}" for number in range(3))

DOCUMENT = {
    "trial": "0123456789ab",
    "sweep": "masa-smollm2-1",
    "method": "masa",
    "evaluator": "sweeper",
    "tasks": ["arc_easy_cloze"],
    "split": "test",
    "rows": {"arc_easy_cloze": 1234},
    "rows_left_out": {},
    "metrics": {
        "arc_easy_cloze/accuracy": 0.5125,
        "arc_easy_cloze/accuracy_se": 0.0123,
        "arc_easy_cloze/loss": "Infinity",
    },
    "base_metrics": {},
    "gains": {},
    "protocol": {},
    "precision": "bf16",
    "device": "cpu",
    "data_fingerprint": "0" * 64,
    "wall_time_s": 75.2,
    "ended_at": "2025-01-02T03:04:05Z",
    "notes": [],
    "path": "/a/folder/with/a/name/that/is/longer/than/any/terminal/would/be/evaluations/123.json",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A sweep of a LoRA, the best; one on tasks; and a method with a part for each domain."""
    root = exported.make_world(tmp_path_factory.mktemp("world"))
    arc.write_rows(root / "tasks/commonsense/ARC-Easy/train.jsonl", arc.rows())
    arc.write_rows(root / "tasks/commonsense/ARC-Easy/test.jsonl", arc.rows(0, 9))
    arc.write_rows(root / "tasks/commonsense/ARC-Challenge/test.jsonl", arc.rows(9))
    arc.write_task(root / "harness", "arc_local", arc.write_rows(root / "h.jsonl", arc.rows(0, 5)))
    sweep = SweepFolder.create(root / "sweeps", "tiny-1", document=exported.DOCUMENT)
    spec = exported.trial(LoraSpec(rank=2), root)
    exported.made(sweep, spec, number=0, loss=1.0)
    data = TasksDataSpec(root=str(root / "tasks"), train=("arc_easy_cloze",))
    longer = spec.train.model_copy(update={"max_length": 64})
    of_tasks = {"data": data, "train": longer, "evaluation": EvaluationSpec(max_new_tokens=2)}
    exported.made(sweep, spec.model_copy(update=of_tasks), number=1, loss=2.0)
    exported.made(sweep, exported.trial(MtlLoraSpec(rank=2, tasks=2), root), number=2, loss=3.0)
    exported.add(sweep, spec, number=3)
    return sweep.home


@pytest.fixture
def data_root(home, monkeypatch):
    root = home.parent / "tasks"
    monkeypatch.setenv("SWEEPER_DATA", str(root))
    return root


@pytest.fixture
def quick(monkeypatch):
    """As in the tests of the harness."""
    evaluator = pytest.importorskip("lm_eval.evaluator")
    monkeypatch.setattr(evaluator, "add_env_info", lambda results: None)


def call(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def asked(home, trial, *arguments):
    """The document of an evaluation, as it is kept."""
    before = kept(home, trial)
    result = call(trial, "--home", home, *arguments)
    assert result.exit_code == 0, result.output
    (new,) = set(kept(home, trial)) - set(before)
    return json.loads(new.read_text())


def trial_of(home, trial_id):
    return find_trial(trial_id, home=home).trial


def kept(home, trial_id):
    return sorted((trial_of(home, trial_id).path / EVALUATIONS_FOLDER).glob("*"))


def expected(home, trial_id, examples):
    """The metrics of adapter and base, by the functions of the final evaluation."""
    found = find_trial(trial_id, home=home)
    base = hold_base_of(found.spec())
    result = evaluate_adapter(found.spec(), base, found.adapter(), examples)
    return dict(result.metrics), dict(evaluate_frozen(found.spec(), base, examples).metrics)


def splits_of(home, trial_id):
    return find_trial(trial_id, home=home).spec().data.load()


def test_the_test_split_of_the_trials_data_is_asked(home):
    document = evaluate_trial(
        find_trial(LORA, home=home), EvaluationRequest(has_base=True)
    ).document()
    examples = splits_of(home, LORA).test
    metrics, base_metrics = expected(home, LORA, examples)
    assert document["metrics"] == metrics
    assert document["base_metrics"] == base_metrics
    assert set(document["gains"]) == set(document["metrics"])
    gain = metrics["eval_loss"] - base_metrics["eval_loss"]
    assert document["gains"]["eval_loss"] == pytest.approx(gain)
    assert metrics["eval_loss"] != pytest.approx(base_metrics["eval_loss"], rel=1e-3)
    assert document["rows"] == {"": 6}
    assert (document["evaluator"], document["split"]) == ("sweeper", "test")


def test_what_is_found_is_kept_beside_the_record_and_not_in_it(home):
    folder = trial_of(home, LORA)
    record = (folder.path / "record.json").read_bytes()
    before = kept(home, LORA)
    result = call("tiny-1", "--home", home, "--split", "validation", "--rows", 4)
    assert result.exit_code == 0, result.output
    assert "Best by validation: trial 0 (lora), eval_loss 1.00 ± 0.10 (lower" in result.output
    assert f"Evaluated trial {LORA} (lora) of sweep tiny-1" in result.output
    assert "by sweeper, 4 rows of the validation split" in result.output
    (new,) = set(kept(home, LORA)) - set(before)
    assert str(new) in result.output
    document = json.loads(new.read_text())
    assert document["rows"] == {"": 4}
    assert document["base_metrics"] == document["gains"] == {}
    assert (folder.path / "record.json").read_bytes() == record
    assert not (folder.path / "final.json").exists()
    again = call("tiny-1", "--home", home, "--split", "validation", "--rows", 4)
    assert again.exit_code == 0
    assert len(kept(home, LORA)) == len(before) + 2


@pytest.mark.whole
def test_json_is_one_document(home):
    command = [sys.executable, "-m", "sweeper", "evaluate", LORA, "--home", str(home), "--json"]
    process = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    document = json.loads(process.stdout)
    assert document["trial"] == LORA
    assert document["precision"] == "fp32"
    assert json.loads(kept(home, LORA)[-1].read_text()) == document
    assert process.stderr == ""


def test_tasks_that_the_trial_was_not_trained_on_are_asked(home, data_root):
    document = asked(home, LORA, "--tasks", "arc_easy_cloze, arc_challenge_cloze")
    assert document["rows"] == {"arc_easy_cloze": 9, "arc_challenge_cloze": 7}
    assert document["tasks"] == ["arc_easy_cloze", "arc_challenge_cloze"]
    for task in document["tasks"]:
        assert {f"{task}/accuracy", f"{task}/accuracy_se"} <= set(document["metrics"])
    few = asked(home, LORA, "--tasks", "arc_easy_cloze,arc_challenge_cloze", "--rows", 3)
    assert few["rows"] == {"arc_easy_cloze": 3, "arc_challenge_cloze": 3}


def test_data_made_of_tasks_is_asked_as_it_says(home):
    document = asked(home, OF_TASKS)
    assert document["rows"] == {"arc_easy_cloze": 9}
    metrics, _ = expected(home, OF_TASKS, splits_of(home, OF_TASKS).test)
    assert document["metrics"] == metrics
    other = asked(home, OF_TASKS, "--tasks", "arc_challenge_cloze")
    assert other["rows"] == {"arc_challenge_cloze": 7}
    # Its root is the data's own: SWEEPER_DATA is not set here.
    validation = asked(home, OF_TASKS, "--tasks", "arc_easy_cloze", "--split", "validation")
    assert validation["rows"] == {"arc_easy_cloze": len(splits_of(home, OF_TASKS).validation)}


def test_written_answers_are_generated(home):
    document = asked(home, OF_TASKS, "--tasks", "arc_easy", "--rows", 2)
    assert {"arc_easy/option", "accuracy"} <= set(document["metrics"])
    assert document["protocol"]["generation"] == {"arc_easy": {"max_new_tokens": 2, "stop": ["\n"]}}


def test_test_examples_of_a_mixture(home):
    data = find_trial(OF_TASKS, home=home).spec().data
    assert isinstance(data, TasksDataSpec)
    assert data.test_examples() == data.load().test
    assert Counter(e.task for e in data.test_examples(["arc_challenge_cloze"], rows=2)) == {
        "arc_challenge_cloze": 2
    }
    chosen = data.model_copy(update={"scoring": "choice"})
    assert {e.scoring for e in data.test_examples(["arc_easy"])} == {"generate"}
    assert {e.scoring for e in chosen.test_examples(["arc_easy"])} == {"choice"}
    with pytest.raises(DataError, match="arc_easy"):
        data.test_examples(["arc_eesy"])


# By the harness.


def test_the_harness_asks_the_adapter_and_the_base(home, quick):
    options = ["--harness", "--tasks", "arc_local", "--harness-tasks", home.parent / "harness"]
    document = asked(home, LORA, *options, "--base")
    assert document["evaluator"] == "lm-evaluation-harness"
    assert document["rows"] == {"arc_local": 5}
    assert document["split"] == ""
    names = {f"arc_local/{name}{end}" for name in ("acc", "acc_norm") for end in ("", "_se")}
    assert set(document["metrics"]) == set(document["base_metrics"]) == names
    assert document["protocol"]["shots"] == {"arc_local": 0}
    result = call(BY_DOMAIN, "--home", home, *options, "--rows", 2)
    assert result.exit_code == 0, result.output
    version = document["protocol"]["version"]
    assert f"by lm-evaluation-harness {version}, 2 rows, in " in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny-2"], "did you mean 'tiny-1'"),
        (["000000000003"], f"has no adapter; one is saved .* name another one: {LORA}"),
        ([LORA, "--tasks", "arc_eesy"], "arc_easy"),
        ([LORA, "--tasks", "piqa_cloze"], "no data for the task piqa_cloze"),
        ([OF_TASKS, "--tasks", "piqa_cloze"], "no data for the task piqa_cloze"),
        (
            [OF_TASKS, "--tasks", "gsm8k", "--split", "validation"],
            "to evaluate on: got gsm8k in",
        ),
        ([LORA, "--split", "train"], "train"),
        ([LORA, "--rows", "0"], "greater than or equal to 1"),
        ([LORA, "--harness"], "tasks: none is given; .* add --tasks arc_easy,hellaswag"),
        ([LORA, "--harness", "--tasks", "a", "--split", "validation"], "leave --split out"),
        (
            [LORA, "--harness-tasks", "."],
            "without --harness, which is the only reader of it; add --har",
        ),
        ([LORA, "--harness", "--tasks", "a", "--harness-tasks", "."], r"no \*\.yaml in"),
    ],
)
def test_bad_input_ends_in_exit_code_2(arguments, message, home, data_root, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = [kept(home, trial_id) for trial_id in (LORA, OF_TASKS)]
    result = call(*arguments, "--home", home)
    assert result.exit_code == 2, result.output
    words = " ".join(result.output.split())
    assert re.search(message, words), words
    assert [kept(home, trial_id) for trial_id in (LORA, OF_TASKS)] == before


def test_without_the_harness_the_exit_code_is_2(home, monkeypatch):
    monkeypatch.setattr(run, "find_spec", lambda name: None)
    result = call(LORA, "--home", home, "--harness", "--tasks", "arc_easy")
    assert result.exit_code == 2
    assert "run: pip install 'masa-mosa-sweeper[harness]'" in result.output


def test_an_evaluation_that_fails_ends_in_exit_code_1(home):
    options = ["--home", home, "--harness", "--tasks", "arc_long"]
    folder = home.parent / "long"
    file = arc.write_rows(home.parent / "long.jsonl", arc.rows(0, 2))
    # An answer of more tokens than the model, one for each letter, has positions.
    arc.write_task(folder, "arc_long", file, doc_to_choice=["a" * 3000, "b"], doc_to_target=0)
    result = call(LORA, *options, "--harness-tasks", folder)
    assert result.exit_code == 1, result.output
    assert "lm-evaluation-harness could not evaluate arc_long" in result.output


def test_data_with_other_domains_than_then_is_told(home, tmp_path):
    found = find_trial(BY_DOMAIN, home=home)
    spec = json.loads((found.trial.path / "spec.json").read_text())
    sweep = SweepFolder.create(tmp_path, "moved", document=exported.DOCUMENT)
    data = tmp_path / "data"
    data.mkdir()
    for name in ("train", "validation", "test"):
        rows = [{"prompt": "1+1=", "answer": "2", "domain": d} for d in "abc"]
        (data / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    spec["spec"]["data"]["path"] = str(data)
    moved = sweep.add_trial("a" * 12, spec=spec["spec"], number=0, method="mtl_lora")
    moved.adapter.symlink_to(found.trial.adapter)
    result = call("a" * 12, "--home", tmp_path)
    assert result.exit_code == 2, result.output
    assert "the data is not what the trial was trained on" in result.output


# What is printed.


def printed(document, width, **options):
    file = io.StringIO()
    Console(file=file, width=width).print(evaluation_view(document, **options), crop=False)
    return file.getvalue()


@pytest.mark.parametrize("width", [80, 160])
def test_what_is_printed_fits(width):
    chosen = "Best by validation: trial 3 (masa), eval_loss 1.2 (lower is better)."
    text = printed(DOCUMENT, width, chosen=chosen)
    lines = text.splitlines()
    assert [line for line in lines if len(line) > width and line.strip() != DOCUMENT["path"]] == []
    assert lines[0] == chosen
    assert lines[1] == "Evaluated trial 0123456789ab (masa) of sweep masa-smollm2-1"
    assert "  by sweeper, 1,234 rows of the test split, in 1 min 15 s" in lines
    assert f"  {DOCUMENT['path']}" in lines
    cells = [line.split() for line in lines]
    assert ["metric", "trial"] in cells
    assert ["arc_easy_cloze/accuracy", "0.512", "±", "0.012"] in cells
    assert ["arc_easy_cloze/loss", "inf"] in cells
    assert "_se" not in text


def test_the_base_stands_beside():
    base = {"arc_easy_cloze/accuracy": 0.25, "arc_easy_cloze/accuracy_se": 0.01}
    text = printed({**DOCUMENT, "base_metrics": base, "rows": {"a": 1, "b": 2000}}, 100)
    cells = [line.split() for line in text.splitlines()]
    assert ["metric", "trial", "base"] in cells
    assert "difference" not in text
    ours, theirs = "0.512 ± 0.012", "0.250 ± 0.010"
    assert ["arc_easy_cloze/accuracy", *f"{ours} {theirs}".split()] in cells
    assert ["arc_easy_cloze/loss", "inf", "–"] in cells
    assert "2,001 rows of the test split (a 1, b 2,000)" in text


def test_a_gain_has_its_sign():
    name = "arc_easy_cloze/accuracy"
    base, gain = {name: 0.25, f"{name}_se": 0.01}, {name: 0.262, f"{name}_se": 0.004}
    text = printed({**DOCUMENT, "base_metrics": base, "gains": gain}, 100)
    cells = [line.split() for line in text.splitlines()]
    assert ["metric", "trial", "base", "difference"] in cells
    row = f"{name} 0.512 ± 0.012 0.250 ± 0.010 +0.2620 ± 0.0040"
    assert row.split() in cells
    loss = {name: -0.262, f"{name}_se": 0.004}
    assert " -0.2620 ± 0.0040" in printed({**DOCUMENT, "base_metrics": base, "gains": loss}, 100)
    assert ["arc_easy_cloze/loss", "inf", "–", "–"] in cells


def test_what_is_left_out_is_printed_where_there_is_some():
    assert "left out" not in printed(DOCUMENT, 100)
    text = printed({**DOCUMENT, "rows_left_out": {"arc_easy_cloze": 1300, "b": 2}}, 100)
    assert "1,234 rows of the test split, 1,302 left out (answer too long), in" in text


def test_a_trial_is_asked_by_its_own_metrics_and_by_the_same_function(tmp_path):
    root = exported.make_world(tmp_path)
    function = root / "mine.py"
    function.write_text("def letters(p, r):\n    return [len(text) for text in p]\n")
    own = PythonMetricSpec(python=f"{function}:letters", mode="max").with_hash()
    evaluation = EvaluationSpec(metrics=("exact", own), max_new_tokens=3)
    spec = exported.trial(LoraSpec(rank=2), root).model_copy(update={"evaluation": evaluation})
    sweep = SweepFolder.create(root / "sweeps", "own-1", document=exported.DOCUMENT)
    found = find_trial(exported.made(sweep, spec).id, home=sweep.home)
    asked = EvaluationRequest(has_base=True)
    document = evaluate_trial(found, asked).document()
    metrics = document["metrics"]
    assert {"exact", "letters", "letters/sum", "letters/letter", "greedy_exact"} <= metrics.keys()
    assert 0 <= metrics["letters"] <= 3
    assert document["base_metrics"].keys() == metrics.keys()
    assert "letters_se" in document["gains"]
    assert document["protocol"]["functions"]["letters"]["sha256"] == own.sha256
    before = kept(sweep.home, found.trial.id)
    function.write_text("def letters(p, r):\n    return [0.0 for text in p]\n")
    with pytest.raises(BadInputError, match="is not the file that the sweep was made with"):
        evaluate_trial(found, asked)
    assert kept(sweep.home, found.trial.id) == before
