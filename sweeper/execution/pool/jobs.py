"""What a replica is made of, and what it is given to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from sweeper.data import DataSpec
from sweeper.errors import TrialError
from sweeper.evaluation.racing import RaceTerms
from sweeper.experiment.sweep import FinalSpec, ResourcesSpec
from sweeper.experiment.trial import EvaluationSpec, TrainSpec, TrialSpec
from sweeper.models import ModelSpec
from sweeper.training.schedule import evaluation_steps

__all__ = ["Job", "ReplicaConfig"]


@dataclass(frozen=True)
class Job:
    """A trial on its way to a replica."""

    trial_id: str
    number: int
    """Optuna's number of the trial."""
    folder: Path
    """The trial's folder on storage that driver and replicas share."""
    evaluation_steps: tuple[int, ...]
    """Steps after which the trial is evaluated; the last one is its end."""
    spec_json: str
    """The :class:`~sweeper.experiment.trial.TrialSpec`."""
    data_fingerprint: str = ""
    """What the trial's identity has of the data; looked at where the trial has callbacks."""
    racing: RaceTerms | None = None
    """How it races with the other trials; None where the sweep holds no races."""
    ends_at: int | None = None
    """Step of the evaluation at which the search has stopped it; None where it has not."""
    final: FinalSpec | None = None
    """Where it is there the trial is not trained but evaluated, after the search."""
    is_base: bool = False
    """Whether the frozen base is evaluated, as this trial is; ``folder`` is then the sweep's."""
    chosen_by: Mapping[str, JsonValue] = field(default_factory=dict)
    """Why the trial is evaluated."""

    @classmethod
    def training(
        cls,
        trial_id: str,
        number: int,
        folder: Path,
        trial: TrialSpec,
        *,
        data_fingerprint: str,
        racing: RaceTerms | None = None,
        ends_at: int | None = None,
    ) -> Job:
        """Returns the training of a trial, of a clone, or of what is left of a trial's.

        Args:
            trial_id: identity of the trial.
            number: of it among its like.
            folder: its own.
            trial: what is trained.
            data_fingerprint: of the data, in the trial's identity; empty for a clone, whose
                identity is that of its parent, too, and which has no callbacks.
            racing: how it races with the other trials.
            ends_at: step of the evaluation at which the search has stopped it.
        """
        return cls(
            trial_id=trial_id,
            number=number,
            folder=folder,
            evaluation_steps=evaluation_steps(trial.train),
            spec_json=trial.model_dump_json(),
            data_fingerprint=data_fingerprint,
            racing=racing,
            ends_at=ends_at,
        )

    def require_callbacks(self, trial: TrialSpec) -> None:
        """Checks that the files of a trial's callbacks are those that its identity has.

        Args:
            trial: of this job.

        Raises:
            MissingError: a file is not there.
            TrialError: a file has changed since the trial was made.
        """
        names = trial.train.callbacks
        if names and trial.identity(data_fingerprint=self.data_fingerprint) != self.trial_id:
            raise TrialError(
                f"train.callbacks: a file of {', '.join(names)} has changed since the trial was "
                f"made, so that it would run other code than {self.trial_id} stands for; bring the "
                "file back, or resume with --retry-failed, which makes a new trial of it"
            )


@dataclass(frozen=True)
class ReplicaConfig:
    """What all replicas of a sweep are made of."""

    sweep_folder: Path
    model: ModelSpec
    data: DataSpec
    train: TrainSpec
    """Of any trial: what all trials have in common, such as the length of sequences."""
    precision: str
    resources: ResourcesSpec
    evaluation: EvaluationSpec = field(default_factory=EvaluationSpec)
