"""Designs: comparisons that are decided before they start, in the place of a search.

The tagged union :data:`Design` is the registry: a new design is one file and one line here.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sweeper.experiment.design.arms import Arm, method_of, with_controls
from sweeper.experiment.design.base import DesignFile, DesignSpec
from sweeper.experiment.design.factorial import FactorialDesign
from sweeper.experiment.design.factors import Factors
from sweeper.experiment.design.grid import GridDesign
from sweeper.experiment.design.one_factor import OneFactorDesign
from sweeper.experiment.design.paired import PairedDesign, RateGrid
from sweeper.experiment.design.plan import Configuration, DesignPlan, Factor, Question, TunedGrid
from sweeper.experiment.design.replicate import ReplicateDesign

__all__ = [
    "Arm",
    "Configuration",
    "Design",
    "DesignFile",
    "DesignPlan",
    "DesignSpec",
    "Factor",
    "FactorialDesign",
    "Factors",
    "GridDesign",
    "OneFactorDesign",
    "PairedDesign",
    "Question",
    "RateGrid",
    "ReplicateDesign",
    "TunedGrid",
    "method_of",
    "with_controls",
]

Design = Annotated[
    GridDesign | OneFactorDesign | FactorialDesign | PairedDesign | ReplicateDesign,
    Field(discriminator="kind"),
]
"""Any design, told apart by ``kind``."""
