"""The command `paper`: what it lists, shows and refuses. What it runs is in test_sweep.py."""

from __future__ import annotations

from typer.testing import CliRunner

from sweeper.cli import app
from sweeper.cli.commands.designs import paper


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["paper", *(str(argument) for argument in arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_without_a_name_all_are_listed(tmp_path):
    text = " ".join(call("--home", tmp_path).split())
    assert "24 items, 0 of them asked in this folder of sweeps" in text
    assert "make bench-step" in text


def test_a_plan_shows_the_protocol_and_starts_nothing(tmp_path):
    text = " ".join(call("masa_table6", "--plan", "--home", tmp_path).split())
    assert "masa_table6: MASA, Table 6 (section 4.3)" in text
    assert "group_size=8 59.18 not run: no such configuration on this profile" in text
    assert "Plan of masa_table6 on embedded 20 trials" in text
    assert "Nothing was started" in text
    assert list(tmp_path.iterdir()) == []


def test_what_a_bench_times_is_not_run(tmp_path):
    text = " ".join(call("mosa_table11", "--home", tmp_path).split())
    assert "It is timed by make bench-step, and on a GPU by make gpu-check" in text
    assert "Plan of" not in text
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_refused(tmp_path):
    assert "did you mean 'masa_table6'" in call("masa_table66", "--home", tmp_path, code=2)
    said = call("masa_table6", "--profile", "llama3-8b", "--home", tmp_path, code=2)
    assert "got 'llama3-8b'; masa_table6 says how it is asked on embedded, smollm2" in said
    assert "sweeper run search_spaces/papers/masa_table6.yaml --profile llama3-8b" in said
    assert list(tmp_path.iterdir()) == []


def test_the_run_is_that_of_run(monkeypatch, tmp_path):
    """The protocol comes first; the sweep and the options go to what `run` runs."""
    started = []
    monkeypatch.setattr(
        paper, "start", lambda sweep, out, **options: started.append((sweep, options))
    )
    monkeypatch.setattr(paper, "start_fork_server", lambda address: None)
    text = call("masa_table6", "--set", "design.seeds=2", "--name", "mine", "--home", tmp_path)
    ((sweep, options),) = started
    assert text.startswith("masa_table6: MASA, Table 6")
    assert (sweep.spec.search.trials, sweep.spec.profile) == (8, "embedded")
    assert (options["name"], options["home"]) == ("mine", str(tmp_path))
    assert sweep.document["paper"]["profiles"] == {"embedded": {}}
