"""What a notebook shows of a plan, a report and a sweep."""

from __future__ import annotations

import html

import sweeper
from tests.places import SPACES
from tests.sweeper.report import made


def test_a_report_is_text_and_in_a_notebook_the_page(tmp_path):
    space = made.sweep_of(tmp_path, made.ONE_FACTOR, "design.seeds=2")
    made.designed(tmp_path / "kept", "short-1", space, lambda name, _: 0.6)
    report = sweeper.open("short-1", home=tmp_path / "kept").report()
    assert report.verdicts
    assert report.verdicts[0].split()[:3] == str(report).partition("Verdicts\n")[2].split()[:3]
    assert report.document["sweep"] == "short-1"
    page = report._repr_html_()
    assert page.startswith('<iframe srcdoc="&lt;!doctype html&gt;')
    assert page.endswith("</iframe>")
    assert "Report of short-1" in report.save(tmp_path / "page.html").read_text()


def test_a_plan_is_the_text_of_the_terminal(tmp_path):
    plan = sweeper.plan(SPACES / "masa.yaml", profile="embedded", home=tmp_path)
    shown = plan._repr_html_()
    assert shown.startswith('<pre style="')
    assert "font-family: monospace" in shown
    assert shown.endswith(f">{html.escape(str(plan))}</pre>")
    assert "Nothing was started." in shown
    # As wide as the text: a line that the terminal would fill up is not filled up here.
    assert max(map(len, str(plan).splitlines())) <= 110


def test_a_text_is_plain_wherever_it_is_made(tmp_path, monkeypatch):
    space = {"name": "one", "methods": [{"name": "lora"}], "search": {"trials": 1}}
    plan = sweeper.plan(space, profile="embedded", home=tmp_path)
    text = str(plan)
    monkeypatch.setenv("FORCE_COLOR", "1")
    # rich takes another way in a notebook: it shows the text instead of writing it.
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert str(plan) == text
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_sweep_says_how_it_stands(tmp_path):
    space = made.sweep_of(tmp_path, made.ONE_FACTOR, "design.seeds=2")
    made.designed(tmp_path / "kept", "short-1", space, lambda name, _: 0.6)
    sweep = sweeper.open("short-1", home=tmp_path / "kept")
    assert repr(sweep) == f"SweepResults({str(tmp_path / 'kept' / 'short-1')!r})"
    shown = sweep._repr_html_()
    assert shown.startswith("<pre style=")
    assert "short-1" in shown
    assert f"{len(sweep.trials)} complete" in shown
