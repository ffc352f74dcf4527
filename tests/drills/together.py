"""Drills with two commands at once."""

from __future__ import annotations

from tests.drills.checks import check_ended, check_message, check_sweep
from tests.drills.drill import Drill, Reference
from tests.drills.playground import Command, Playground, Said, wait_for

__all__ = ["DRILLS"]

FIRST, SECOND = "first", "second"


def _one_loses(one: Command, other: Command) -> tuple[Command, Said]:
    """Returns of two commands the one that goes on, and what the other has said."""

    def ended() -> tuple[Command, Said] | None:
        for command, rival in ((one, other), (other, one)):
            if not command.is_running():
                return rival, command.finish()
        return None

    winner, said = wait_for(ended)
    assert winner.is_running(), "none of the two goes on"
    return winner, said


def two_at_once(play: Playground, reference: Reference) -> None:
    """Two runs of one name; then two resumes of it, beside another sweep on the same store."""
    wanted = reference.outcome()
    run = ("run", play.space, "--json")
    winner, said = _one_loses(play.start(*run, "--name", FIRST), play.start(*run, "--name", FIRST))
    check_message(said, FIRST, "error: ", code=2)
    play.wait_for_progress(winner, FIRST, low=0.36, high=0.8)
    winner.kill()
    resume = ("resume", FIRST, "--json")
    one, other = play.start(*resume), play.start(*resume)
    beside = play.start(*run, "--name", SECOND, "--fresh")
    winner, said = _one_loses(one, other)
    check_message(said, "is being run by", code=2)
    for command in (winner, beside):
        check_ended(command.finish())
    check_sweep(play, FIRST, wanted, attempts=2)
    check_sweep(play, SECOND, wanted)


DRILLS = (
    Drill(
        "together",
        "two runs of one name; two resumes of one sweep; two sweeps on one store",
        two_at_once,
    ),
)
