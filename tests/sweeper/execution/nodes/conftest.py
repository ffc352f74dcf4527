"""A playground whose sweeps run on machines that tests start and kill."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.drills.playground import Playground
from tests.sweeper.execution.nodes.machines import Machines, machines
from tests.sweeper.execution.nodes.sweeps import environment


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Playground]:
    # With `auto` a driver asks for a token where its user has one; these clusters know of none.
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    play = Playground(tmp_path / "play", random.Random(0))
    yield play
    play.close()


@pytest.fixture
def new_cluster(play: Playground) -> Iterator[Callable[[], Machines]]:
    """Makes clusters without machines; they are gone after the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(machines(environment=environment(play)))
