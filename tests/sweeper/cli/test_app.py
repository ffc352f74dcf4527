"""The command line: bad input ends in exit code 2 and starts nothing; plan and doctor print."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import ray
from typer.testing import CliRunner, Result

from sweeper import __version__
from sweeper.cli import app
from sweeper.cli.output import opened_output
from sweeper.errors import SweeperError
from sweeper.evaluation.sandbox.run import Isolation
from sweeper.preflight.doctor import examine

SPACE = """
name: tiny
profile: tiny
methods:
  - {name: masa, experts: 2, group_size: 2}
train: {learning_rate: {loguniform: [1e-4, 1e-2]}}
search: {trials: 3}
"""

PROFILE = """
name: tiny
model: {kind: embedded}
data: {kind: embedded}
train: {steps: 8}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "tiny.yaml").write_text(PROFILE)
    (tmp_path / "tiny.yaml").write_text(SPACE)
    return tmp_path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def assert_refused(folder: Path, message: str, *arguments: object) -> None:
    home = folder / "home"
    result = call("run", folder / "tiny.yaml", "--home", home, *arguments)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert not home.exists()
    assert not ray.is_initialized()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("methods.0.name=maasa", "did you mean 'masa'"),
        ("methods.masa.experts=0", "got 0"),
        ("methods.masa.group_size=99", "99"),
        ("methods=[{name: mosa, rank: null, groups: 99999999}]", "99999999"),
        ("methods.masa.targets=[q_prj]", "q_proj"),
        ("train.stepz=3", "did you mean 'steps'"),
        ("train.steps", "path=value"),
        ("resources.workers=1000", "one replica needs 1000 worker"),
        ("data={kind: jsonl, path: nowhere}", "SWEEPER_DATA"),
        ("model={kind: folder, path: nowhere}", "model.path"),
    ],
)
def test_bad_input_is_refused_before_anything_starts(
    folder: Path, override: str, message: str
) -> None:
    assert_refused(folder, message, "--set", override)


