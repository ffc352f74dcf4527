"""``train.batch_size: auto``: a micro-batch as large as memory allows, of a given global batch."""

from __future__ import annotations

from pydantic import Field

from sweeper._spec import Spec
from sweeper._text import shorten
from sweeper.errors import Problem, SpecError
from sweeper.experiment.documents.tree import Document, get_path

__all__ = ["GlobalBatchSpec", "has_open_batch", "with_single_rows"]

_AUTO = "auto"
_MOST = 65_536


class GlobalBatchSpec(Spec):
    """The sequences of one optimiser step, where ``batch_size`` is ``auto``.

    ``batch_size`` is then the largest divisor whose micro-batches fit into a worker's memory, or
    into ``--max-memory``, in every trial of the sweep, and ``engine.gradient_accumulation`` what is
    left. Both are numbers in the sweep's file and in each trial, as if they had been given.
    """

    global_batch_size: int = Field(ge=1, le=_MOST)
    """Sequences of one optimiser step of all workers; a multiple of ``resources.workers``."""


def has_open_batch(document: Document) -> bool:
    """Returns whether a document leaves the micro-batch open."""
    return get_path(document, ("train", "batch_size")) == _AUTO


def with_single_rows(document: Document, *, source: str) -> Document:
    """Returns a document with micro-batches of one sequence where it leaves them open.

    Args:
        document: with its profile and its overrides.
        source: where it is from, for the message.

    Raises:
        SpecError: the global batch is missing, or given although the micro-batch is, too, or is
            none.
    """
    train = document.get("train")
    if not isinstance(train, dict):
        return document
    whole = train.get("global_batch_size")
    if not has_open_batch(document):
        if whole is not None:
            text = (
                f"is {shorten(repr(whole))}, but train.batch_size is "
                f"{shorten(repr(train.get('batch_size', 8)))}; the one follows from the other and "
                "engine.gradient_accumulation; set train.batch_size to auto, or leave it out"
            )
            raise SpecError(source, [Problem("train.global_batch_size", text)])
        return document
    workers = get_path(document, ("resources", "workers"))
    workers = workers if isinstance(workers, int) and workers > 0 else 1
    is_number = isinstance(whole, int) and not isinstance(whole, bool)
    if not is_number or not 1 <= whole <= _MOST or whole % workers:  # type: ignore[operator]
        text = (
            f"is {shorten(repr(whole))}, and train.batch_size is auto; it must be the number of "
            f"sequences of one optimiser step, from 1 to {_MOST:,}, and a multiple of the "
            f"{workers} worker(s); set train.global_batch_size=16, or give batch_size a number"
        )
        raise SpecError(source, [Problem("train.global_batch_size", text)])
    assert isinstance(whole, int)
    kept = {key: value for key, value in train.items() if key != "global_batch_size"}
    engine = document.get("engine")
    return {
        **document,
        "train": {**kept, "batch_size": 1},
        "engine": {
            **(engine if isinstance(engine, dict) else {}),
            "gradient_accumulation": whole // workers,
        },
    }
