"""All of the project's code that the reference is made from; no other module here imports it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from sweeper._spec import Spec
from sweeper.analysis.conclusions.sweep import unit_of
from sweeper.analysis.published import published_of
from sweeper.analysis.statistics.verdicts import Basis, Conclusion
from sweeper.cli.app import app
from sweeper.cli.output import BAD_INPUT, INTERRUPTED, SOME_FAILED
from sweeper.data import DataSpec
from sweeper.data.formats import Format
from sweeper.data.hygiene import HygieneSpec
from sweeper.data.tasks.registry import MIXTURES, TASKS
from sweeper.data.tasks.task import Task
from sweeper.experiment.design import Design, DesignSpec, Factors, RateGrid
from sweeper.experiment.documents.open_fields import GlobalBatchSpec
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.metrics import PythonMetricSpec
from sweeper.experiment.paper import PaperProfile, PaperSpec, PublishedRow, PublishedTable
from sweeper.experiment.sections import COMPARED_ALIKE, SPACE_KEYS
from sweeper.experiment.space.budget import BUDGETS
from sweeper.experiment.space.distributions import DISTRIBUTIONS
from sweeper.experiment.space.epochs import EpochsSpec
from sweeper.experiment.space.listed import ListedTrial, Published
from sweeper.experiment.space.rates import LogFactor
from sweeper.experiment.sweep import (
    AshaSpec,
    ConfirmSpec,
    FinalSpec,
    NotifySpec,
    ObjectiveSpec,
    RacingSpec,
    ResourcesSpec,
    SearchSpec,
    ShareSpec,
    Sweep,
    SweepSpec,
)
from sweeper.experiment.trial import EngineSpec, EvaluationSpec, TrainSpec
from sweeper.models import ModelSpec
from sweeper.report.papers import PaperFile, paper_files
from sweeper.search.draws import draw_all
from sweeper.tracking.record import TrialFailure, TrialRecord
from sweeper_adapters.methods import AnyMethodSpec, Method, PeftSpec
from sweeper_adapters.methods.peft.facts import FIELDS_LEFT_OUT as PEFT_FIELDS_LEFT_OUT
from sweeper_adapters.methods.peft.facts import TypeFacts as PeftTypeFacts
from sweeper_adapters.methods.peft.facts import facts_of
from sweeper_adapters.methods.peft.table import PeftField, PeftType, known_types, peft_version

__all__ = [
    "BAD_INPUT",
    "BUDGETS",
    "COMPARED_ALIKE",
    "DISTRIBUTIONS",
    "INTERRUPTED",
    "MIXTURES",
    "PEFT_FIELDS_LEFT_OUT",
    "ROOT",
    "SOME_FAILED",
    "SPACES",
    "SPACE_KEYS",
    "TASKS",
    "AnyMethodSpec",
    "AshaSpec",
    "Basis",
    "Conclusion",
    "ConfirmSpec",
    "DesignSpec",
    "EngineSpec",
    "EpochsSpec",
    "EvaluationSpec",
    "Factors",
    "FinalSpec",
    "GlobalBatchSpec",
    "HygieneSpec",
    "ListedTrial",
    "LogFactor",
    "NotifySpec",
    "ObjectiveSpec",
    "PaperFile",
    "PaperProfile",
    "PaperSpec",
    "PeftField",
    "PeftSpec",
    "PeftType",
    "PeftTypeFacts",
    "Published",
    "PublishedRow",
    "PublishedTable",
    "PythonMetricSpec",
    "RacingSpec",
    "RateGrid",
    "ResourcesSpec",
    "SearchSpec",
    "ShareSpec",
    "Spec",
    "Sweep",
    "SweepSpec",
    "Task",
    "TrainSpec",
    "TrialFailure",
    "TrialRecord",
    "app",
    "data_kinds",
    "design_kinds",
    "draw_all",
    "formats",
    "load_sweep",
    "method_specs",
    "model_kinds",
    "paper_files",
    "peft_types",
    "peft_version",
    "published_of",
    "unit_of",
]

ROOT = Path(__file__).resolve().parents[3]
"""The checkout."""
SPACES = ROOT / "search_spaces"
"""The packaged search spaces; the profiles are in a folder below."""


def method_specs() -> dict[str, type[AnyMethodSpec]]:
    """Returns the spec of each method, by name, in the order of the union.

    Without that of PEFT's types, which is no method before it has one.
    """
    return {name: spec for name, spec in _by_tag(Method, "name").items() if spec is not PeftSpec}


def peft_types() -> dict[str, tuple[PeftType, PeftTypeFacts]]:
    """Returns the types of PEFT with what is known of them, by name."""
    return {name: (kind, facts_of(name)) for name, kind in known_types().items()}


def data_kinds() -> dict[str, type[Spec]]:
    """Returns the spec of each source of data, by ``kind``."""
    return _by_tag(DataSpec, "kind")


def design_kinds() -> dict[str, type[DesignSpec]]:
    """Returns the spec of each design, by ``kind``."""
    return _by_tag(Design, "kind")


def model_kinds() -> dict[str, type[Spec]]:
    """Returns the spec of each source of a base model, by ``kind``."""
    return _by_tag(ModelSpec, "kind")


def formats() -> dict[str, type[Spec]]:
    """Returns the spec of each format of rows, by ``name``."""
    return _by_tag(Format, "name")


def _by_tag(union: Any, tag: str) -> dict[str, Any]:
    """Returns the members of a tagged union by the value of their tag."""
    members, *_ = get_args(union)
    return {str(member.model_fields[tag].default): member for member in get_args(members)}