def test_help_imports_nothing_that_is_slow_to_import() -> None:
    code = (
        "import sys, sweeper.cli; slow = {'numpy', 'pydantic', 'ray', 'sweeper_adapters', 'torch'};"
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_yaml_syntax_is_refused_with_its_place(folder: Path) -> None:
    (folder / "tiny.yaml").write_text("name: tiny\nmethods: [")
    assert_refused(folder, "line")


def test_empty_data_is_refused(folder: Path) -> None:
    (folder / "data").mkdir()
    for split in ("train", "test"):
        (folder / "data" / f"{split}.jsonl").write_text("")
    assert_refused(folder, "empty", "--set", f"data={{kind: jsonl, path: {folder / 'data'}}}")


def test_an_unknown_sweep_is_refused_with_the_nearest(folder: Path) -> None:
    result = call("report", "masa-1", "--home", folder)
    assert result.exit_code == 2
    assert "holds no sweep" in result.output


def test_a_cluster_that_is_not_there_is_refused(folder: Path) -> None:
    assert_refused(folder, "no Ray cluster at 'localhost:1'", "--address", "localhost:1")


def test_plan_lists_every_trial_with_its_size(folder: Path) -> None:
    result = call("plan", folder / "tiny.yaml", "--set", "methods.masa.experts={grid: [2, 3]}")
    assert result.exit_code == 0, result.output
    assert "Nothing was started" in result.output


def test_plan_json_is_one_document(folder: Path) -> None:
    command = [sys.executable, "-m", "sweeper", "plan", str(folder / "tiny.yaml"), "--json"]
    process = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    plan = json.loads(process.stdout)
    assert len(plan["trials"]) == 3
    assert len({trial["id"] for trial in plan["trials"]}) == 3
    for trial in plan["trials"]:
        assert trial["method"] == "masa"
        assert trial["trainable"] > 0
        assert 0 < trial["percent"] < 100
        assert trial["params"]["experts"] == 2
    assert plan["missing"] == []


def test_plan_tells_what_a_budget_chose(folder: Path) -> None:
    budget = "budget={match: lora, rank: 2}"
    result = call("plan", folder / "tiny.yaml", "--set", budget)
    assert result.exit_code == 0, result.output
    assert "Budget: match lora, rank 2" in result.output
    assert "deviation" in result.output
    budget = "budget={params: 0.5}"
    result = call("plan", folder / "tiny.yaml", "--set", budget)
    assert result.exit_code == 2
    assert "write 0.5% if percent is meant" in result.output


@pytest.mark.whole
def test_params_json_is_one_document(folder: Path) -> None:
    trials = [
        {"name": "a", "method": {"name": "lora", "rank": 2}},
        {
            "name": "b",
            "method": {"name": "mosa", "rank": 32},
            "architecture": "llama2-7b",
            "published": {"params": "0.8256", "source": "MoSA, Table 2"},
        },
    ]
    content = {"name": "list", "train": {"learning_rate": 1e-3}, "trials": trials}
    (folder / "list.yaml").write_text(json.dumps(content))
    command = [sys.executable, "-m", "sweeper", "params", str(folder / "list.yaml"), "--json"]
    command += ["--profile", "tiny", "--set", "trials.a.method.rank=3"]
    process = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    mine, papers = json.loads(process.stdout)
    assert (mine["name"], mine["method"], mine["published"]) == ("a", "lora", None)
    assert mine["optimizer_bytes"] == 8 * mine["trainable"]
    assert mine["adapter_bytes"] > 4 * mine["trainable"]
    assert papers["total"] == 6_738_415_616 + papers["trainable"]
    assert papers["published"] == f"{papers['percent']:.4f}" == "0.8256"


def test_of_a_list_nothing_is_run_on_a_wrong_profile(folder: Path) -> None:
    trials = "trials=[{name: a, method: {name: lora}, architecture: llama2-7b}]"
    (folder / "tiny.yaml").write_text("name: x\nprofile: tiny\ntrain: {learning_rate: 1e-3}\n")
    assert_refused(folder, "take a profile of one of these", "--set", trials)


def test_doctor_names_what_is_there(folder: Path) -> None:
    result = call("doctor")
    assert "torch" in result.output
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("package", "reason", "extra"),
    [
        ("bitsandbytes", "needed by qlora", "[quantization]"),
        ("lm-eval", "needed by evaluate --harness", "[harness]"),
        ("sacrebleu", "needed by BLEU", "[metrics]"),
        ("rouge-score", "needed by ROUGE-L", "[metrics]"),
        ("nltk", "needed by METEOR", "[metrics]"),
        ("psycopg", "needed by PostgreSQL, for studies and MLflow", "[postgresql]"),
    ],
)
def test_doctor_names_what_wants_a_package_that_is_not_there(
    package: str, reason: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = importlib.metadata.version

    def without(name: str) -> str:
        if name == package:
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without)
    [found] = [finding for finding in examine() if finding.name == package]
    assert (found.status, found.detail) == ("optional", f"not installed; {reason}")
    assert found.fix == f"pip install 'masa-mosa-sweeper{extra}'"


