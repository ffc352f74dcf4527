"""What is left out when the prior is fitted, and is then predicted: models, sizes or seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.rates.cells import Cell

__all__ = ["Fold", "Kind", "folds"]

Kind = Literal["model", "size", "seed"]
"""What is left out."""


@dataclass(frozen=True)
class Fold:
    """Cells that are predicted, and those that the prior is fitted to."""

    kind: Kind
    """What is left out."""
    name: str
    """Which one, in words."""
    held: tuple[Cell, ...]
    """Predicted."""
    rest: tuple[Cell, ...]
    """Fitted to."""


def folds(cells: Sequence[Cell]) -> list[Fold]:
    """Returns what can be left out of some cells: each model, each size of a model, each seed.

    Where there is one model, one size or one seed, nothing of that kind can be.

    Args:
        cells: of all tables.
    """
    return [*_models(cells), *_sizes(cells), *_seeds(cells)]


def _models(cells: Sequence[Cell]) -> Iterator[Fold]:
    for model in dict.fromkeys(cell.model for cell in cells):
        yield from _parted("model", model, cells, lambda x, model=model: x.model == model)  # type: ignore[misc]


def _sizes(cells: Sequence[Cell]) -> Iterator[Fold]:
    for model, rank in dict.fromkeys((cell.model, cell.rank) for cell in cells):
        name = f"{model}, size {rank}"
        ranks = {cell.rank for cell in cells if cell.model == model}
        if len(ranks) > 1:
            yield from _parted(
                "size",
                name,
                cells,
                lambda x, key=(model, rank): (x.model, x.rank) == key,  # type: ignore[misc]
            )


def _seeds(cells: Sequence[Cell]) -> Iterator[Fold]:
    for seed in range(max((cell.seeds for cell in cells), default=0)):
        several = [cell for cell in cells if cell.seeds > max(1, seed)]
        if several:
            held = tuple(cell.of_seeds([seed]) for cell in several)
            others = [[x for x in range(cell.seeds) if x != seed] for cell in several]
            rest = tuple(x.of_seeds(kept) for x, kept in zip(several, others, strict=True))
            yield Fold("seed", f"seed {seed}", held, rest)


def _parted(
    kind: Kind, name: str, cells: Sequence[Cell], is_held: Callable[[Cell], bool]
) -> Iterator[Fold]:
    held = tuple(cell for cell in cells if is_held(cell))
    rest = tuple(cell for cell in cells if not is_held(cell))
    if held and rest:
        yield Fold(kind, name, held, rest)
