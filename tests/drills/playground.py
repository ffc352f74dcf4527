"""A place for a drill: a home of sweeps, commands in processes of their own, and moments."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil

from sweeper.errors import DamagedFileError
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.sweep_folder import SweepFolder
from tests.drills.trouble import FOLDER
from tests.sweeper.stores import empty_store

__all__ = [
    "EVALUATIONS",
    "EVERY",
    "STEPS",
    "STEP_S",
    "TRIALS",
    "Command",
    "Playground",
    "Said",
    "Skipped",
    "wait_for",
]

T = TypeVar("T")

STEPS, EVALUATIONS, TRIALS = 96, 8, 3
EVERY = STEPS // EVALUATIONS
"""Steps from one evaluation, and checkpoint, to the next."""
STEP_S = 0.02
"""Seconds that a step of training lasts at the least: a trial can be hit."""

PROFILE = f"""
name: tiny
model: {{kind: embedded}}
data: {{kind: embedded}}
resources: {{max_replicas: 1}}
train: {{steps: {STEPS}, batch_size: 4, evaluations: {EVALUATIONS}, eval_examples: 8}}
"""

# With the first rate, weight decay times learning rate is 100: weights grow a hundredfold a step.
SPACE = """
name: tiny
profile: tiny
methods:
  - {{name: lora, rank: 4}}
train:
  learning_rate: {{grid: [10.0, 3e-3, 2e-3]}}
  weight_decay: 10
  callbacks: ["{trouble}:Trouble"]
search: {{trials: 3, asha: null, prefetch: 0}}
final: {{rows: 8}}
"""

# Environment variable by which every process of a playground is known, however it was started.
_MARK = "DRILL_PLAYGROUND"
# Seconds after which agents of a Ray that was killed have noticed.
_AGENTS_S = 100.0
_COMMAND_S = 400.0
# After `kill -9` of its driver Ray's agents ask Ray's head, which has ended, for as long as this;
# Ray's own 60 s would be most of what a drill lasts.
_RAY = {"RAY_gcs_server_request_timeout_seconds": "20"}


class Skipped(Exception):  # noqa: N818 - it is no error
    """A drill cannot be done on this machine; says why."""


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All that it printed."""
        return self.out + self.err

    @property
    def document(self) -> Any:
        """What it printed as JSON."""
        assert self.out.strip(), f"no document, exit code {self.code}: {self.err[-1500:]}"
        return json.loads(self.out)


class Command:
    """A command of the sweeper that runs, in a session of its own."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, err: Path) -> None:
        self.process = process
        self._out = out
        self._err = err

    @property
    def pid(self) -> int:
        return self.process.pid

    def is_running(self) -> bool:
        return self.process.poll() is None

    def said(self) -> str:
        """Returns the end of what it has printed so far."""
        return (self._read(self._out) + self._read(self._err))[-3000:]

    @staticmethod
    def _read(path: Path) -> str:
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    def finish(self, timeout_s: float = _COMMAND_S) -> Said:
        """Waits for its end; a command that does not end is a fault of its own."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it still runs after {timeout_s:g} s: {self.said()}") from None
        return Said(code, self._read(self._out), self._read(self._err))

    def kill(self) -> None:
        """Ends it as ``kill -9`` does."""
        self.process.kill()
        self.process.wait()

    def driver(self) -> psutil.Process:
        """Returns the Python process: what has prepared its surroundings may stand before."""
        own = psutil.Process(self.pid)
        for process in [own, *own.children(recursive=True)]:
            words = process.cmdline()
            if "-m" in words and "sweeper" in words and "python" in process.name():
                return process
        raise AssertionError("the command has no process")

    def children(self, *names: str) -> list[psutil.Process]:
        """Returns the processes under it whose command line has one of these words."""
        found = []
        for process in psutil.Process(self.pid).children(recursive=True):
            try:
                line = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if any(name in line for name in names):
                found.append(process)
        return found


