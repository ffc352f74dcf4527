"""The sweeper in Python: results on disk, plans, and sweeps in a process of their own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import sweeper
from sweeper.cli import notebook, process
from sweeper.errors import BadInputError, SpecError, SweeperError
from tests.places import SPACES
from tests.sweeper.execution.test_recorded import COMPLETE, INTERRUPTED, recorded  # noqa: F401 - a fixture
from tests.sweeper.report import made

SPACE = {
    "name": "two",
    "methods": [{"name": "lora", "rank": {"choice": [2, 4]}}],
    "search": {"trials": 2},
}


def test_the_package_offers_it_and_nothing_else():
    assert sweeper.run is notebook.run
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


def test_a_report_is_text_and_in_a_notebook_the_page(tmp_path):
    space = made.sweep_of(tmp_path, made.ONE_FACTOR, "design.seeds=2")
    made.designed(tmp_path / "home", "short-1", space, lambda name, _: 0.6)
    report = sweeper.open("short-1", home=tmp_path / "home").report()
    assert report.verdicts
    assert report.verdicts[0].split()[:3] == str(report).partition("Verdicts\n")[2].split()[:3]
    assert report.document["sweep"] == "short-1"
    page = report._repr_html_()
    assert page.startswith('<iframe srcdoc="&lt;!doctype html&gt;')
    assert page.endswith("</iframe>")
    assert "Report of short-1" in report.save(tmp_path / "page.html").read_text()


def test_a_plan_is_of_a_file_or_of_a_mapping(tmp_path):
    plan = sweeper.plan(SPACES / "masa.yaml", profile="embedded", home=tmp_path)
    assert len(plan.document["trials"]) > 1
    assert "Nothing was started." in str(plan)
    assert plan._repr_html_().startswith("<pre>")
    short = sweeper.plan(SPACE, profile="embedded", overrides={"search.trials": 1}, home=tmp_path)
    assert len(short.document["trials"]) == 1
    with pytest.raises(SpecError, match=r"train\.steps"):
        sweeper.plan(SPACE, profile="embedded", overrides={"train.steps": "many"}, home=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_text_of_an_override_stays_a_text():
    assert notebook._fields({"data.format.prompt": "{a}: 1", "fresh": True, "x": None}) == [
        'data.format.prompt="{a}: 1"',
        "fresh=true",
        "x=null",
    ]


def test_what_yaml_does_not_have_is_made_plain_or_refused(tmp_path):
    numbers = {"train.learning_rate": np.float32(0.5), "x": np.arange(2), "y": np.int64(3)}
    given = {"data.path": Path("a/b"), **numbers}
    assert notebook._fields(given) == [
        'data.path="a/b"',
        "train.learning_rate=0.5",
        "x=[0, 1]",
        "y=3",
    ]
    with notebook._as_file({"data": {"path": Path("a/b")}, "n": (np.int64(3),)}) as path:
        assert yaml.safe_load(path.read_text()) == {"data": {"path": "a/b"}, "n": [3]}
    with pytest.raises(BadInputError, match=r"train\.steps: is \{1\}, a set"):
        sweeper.plan(SPACE, profile="embedded", overrides={"train.steps": {1}}, home=tmp_path)


def test_bad_input_is_the_message_of_the_command_line(tmp_path):
    with pytest.raises(BadInputError, match="methods") as told:
        sweeper.run({**SPACE, "methods": []}, profile="embedded", home=tmp_path / "home")
    assert not str(told.value).startswith("error")
    assert not (tmp_path / "home").exists()


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
    wanted = "--home home --set train.steps=3 --name two-1 --fresh --json"
    assert (tmp_path / "arguments.txt").read_text() == wanted


def test_a_sweep_that_stops_is_an_error_with_its_last_words(monkeypatch):
    program(
        monkeypatch, "import sys; print('no room\\nContinue with: x', file=sys.stderr); sys.exit(1)"
    )
    with pytest.raises(SweeperError, match="no room\nContinue with: x"):
        sweeper.run("space.yaml")
