"""A sweep is tried without its model: what is right, what is wrong, and what is not at hand."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from sweeper.cli.app import app
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.trial import EngineSpec, TrainSpec
from sweeper.models.shapes import architecture
from sweeper.preflight.counting import TrialCounter
from sweeper.preflight.dry_run import DryRunFinding, dry_run
from sweeper.preflight.dry_run.engines import try_engines
from sweeper.training.deepspeed_config import ds_config
from sweeper.training.engine import config_problem
from tests.places import SHARED, SPACES

FULL_SIZE = sorted(
    path.stem
    for path in (SPACES / "profiles").glob("*.yaml")
    if not path.stem.startswith(("embedded", "smollm2"))
)
SPACE = """
name: tried
methods:
  - {name: masa, rank: 8}
  - {name: mosa, rank: 8}
train: {learning_rate: 1.0e-4}
search: {trials: 2}
"""


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "tried.yaml"
    path.write_text(SPACE, encoding="utf-8")
    return path


@pytest.fixture
def _shallow(monkeypatch):
    """Every packaged architecture with two of its layers, which are all alike."""
    monkeypatch.setattr(
        "sweeper.models.hub.architecture",
        lambda name: {**architecture(name), "num_hidden_layers": 2},
    )


def tried(space, profile, *overrides):
    findings = list(dry_run(load_sweep(space, profile=profile, overrides=overrides)))
    return {finding.name: finding for finding in findings}


def test_there_are_full_size_profiles():
    assert len(FULL_SIZE) >= 15


@pytest.mark.usefixtures("_shallow")
@pytest.mark.parametrize("profile", FULL_SIZE)
def test_every_full_size_profile_can_be_tried(space, profile, monkeypatch):
    monkeypatch.setenv("SWEEPER_DATA", str(SHARED))
    found = tried(space, profile)
    assert [x for x in found.values() if x.status == "no"] == []
    for name in ("model", "adapter masa", "adapter mosa", "engine"):
        assert found[name].status == "ok", found[name]
    assert "ZeRO-2, bf16" in found["engine"].detail
    # Its licence must be accepted: it is on no machine that runs tests.
    assert found["tokenizer"].status == "not at hand"
    # The rows of each task, or of the data set, have a finding of their own.
    assert len(found) > 5


def rows_file(folder, *answers):
    path = folder / "rows.jsonl"
    rows = [{"instruction": f"Say {number}.", "answer": x} for number, x in enumerate(answers)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def of_rows(path: Path) -> tuple[str, ...]:
    data = {
        "kind": "jsonl",
        "path": str(path),
        "format": {"name": "fields", "prompt": "{instruction}", "answer": "{answer}"},
    }
    return (f"data={json.dumps(data)}",)


@pytest.mark.usefixtures("_shallow")
def test_rows_that_are_short_fit_whatever_the_tokenizer_is(space, tmp_path):
    path = rows_file(tmp_path, *["yes"] * 40)
    found = tried(space, "llama3-8b", *of_rows(path))
    for split in ("train", "validation", "test"):
        assert found[f"jsonl data, {split}"].status == "ok"
    assert "whatever the tokenizer is" in found["jsonl data, train"].detail


@pytest.mark.usefixtures("_shallow")
def test_of_long_rows_only_the_tokenizer_tells(space, tmp_path):
    path = rows_file(tmp_path, *["yes " * 1000] * 40)
    found = tried(space, "llama3-8b", *of_rows(path))["jsonl data, train"]
    assert found.status == "not at hand"
    assert "only the tokenizer tells" in found.detail


@pytest.mark.usefixtures("_shallow")
def test_data_that_is_not_there_is_one_finding(space):
    found = tried(space, "llama3-8b")
    [data] = [x for name, x in found.items() if name.startswith("hub data")]
    assert data.status == "not at hand"
    assert "databricks/databricks-dolly-15k" in data.detail


def test_with_a_tokenizer_tokens_are_counted(space, tmp_path):
    usual = tried(space, "embedded")
    assert {x.status for x in usual.values()} == {"ok"}
    assert "tokens; " in usual["embedded data, train"].detail
    path = rows_file(tmp_path, *["one two three four five six seven eight nine ten " * 20] * 40)
    found = tried(space, "embedded", *of_rows(path), "train.max_length=32")
    # A sweep trains on such rows, and evaluates without them.
    for split, said in (("train", "their answers are cut"), ("validation", "such rows are left")):
        long = found[f"jsonl data, {split}"]
        assert long.status == "ok"
        assert f"by the answer alone: {said}" in long.detail
        assert "train.max_length" in long.fix


def test_an_adapter_that_is_not_what_was_planned_is_told(space, monkeypatch):
    sweep = load_sweep(space, profile="embedded")
    model = type(sweep.spec.model)
    monkeypatch.setattr(model, "trainable", lambda self, method: 7)
    found = {x.name: x for x in dry_run(sweep)}
    assert found["adapter mosa"].status == "no"
    assert "but 7 as planned" in found["adapter mosa"].detail


def test_an_adapter_that_cannot_be_put_in_does_not_stop_the_others(space, monkeypatch):
    count = TrialCounter.count

    def broken(self, spec):
        if spec.method.name == "masa":
            raise ValueError("no such layer")
        return count(self, spec)

    monkeypatch.setattr(TrialCounter, "count", broken)
    found = tried(space, "embedded")
    assert found["adapter masa"].status == "no"
    assert "no such layer" in found["adapter masa"].detail
    assert found["adapter mosa"].status == found["engine"].status == "ok"


TRAIN = TrainSpec(steps=4, learning_rate=1e-3, batch_size=4)


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_deepspeed_reads_what_is_meant(stage, precision):
    spec = EngineSpec(zero_stage=stage, precision=precision, gradient_accumulation=2)
    assert config_problem(ds_config(TRAIN, spec, trainable=1001, is_cuda=True), spec) == ""
    if stage:
        offloaded = spec.model_copy(update={"offload": "cpu"})
        made = ds_config(TRAIN, offloaded, trainable=1001, is_cuda=True)
        assert config_problem(made, offloaded) == ""
        assert "offload" in config_problem(made, spec)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fp16": {"enabled": True}}, "cannot be simultaneously enabled"),
        ({"zero_optimization": {"stage": 2, "buckets": 1}}, "buckets"),
        ({"zero_optimization": {"stage": 1}}, "zero_stage is 2, which DeepSpeed reads as 1"),
    ],
)
def test_what_deepspeed_refuses_or_reads_otherwise_is_told(changed, said):
    spec = EngineSpec(zero_stage=2, precision="bf16")
    config = {**ds_config(TRAIN, spec, trainable=1001, is_cuda=True), **changed}
    assert said in config_problem(config, spec)


def test_without_deepspeed_engines_are_not_at_hand(monkeypatch):
    def missing(*_: Any) -> str:
        raise ImportError("No module named 'deepspeed'")

    monkeypatch.setattr("sweeper.preflight.dry_run.engines.config_problem", missing)
    method = SimpleNamespace(model_dump_json=lambda: "m")
    trial: Any = SimpleNamespace(train=TRAIN, engine=EngineSpec(), method=method)
    [found] = try_engines([trial], {"m": 10}, is_cuda=False)
    assert found.status == "not at hand"
    assert "No module named 'deepspeed'" in found.detail


def test_the_command_prints_findings_and_no_plan(space):
    called = ["plan", str(space), "--profile", "embedded", "--dry-run"]
    result = CliRunner().invoke(app, called)
    assert result.exit_code == 0, result.output
    assert "adapter mosa" in result.output
    assert re.search(r"[1-9] ok, 0 no, 0 not at hand", result.output)
    assert "trainable parameters, as planned" in " ".join(result.output.split())


@pytest.mark.slow
def test_as_json_they_are_one_document(space):
    command = [sys.executable, "-m", "sweeper", "plan", str(space), "--profile", "llama3-8b"]
    command += ["--dry-run", "--json", "--set", "methods=[{name: lora, rank: 8}]"]
    # What the user has set does not let it ask the Hub.
    asking = {**os.environ, "HF_HUB_OFFLINE": "0"}
    process = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=240, env=asking
    )
    findings = {finding["name"]: finding for finding in json.loads(process.stdout)}
    assert findings["adapter lora"]["status"] == "ok"
    assert findings["model"]["detail"].startswith("8,030,261,248 parameters in 32 layers")
    assert findings["tokenizer"]["status"] == findings["hub data"]["status"] == "not at hand"
    assert all({"name", "status", "detail", "fix"} == set(x) for x in findings.values())


def test_something_wrong_is_exit_code_2(space, monkeypatch):
    found = [
        DryRunFinding("engine", "no", "DeepSpeed refuses it", "change engine"),
        DryRunFinding("tokenizer", "not at hand", "no licence"),
    ]
    monkeypatch.setattr("sweeper.preflight.dry_run.dry_run", lambda sweep: iter(found))
    called = ["plan", str(space), "--profile", "embedded", "--dry-run"]
    result = CliRunner().invoke(app, called)
    assert result.exit_code == 2, result.output
    for line in ("NO", "DeepSpeed refuses it", "fix: change engine", "not at hand: no licence"):
        assert line in result.stdout
    assert "0 ok, 1 no, 1 not at hand" in result.stdout


def test_a_dry_run_does_not_check_the_model(space):
    called = ["plan", str(space), "--profile", "embedded", "--dry-run", "--check"]
    result = CliRunner().invoke(app, called)
    assert result.exit_code == 2
    assert "give one of them" in result.stderr
