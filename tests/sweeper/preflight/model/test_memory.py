"""Memory against what this machine has."""

from __future__ import annotations

import logging

import pytest

from sweeper.errors import BadInputError
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.sweep import Sweep
from sweeper.preflight.model import memory
from tests.places import SPACES


def _sweep(*overrides: str) -> Sweep:
    return load_sweep(SPACES / "masa.yaml", profile="embedded", overrides=overrides)


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    memory.require_memory(_sweep(), None)
    monkeypatch.setattr(memory, "_machine_bytes", lambda: 1_000_000)
    with pytest.raises(BadInputError, match=r"weights and trained state of 1 worker need .* has 1"):
        memory.require_memory(_sweep(), None)
    # Of a cluster's machines nothing is known here.
    memory.require_memory(_sweep(), "10.0.0.1:6379")


def test_an_estimate_is_only_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(memory, "_machine_bytes", lambda: 60_000_000)
    with caplog.at_level(logging.WARNING):
        memory.require_memory(_sweep("train.batch_size=4096"), None)
    assert "is estimated at" in caplog.text


def test_this_machine_has_some() -> None:
    found = memory._machine_bytes()
    assert found is not None
    assert found > 10**8
