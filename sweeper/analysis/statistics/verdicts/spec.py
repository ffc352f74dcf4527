"""What is to be concluded of a table, declared before its scores are seen."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sweeper.analysis.statistics.multiplicity import DRAWS
from sweeper.analysis.statistics.primitive import Claim, RowScope
from sweeper.analysis.statistics.questions import Look, RateGrid

__all__ = [
    "ALPHA",
    "SAME_SIZE",
    "AgainstControl",
    "AllPairs",
    "Best",
    "ConclusionSpec",
    "DeclaredPairs",
    "Factorial",
    "Peaks",
    "Question",
    "SizeTrend",
    "default_delta",
]

ALPHA = 0.05
"""One minus the level of a family where no look is declared."""
SAME_SIZE = 0.05
"""Sizes that are farther apart, relative to the larger one, are not those of one budget."""
_DELTA_OF_FRACTION, _DELTA_OF_LOSS = 0.01, 0.02


@dataclass(frozen=True)
class Best:
    """Which configurations may be the best."""


@dataclass(frozen=True)
class AllPairs:
    """Each configuration against each other one."""


@dataclass(frozen=True)
class AgainstControl:
    """Each configuration against one of them, which is named."""

    control: str


@dataclass(frozen=True)
class DeclaredPairs:
    """The pairs that are named, the first of each against its second."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SizeTrend:
    """A straight line, and with three sizes a bend, over log2 of one factor's size.

    Attributes:
        factor: What the reader calls it.
        sizes: The size of each configuration that takes part, by its name.
    """

    factor: str
    sizes: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Factorial:
    """Main effects and two-way interactions of crossed factors.

    Attributes:
        cells: By configuration's name, the level of every factor.
    """

    cells: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


@dataclass(frozen=True)
class Peaks:
    """Tuned methods at the peaks of their curves over the rate.

    Attributes:
        grids: One a method, at least two.
        control: Method that the others are held against; None for all pairs.
        pairs: Methods that are compared besides, the first of each against its second: a family of
            their own.
    """

    grids: tuple[RateGrid, ...]
    control: str | None = None
    pairs: tuple[tuple[str, str], ...] = ()


Question = Best | AllPairs | AgainstControl | DeclaredPairs | SizeTrend | Factorial | Peaks


@dataclass(frozen=True)
class ConclusionSpec:
    """What is concluded, and how.

    Attributes:
        questions: Each is a family of its own, which holds at its level.
        delta: Smallest difference of interest, in units of the scores, positive; fixed before the
            run.
        claim: Of configurations (new seeds), or of the adapters that were trained.
        rows: New rows of the same kind, or these very ones.
        look: The declared look at which this is, with its first seeds and its alpha; None where
            there is one only, at 5 %.
        caveats: Sentences by the name of a configuration or method; each conclusion that names it
            carries them.
        sizes: Trainable parameters by the name of a configuration or method; each conclusion on
            names whose sizes are not the same says by how much these differ.
        draws: Of the multivariate t.
    """

    questions: tuple[Question, ...]
    delta: float
    claim: Claim = "configurations"
    rows: RowScope = "new"
    look: Look | None = None
    caveats: tuple[tuple[str, str], ...] = ()
    sizes: tuple[tuple[str, int], ...] = ()
    draws: int = DRAWS

    @property
    def alpha(self) -> float:
        """One minus the level of each family."""
        return ALPHA if self.look is None else self.look.alpha

    def caveats_on(self, names: Collection[str]) -> tuple[str, ...]:
        """Returns the caveats of a conclusion, each once.

        Args:
            names: Of the configurations or methods that it is on.
        """
        sizes = [size for name, size in self.sizes if name in names]
        miss = 1 - min(sizes) / max(sizes) if sizes else 0.0
        up_to = "up to " if len(sizes) > 2 else ""
        differ = (f"Sizes differ by {up_to}{100 * miss:.3g} %",) if miss > SAME_SIZE else ()
        own = (text for name, text in self.caveats if name in names)
        return tuple(dict.fromkeys((*differ, *own)))


def default_delta(*, is_fraction: bool, control_mean: float) -> float:
    """Returns the smallest difference of interest where nobody named one.

    Args:
        is_fraction: Whether scores are fractions, such as an accuracy: then one point.
        control_mean: Mean score of the control: of what is no fraction, 2 % of its size.
    """
    return _DELTA_OF_FRACTION if is_fraction else _DELTA_OF_LOSS * abs(control_mean)
