"""Interrupts and streams: exit codes without a traceback, whatever the caller closes or sends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.places import ROOT

INTERRUPTED_AT_IMPORT = """
import importlib.abc, os, signal, sys, time

# A shell starts what is to run in the background with Ctrl-C turned off.
signal.signal(signal.SIGINT, signal.default_int_handler)

class Interrupting(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "sweeper.cli":
            os.kill(os.getpid(), signal.{signal})
            time.sleep(60)

sys.meta_path.insert(0, Interrupting())
from sweeper.__main__ import main
main()
"""

INTERRUPTED_COMMAND = """
import os, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from sweeper.cli.output import opened_output
from sweeper.cli import app

@app.command()
def wait() -> None:
    with opened_output(as_json=False):
        os.kill(os.getpid(), signal.{signal})
        time.sleep(60)

from sweeper.__main__ import main
main()
"""

PRINTING = """
import sys
from sweeper.cli.output import opened_output
from sweeper.cli import app
from sweeper.errors import BadInputError

@app.command()
def show(as_json: bool = False) -> None:
    with opened_output(as_json=as_json) as out:
        for number in range(20_000):
            out.show({"number": number}, f"line {number}")
        raise BadInputError("all was printed")

from sweeper.__main__ import main
main()
"""

ENDING = """
import atexit, threading, time
import typer
from sweeper.cli import app

def say(text: str, after_s: float = 0.0) -> None:
    time.sleep(after_s)
    print(text)

class Kept:
    def __del__(self) -> None:
        say("taken apart")

@app.command()
def end(code: int) -> None:
    app.kept = Kept()
    atexit.register(say, "at exit")
    threading.Thread(target=say, args=("a thread's end", 0.3)).start()
    raise typer.Exit(code)

from sweeper.__main__ import main
main()
"""


def run(code: str, *arguments: str, shell: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a program in which ``sweeper`` has one more command, in a shell's redirections."""
    command = [sys.executable, "-c", code, *arguments]
    if shell:
        command = ["bash", "-c", f'"$@" {shell}; exit ${{PIPESTATUS[0]}}', "bash", *command]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("program", [INTERRUPTED_AT_IMPORT, INTERRUPTED_COMMAND])
def test_an_interrupt_ends_without_a_traceback(program: str, name: str) -> None:
    done = run(program.replace("{signal}", name), "wait")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


@pytest.mark.parametrize("arguments", [("show",), ("show", "--as-json")])
def test_a_reader_that_leaves_ends_no_command(arguments: tuple[str, ...]) -> None:
    done = run(PRINTING, *arguments, shell="| head -n 1")
    assert done.returncode == 2
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == "error: all was printed\n"


@pytest.mark.parametrize("arguments", [("show",), ("show", "--as-json")])
def test_standard_output_may_be_closed(arguments: tuple[str, ...]) -> None:
    done = run(PRINTING, *arguments, shell=">&-")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "error: all was printed\n")


def test_all_streams_may_be_closed() -> None:
    assert run(PRINTING, "show", shell="<&- >&- 2>&-").returncode == 2


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_command_ends_with_its_threads_and_without_taking_apart_what_is_in_memory(
    code: int,
) -> None:
    done = run(ENDING, "end", str(code))
    assert (done.returncode, done.stdout) == (code, "a thread's end\nat exit\n")


def test_output_that_is_lost_is_no_success() -> None:
    program = (
        "import sys; from sweeper.__main__ import _end; "
        "sys.stdout = open(1, 'w', buffering=100, closefd=False); sys.stdout.write('a'); _end(0)"
    )
    assert run(program).returncode == 0
    assert run(program, shell="> /dev/full").returncode == 120
