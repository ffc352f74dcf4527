"""What a sweep will cost in time, memory, disk and money, before anything starts."""

from __future__ import annotations

from sweeper.preflight.forecast.admitting import Admitted, admit, require_price
from sweeper.preflight.forecast.costs import (
    COSTS_FILE,
    Costs,
    TrialCost,
    kept_costs,
    note_costs,
)
from sweeper.preflight.forecast.forecasting import (
    ENDING_S,
    STARTING_S,
    Figure,
    SweepForecast,
    final_s,
    finalists_s,
    forecast_sweep,
)
from sweeper.preflight.forecast.knowing import known_costs, representatives
from sweeper.preflight.forecast.micro_batch import (
    corner_trials,
    peak_bytes,
    require_fitting,
    with_micro_batch,
)

__all__ = [
    "COSTS_FILE",
    "ENDING_S",
    "STARTING_S",
    "Admitted",
    "Costs",
    "Figure",
    "SweepForecast",
    "TrialCost",
    "admit",
    "corner_trials",
    "final_s",
    "finalists_s",
    "forecast_sweep",
    "kept_costs",
    "known_costs",
    "note_costs",
    "peak_bytes",
    "representatives",
    "require_fitting",
    "require_price",
    "with_micro_batch",
]
