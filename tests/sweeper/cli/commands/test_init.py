"""The command `init`: from a model and data to a file that plan takes, and what it refuses."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from sweeper.cli import app
from sweeper.cli.commands import init
from tests.sweeper.preflight.start.made import ROWS, make_model, write_lines


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEPER_DATA", raising=False)
    make_model(tmp_path)
    write_lines(tmp_path / "my-data.jsonl", ROWS)
    return tmp_path


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_a_model_and_data_become_a_plan_and_a_comparison(here):
    said = call("init", "--model", "model", "--data", "my-data.jsonl")
    assert "⟦" in said
    assert "question/answer" in said
    assert "Wrote my-data.yaml. Next:" in said
    plan = call("plan", "my-data.yaml", "--check", "--home", here)
    assert "Plan of my-data on model" in plan
    compared = call("compare", "my-data.yaml", "--methods", "masa,lora", "--plan", "--home", here)
    assert "Not taken over in a comparison, at the default: masa.experts" in compared
    assert "Plan of my-data-compare on model" in compared
    # Once more it is refused, and nothing has changed.
    before = (here / "my-data.yaml").read_bytes()
    said = call("init", "--model", "model", "--data", "my-data.jsonl", "--yes", code=2)
    assert "no file is overwritten" in said
    assert (here / "my-data.yaml").read_bytes() == before


def test_somebody_at_a_terminal_is_asked(here, monkeypatch):
    class Terminal:
        @staticmethod
        def isatty() -> bool:
            return True

    class Sys:
        stdin = stdout = Terminal

    monkeypatch.setattr(init, "sys", Sys)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    said = call("init", "--model", "model", "--data", "my-data.jsonl")
    assert "Nothing was written." in said
    assert not (here / "my-data.yaml").exists()
    call("init", "--model", "model", "--data", "my-data.jsonl", "--yes")
    assert (here / "my-data.yaml").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "./nowhere", "--data", "my-data.jsonl"), "there is no model"),
        (("--model", "model", "--data", "./nowhere"), "there is nothing"),
        (("--model", "model", "--data", "odd.jsonl"), "with these fields: p, q"),
    ],
)
def test_what_is_not_there_is_told_and_nothing_is_written(here, options, message):
    write_lines(here / "odd.jsonl", [{"p": "a b", "q": 3}, {"p": "c d", "q": 4}])
    before = sorted(path.name for path in here.iterdir())
    assert message in " ".join(call("init", *options, code=2).split())
    assert sorted(path.name for path in here.iterdir()) == before
