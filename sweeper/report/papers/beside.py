"""What a paper has published beside what a sweep found, as rows of texts."""

from __future__ import annotations

from dataclasses import dataclass

from sweeper._text import count
from sweeper.analysis.conclusions import SweepConclusions
from sweeper.analysis.published import NOT_RUN, Published, PublishedArm
from sweeper.analysis.ranking import Ranking
from sweeper.report.configurations import configuration_rows, score_title
from sweeper.report.papers.protocol import changed_text, how_to_read

__all__ = ["BesideOurs", "beside_ours"]


@dataclass(frozen=True)
class BesideOurs:
    """The section on what is published.

    Attributes:
        title: The paper's item.
        lead: Sentences that go before the table: what the item shows, and what stands where.
        head: Titles of the table; empty of an item without numbers.
        rows: Its rows.
        notes: Sentences that go after it: what is claimed, and what is not.
    """

    title: str
    lead: tuple[str, ...]
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def beside_ours(found: SweepConclusions, ranking: Ranking) -> BesideOurs | None:
    """Returns what a paper has published beside what a sweep found; None where no paper is asked.

    Args:
        found: the conclusions of a sweep.
        ranking: of its trials.
    """
    published = found.published
    if published is None:
        return None
    paper = published.paper
    notes = (*_notes(found, published), *_read(published))
    title = f"Published: {paper.title}"
    changed = changed_text(paper)
    lead = (f"The paper: {paper.shows}", *([changed] if changed else []))
    if not published.rows:
        return BesideOurs(title, lead, (), (), notes)
    here, scores = _scores(found, ranking)
    unit = f", in {found.unit.plural}" if found.unit.plural else ""
    return BesideOurs(
        title,
        (
            *lead,
            f"published: {published.column}, with the difference to {published.baseline}. here: "
            f"{here}, with the difference{unit} and its interval as in the verdicts. Differences "
            "are positive where the configuration is better.",
        ),
        ("configuration", "published", "here", "difference here", "verdict"),
        tuple(_row(found, published, row, scores.get(row.here, "")) for row in published.rows),
        notes,
    )


def _scores(found: SweepConclusions, ranking: Ranking) -> tuple[str, dict[str, str]]:
    """Returns the title of our scores, and by name each one with its error."""
    shown = configuration_rows(found, ranking)
    if shown is None or found.table is None:
        return found.metric, {}
    head, rows = shown
    title = score_title(found.metric, found.table.split)
    place = head.index(title)
    return title, {row[0]: row[place] for row in rows}


def _row(
    found: SweepConclusions, published: Published, row: PublishedArm, score: str
) -> tuple[str, ...]:
    name = row.arm if row.here == row.arm else f"{row.arm} ({row.here})"
    verdict = "baseline" if row.verdict is None else str(row.verdict)
    return (name, _published(published, row), score, _difference(found, row), verdict)


def _published(published: Published, row: PublishedArm) -> str:
    """Returns a published number and its difference: ``59.40 (-0.22)``."""
    if row.published is None:
        return published.number(row.value)
    return f"{published.number(row.value)} ({published.number(row.published, is_signed=True)})"


def _difference(found: SweepConclusions, row: PublishedArm) -> str:
    """Returns our difference with its interval: ``0.01 [-0.15, 0.18]``."""
    if row.estimate is None or row.interval is None:
        return ""
    low, high = row.interval
    number, scale = found.unit.number, (high - low) / 2
    return f"{number(row.estimate, scale)} [{number(low, scale)}, {number(high, scale)}]"


def _notes(found: SweepConclusions, published: Published) -> tuple[str, ...]:
    if not published.rows:
        return ()
    small = [x.here for x in published.rows if x.is_within_delta]
    less: tuple[str, ...] = ()
    if small and found.delta is not None:
        less = (f"By less than {found.unit.exact(found.delta)}: {'; '.join(small)}.",)
    why = tuple(f"{x.arm}: {NOT_RUN}, {x.why_not_run}." for x in published.rows if x.why_not_run)
    judged = [x for x in published.rows if x.verdict not in (None, NOT_RUN)]
    # Whatever the report compares besides, such as a control arm, is not beside the paper.
    compared = {published.baseline, *(x.here for x in judged)}
    unlike = [
        line.subject
        for line in found.parity
        if not line.holds and (not line.names or compared & set(line.names))
    ]
    parity = f"not alike in {', '.join(unlike)}" if unlike else "alike in all that was looked at"
    said = (
        "Published numbers are of one run each, without errors: of their differences the signs "
        "alone are compared. A verdict holds for this model, this data and new seeds, and says "
        "nothing of the paper's."
    )
    open_ = _without_direction(published)
    if not judged:
        return (*why, *open_, said)
    return (*less, *why, *open_, f"Parity: {count(len(judged), 'comparison')}, {parity}.", said)


def _without_direction(published: Published) -> tuple[str, ...]:
    """Returns which published differences have no direction, and why; nothing where all have."""
    table = published.paper.published
    if table is None:
        return ()
    small = f"Published differences below {published.number(table.least)} have no direction."
    denied = "; ".join(row.arm for row in table.rows if not row.has_direction)
    other = f"Other numbers of the paper deny the difference of {denied}: it has no direction."
    return (*((small,) if table.least else ()), *((other,) if denied else ()))


def _read(published: Published) -> tuple[str, ...]:
    text = how_to_read(published.paper, "SWEEP")
    return (text,) if text else ()
