"""What a sweep is: from a search-space file and a profile to checked trials."""

from __future__ import annotations

from sweeper.experiment.loading import build_sweep, load_sweep
from sweeper.experiment.runnable import only_runnable
from sweeper.experiment.space import Point, Space
from sweeper.experiment.sweep import (
    AshaSpec,
    ConfirmSpec,
    FinalSpec,
    ObjectiveSpec,
    RacingSpec,
    ResourcesSpec,
    SearchSpec,
    Sweep,
    SweepSpec,
)
from sweeper.experiment.trial import EngineSpec, EvaluationSpec, TrainSpec, TrialSpec

__all__ = [
    "AshaSpec",
    "ConfirmSpec",
    "EngineSpec",
    "EvaluationSpec",
    "FinalSpec",
    "ObjectiveSpec",
    "Point",
    "RacingSpec",
    "ResourcesSpec",
    "SearchSpec",
    "Space",
    "Sweep",
    "SweepSpec",
    "TrainSpec",
    "TrialSpec",
    "build_sweep",
    "load_sweep",
    "only_runnable",
]
