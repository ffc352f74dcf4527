"""Forks draw different identities.

Ray's C++ half draws identities from random numbers that begin when the first one is drawn, and that
go on in a fork where its parent was. Two forks of a process that has drawn would give their
placement groups the same identities, and Ray takes the second for the first. So nothing may be
drawn before a fork.
"""

from __future__ import annotations

import os
import sys

__all__ = ["are_shared", "draw_from_system"]


def draw_from_system() -> None:
    """Has Ray take the one identity that imports need from the operating system.

    That is an actor class's, which Ray draws for each class under ``@ray.remote`` (Ray 2.60).
    """
    import ray.actor

    vars(ray.actor)["ActorClassID"] = _SystemActorClassID


class _SystemActorClassID:
    """Ray's identities of actor classes, without its random numbers."""

    @staticmethod
    def from_random() -> object:
        from ray import ActorClassID

        return ActorClassID(os.urandom(ActorClassID.size()))


def are_shared() -> bool:
    """Returns whether two forks of this process would draw the same identity, as far as known."""
    if "ray._raylet" not in sys.modules:
        return False
    first, second = _drawn_in_fork(), _drawn_in_fork()
    return not first or first == second


def _drawn_in_fork() -> bytes:
    """Returns what a fork of this process draws; nothing where it fails to."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        # Whatever happens here, this fork must not go on as a second server.
        try:
            from ray._raylet import JobID, PlacementGroupID

            os.write(write, PlacementGroupID.of(JobID.from_int(1)).binary())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        drawn = answer.read()
    os.waitpid(pid, 0)
    return drawn