def test_doctor_and_plan_ask_the_studies_database(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPER_OPTUNA_STORAGE", "postgresql://me:secret@127.0.0.1:1/x")
    [finding] = [found for found in examine() if found.name == "studies' database"]
    assert finding.status == "missing"
    assert "postgresql://127.0.0.1:1/x cannot be used" in finding.detail
    assert "secret" not in finding.detail
    assert_refused(folder, "postgresql://127.0.0.1:1/x cannot be used")
    checked = call("plan", folder / "tiny.yaml", "--home", folder / "home", "--check")
    assert checked.exit_code == 2
    assert "it must answer before a sweep starts" in checked.output


@pytest.mark.parametrize(
    ("had", "status", "detail"),
    [
        (Isolation(True, True, True), "ok", "network: closed by the kernel, files: read-only"),
        (Isolation(False, True, True), "optional", "that bypasses the hook can open connections"),
        (SweeperError("no walls here"), "optional", "needed by HumanEval; no walls here"),
    ],
)
def test_doctor_says_what_holds_the_programs_of_models(
    had: Isolation | SweeperError, status: str, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def isolation() -> Isolation:
        if isinstance(had, SweeperError):
            raise had
        return had

    monkeypatch.setattr("sweeper.preflight.doctor.isolation", isolation)
    [found] = [finding for finding in examine() if finding.name == "sandbox of HumanEval"]
    assert found.status == status
    assert detail in found.detail
    assert bool(found.fix) == (status != "ok")


def test_a_store_that_does_not_answer_is_told_before_a_sweep_is_made(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        uri = f"http://user:secret@127.0.0.1:{unused.getsockname()[1]}"
    assert_refused(folder, "cannot be used", "--tracking-uri", uri)


def test_a_home_that_cannot_be_made_is_told_before_a_sweep_is(folder: Path) -> None:
    (folder / "file").touch()
    result = call("run", folder / "tiny.yaml", "--home", folder / "file" / "sweeps")
    assert result.exit_code == 2
    assert "file is in the way" in result.stderr


def test_warnings_of_the_http_client_stay_out_of_the_terminal() -> None:
    with opened_output(as_json=False):
        log = logging.getLogger("urllib3.connectionpool")
        assert not log.isEnabledFor(logging.WARNING)
        assert log.isEnabledFor(logging.ERROR)


@pytest.mark.parametrize(
    ("asked", "status", "detail"),
    [("", "ok", "native on cpu"), ("torch", "optional", "slower"), ("fast", "missing", "'fast'")],
)
def test_doctor_says_which_kernels_run(
    asked: str, status: str, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPER_KERNELS", asked)
    found = next(finding for finding in examine() if finding.name == "kernels")
    assert found.status == status
    assert detail in found.detail


@pytest.mark.parametrize(
    "command", ["run", "resume", "plan", "params", "report", "export", "ui", "doctor"]
)
def test_help_is_there_for_every_command(command: str) -> None:
    result = call(command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


@pytest.mark.parametrize("columns", [80, 160])
def test_paragraphs_of_a_help_are_broken_by_the_terminal(columns: int) -> None:
    environment = {"COLUMNS": str(columns), "TERMINAL_WIDTH": str(columns)}
    result = CliRunner().invoke(app, ["init", "--help"], env=environment)
    lines = [line.strip() for line in result.output.splitlines()]
    begin = next(n for n, line in enumerate(lines) if line.startswith("It recognises"))
    paragraph = lines[begin : lines.index("", begin)]
    follows = [line.split()[0] for line in paragraph[1:]]
    assert len(paragraph) > 1
    # No line ends where its next word would have had room.
    for line, word in zip(paragraph, follows, strict=False):
        assert len(line) + 1 + len(word) > columns - 2


def test_the_version_is_told() -> None:
    result = call("--version")
    assert (result.exit_code, result.stdout) == (0, f"masa-mosa-sweeper {__version__}\n")


def test_the_shell_completes_names_of_sweeps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("masa-1", "masa-2", "mosa-1"):
        (folder / "sweeps" / name).mkdir(parents=True)
        (folder / "sweeps" / name / "sweep.json").touch()
    (folder / "sweeps" / "masa-no-sweep").mkdir()
    monkeypatch.setenv("SWEEPER_HOME", str(folder / "sweeps"))
    asked = {"_SWEEPER_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
    for words in ("sweeper report ma", "sweeper status ma", "sweeper export ma", "sweeper ui ma"):
        result = CliRunner().invoke(
            app, [], prog_name="sweeper", env={**asked, "COMP_WORDS": words}
        )
        assert result.stdout.split() == ["masa-1", "masa-2"], words


def test_a_plan_of_what_is_missing_begins_with_it_and_fails(folder: Path) -> None:
    text = PROFILE.replace("data: {kind: embedded}", "data: {kind: jsonl, path: not-there}")
    text = text.replace(
        "model: {kind: embedded}", "model: {kind: architecture, name: smollm2-135m}"
    )
    (folder / "profiles" / "tiny.yaml").write_text(text)
    result = call("plan", folder / "tiny.yaml")
    assert result.exit_code == 1, result.output
    missing = [line for line in result.stdout.splitlines() if line.startswith("Missing: ")]
    assert result.stdout.startswith("Missing: ")
    # The model and the data: who gets one of them should not find the other out later.
    assert len(missing) == 2
