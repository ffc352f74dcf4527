"""What stands on the page of one sweep, in its order."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from optuna.exceptions import OptunaError
from sqlalchemy.exc import SQLAlchemyError

from sweeper._text import count, value_text
from sweeper.analysis.conclusions import ParityLine
from sweeper.analysis.statistics.verdicts import POINTS, Words
from sweeper.errors import BadInputError
from sweeper.experiment.space.space import Space
from sweeper.report.clones import CLONES_NOTE, clone_rows
from sweeper.report.configurations import configuration_rows, error_note
from sweeper.report.page import charts, tables
from sweeper.report.page.charts import Chart
from sweeper.report.page.inspections import ShownInspection, shown_inspections
from sweeper.report.page.repeating import Repeats, repeats_of
from sweeper.report.page.subject import Subject
from sweeper.report.page.tables import Table
from sweeper.report.papers import BesideOurs, beside_ours
from sweeper.report.summary import cost_text, trials_text
from sweeper.search import Importances, importances_of, read_study
from sweeper.tracking.asked import read_sweep
from sweeper.tracking.databases import place_of_study
from sweeper.tracking.owner.outside import space_revisions
from sweeper.tracking.owner.revising import describe
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["Contents", "Verdict", "contents_of"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """A statement as the page sets it; its parts, one after another, are the terminal's sentence.

    Attributes:
        head: In bold.
        rest: Of the sentence.
        caveats: Sentences that go with it.
    """

    head: str
    rest: str
    caveats: tuple[str, ...]

    @classmethod
    def of(cls, words: Words) -> Verdict:
        """Returns a statement in its parts."""
        plain = Words(words.head, words.rest).sentence
        caveats = tuple(Words(text, "").sentence for text in words.caveats)
        return cls(words.head, plain[len(words.head) :], caveats)


@dataclass(frozen=True, eq=False)
class Contents:
    """The page of one sweep.

    Attributes:
        name: Of the sweep.
        lead: What was run, a sentence or two.
        parity: In what the configurations are alike.
        verdicts: What follows.
        remarks: What compares nothing, a sentence each.
        charts: By section: comparison, rates, learning, tradeoff, search.
        importances: A sentence on the parameters of a search; empty of a design.
        compared: Table of what is compared, as in the terminal; None of a search.
        compared_error: What stands behind ± in that table.
        published: What a paper has published beside what was found; None where none is asked.
        configurations: Table of all configurations.
        tasks: Table, if there are tasks.
        failures: Table, if there are failures.
        cost: Table.
        cost_note: A sentence on it; may be empty.
        damage: Files that could not be read.
        repeats: What trains a configuration again.
        provenance: Names and values.
        rules: How the statements are to be read, a sentence each.
        clones: Table, if there are clones.
        clones_note: How they are to be read.
        trials: Table.
        inspections: What trials were looked into, and what was found.
        left_out: Trials that the page does not show.
        document: What ``report --json`` prints, with the trials that the page shows.
    """

    name: str
    lead: str
    parity: tuple[ParityLine, ...]
    verdicts: tuple[Verdict, ...]
    remarks: tuple[str, ...]
    charts: dict[str, tuple[Chart, ...]]
    importances: str
    compared: Table | None
    compared_error: str
    published: BesideOurs | None
    configurations: Table
    tasks: Table | None
    failures: Table | None
    cost: Table
    cost_note: str
    damage: tuple[str, ...]
    repeats: Repeats | None
    provenance: tuple[tuple[str, str], ...]
    rules: tuple[str, ...]
    clones: Table | None
    clones_note: str
    trials: Table
    inspections: tuple[ShownInspection, ...]
    left_out: int
    document: dict[str, Any]

    @property
    def all_charts(self) -> tuple[Chart, ...]:
        """The charts of all sections."""
        own = [chart for charts in self.charts.values() for chart in charts]
        return (*own, *(chart for each in self.inspections for chart in each.charts))


def contents_of(subject: Subject) -> Contents:
    """Returns what stands on the page of a sweep."""
    found = subject.conclusions
    said = _importances(subject)
    compared = configuration_rows(found, subject.ranking)
    clones = clone_rows(subject.folder, subject.ranking.objective)
    none = (found.why_none,) if found.why_none else ()
    return Contents(
        name=subject.folder.name,
        lead=_lead(subject),
        parity=found.parity,
        verdicts=tuple(map(Verdict.of, found.verdicts)),
        remarks=(*none, *found.facts),
        charts={
            "comparison": tuple(charts.comparison_charts(found)),
            "rates": tuple(charts.rate_charts(found, sign=found.sign)),
            "learning": tuple(charts.learning_charts(subject)),
            "tradeoff": tuple(charts.tradeoff_charts(subject)),
            "search": _search_charts(subject, said),
        },
        importances="" if found.plan is not None else _importance_text(said),
        compared=None if compared is None else Table(*compared),
        compared_error=error_note(found),
        published=beside_ours(found, subject.ranking),
        configurations=tables.configuration_table(subject),
        tasks=tables.task_table(subject),
        failures=tables.failure_table(subject.ranking, tables.names_by_trial(subject.groups)),
        cost=tables.cost_table(subject),
        cost_note=cost_text(subject.ranking),
        damage=tuple(f"{one.path}: {one.why}" for one in subject.ranking.damage),
        repeats=repeats_of(subject),
        provenance=tuple(_provenance(subject)),
        rules=tuple(_rules(subject)),
        clones=None if clones is None else Table(*clones),
        clones_note=CLONES_NOTE,
        trials=tables.trial_table(subject),
        inspections=tuple(shown_inspections(subject)),
        left_out=subject.left_out,
        document=_document(subject),
    )


def _document(subject: Subject) -> dict[str, Any]:
    """Returns a sweep's document without the trials that its page does not show."""
    if not subject.left_out:
        return subject.document
    trials = [trial for trial in subject.document["trials"] if trial["id"] in subject.shown_ids]
    return {**subject.document, "trials": trials, "trials_left_out": subject.left_out}


