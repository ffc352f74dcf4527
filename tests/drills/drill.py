"""Drills: faults at random moments, what must hold after them, and how often it held."""

from __future__ import annotations

import random
import shutil
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.drills.checks import Outcome, check_left_alone, check_message, check_sweep, outcome
from tests.drills.playground import Playground, Skipped

__all__ = ["Drill", "Measured", "Reference", "Row", "Run", "run_drills"]


class Reference:
    """The sweep that no fault disturbs: run when it is first asked for, once for all drills."""

    SWEEP = "one"

    def __init__(self) -> None:
        self._outcome: Outcome | None = None
        self._play: Playground | None = None
        self._running = threading.Lock()
        self.seconds = 0.0

    def outcome(self) -> Outcome:
        """Returns what came of it."""
        self._require()
        assert self._outcome is not None
        return self._outcome

    def copy_home(self, play: Playground) -> None:
        """Gives a playground the finished sweep, as if it had been run there."""
        self._require()
        assert self._play is not None
        shutil.copytree(self._play.home, play.home, dirs_exist_ok=True, symlinks=True)

    def _require(self) -> None:
        with self._running:
            if self._outcome is None:
                self._run()

    def _run(self) -> None:
        started_s = time.monotonic()
        play = Playground(Path(tempfile.mkdtemp(prefix="drill-")), random.Random(0))
        self._play = play
        said = play.say("run", play.space, "--name", self.SWEEP, "--json")
        # One of its trials diverges.
        check_message(said, code=1)
        found = outcome(said.document)
        assert sorted(status for status, *_ in found.values()) == ["complete", "complete", "failed"]
        check_sweep(play, self.SWEEP, found)
        check_left_alone(play)
        self._outcome = found
        self.seconds = time.monotonic() - started_s

    def close(self) -> None:
        """Removes it."""
        if self._play is not None:
            self._play.close()
            shutil.rmtree(self._play.path, ignore_errors=True)


@dataclass(frozen=True)
class Drill:
    """One or several faults that one sweep, or one kept folder, is put through."""

    name: str
    faults: str
    """What is done, as the table says it."""
    work: Callable[[Playground, Reference], None]
    """Does it and checks what must hold; raises :class:`Skipped` where it cannot be done."""
    has_sweep: bool = True
    """Whether its end is compared with the undisturbed sweep."""


@dataclass(frozen=True)
class Run:
    """What came of a drill once."""

    result: Literal["held", "fault", "skipped"]
    seconds: float
    why: str = ""
    """What did not hold, or why it was skipped."""


@dataclass
class Row:
    """A drill with its runs, one a round."""

    drill: Drill
    runs: list[Run] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Measured:
    """What the drills have shown."""

    rows: list[Row]
    seed: int
    at_once: int
    """Drills that ran side by side."""
    reference_s: float
    """Seconds of the undisturbed sweep with its checks."""
    total_s: float


def run_drills(
    drills: Sequence[Drill], *, rounds: int, seed: int, at_once: int, tell: Callable[[str], None]
) -> Measured:
    """Runs drills round after round.

    Args:
        drills: to be run.
        rounds: how often.
        seed: of all moments.
        at_once: drills side by side: while one waits, such as for a server that is gone, others
            have the processors.
        tell: called with a line for each run.
    """
    rows = [Row(drill) for drill in drills]
    reference, pool = Reference(), ThreadPoolExecutor(at_once)
    started_s = time.monotonic()

    def run(row: Row, number: int) -> tuple[Run, list[str]]:
        done, notes = run_once(row.drill, reference, seed=f"{seed}/{number}")
        tell(f"round {number} {row.drill.name}: {done.result}, {done.seconds:.0f} s {done.why}")
        return done, notes

    try:
        if any(drill.has_sweep for drill in drills):
            reference.outcome()
            tell(f"undisturbed: {reference.seconds:.0f} s")
        asked = [
            (row, pool.submit(run, row, number)) for number in range(1, rounds + 1) for row in rows
        ]
        for row, answer in asked:
            done, notes = answer.result()
            row.runs.append(done)
            row.notes += [note for note in notes if note not in row.notes]
        total_s = time.monotonic() - started_s
        return Measured(rows, seed, at_once, reference_s=reference.seconds, total_s=total_s)
    finally:
        # After a Ctrl-C no other drill begins.
        pool.shutdown(cancel_futures=True)
        reference.close()


def run_once(drill: Drill, reference: Reference, *, seed: str) -> tuple[Run, list[str]]:
    """Runs a drill once, in a folder that is removed; returns what came of it, and its notes."""
    folder = Path(tempfile.mkdtemp(prefix="drill-"))
    play = Playground(folder, random.Random(f"{seed}/{drill.name}"))
    started_s = time.monotonic()
    run = Run("held", 0.0)
    try:
        drill.work(play, reference)
        check_left_alone(play)
    except Skipped as why:
        run = Run("skipped", 0.0, str(why))
    # Whatever a drill meets is its result, and the others go on.
    except Exception as error:  # noqa: BLE001
        text = str(error) or traceback.format_exc(limit=-1)
        run = Run("fault", 0.0, f"{_place(error)}: {text}")
    finally:
        seconds = time.monotonic() - started_s
        play.close()
        shutil.rmtree(folder, ignore_errors=True)
    return Run(run.result, seconds, run.why), play.notes


def _place(error: BaseException) -> str:
    """Returns where in the drills an error arose."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "drills" in frame.filename
    ]
    last = frames[-2] if len(frames) > 1 else frames[-1]
    return f"{Path(last.filename).name}:{last.lineno}"
