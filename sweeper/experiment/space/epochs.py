"""``train.epochs``: a length of training in passes over the data, from which steps are made.

A trial has steps: its schedule, its evaluations and its identity follow from them. Epochs are a way
to say them, where the number of training rows is known.
"""

from __future__ import annotations

import math

from pydantic import Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from sweeper._spec import Spec
from sweeper.experiment.documents.tree import Document, Json, get_path, set_path

__all__ = ["EPOCH_FIELDS", "EpochsSpec", "with_steps"]

EPOCH_FIELDS = ("epochs", "epoch_rows")
"""Fields of ``train`` that a trial does not have: its steps are made of them."""


class EpochsSpec(Spec):
    """A length in passes over the training rows, in the place of ``steps``.

    ``steps`` is then ``epochs * epoch_rows`` divided by the examples of one step, rounded up: those
    are ``batch_size`` times ``gradient_accumulation`` and ``workers``. ``plan`` shows it.
    """

    epochs: float = Field(gt=0, le=10_000)
    """Passes over the training rows; ``0.5`` is half of one."""
    epoch_rows: int = Field(ge=1)
    """Rows of one pass. Those of the data's training split where it is not given; they are counted
    when a file is read, and kept with the sweep. Of plain text (``format.name: text``) it is the
    sequences of one pass and must be given, since long rows are parted."""

    def steps(self, examples: int) -> int:
        """Returns the steps of so many examples each that see the rows as often."""
        # A product of decimals may come out a little above a whole number.
        return max(1, math.ceil(round(self.epochs * self.epoch_rows / examples, 9)))


def with_steps(tree: Document) -> Document:
    """Returns a trial's tree with steps in the place of epochs; without epochs it is the same.

    Args:
        tree: of a trial, with nothing left to search.

    Raises:
        ValidationError: the epochs are none.
    """
    train = tree.get("train")
    if not isinstance(train, dict) or not any(name in train for name in EPOCH_FIELDS):
        return tree
    kept: Json = {name: value for name, value in train.items() if name not in EPOCH_FIELDS}
    if "epochs" not in train:
        # Of another trial beside it.
        return {**tree, "train": kept}
    found = _read({name: train[name] for name in EPOCH_FIELDS if name in train})
    if "steps" in train:
        text = "stands beside steps; one of the two says how long training is; leave one out"
        raise _error([(PydanticCustomError("epochs", text), ("epochs",), None)])
    examples = _positive(train.get("batch_size"), otherwise=8)
    examples *= _positive(get_path(tree, ("engine", "gradient_accumulation")), otherwise=1)
    examples *= _positive(tree.get("workers"), otherwise=1)
    changed = set_path({**tree, "train": kept}, ("train", "steps"), found.steps(examples))
    assert isinstance(changed, dict)
    return changed


def _read(fields: Document) -> EpochsSpec:
    try:
        return EpochsSpec.model_validate(fields)
    except ValidationError as error:
        found = error.errors(include_url=False)
        # Of the same kind: whoever tells them has words for each.
        kinds = (PydanticCustomError(x["type"], x["msg"], x.get("ctx")) for x in found)
        raise _error(
            [(kind, x["loc"], x["input"]) for kind, x in zip(kinds, found, strict=True)]
        ) from error


def _error(
    problems: list[tuple[PydanticCustomError, tuple[int | str, ...], object]],
) -> ValidationError:
    """Returns the error of a trial whose training has wrong fields."""
    errors = [
        InitErrorDetails(type=kind, loc=("train", *location), input=value)
        for kind, location, value in problems
    ]
    return ValidationError.from_exception_data("TrialSpec", errors)


def _positive(value: Json, *, otherwise: int) -> int:
    """Returns a number; where it is none the trial's own check says so."""
    is_number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return int(str(value)) if is_number else otherwise
