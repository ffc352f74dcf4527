"""Sweeps of trials that are held at a step, and what came of each without any trouble."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from sweeper import distributed
from sweeper.experiment.trial import TrialSpec
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.sweep_folder import SweepFolder
from tests.drills.checks import Outcome
from tests.drills.playground import EVERY, Command, Playground, wait_for
from tests.sweeper import scenarios
from tests.sweeper.execution.nodes.hold import AT, HOLD

__all__ = [
    "STEPS",
    "SWEEP",
    "environment",
    "hold",
    "let_go",
    "undisturbed",
    "wait_for_held",
    "write",
]

SWEEP = "night"
STEPS = 3 * EVERY

_PROFILE = """
name: tiny
model: {{kind: embedded}}
data: {{kind: embedded}}
engine: {{zero_stage: {zero_stage}}}
resources: {{workers: {workers}, max_replicas: {replicas}}}
train: {{steps: {steps}, batch_size: 4, evaluations: 3, eval_examples: 8}}
"""
_SPACE = """
name: tiny
profile: tiny
methods:
  - {{name: lora, rank: 4}}
train:
  learning_rate: {{grid: {rates}}}
  callbacks: ["{callback}:Hold"]
search: {{trials: {trials}, asha: null, prefetch: 0}}
"""


def write(
    play: Playground, *, rates: Sequence[float], workers: int, replicas: int, zero_stage: int
) -> None:
    """Writes the search space of a sweep with a trial for each learning rate, and its profile."""
    profile = _PROFILE.format(
        workers=workers, replicas=replicas, zero_stage=zero_stage, steps=STEPS
    )
    (play.path / "profiles" / "tiny.yaml").write_text(profile)
    callback = Path(__file__).with_name("hold.py")
    space = _SPACE.format(rates=list(rates), callback=callback, trials=len(rates))
    play.space.write_text(space)


def environment(play: Playground) -> Mapping[str, str]:
    """Returns what the processes of a cluster must know.

    A machine that has lost its head lives on for as long as a test takes, instead of a minute.
    """
    return {HOLD: str(play.path / "hold"), "RAY_gcs_rpc_server_reconnect_timeout_s": "600"}


def hold(play: Playground) -> None:
    """Holds trials from now on."""
    (play.path / "hold").touch()


def let_go(play: Playground) -> None:
    """Lets all trials go on."""
    (play.path / "hold").unlink()


def wait_for_held(
    play: Playground, command: Command, *, trials: int, attempt: int = 1
) -> list[TrialRecord]:
    """Waits until trials are held, and returns their records.

    Args:
        play: where they are.
        command: that runs the sweep.
        trials: how many are held.
        attempt: in which each of them is held.
    """

    def held() -> list[TrialRecord] | None:
        found = [
            record
            for record in play.records(SWEEP)
            if (record.status, record.attempts, record.steps) == ("running", attempt, AT)
        ]
        return found if len(found) == trials else None

    return wait_for(held, lives=command)


def undisturbed(play: Playground, *, workers: int) -> Outcome:
    """Returns what came of the sweep's trials, each trained in one go, without Ray."""
    trials = SweepFolder(play.home / SWEEP).trial_folders()
    losses, *_ = scenarios.run(_train_all, workers, [trial.trial_spec() for trial in trials])
    found = {trial.id: loss for trial, loss in zip(trials, losses, strict=True)}
    return {
        trial_id: ("complete", STEPS, loss)
        for trial_id, loss in sorted(found.items(), key=lambda item: item[1])
    }


def _train_all(specs: Sequence[TrialSpec]) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        losses: list[float] = scenarios.final_losses(specs, distributed.broadcast(folder))
        distributed.gather(None)
    return losses
