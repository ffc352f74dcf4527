"""The command, its exit codes and what it prints; a refused sweep leaves nothing behind."""

import io
import json
import os
import subprocess
import sys

import pytest
import ray
from rich.console import Console
from typer.testing import CliRunner

from sweeper.cli import app
from sweeper.experiment.loading import load_sweep
from sweeper.preflight.checks import require_runnable
from sweeper.preflight.data import check_sweep_data
from sweeper.report.terminal import data_check_view

pytestmark = pytest.mark.usefixtures("cache")

SPACE = """
name: tiny
profile: tiny
methods:
  - {name: lora, rank: 2}
train: {learning_rate: 1e-3}
"""

PROFILE = """
name: tiny
model: {kind: embedded}
data: {kind: jsonl, path: DATA}
train: {steps: 8, max_length: 32}
"""


@pytest.fixture
def folder(tmp_path, examples):
    """A space whose test rows are all training rows, which are bad in every way besides."""
    (tmp_path / "profiles").mkdir()
    (tmp_path / "data").mkdir()
    profile = PROFILE.replace("DATA", str(tmp_path / "data"))
    (tmp_path / "profiles" / "tiny.yaml").write_text(profile)
    (tmp_path / "tiny.yaml").write_text(SPACE)
    rows = {"train": examples(100), "validation": examples(10), "test": examples(20)}
    rows["train"][:20] = rows["test"]
    rows["train"] += rows["train"][40:43]
    for split, made in rows.items():
        write(tmp_path / "data" / f"{split}.jsonl", made)
    return tmp_path


def write(path, examples):
    rows = [{"prompt": e.prompt, "answer": e.answer} for e in examples]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def call(command, folder, *arguments):
    command = [*command.split(), str(folder / "tiny.yaml"), *map(str, arguments)]
    return CliRunner().invoke(app, command)


def test_contaminated_data_ends_with_1(folder):
    result = call("data check", folder)
    assert result.exit_code == 1, result.output
    assert "A sweep on this data would be refused: too many rows of test" in result.output
    for kind in ("contamination", "repeated row", "cut prompt"):
        assert kind in result.output


def test_a_message_is_short_and_commands_no_terminal(folder):
    row = {f"\x1b[2J{number}{'x' * 99}": "a" for number in range(5000)}
    (folder / "data" / "train.jsonl").write_text(json.dumps(row) + "\n")
    result = call("data check", folder)
    assert result.exit_code == 2, result.output
    assert "no field 'answer'; its fields are \\x1b[2J0" in result.output
    assert "\x1b" not in result.output
    assert len(result.output) < 2000


def test_clean_data_ends_with_0_whatever_else_is_found(folder, examples):
    write(folder / "data" / "test.jsonl", examples(20))
    result = call("data check", folder)
    assert result.exit_code == 0, result.output
    assert "repeated row" in result.output
    assert "A sweep on this data would not be refused." in result.output


def test_allowed_contamination_ends_with_0_and_is_told(folder):
    result = call("data check", folder, "--set", "hygiene.contamination=allow")
    assert result.exit_code == 0, result.output
    assert "The data is contaminated (test); hygiene.contamination allows it." in result.output


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.path=nowhere", "SWEEPER_DATA"),
        ("hygiene.contamination=maybe", "refuse"),
        ("hygiene.overlp=0.5", "did you mean 'overlap'"),
    ],
)
def test_bad_input_ends_with_2(folder, override, message):
    result = call("data check", folder, "--set", override)
    assert result.exit_code == 2, result.output
    assert message in result.output


def test_a_row_that_cannot_be_read_ends_with_2_and_its_place(folder):
    (folder / "data" / "test.jsonl").write_text('{"prompt": "a", "answer": "b"}\n{\n')
    result = call("data check", folder)
    assert result.exit_code == 2, result.output
    assert "test.jsonl:2" in result.output


def make_fifo(path):
    path.unlink()
    os.mkfifo(path)


