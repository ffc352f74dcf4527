"""All that a dry run tries, in the order in which a sweep would need it."""

from __future__ import annotations

from collections.abc import Iterator

from sweeper._third_party import ignore_known_warnings
from sweeper.experiment.sweep import Sweep
from sweeper.preflight.counting import TrialCounter
from sweeper.preflight.dry_run.adapters import try_adapters, try_model
from sweeper.preflight.dry_run.engines import try_engines
from sweeper.preflight.dry_run.finding import DryRunFinding
from sweeper.preflight.dry_run.rows import try_rows
from sweeper.search.draws import draw_all

__all__ = ["dry_run"]


def dry_run(sweep: Sweep) -> Iterator[DryRunFinding]:
    """Yields what came of each thing that can be tried without the model's values.

    The Hub is asked for nothing where ``HF_HUB_OFFLINE`` is set, as the command sets it.

    Args:
        sweep: checked in itself; all trials that a plan lists are tried.

    Raises:
        BadInputError: no point of the space is a trial, or the model's shape is not known here.
    """
    ignore_known_warnings()
    trials = [drawn.spec for drawn in draw_all(sweep)]
    counter = TrialCounter()
    model = try_model(trials[0], counter)
    yield model
    if model.status == "ok":
        yield from try_adapters(trials, counter)
    is_cuda = sweep.spec.resources.gpus_per_worker > 0
    yield from try_engines(trials, counter.trainable(), is_cuda=is_cuda)
    yield from try_rows(sweep)
