"""The study as its only driver has it: kept in memory, and what of it the sampler is shown."""

from __future__ import annotations

from sweeper.search.driving.names import NamedTrial, Names
from sweeper.search.driving.one_writer import OneWriterStorage
from sweeper.search.driving.samplers import MakeSampler, sampler_for
from sweeper.search.driving.tpe import MOST_SHOWN, ShownSampler

__all__ = [
    "MOST_SHOWN",
    "MakeSampler",
    "NamedTrial",
    "Names",
    "OneWriterStorage",
    "ShownSampler",
    "sampler_for",
]
