"""The rows of a paper's table, each with the verdict of a sweep on the same pair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sweeper.analysis.published.replication import NOT_RUN, Replication, replication_of
from sweeper.analysis.statistics.verdicts import Conclusion, Statement
from sweeper.analysis.statistics.verdicts.conclusions import Kind
from sweeper.experiment.design import DesignPlan
from sweeper.experiment.paper import PaperSpec, PublishedRow, PublishedTable

__all__ = ["Published", "PublishedArm", "arm_names", "published_document", "published_of"]

# The same pair, the other one first.
_TURNED: Mapping[Kind, Kind] = {
    "better": "worse",
    "worse": "better",
    "better_within_delta": "worse_within_delta",
    "worse_within_delta": "better_within_delta",
}


@dataclass(frozen=True)
class PublishedArm:
    """One row of a paper's table. Differences are to the baseline, positive where it is better.

    Attributes:
        arm: Name of the row.
        here: Name of its configuration in the sweep.
        value: What is printed; None where nothing is.
        published: The published difference; None of the baseline, and where a number is missing.
        estimate: Our difference, in units of the scores; None without a verdict.
        interval: Of the estimate, simultaneous in its family; where the two are equivalent, that of
            the two one-sided tests.
        verdict: What follows; None of the baseline.
        is_within_delta: Whether a difference was found that is smaller than δ.
        why_not_run: Why there is no verdict; empty where there is one.
    """

    arm: str
    here: str
    value: float | None
    published: float | None
    estimate: float | None
    interval: tuple[float, float] | None
    verdict: Replication | None
    is_within_delta: bool
    why_not_run: str


@dataclass(frozen=True)
class Published:
    """What a paper publishes of the item that a sweep asks again, and what the sweep says of it.

    Attributes:
        paper: The item.
        column: The published column that is compared; empty where no numbers are printed.
        decimals: Of the published numbers.
        baseline: Row that the others are compared with, by its name in the sweep; empty likewise.
        rows: In the paper's order.
    """

    paper: PaperSpec
    column: str = ""
    decimals: int = 2
    baseline: str = ""
    rows: tuple[PublishedArm, ...] = ()

    def number(self, value: float | None, *, is_signed: bool = False) -> str:
        """Returns a published number with the decimals that are printed; empty where None."""
        if value is None:
            return ""
        return f"{value:{'+' if is_signed else ''}.{self.decimals}f}"


def arm_names(plan: DesignPlan) -> tuple[str, ...]:
    """Returns what the verdicts of a design call what it compares: configurations or methods."""
    if plan.tuned is None:
        return tuple(x.name for x in plan.configurations)
    return tuple(dict.fromkeys(str(x.levels["name"]) for x in plan.configurations))


def published_of(
    paper: PaperSpec,
    profile: str,
    plan: DesignPlan | None,
    statements: Sequence[Statement],
) -> Published:
    """Returns the rows of a paper's item with the verdicts of a sweep.

    Args:
        paper: the item.
        profile: the sweep's, which says the column and the names.
        plan: of the design; None of a search.
        statements: the verdicts.
    """
    table = paper.published
    if table is None:
        return Published(paper)
    own = paper.on(profile)
    here = {row.arm: own.arms.get(row.arm, row.arm) for row in table.rows}
    found = Published(
        paper=paper,
        column=own.column or table.columns[0],
        decimals=table.decimals,
        baseline=here[table.baseline],
    )
    planned = () if plan is None else arm_names(plan)
    if paper.reads != "report":
        # Scores say nothing of what a bench times.
        planned, statements = (), ()
    return replace(found, rows=tuple(_rows(table, found, here, planned, statements)))


def _rows(
    table: PublishedTable,
    found: Published,
    here: Mapping[str, str],
    planned: Sequence[str],
    statements: Sequence[Statement],
) -> Iterator[PublishedArm]:
    base = table.value(table.baseline, found.column)
    sign = 1.0 if table.better == "higher" else -1.0
    for row in table.rows:
        value, name = table.value(row.arm, found.column), here[row.arm]
        is_base = row.arm == table.baseline
        difference = None
        if not is_base and value is not None and base is not None:
            # The difference of what is printed, without the dust of binary numbers.
            difference = round(sign * (value - base), table.decimals)
        pair = None if is_base else _pair(statements, name, found.baseline)
        kind, estimate, interval = pair or (None, None, None)
        # One run without an error says of a smaller difference not even the sign.
        is_claimed = (
            row.has_direction and difference is not None and table.has_direction(difference)
        )
        verdict = None if is_base else replication_of(kind, difference if is_claimed else None)
        yield PublishedArm(
            arm=row.arm,
            here=name,
            value=value,
            published=difference,
            estimate=estimate,
            interval=interval,
            verdict=verdict,
            is_within_delta=kind in ("better_within_delta", "worse_within_delta"),
            why_not_run=_why(found.paper, row, name, planned) if verdict == NOT_RUN else "",
        )


_Pair = tuple[Kind, float, tuple[float, float]]


def _pair(statements: Sequence[Statement], first: str, second: str) -> _Pair | None:
    """Returns verdict, estimate and interval of the first against the second; None without one."""
    for each in statements:
        if not isinstance(each, Conclusion) or each.contrasted != "pair":
            continue
        # The one that the verdict's own sentence has.
        is_equivalent = each.kind == "equivalent"
        low, high = each.equivalence_interval if is_equivalent else each.interval
        if each.names == (first, second):
            return each.kind, each.estimate, (low, high)
        if each.names == (second, first):
            return _TURNED.get(each.kind, each.kind), -each.estimate, (-high, -low)
    return None


def _why(paper: PaperSpec, row: PublishedRow, here: str, planned: Sequence[str]) -> str:
    if here in planned:
        return "no verdict on this pair"
    if paper.reads != "report":
        return row.not_run or f"make {paper.reads} times it"
    return row.not_run or "no such configuration on this profile"


def published_document(found: Published) -> dict[str, Any]:
    """Returns it as plain JSON, without what stands in the file."""
    return {
        "paper": found.paper.title,
        "reads": found.paper.reads,
        "column": found.column or None,
        "baseline": found.baseline or None,
        "rows": [asdict(row) for row in found.rows],
    }
