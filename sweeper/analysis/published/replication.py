"""What a verdict of ours says of a difference that a paper has published."""

from __future__ import annotations

from typing import Literal

from sweeper.analysis.statistics.verdicts.conclusions import Kind

__all__ = ["NOT_RUN", "Replication", "replication_of"]

Replication = Literal[
    "replicated in direction",
    "contradicted",
    "equivalent",
    "not distinguishable",
    "no direction published",
    "not run here",
]
"""What follows for one published difference."""

NOT_RUN: Replication = "not run here"
"""There is no verdict on the pair."""


def replication_of(kind: Kind | None, published: float | None) -> Replication:
    """Returns what a verdict on a pair says of the published difference of the same pair.

    A published number is one run without an error, so of a published difference the sign alone is
    taken. ``replicated in direction`` says that here, too, the first is better (or worse) than the
    second, and not by how much; ``contradicted``, that here it is the other way round.
    ``equivalent`` says that the two differ by less than δ here, whichever is ahead in the paper;
    ``not distinguishable``, that these seeds and rows decide neither.

    Args:
        kind: our verdict on the first against the second; None where there is none.
        published: the published difference, positive where the first is better; None where it has
            no direction: one of the two numbers is not printed, the rows are draws, other numbers
            of the paper deny it, or it is smaller than the smallest that is taken for one.
    """
    if kind is None:
        return NOT_RUN
    if kind == "equivalent":
        return "equivalent"
    if kind == "undecided":
        return "not distinguishable"
    # What a paper prints as equal has no direction: one run each does not say that they are.
    if published is None or published == 0:
        return "no direction published"
    is_better = kind in ("better", "better_within_delta")
    return "replicated in direction" if is_better == (published > 0) else "contradicted"
