"""What the terminal, the page and the documents alike say of a sweep's trials."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sweeper._text import count, duration
from sweeper.analysis.ranking import Ranking
from sweeper.evaluation.metrics import METRICS
from sweeper.tracking.final_result import FinalResult

__all__ = ["cost_text", "finite_metrics", "task_metrics", "trials_text"]


def trials_text(ranking: Ranking) -> str:
    """Returns how many trials there are, and how many of each status."""
    counts = ranking.counts()
    # Another trial stands in its place.
    number = len(ranking.trials) - counts.get("superseded", 0)
    shown = ", ".join(f"{number} {status}" for status, number in counts.items())
    return f"{count(number, 'trial')}: {shown}" if counts else "no trials yet"


def cost_text(ranking: Ranking) -> str:
    """Returns how long was trained and what came on top; empty where nothing was trained."""
    done = [trial for trial in ranking.trials if trial.train_time_s > 0]
    if not done:
        return ""
    train_s = sum(trial.train_time_s for trial in done)
    overhead_s = sum(trial.overhead_s for trial in done)
    return (
        f"{duration(train_s)} in training steps; overhead {duration(overhead_s / len(done))} a "
        "trial"
    )


def finite_metrics(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Returns metrics for strict JSON, which has no NaN: null says that there is no number."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def task_metrics(final: FinalResult) -> list[str]:
    """Returns the names of the tasks' metrics, without losses, groups, domains and averages.

    Of data that is not made of tasks, those of its metrics.
    """
    own = final.protocol.get("metrics")
    if isinstance(own, list):
        names = ["accuracy" if name == "choice" else str(name) for name in own]
        return [name for name in names if name in final.metrics]
    tasks = final.protocol.get("task_rows")
    ends = {*METRICS, "accuracy", "accuracy_per_character"}
    places = [name.partition("/") for name in final.metrics]
    known = tasks if isinstance(tasks, dict) else {}
    return ["/".join((task, end)) for task, _, end in places if task in known and end in ends]
