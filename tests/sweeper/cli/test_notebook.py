"""The sweeper in Python: results on disk, plans, and sweeps in a process of their own."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

import sweeper
from sweeper.cli import notebook, process
from sweeper.errors import BadInputError, SpecError, SweeperError
from tests.places import SPACES
from tests.sweeper.execution.test_recorded import COMPLETE, INTERRUPTED, recorded  # noqa: F401 - a fixture

SPACE = {
    "name": "two",
    "methods": [{"name": "lora", "rank": {"choice": [2, 4]}}],
    "search": {"trials": 2},
}


def test_the_package_offers_it_and_nothing_else():
    assert sweeper.run is notebook.run
    assert sweeper.compare is notebook.compare
    assert sweeper.open is notebook.open_sweep
    with pytest.raises(AttributeError, match="no attribute 'runs'"):
        sweeper.runs  # noqa: B018 - to be looked up


def test_trials_are_a_table_with_mlflows_names(recorded):  # noqa: F811 - the fixture
    sweep = sweeper.open("recorded-1", home=recorded.home)
    table = sweep.trials
    assert list(table.index) == [0, 1, 2]
    assert list(table["id"]) == [*COMPLETE, INTERRUPTED]
    assert list(table["status"]) == ["complete", "complete", "running"]
    losses = dict(zip(table["id"], table["metrics.eval_loss"], strict=True))
    assert set(table["params.rank"]) == {2}
    assert sweep.best is not None
    assert sweep.best.id == min(COMPLETE, key=losses.__getitem__)
    assert sweep.best.metrics["eval_loss"] == losses[sweep.best.id]
    assert sweep.best.adapter == recorded.trial(sweep.best.id).adapter


def test_a_plan_is_of_a_file_or_of_a_mapping(tmp_path):
    plan = sweeper.plan(SPACES / "masa.yaml", profile="embedded", home=tmp_path)
    assert len(plan.document["trials"]) > 1
    assert "Nothing was started." in str(plan)
    short = sweeper.plan(SPACE, profile="embedded", overrides={"search.trials": 1}, home=tmp_path)
    assert len(short.document["trials"]) == 1
    with pytest.raises(SpecError, match=r"train\.steps"):
        sweeper.plan(SPACE, profile="embedded", overrides={"train.steps": "many"}, home=tmp_path)
    assert list(tmp_path.iterdir()) == []


QUESTION: dict[str, Any] = {
    "methods": ["masa", "lora"],
    "seeds": 2,
    "rates": (1e-3, 1e-2),
    "delta": 0.05,
}


def test_a_plan_of_a_comparison_is_that_of_the_command(tmp_path):
    masa = SPACES / "masa.yaml"
    plan = sweeper.plan(masa, overrides={"train.steps": 20}, home=tmp_path, **QUESTION)
    options = ["--methods", "masa,lora", "--seeds", "2", "--rates", "1e-3,1e-2", "--delta", "0.05"]
    call = ["compare", str(masa), *options, "--set", "train.steps=20", "--plan"]
    printed = process.run_command([*call, "--home", str(tmp_path)])
    planned = json.loads(json.dumps(plan.document))
    # What it costs hangs on how fast the machine is at the moment.
    assert planned.pop("costs").keys() == printed.pop("costs").keys()
    assert planned == printed
    assert str(plan).startswith("Not taken over in a comparison, at the default: masa.experts")
    assert {trial["method"] for trial in plan.document["trials"]} == {
        *("masa", "masa_control", "lora")
    }
    # Any one of them asks for a comparison, of the file's own methods.
    assert "two methods" not in str(sweeper.plan(masa, seeds=2, home=tmp_path))
    with pytest.raises(SpecError, match="did you mean 'lora'"):
        sweeper.plan(masa, methods=["lroa", "masa"], home=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_the_message_of_the_command_line(tmp_path):
    with pytest.raises(BadInputError, match="methods") as told:
        sweeper.run({**SPACE, "methods": []}, profile="embedded", home=tmp_path / "home")
    assert not str(told.value).startswith("error")
    assert not (tmp_path / "home").exists()


def test_bad_input_of_a_comparison_starts_nothing(tmp_path):
    home = tmp_path / "home"
    with pytest.raises(BadInputError, match=r"unknown method 'lroa'.*did you mean 'lora'"):
        sweeper.compare(SPACE, methods=["lroa", "masa"], profile="embedded", home=home)
    with pytest.raises(BadInputError, match="methods: got 'masa,lora'; it is a list of names"):
        sweeper.compare(SPACE, methods="masa,lora", profile="embedded", home=home)
    assert not home.exists()


def program(monkeypatch, text):
    """Has a program in the place of the sweeper; it finds the arguments in ``sys.argv``."""
    monkeypatch.setattr(process, "_PROGRAM", (sys.executable, "-c", text))


def test_a_sweep_is_shown_while_it_runs_and_ends_as_results(tmp_path, monkeypatch, capsys):
    document = json.dumps({"sweep": "two-1"})
    program(
        monkeypatch,
        "import sys; from pathlib import Path; print('1 of 2', file=sys.stderr);"
        "Path('space.txt').write_text(Path(sys.argv[2]).read_text());"
        f"Path('arguments.txt').write_text(' '.join(sys.argv[3:])); print({document!r});"
        "sys.exit(1)",
    )
    monkeypatch.chdir(tmp_path)
    sweep = sweeper.run(SPACE, name="two-1", home="home", overrides={"train.steps": 3}, fresh=True)
    # That a trial failed is among the results.
    assert sweep.path.as_posix() == "home/two-1"
    assert capsys.readouterr().out == "1 of 2\n"
    assert "name: two" in (tmp_path / "space.txt").read_text()
    wanted = "--home home --name two-1 --set train.steps=3 --fresh --json"
    assert (tmp_path / "arguments.txt").read_text() == wanted


def test_a_comparison_runs_as_the_command_and_ends_as_results(tmp_path, monkeypatch):
    document = json.dumps({"sweep": "two-compare-1"})
    keep = "Path('arguments.txt').write_text(' '.join([sys.argv[1], *sys.argv[3:]]))"
    program(
        monkeypatch,
        f"import sys; from pathlib import Path; {keep}; print({document!r}); sys.exit(0)",
    )
    monkeypatch.chdir(tmp_path)
    sweep = sweeper.compare(SPACE, profile="embedded", home="home", fresh=True, **QUESTION)
    assert sweep.path.as_posix() == "home/two-compare-1"
    asked = "--methods masa,lora --seeds 2 --delta 0.05 --rates 0.001,0.01"
    wanted = f"compare --home home {asked} --profile embedded --fresh --json"
    assert (tmp_path / "arguments.txt").read_text() == wanted
    sweeper.compare(SPACE, home="home")
    wanted = "compare --home home --seeds 3 --json"
    assert (tmp_path / "arguments.txt").read_text() == wanted


def test_a_sweep_that_stops_is_an_error_with_its_last_words(monkeypatch):
    program(
        monkeypatch, "import sys; print('no room\\nContinue with: x', file=sys.stderr); sys.exit(1)"
    )
    with pytest.raises(SweeperError, match="no room\nContinue with: x"):
        sweeper.run("space.yaml")
