"""The tables of the page; every number is one that the terminal and the document have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from sweeper._text import count, duration, params_text, varying
from sweeper.analysis.ranking import Ranking
from sweeper.analysis.score_table import trial_name
from sweeper.estimates import Estimate, estimate_of
from sweeper.report.configurations import score_title, seeds_text
from sweeper.report.page.subject import Group, Subject
from sweeper.report.summary import task_metrics
from sweeper.tracking.record import TrialRecord

__all__ = [
    "Table",
    "configuration_table",
    "cost_table",
    "failure_table",
    "names_by_trial",
    "over_seeds",
    "task_table",
    "trial_table",
]


# More reasons than this nobody reads one by one.
_MOST_FAILURES = 100


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        head: Titles of the columns; the first is of what a row is.
        rows: As many texts each.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def configuration_table(subject: Subject) -> Table:
    """Returns the configurations with their scores, sizes and times, in the order of the design."""
    metric, split = subject.conclusions.metric, subject.final_split
    finals = [score_title(metric, split)] if split else []
    members = _members(subject)
    is_asked = any(members.get(group.name) is not None for group in subject.groups)
    head = (
        "configuration",
        "seeds",
        score_title(metric, "validation"),
        *finals,
        "trainable",
        "time",
        *(["may be best"] if is_asked else []),
    )
    rows = []
    for group in subject.groups:
        times = [x.wall_time_s for x in group.complete if x.attempts]
        rows.append(
            (
                group.name,
                seeds_text(len(group.complete), group.failed),
                over_seeds(subject.scores(group)),
                *([over_seeds(subject.finals(group))] if split else []),
                f"{max(x.trainable for x in group.trials):,}",
                duration(fmean(times)) if times else "",
                *(
                    [{True: "yes", False: "no", None: ""}[members.get(group.name)]]
                    if is_asked
                    else []
                ),
            )
        )
    return Table(head, tuple(rows))


def _members(subject: Subject) -> dict[str, bool | None]:
    """Returns of each configuration whether it may be the best; None where nobody asked.

    Of tuned methods that is asked among methods. A search speaks of its trials, each of which is a
    configuration with one seed.
    """
    found = subject.conclusions.differences
    known = {x.name: x.in_best_set for x in found.rows} if found is not None else {}
    singles = {x.name: trial_name(x.trials[0]) for x in subject.groups if len(x.trials) == 1}
    return {x.name: known.get(x.name, known.get(singles.get(x.name, ""))) for x in subject.groups}


def over_seeds(scores: Sequence[Estimate]) -> str:
    """Returns the mean with its spread over seeds; of one seed its score with its own error."""
    if len(scores) < 2:
        return str(scores[0]) if scores else ""
    values = [score.value for score in scores]
    return str(Estimate(fmean(values), stdev(values)))


def task_table(subject: Subject) -> Table | None:
    """Returns the scores by task after the search; None where there are no tasks.

    Of a tuned method they are those at the rate that validation chose.
    """
    finals = subject.ranking.finals
    names = list(dict.fromkeys(name for final in finals.values() for name in task_metrics(final)))
    if not names:
        return None
    rows = []
    for group in subject.chosen:
        own = [finals[x.id] for x in group.complete if x.id in finals]
        if own:
            cells = [_scores([estimate_of(x.metrics, name) for x in own]) for name in names]
            rows.append((group.name, *cells))
    base = subject.ranking.base_final
    if base is not None:
        rows.append(("frozen base", *(_scores([estimate_of(base.metrics, x)]) for x in names)))
    return Table(("configuration", *names), tuple(rows))


def _scores(found: Sequence[Estimate | None]) -> str:
    return over_seeds([score for score in found if score is not None])


def failure_table(ranking: Ranking, names: dict[str, str]) -> Table | None:
    """Returns the failed trials with their reasons; None where there are none.

    Args:
        ranking: of the trials.
        names: by trial, the configuration's name.
    """
    failed = [x for x in ranking.trials if x.status == "failed"]
    rows = [
        (str(x.number), names.get(x.id, x.method), _reason(x), count(x.attempts, "attempt"))
        for x in failed[:_MOST_FAILURES]
    ]
    if len(failed) > _MOST_FAILURES:
        rows.append((f"{len(failed) - _MOST_FAILURES:,} more", "", "", ""))
    return Table(("trial", "configuration", "reason", "tries"), tuple(rows)) if rows else None


def _reason(record: TrialRecord) -> str:
    if record.error is None:
        return "no reason was recorded"
    return f"{record.error.type}: {record.error.message}"


def cost_table(subject: Subject) -> Table:
    """Returns the time of the sweep: in steps, on top of them, in all; by method and together."""
    here = [x for x in subject.ranking.trials if subject.folder.trial(x.id).taken_from() is None]
    methods = list(dict.fromkeys(x.method for x in here))
    rows = [_cost(method, [x for x in here if x.method == method]) for method in methods]
    if len(rows) != 1:
        rows.append(_cost("all", here))
    finals = sum(x.wall_time_s for x in subject.ranking.finals.values())
    if finals:
        number = str(len(subject.ranking.finals))
        rows.append((f"{subject.final_split} evaluation", number, "", "", duration(finals)))
    return Table(("method", "trials", "in steps", "overhead", "total"), tuple(rows))


def _cost(name: str, records: Sequence[TrialRecord]) -> tuple[str, ...]:
    return (
        name,
        str(len(records)),
        duration(sum(x.train_time_s for x in records)),
        duration(sum(x.overhead_s for x in records)),
        duration(sum(x.wall_time_s for x in records)),
    )


def trial_table(subject: Subject) -> Table:
    """Returns the trials that are shown, by number, as the terminal has them."""
    ranking, split = subject.ranking, subject.final_split
    names = varying(trial.params for trial in ranking.trials)
    metric = ranking.objective.metric
    head = (
        "trial",
        "id",
        "method",
        score_title(metric, "validation"),
        *([score_title(metric, split)] if split else []),
    )
    rest = ("status", "steps", "trainable", "time", "parameters")
    rows = tuple(tuple(_cells(ranking, trial, names, split)) for trial in subject.shown)
    return Table((*head, *rest), rows)


def _cells(ranking: Ranking, trial: TrialRecord, names: list[str], split: str) -> Iterator[str]:
    score, final = ranking.score(trial), ranking.final_score(trial)
    yield from (str(trial.number), trial.id, trial.method, str(score) if score else "")
    if split:
        yield str(final) if final else ""
    yield ranking.status_text(trial)
    yield trial.steps_text
    yield f"{trial.percent:.3g} %" if trial.total else ""
    yield duration(trial.wall_time_s) if trial.attempts else ""
    yield params_text(trial.params, names)


def names_by_trial(groups: Sequence[Group]) -> dict[str, str]:
    """Returns by trial the name of its configuration."""
    return {record.id: group.name for group in groups for record in group.trials}
