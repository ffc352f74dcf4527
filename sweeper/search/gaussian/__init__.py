"""A Gaussian process over the points of a space, and the sampler that draws by it."""

from __future__ import annotations

from sweeper.search.gaussian.candidates import candidates
from sweeper.search.gaussian.features import Features
from sweeper.search.gaussian.process import Columns, Process, fitted
from sweeper.search.gaussian.sampler import GaussianSampler

__all__ = ["Columns", "Features", "GaussianSampler", "Process", "candidates", "fitted"]
