"""What follows from a table, as objects; the words come after."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sweeper.analysis.statistics.primitive import Claim, Components

__all__ = [
    "Basis",
    "BestSet",
    "Conclusion",
    "Conclusions",
    "Contrasted",
    "Family",
    "Kind",
    "Needs",
    "Reason",
    "Silence",
    "Statement",
]

Kind = Literal[
    "better", "worse", "better_within_delta", "worse_within_delta", "equivalent", "undecided"
]
Family = Literal[
    "all_pairs",
    "against_control",
    "declared_pairs",
    "size_trend",
    "factorial",
    "peaks_all_pairs",
    "peaks_against_control",
    "peaks_declared_pairs",
]
Contrasted = Literal["pair", "line", "bend", "main_effect", "interaction"]
Reason = Literal[
    "all_one_seed",
    "no_second_seed",
    "one_seed",
    "too_few",
    "missing",
    "no_control",
    "edge",
    "grid",
]


@dataclass(frozen=True)
class Basis:
    """What a statement rests on.

    Attributes:
        claim: Of configurations, or of adapters.
        level: Of its family, such as 0.95.
        seeds: Fewest and most seeds of what is compared.
        rows: Independent rows or clusters.
        split: Which split the rows are of.
        fixed_rows: Whether it is said of these very rows only.
        members: Statements that hold together at the level.
    """

    claim: Claim
    level: float
    seeds: tuple[int, int]
    rows: int
    split: str
    fixed_rows: bool
    members: int


@dataclass(frozen=True)
class Needs:
    """What it takes to find δ in four of five sweeps; never what the observed difference takes.

    Attributes:
        seeds: More seeds of each configuration; None where no number up to 200 suffices.
        rows: Rows in all; None where those there are suffice, or more would not help.
        closer_rates: Whether neither helps, but tuned rates that are closer together.
    """

    seeds: int | None
    rows: int | None
    closer_rates: bool = False


@dataclass(frozen=True)
class Conclusion:
    """What is concluded of one contrast.

    Attributes:
        kind: The verdict.
        family: Which statements it holds together with.
        contrasted: What the contrast is.
        names: Of a pair, the first and the second. Of a line or a bend, the factor, the largest and
            the smallest size. Of a main effect, the factor, the level and the one that it is
            compared with. Of an interaction, these three of both factors.
        estimate: Positive where the first is better, in units of the scores.
        interval: Of the estimate, simultaneous in its family.
        equivalence_interval: Of the estimate alone, at the level 1 − 2·alpha.
        delta: Smallest difference of interest.
        basis: What it rests on.
        needs: Where nothing is decided, what it takes to find δ.
        caveats: Sentences that go with it.
    """

    kind: Kind
    family: Family
    contrasted: Contrasted
    names: tuple[str, ...]
    estimate: float
    interval: tuple[float, float]
    equivalence_interval: tuple[float, float]
    delta: float
    basis: Basis
    needs: Needs | None = None
    caveats: tuple[str, ...] = ()

    @property
    def equivalence_level(self) -> float:
        """Level of `equivalence_interval`."""
        return 1.0 - 2.0 * (1.0 - self.basis.level)

    @property
    def is_difference(self) -> bool:
        """Whether it says that one is better than the other."""
        return self.kind not in ("equivalent", "undecided")


@dataclass(frozen=True)
class BestSet:
    """The configurations of which each may be the best.

    Attributes:
        members: In the order of the table.
        left_out: The others. That one is left out says that it is not the best, no more.
        of_methods: Whether tuned methods are compared, by their peaks.
        basis: What it rests on.
        caveats: Sentences that go with it.
    """

    members: tuple[str, ...]
    left_out: tuple[str, ...]
    of_methods: bool
    basis: Basis
    caveats: tuple[str, ...] = ()

    @property
    def winner(self) -> str | None:
        """The only member, if there is but one."""
        return self.members[0] if len(self.members) == 1 else None


@dataclass(frozen=True)
class Silence:
    """Of what nothing is said, and why.

    Attributes:
        reason: "one_seed" where a configuration has no other, "all_one_seed" where none of them
            has, and what follows is of adapters; "no_second_seed" where none of them has, and
            nothing was asked that adapters could answer; "too_few" where there are no two to
            compare; "missing" where what is named has no scores; "no_control" where nothing is
            said of the method that others are held against; "edge" where the best rate is an end of
            its grid; "grid" where too little of a grid was scored for a curve.
        names: Of what nothing is said.
        detail: What was tuned and its best value, where the reason is the edge; what is missing,
            where it is the grid; else empty.
    """

    reason: Reason
    names: tuple[str, ...]
    detail: str = ""


Statement = BestSet | Conclusion | Silence


@dataclass(frozen=True)
class Conclusions:
    """All that follows from a table, in the order of the questions.

    Attributes:
        statements: In that order.
        components: What they rest on; None where nothing but peaks is compared.
    """

    statements: tuple[Statement, ...]
    components: Components | None = field(default=None, repr=False, compare=False)

    @property
    def silences(self) -> tuple[Silence, ...]:
        """Of what nothing is said."""
        return tuple(each for each in self.statements if isinstance(each, Silence))

    @property
    def best_sets(self) -> tuple[BestSet, ...]:
        """The sets of what may be the best."""
        return tuple(each for each in self.statements if isinstance(each, BestSet))

    @property
    def comparisons(self) -> tuple[Conclusion, ...]:
        """The conclusions of contrasts."""
        return tuple(each for each in self.statements if isinstance(each, Conclusion))
