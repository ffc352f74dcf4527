"""Learning rates of a space: factors of the profile's, or what is expected of a method."""

from __future__ import annotations

from sweeper.experiment.space.rates.auto import AUTO, is_auto, with_expected_rate, with_stand_in
from sweeper.experiment.space.rates.factors import (
    LogFactor,
    number_of,
    rates_between,
    require_order,
    resolve_factors,
)
from sweeper.experiment.space.rates.prior import (
    PRIOR_FILE,
    Expected,
    RatePrior,
    Slope,
    packaged_prior,
    size_of,
)

__all__ = [
    "AUTO",
    "PRIOR_FILE",
    "Expected",
    "LogFactor",
    "RatePrior",
    "Slope",
    "is_auto",
    "number_of",
    "packaged_prior",
    "rates_between",
    "require_order",
    "resolve_factors",
    "size_of",
    "with_expected_rate",
    "with_stand_in",
]
