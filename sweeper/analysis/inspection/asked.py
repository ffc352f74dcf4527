"""What is asked of an inspection, and on which layers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sweeper._text import listed
from sweeper.errors import BadInputError

if TYPE_CHECKING:
    from sweeper_adapters import AdaptedLayer

__all__ = [
    "KINDS",
    "InspectionKind",
    "InspectionRequest",
    "Split",
    "chosen_layers",
    "layer_numbers",
]

InspectionKind = Literal["similarity", "projection", "spectra", "diversity", "conflict"]

Split = Literal["train", "validation", "test"]

KINDS: tuple[InspectionKind, ...] = (
    "similarity",
    "projection",
    "spectra",
    "diversity",
    "conflict",
)
"""All kinds, in the order of the options."""

_RANGE = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")


@dataclass(frozen=True)
class InspectionRequest:
    """How a trained trial is looked into."""

    kind: InspectionKind
    rows: int | None = None
    """Most rows of the data, of all tasks together; None for :attr:`most_rows` of the kind."""
    tokens: int = 16
    """Tokens of each row that similarities are of."""
    split: Split | None = None
    """Where the rows are from; None for ``train`` of gradients, which training is made of, and else
    ``validation``."""
    seed: int = 0
    """Draws rows, tokens, permutations and random matrices."""
    draws: int = 999
    """Permutations of a null, and random matrices of one."""
    threshold: float = 0.01
    """Singular values above it are counted, as in MoSA's Figure 4."""
    layers: tuple[int, ...] = ()
    """Numbers of decoder layers, from 0; those of the kind's own choice where empty."""
    modules: tuple[str, ...] = ()
    """Last parts of layers' names, ``q_proj``; those of the kind's own choice where empty."""
    device: str | None = None
    """``cpu``, ``cuda``; a GPU where there is one, if None."""

    @property
    def most_rows(self) -> int:
        """Most rows: as asked for, else 256, and 2,048 for gradients, which are noisy."""
        return self.rows or (2048 if self.kind == "conflict" else 256)

    @property
    def chosen_split(self) -> Split:
        """The split that is asked for, else the kind's own."""
        return self.split or ("train" if self.kind == "conflict" else "validation")


def layer_numbers(text: str) -> tuple[int, ...]:
    """Returns the numbers that a text lists, ``0,2,5-7``, each once and in rising order.

    Raises:
        BadInputError: it is no such list.
    """
    found: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        matched = _RANGE.fullmatch(part)
        first, last = (int(matched[1]), int(matched[2] or matched[1])) if matched else (1, 0)
        if first > last:
            raise BadInputError(
                f"layers: got {text!r}; it is a list of numbers from 0 and of ranges that rise; "
                "give one such as 0,2,5-7"
            )
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def chosen_layers(
    layers: Sequence[AdaptedLayer], asked: InspectionRequest
) -> tuple[AdaptedLayer, ...]:
    """Returns the adapted layers that are asked for, in the model's order.

    Raises:
        BadInputError: the adapter has none of that number or name.
    """
    numbers = sorted({layer.number for layer in layers})
    modules = list(dict.fromkeys(layer.module for layer in layers))
    unknown = [number for number in asked.layers if number not in numbers]
    if unknown:
        raise BadInputError(
            f"layers: got {', '.join(map(str, unknown))}; the adapter is in layers "
            f"{listed([str(x) for x in numbers], most=40)}; give some of them"
        )
    strange = [module for module in asked.modules if module not in modules]
    if strange:
        raise BadInputError(
            f"modules: got {', '.join(strange)}; the adapter is in {', '.join(modules)}; give some "
            "of them"
        )
    return tuple(
        layer
        for layer in layers
        if layer.number in (asked.layers or numbers) and layer.module in (asked.modules or modules)
    )
