"""What rows contribute to metrics, made up for tests that evaluate nothing."""

from collections.abc import Mapping, Sequence

from sweeper.data.row_order import RowOrder
from sweeper.estimates import mean_estimate
from sweeper.tracking.row_scores import RowScores


def row_scores(
    metrics: Mapping[str, Sequence[float]],
    *,
    split: str = "test",
    fingerprint: str = "0123456789abcdef",
    tasks: Sequence[str] = (),
    clusters: Sequence[int] | None = None,
    step: int = 0,
) -> RowScores:
    """Metrics of all rows, as many as the first of them has."""
    count = len(next(iter(metrics.values())))
    order = RowOrder(
        fingerprint,
        tuple(tasks) or ("",) * count,
        None if clusters is None else tuple(clusters),
    )
    estimates = {name: mean_estimate(own).on_rows(range(count)) for name, own in metrics.items()}
    return RowScores.of(estimates, order, split=split, step=step)
