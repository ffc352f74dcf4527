"""A sweep in a process of its own, and an interrupt of whoever waits for it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sweeper.cli import process

# A program that waits for a sweep, which is a program, too: it says that it is there, and what it
# is told.
CALLER = """
import signal, sys
from sweeper.cli import process
# Whatever ignores it for what it starts, as a shell does for what runs beside it.
signal.signal(signal.SIGINT, signal.default_int_handler)
process._PROGRAM = (sys.executable, "-c", {child!r})
process._STOPPING_S = {patience}
try:
    process.run_command(["run"])
except KeyboardInterrupt:
    print("interrupted")
"""
CHILD = """
import signal, sys, time
def told(*_):
    open({word!r}, "w").write("told")
    {stop}
signal.signal(signal.SIGINT, told)
open({ready!r}, "w")
for _ in range(600): time.sleep(0.1)
"""


@pytest.mark.parametrize("stops", [True, False])
def test_an_interrupt_reaches_the_sweep_and_the_caller(tmp_path: Path, stops: bool) -> None:
    ready, word = tmp_path / "ready", tmp_path / "word"
    stop = "sys.exit(130)" if stops else "pass"
    child = CHILD.format(word=str(word), ready=str(ready), stop=stop)
    code = CALLER.format(child=child, patience=20.0 if stops else 0.5)
    caller = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not ready.exists():
            assert time.monotonic() < deadline
            assert caller.poll() is None
            time.sleep(0.02)
        caller.send_signal(signal.SIGINT)
        out, _ = caller.communicate(timeout=60)
    finally:
        caller.kill()
    assert (out, caller.returncode) == ("interrupted\n", 0)
    assert word.read_text() == "told"


def test_a_command_takes_a_notebook_for_no_terminal(monkeypatch, capsys):
    # What the kernel of a notebook sets; the live table would be repeated line below line.
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    text = (
        "import json, sys; from rich.console import Console;"
        "Console(stderr=True).print('[bold]so[/]'); print(json.dumps({'args': sys.argv[1:]}))"
    )
    monkeypatch.setattr(process, "_PROGRAM", (sys.executable, "-c", text))
    assert process.run_command(["run"]) == {"args": ["run", "--json"]}
    assert capsys.readouterr().out == "so\n"