def make_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (make_fifo, "train.jsonl is a FIFO"),
        (make_folder, "train.jsonl is a folder"),
        (lambda path: path.write_bytes(b'{"prompt": "\xe9"}\n'), "train.jsonl:1: not UTF-8 text"),
        (lambda path: path.write_text('{"prompt": "a", "prompt": "b"}'), "is there twice"),
        (lambda path: path.write_text('{"prompt": "\\ud83d", "answer": "b"}'), "half of a char"),
        (lambda path: path.write_text('{"prompt": "a", "answer": NaN}'), "the answer is empty"),
    ],
)
def test_data_that_cannot_be_read_ends_with_2(folder, damage, message):
    damage(folder / "data" / "train.jsonl")
    for command in ("data check", "run"):
        result = call(command, folder, *(["--home", folder / "home"] * (command == "run")))
        assert result.exit_code == 2, result.output
        assert message in " ".join(result.output.split())
    assert not (folder / "home").exists()


def test_what_is_not_read_is_told(folder, caplog):
    (folder / "data" / "extra.jsonl").write_text("x")
    assert "Warning: " in call("data check", folder).output
    overrides = ["hygiene.contamination=allow", "train.max_length=200"]
    require_runnable(load_sweep(folder / "tiny.yaml", overrides=overrides))
    assert "not read: extra.jsonl" in caplog.text


@pytest.mark.whole
def test_json_is_one_document(folder):
    command = [sys.executable, "-m", "sweeper", "data", "check", str(folder / "tiny.yaml")]
    process = subprocess.run(
        [*command, "--json"], capture_output=True, text=True, timeout=120, check=False
    )
    assert process.returncode == 1, process.stderr
    document = json.loads(process.stdout)
    assert document["is_refused"]
    assert document["rows"] == {"train": 103, "validation": 10, "test": 20}
    counts = {(f["kind"], f["where"]): f["count"] for f in document["findings"]}
    assert counts["contamination", "test"] == 20
    assert counts["contamination", "validation"] == 0
    assert counts["repeated row", "train"] == 3
    # Each row has more than 32 tokens: of some the prompt is cut, of some the answer, of some both.
    cut = [counts.get((kind, "train"), 0) for kind in ("cut prompt", "cut answer")]
    assert max(cut) <= 103 <= sum(cut)
    assert not {("cut answer", "validation"), ("cut answer", "test")} & set(counts)
    assert document["not_looked_at"] == []


def test_without_the_model_all_but_lengths_is_looked_at(folder):
    model = "model={kind: architecture, name: llama2-7b}"
    result = call("data check", folder, "--set", model)
    assert result.exit_code == 1, result.output
    assert "Not checked: rows longer than train.max_length" in result.output
    assert "cut prompt" not in result.output


def test_a_model_of_the_hub_is_not_downloaded(folder):
    model = "model={kind: hub, name: nobody/nothing, architecture: llama2-7b}"
    result = call("data check", folder, "--set", model)
    assert result.exit_code == 1, result.output
    assert "Not checked: rows longer than train.max_length" in result.output
    assert "nobody/nothing" in result.output


def test_a_refused_sweep_leaves_nothing_behind(folder):
    home = folder / "home"
    result = call("run", folder, "--home", home)
    assert result.exit_code == 2, result.output
    assert "the data is contaminated: 20 of 20 rows (100.0%) of test" in result.output
    assert not home.exists()
    assert not ray.is_initialized()


def test_the_settings_are_no_part_of_a_trial(folder):
    identities = set()
    for value in ("refuse", "allow"):
        sweep = load_sweep(folder / "tiny.yaml", overrides=[f"hygiene.contamination={value}"])
        assert sweep.spec.hygiene.contamination == value
        [(_, point)] = sweep.space.corners()
        identities.add(sweep.space.trial(point).identity())
    assert len(identities) == 1


@pytest.mark.parametrize("width", [80, 160])
def test_the_view_fits_and_shows_both_rows(folder, width):
    document = check_sweep_data(load_sweep(folder / "tiny.yaml")).document()
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(data_check_view(document, title="tiny on tiny"), crop=False)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    [place] = [line for line in lines if line.startswith("test row 1: 100%")]
    # The other row stands beside it, in the right half.
    assert place.index("train row 1") >= width // 2 - 1
    assert any(
        line.split()[:5] == ["contamination", "test", "20", "20", "100.00%"] for line in lines
    )