@dataclass
class Playground:
    """A folder with a home of sweeps and a search space, and the commands that a drill starts."""

    path: Path
    random: random.Random
    home: Path = field(init=False)
    space: Path = field(init=False)
    notes: list[str] = field(default_factory=list)
    """What a reader of the table should know of this run."""
    _started: list[Command] = field(default_factory=list)
    _mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    _extra: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home = self.path / "home"
        self.space = self.path / "tiny.yaml"
        self.home.mkdir(parents=True)
        (self.path / "profiles").mkdir()
        (self.path / "profiles" / "tiny.yaml").write_text(PROFILE)
        trouble = Path(__file__).with_name("trouble.py")
        self.space.write_text(SPACE.format(trouble=trouble))
        self.pace(STEP_S)
        # To make MLflow's tables takes seconds.
        shutil.copy(empty_store(), self.home / "mlflow.db")

    # Commands.

    def start(
        self,
        *arguments: object,
        before: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        home: Path | None = None,
    ) -> Command:
        """Starts a command of the sweeper.

        Args:
            arguments: of the sweeper; ``--home`` is added.
            before: a program with its arguments that becomes the command.
            environment: variables in addition to this process's.
            home: of the sweeps; the playground's where None.
        """
        words = [*before, sys.executable, "-m", "sweeper", *map(str, arguments)]
        words += ["--home", str(home or self.home)]
        return self.start_program(words, environment=environment)

    def start_program(
        self, words: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> Command:
        """Starts a program whose processes are the playground's; arguments as :meth:`start`."""
        number = len(self._started)
        out, err = self.path / f"out-{number}", self.path / f"err-{number}"
        settings = {**_RAY, FOLDER: str(self.path), _MARK: self._mark}
        with out.open("wb") as to_out, err.open("wb") as to_err:
            process = subprocess.Popen(
                list(words),
                stdin=subprocess.DEVNULL,
                stdout=to_out,
                stderr=to_err,
                cwd=self.path,
                env={**os.environ, **settings, **self._extra, **(environment or {})},
                start_new_session=True,
            )
        command = Command(process, out, err)
        self._started.append(command)
        return command

    def say(self, *arguments: object, **options: Any) -> Said:
        """Runs a command of the sweeper to its end."""
        return self.start(*arguments, **options).finish()

    def pace(self, step_s: float) -> None:
        """Has each step of training last for some seconds at the least, from the next one on."""
        self._put("pace", str(step_s))

    def order(self, trouble: str) -> None:
        """Has the trial that trains make this trouble at its next step."""
        self._put("order", trouble)

    def _put(self, name: str, text: str) -> None:
        path = self.path / name
        path.with_suffix(".new").write_text(text, encoding="ascii")
        path.with_suffix(".new").replace(path)

    # Moments.

    def records(self, sweep: str, *, home: Path | None = None) -> list[TrialRecord]:
        """Returns the records of a sweep that are there."""
        folder = (home or self.home) / sweep
        return SweepFolder(folder).trials() if folder.is_dir() else []

    def wait_for_progress(
        self, command: Command, sweep: str, *, low: float, high: float, home: Path | None = None
    ) -> float:
        """Waits for a random moment of a sweep; returns the share of its steps that are done.

        Args:
            command: that runs it.
            sweep: its name.
            low: share of the steps at the earliest.
            high: share at the latest.
            home: of the sweep; the playground's where None.
        """
        wanted = self.random.uniform(low, high)

        def done() -> float | None:
            found = self.records(sweep, home=home)
            # The first trial diverges: its end stands for all of its steps.
            steps = sum(STEPS if record.status == "failed" else record.steps for record in found)
            share = steps / (STEPS * TRIALS)
            return share if found and share >= wanted else None

        share = wait_for(done, lives=command)
        time.sleep(self.random.uniform(0, 0.3))
        return share

    # The end.

    def processes(self) -> list[psutil.Process]:
        """Returns all living processes that came of the playground's commands."""
        found = []
        for process in psutil.process_iter():
            try:
                is_ours = process.environ().get(_MARK) == self._mark
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def wait_until_alone(self, timeout_s: float = _AGENTS_S) -> list[str]:
        """Waits until no process is left; returns the command lines of those that stay."""
        deadline = time.monotonic() + timeout_s
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(1)
        lines = []
        for process in left:
            try:
                lines.append(" ".join(process.cmdline())[:120])
            except psutil.Error:
                continue
        return lines

    def close(self) -> None:
        """Ends what is left, whatever became of the drill."""
        for command in self._started:
            if command.is_running():
                command.kill()
        for process in self.processes():
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.Error:
                continue

    @contextmanager
    def with_environment(self, **variables: str) -> Iterator[None]:
        """Gives all commands that the body starts these variables."""
        before = dict(self._extra)
        self._extra.update(variables)
        try:
            yield
        finally:
            self._extra = before


def wait_for(
    find: Callable[[], T | None], *, timeout_s: float = 300, lives: Command | None = None
) -> T:
    """Returns what ``find`` finds at last; fails where it does not, or where the command ends.

    Args:
        find: returns None as long as there is nothing.
        timeout_s: seconds to wait.
        lives: the command that shall find it.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            found = find()
        except (DamagedFileError, FileNotFoundError):
            found = None
        if found is not None:
            return found
        assert lives is None or lives.is_running(), f"the command ended early: {lives.said()}"
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s"
        time.sleep(0.05)
