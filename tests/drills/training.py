"""Drills inside of training: a loss that is no number, no memory, a user's error, a full store."""

from __future__ import annotations

import re
import resource
from collections.abc import Callable

from tests.drills.checks import check_ended, check_message, check_sweep
from tests.drills.drill import Drill, Reference
from tests.drills.here import Here
from tests.drills.playground import STEP_S, Playground

__all__ = ["DRILLS"]

SWEEP = "night"
# Seconds of a step, so that the trial that is to be hit still trains when it is.
SLOW_STEP_S = 0.1


def trials_fail(play: Playground, reference: Reference) -> None:
    """Three trials fail, each for its own reason, while MLflow's store takes no more."""
    wanted = reference.outcome()
    run = play.start("run", play.space, "--name", SWEEP, "--json")
    play.pace(SLOW_STEP_S)
    play.wait_for_progress(run, SWEEP, low=0.36, high=0.5)
    # No file of the driver may grow beyond this: of the large ones only the store does.
    most = (play.home / "mlflow.db").stat().st_size + 4096
    run.driver().rlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    play.order("raise")
    play.wait_for_progress(run, SWEEP, low=0.7, high=0.85)
    play.order("hoard")
    said = run.finish()
    play.pace(STEP_S)
    check_message(said, "could not be updated", code=1)
    records = play.records(SWEEP)
    assert len(records) == len(wanted)
    diverged, raised, hoarded = (record.error for record in records)
    assert diverged is not None
    assert "lower the learning rate" in diverged.message
    assert raised is not None
    assert "which it cannot read" in raised.message
    # Ray's own threads may be the first that get no memory: then the process dies, and the trial
    # goes on in another.
    is_told = hoarded is not None and "memory" in hoarded.message.lower()
    assert is_told or records[-1].attempts == 2, f"no memory: {records[-1]}"
    said = Here(play.home).say("report", SWEEP)
    check_message(said, "which it cannot read", code=0)
    check_ended(play.say("resume", SWEEP, "--retry-failed", "--json"))
    anew = {key for key, (status, *_) in wanted.items() if status == "failed"}
    check_sweep(play, SWEEP, wanted, attempts=2, anew=anew)


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda line: line[: len(line) // 2],
    "without its answer": lambda line: line.split(b', "answer"')[0] + b"}",
    "another kind": lambda line: b"[1, 2]",
    "no text": lambda line: line.replace(b"=", b"\xff"),
    "zeros": lambda line: bytes(len(line)),
}
"""Ways in which a row of a user's data is broken."""


def broken_rows(play: Playground, reference: Reference) -> None:
    """One row of a user's data, broken in each way: refused before anything starts."""
    folder = play.path / "data"
    folder.mkdir()
    path = folder / "train.jsonl"
    lines = [b'{"prompt": "%d + 1 =", "answer": " %d"}' % (n, n + 1) for n in range(60)]
    for how, broken in BROKEN.items():
        number = play.random.randrange(len(lines))
        found = [broken(line) if n == number else line for n, line in enumerate(lines)]
        path.write_bytes(b"\n".join(found) + b"\n")
        data = f"data={{kind: jsonl, path: {folder}}}"
        said = Here(play.home).say("run", str(play.space), "--set", data, "--name", SWEEP)
        check_message(said, "error: ", path.name, code=2)
        assert re.search(rf"\b{number + 1}\b", said.text), f"{how}: line {number + 1}: {said.text}"
        assert not (play.home / SWEEP).exists(), how


DRILLS = (
    Drill(
        "rows",
        "a row of a user's data cut, emptied of its answer, no text",
        broken_rows,
        has_sweep=False,
    ),
    Drill(
        "trials",
        "a NaN loss, an exception in the user's code, no memory; MLflow's disk full meanwhile",
        trials_fail,
    ),
)
