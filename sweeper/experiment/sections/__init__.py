"""The sections of a document: each becomes a value, and the problems found in it come with it."""

from __future__ import annotations

from sweeper.experiment.sections.baselines import read_baselines
from sweeper.experiment.sections.budget import read_budget
from sweeper.experiment.sections.design import expand_design, read_design
from sweeper.experiment.sections.header import read_header
from sweeper.experiment.sections.keys import COMPARED_ALIKE, SPACE_KEYS
from sweeper.experiment.sections.methods import read_methods
from sweeper.experiment.sections.trials import read_designed, read_trials

__all__ = [
    "COMPARED_ALIKE",
    "SPACE_KEYS",
    "expand_design",
    "read_baselines",
    "read_budget",
    "read_design",
    "read_designed",
    "read_header",
    "read_methods",
    "read_trials",
]
