"""`python -m sweeper export`: what it prints, and its exit codes."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from typing import get_args, get_type_hints

import pytest
from rich.console import Console
from typer.testing import CliRunner

from sweeper.cli import app
from sweeper.cli.commands.trial import export
from sweeper.export import EXPORT_FORMATS, conversion
from sweeper.report.terminal import export_view
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper_adapters.methods import LoraSpec, MasaSpec
from tests.sweeper import exported

DOCUMENT = {
    "trial": "0123456789ab",
    "sweep": "masa-smollm2-1",
    "method": "masa",
    "format": "merged",
    "path": "/a/folder/with/a/name/that/is/longer/than/any/terminal/would/be/wide/exports/merged",
    "files": ["README.md", "config.json", "generation_config.json", "model.safetensors"],
    "bytes": 269_000_000,
    "dtype": "bf16",
    "largest_difference": 0.038,
    "tolerance": 0.11,
    "adapter_effect": 15.2,
    "notes": (),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A sweep of which trial 1, a MASA with a router, is the best; trial 0 is a LoRA."""
    root = exported.make_world(tmp_path_factory.mktemp("world"))
    sweep = SweepFolder.create(root / "sweeps", "tiny-1", document=exported.DOCUMENT)
    exported.made(sweep, exported.trial(LoraSpec(rank=2), root), number=0, loss=2.0)
    routed = MasaSpec(rank=2, experts=2, router="softmax")
    exported.made(sweep, exported.trial(routed, root), number=1, loss=1.0)
    return sweep.home


def call(*arguments):
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def test_the_best_trial_of_a_sweep_is_exported(home, tmp_path):
    result = call("tiny-1", "--home", home, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "Best by validation: trial 1 (masa), eval_loss 1.00 ± 0.10 (lower" in result.output
    assert "Exported trial 000000000001 (masa) of sweep tiny-1" in result.output
    assert (tmp_path / "out" / "adapter_config.json").is_file()


@pytest.mark.whole
def test_json_is_one_document(home, tmp_path):
    command = [sys.executable, "-m", "sweeper", "export", "000000000000", "--format", "merged"]
    command += ["--home", str(home), "--output", str(tmp_path / "out"), "--json"]
    process = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    document = json.loads(process.stdout)
    assert document["trial"] == "000000000000"
    assert document["sweep"] == "tiny-1"
    assert document["method"] == "lora"
    assert document["format"] == "merged"
    assert document["path"] == str(tmp_path / "out")
    assert "model.safetensors" in document["files"]
    assert document["bytes"] > 100_000
    assert 0 <= document["largest_difference"] <= document["tolerance"]
    assert process.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny-2"], "did you mean 'tiny-1'"),
        (["000000000009"], "did you mean '000000000001' or '000000000000'"),
        (["tiny-1", "--format", "lora"], "masa cannot be exported as lora: "),
        (["tiny-1", "--format", "merged"], "possible for this trial: peft"),
        (["tiny-1", "--dtype", "bf16"], "dtype: got bf16 for format peft"),
        (["tiny-1", "--format", "onnx"], "onnx"),
        (["tiny-1", "--output", "."], "is not empty"),
    ],
)
def test_bad_input_ends_in_exit_code_2(arguments, message, home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    result = call(*arguments, "--home", home)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_export_that_is_not_equal_ends_in_exit_code_1(home, tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "ARITHMETIC", -1.0)
    result = call("tiny-1", "--home", home, "--output", tmp_path / "out")
    assert result.exit_code == 1, result.output
    assert re.search(r"logits on \d+ validation prompts\s+differ by", result.output)
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_knows_all_formats():
    choices, *_ = get_args(get_type_hints(export, include_extras=True)["form"])
    assert get_args(choices) == EXPORT_FORMATS


def printed(document, width, **options):
    file = io.StringIO()
    Console(file=file, width=width).print(export_view(document, **options), crop=False)
    return file.getvalue()


@pytest.mark.parametrize("width", [80, 160])
def test_what_is_printed_fits(width):
    chosen = "Best by validation: trial 3 (masa), eval_loss 1.2 (lower is better)."
    text = printed(DOCUMENT, width, chosen=chosen)
    lines = text.splitlines()
    assert [line for line in lines if len(line) > width and line.strip() != DOCUMENT["path"]] == []
    assert lines[0] == chosen
    assert lines[1] == "Exported trial 0123456789ab (masa) of sweep masa-smollm2-1"
    assert f"  {DOCUMENT['path']}" in lines
    words = " ".join(text.split())
    assert "(269 MB)" in words
    assert "largest difference of logits on validation prompts: 0.038 (" in words
    assert "allowed for rounding: 0.11; effect of the adapter: 15" in words
    assert "--dtype" not in text


def test_a_merge_that_loses_much_is_said():
    text = " ".join(printed({**DOCUMENT, "adapter_effect": 0.1}, 80).split())
    assert "Rounding to bf16 loses much of the adapter's effect; --dtype fp32" in text
    assert "Rounding to" not in printed({**DOCUMENT, "adapter_effect": 0.1, "format": "lora"}, 80)