def _lead(subject: Subject) -> str:
    plan, folder, ranking = subject.conclusions.plan, subject.folder, subject.ranking
    methods = list(dict.fromkeys(x.method for x in ranking.trials))
    if plan is None:
        what = f"A search over {', '.join(methods) or 'nothing yet'}"
    else:
        kind = plan.kind.replace("_", "-")
        what = (
            f"A {kind} design of {count(len(plan.configurations), 'configuration')} × "
            f"{count(len(plan.seeds), 'seed')} ({', '.join(methods)})"
        )
    direction = "lower" if ranking.sign > 0 else "higher"
    revisions = [describe(revision) for revision in space_revisions(folder)]
    parts = [
        f"{what}; {ranking.objective.metric}, {direction} is better.",
        f"{trials_text(ranking).capitalize()}.",
        folder.note,
        *revisions,
    ]
    return " ".join(part for part in parts if part)


def _importances(subject: Subject) -> Importances | None:
    """Returns what the study of a search says; None of a design, or where it cannot be read."""
    if subject.conclusions.plan is not None:
        return None
    try:
        place = place_of_study(subject.folder)
        study = read_study(place) if place.is_there else None
    # Whoever only reads a report need not reach a shared database.
    except (SQLAlchemyError, OptunaError, BadInputError) as error:
        logger.debug("the study cannot be read: %s", error)
        return None
    if study is None:
        return None
    return importances_of(study, space=_changed_space(subject.folder))


def _changed_space(folder: SweepFolder) -> Space | None:
    """Returns the space of a sweep whose owner has changed it; None of any other."""
    if not space_revisions(folder):
        return None
    try:
        return read_sweep(folder).space
    except BadInputError as error:
        logger.debug("the space cannot be read: %s", error)
        return None


def _search_charts(subject: Subject, said: Importances | None) -> tuple[Chart, ...]:
    if subject.conclusions.plan is not None:
        return ()
    own = charts.importance_charts(said) if said is not None else ()
    return (*charts.parallel_charts(subject), *own)


def _importance_text(said: Importances | None) -> str:
    if said is None:
        return "Nothing is said of importances: the study of the search cannot be read."
    if not said.are_enough:
        return (
            f"Nothing is said of importances: {count(said.trials, 'trial')} "
            f"{'has' if said.trials == 1 else 'have'} a value, and fewer than 24 give a parameter "
            "without use a large share too often."
        )
    if not said.shown:
        return f"No parameter mattered more than chance does ({', '.join(said.hidden)})."
    return f"No more than chance does: {', '.join(said.hidden)}." if said.hidden else ""


def _provenance(subject: Subject) -> Iterator[tuple[str, str]]:
    about, document = subject.folder.about(), subject.folder.document
    yield "created", f"{about.created_at:%Y-%m-%d %H:%M} UTC"
    yield (
        "status",
        f"{subject.folder.status}, since {subject.folder.status_since:%Y-%m-%d %H:%M} UTC",
    )
    if about.git is not None:
        yield "git commit", about.git.commit + (", changed since" if about.git.is_dirty else "")
    for key, title in (("profile", "profile"), ("model", "model"), ("data", "data")):
        if key in document:
            yield title, value_text(document[key])
    prints = sorted({x.data_fingerprint for x in subject.ranking.finals.values()} - {""})
    if prints:
        yield "data fingerprint", ", ".join(prints)
    table = subject.conclusions.table
    if table is not None:
        yield (
            f"fingerprint of the {table.split} rows",
            f"{table.fingerprint} ({len(table.strata):,} rows)",
        )
    yield from about.machine.items()
    if about.versions:
        yield "versions", ", ".join(f"{name} {x}" for name, x in about.versions.items())


def _rules(subject: Subject) -> Iterator[str]:
    found = subject.conclusions
    if found.delta is not None:
        source = "the default" if found.unit is POINTS else "by default 2 % of the control's mean"
        if found.plan is not None and found.plan.delta is not None:
            source = "as the design declared before the run"
        delta = found.unit.exact(found.delta)
        yield f"δ, the smallest difference of interest, is {delta} ({source})."
    yield (
        "The statement on the best, each table, and each declared family of comparisons hold at "
        "their level (95 % where nothing else is said) each by itself, not all of them together."
    )
    yield (
        "A seed covers initial values, the order of the data and dropout on this training set; "
        "what another training set would do is not covered."
    )
    if found.plan is None:
        yield (
            "A search trains each configuration once: what is compared are the adapters, this file "
            "against that one, and not configurations or methods."
        )
