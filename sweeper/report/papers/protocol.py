"""How an item of a paper is asked: its protocol on one profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sweeper.analysis.published import arm_names
from sweeper.experiment.paper import PaperSpec, PublishedRow
from sweeper.experiment.sweep import Sweep

__all__ = ["changed_text", "how_to_read", "protocol_document"]

_OPTIONS = {"similarity", "projection", "spectra"}


def how_to_read(paper: PaperSpec, sweep: str) -> str:
    """Returns how an item is read that no report shows, a sentence; empty of one that it shows.

    Args:
        paper: the item.
        sweep: name of its sweep.
    """
    if paper.reads in _OPTIONS:
        return (
            "It is read from the trained adapters, several seeds of each: python -m sweeper "
            f"inspect {sweep}/TRIAL --{paper.reads}"
        )
    if paper.reads == "report":
        return ""
    return (
        f"It is timed by make {paper.reads}, and on a GPU by make gpu-check; a sweep of the file "
        "trains what is timed"
    )


def changed_text(paper: PaperSpec) -> str:
    """Returns what ``--set`` has changed of an item's file, a sentence; empty where nothing is.

    Args:
        paper: the item.
    """
    return f"Not as in the file: --set {', '.join(paper.changed)}." if paper.changed else ""


def protocol_document(sweep: Sweep, *, profiles: tuple[str, ...]) -> dict[str, Any]:
    """Returns how an item is asked on a profile, as plain JSON.

    Args:
        sweep: whose file has a section ``paper``.
        profiles: all that the file names.
    """
    paper, plan, spec = sweep.spec.paper, sweep.design, sweep.spec
    assert paper is not None
    own = paper.on(spec.profile)
    table = paper.published
    # Scores say nothing of what a bench times: its rows are not those of a sweep.
    is_timed = paper.reads.startswith("bench")
    here = (
        {}
        if table is None or is_timed
        else {row.arm: own.arms.get(row.arm, row.arm) for row in table.rows}
    )
    arms = () if plan is None else arm_names(plan)
    return {
        "name": spec.name,
        "paper": paper.title,
        "where": paper.where,
        "shows": paper.shows,
        "reads": paper.reads,
        "how_to_read": how_to_read(paper, f"{spec.name}-{spec.profile}-1") or None,
        "profile": spec.profile,
        "profiles": list(profiles),
        "design": None if plan is None else plan.kind,
        "arms": list(arms),
        "seeds": 0 if plan is None else len(plan.seeds),
        "trials": spec.search.trials,
        "compared_by": None if is_timed else spec.compared_by,
        "baseline": None if table is None else here.get(table.baseline),
        "column": None if table is None or is_timed else own.column or table.columns[0],
        "columns": [] if table is None else list(table.columns),
        "decimals": 0 if table is None else table.decimals,
        "least": 0.0 if table is None else table.least,
        "published": []
        if table is None
        else [_row(row, here.get(row.arm), arms) for row in table.rows],
        "departures": [*paper.departures, *([changed] if (changed := changed_text(paper)) else [])],
    }


def _row(row: PublishedRow, here: str | None, arms: Sequence[str]) -> dict[str, Any]:
    return {
        "arm": row.arm,
        "here": here,
        "is_planned": here in arms,
        "values": list(row.values),
        "not_run": row.not_run or None,
    }
