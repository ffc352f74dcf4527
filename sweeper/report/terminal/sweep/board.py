"""The trials of a sweep in a table, one line each, as wide as the terminal.

What does not fit is left out by columns, the least telling first: no number is broken, and what
names a trial stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from sweeper._text import duration, shorten, value_text, varying
from sweeper.analysis.ranking import Ranking
from sweeper.report.terminal.tables import Column, fitted_table, fitting, width_of
from sweeper.tracking.record import TrialRecord

__all__ = ["Leaderboard"]

# Digits of an identity where all 12 do not fit; those that tell the trials apart where these do
# not. Commands take a beginning of four.
_SHORT_ID = 6
# Characters of an error below the table; the whole of it is in the trial's record.
_MAX_ERROR = 200
_NEW_LINE = "\n"
_OUTSIDE = "*"


class Leaderboard:
    """All trials in a table: the complete ones by score, then the others."""

    def __init__(self, ranking: Ranking, names: Sequence[str] = ()) -> None:
        """Takes what is shown.

        Args:
            ranking: of the trials.
            names: the parameters that tell them apart; those in which they differ where empty.
        """
        self._ranking = ranking
        self._trials = (*ranking.ranked, *ranking.others)
        found = names or varying(trial.params for trial in self._trials)
        # What all trials have comes first: the rest is of one method or another.
        self._names = sorted(
            (name for name in found if name != "method"),
            key=lambda name: any(name not in trial.params for trial in self._trials),
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields the table, what it leaves out, and why trials failed."""
        columns, left_out, note = self._fitting(options.max_width)
        yield fitted_table(columns, options.max_width, bold=self._best_row())
        if note:
            yield Text(note)
        yield from (Text(text, style="italic") for text in self._errors())
        if left_out:
            names = ", ".join(column.title for column in left_out)
            yield Text(f"Not shown, for want of width: {names}")

    def _best_row(self) -> int | None:
        return None if self._ranking.best is None else self._trials.index(self._ranking.best)

    def _fitting(self, width: int) -> tuple[list[Column], list[Column], str]:
        """Returns the columns that fit, in their order, those that do not, and what a mark says."""
        first, *rest = self._columns()
        ids = _id_columns(self._trials)
        whole = [first, ids[0], *rest]
        if width_of(whole) <= width:
            return whole, [], ""
        first, *rest = self._columns(are_marked=True)
        is_marked = bool(self._ranking.outside & {trial.id for trial in self._trials})
        note = f"{_OUTSIDE}: outside the space" if is_marked else ""
        return (*fitting([first, ids[1], *rest], width), note)

    def _columns(self, *, are_marked: bool = False) -> list[Column]:
        """Returns all columns but that of the identity, the most telling first.

        Args:
            are_marked: whether a mark says that a trial is outside the space.
        """
        trials, ranking = self._trials, self._ranking
        scores = [ranking.score(trial) for trial in trials]
        found = [
            Column("trial", tuple(str(x.number) for x in trials), is_number=True, is_kept=True)
        ]
        if len({trial.method for trial in trials}) > 1:
            found.append(Column("method", tuple(x.method for x in trials), is_kept=True))
        values = tuple("none" if score is None else str(score) for score in scores)
        found.append(Column(ranking.objective.metric, values, is_kept=True))
        if ranking.finals:
            # Beside what chose the trial: the same metric on rows that chose nothing.
            finals = [ranking.final_score(trial) for trial in trials]
            title = next(iter(ranking.finals.values())).split
            texts = tuple("" if final is None else str(final) for final in finals)
            found.append(Column(title, texts))
        # What is the same for all tells nothing of one.
        statuses = tuple(
            f"{trial.status_text} {_OUTSIDE}"
            if are_marked and trial.id in ranking.outside
            else ranking.status_text(trial)
            for trial in trials
        )
        if len(set(statuses)) > 1:
            found.append(Column("status", statuses, is_kept=True))
        long = [name for name in self._names if self._is_long(name)]
        found += [self._parameter(name) for name in self._names if name not in long]
        rest = [
            Column("time", tuple(map(_time, trials)), is_number=True),
            # Where it is searched it stands among the parameters.
            *([] if "steps" in self._names else [self._parameter("steps")]),
            Column("trainable", tuple(map(_trainable, trials)), is_number=True),
        ]
        found += [column for column in rest if len(set(column.cells)) > 1]
        # Last, where they push nothing else out.
        return found + [self._parameter(name) for name in long]

    def _is_long(self, name: str) -> bool:
        return any(isinstance(trial.params.get(name), list | dict) for trial in self._trials)

    def _parameter(self, name: str) -> Column:
        if name == "steps":
            # With how many of them are done.
            return Column(name, tuple(trial.steps_text for trial in self._trials), is_number=True)
        cells = tuple(
            value_text(trial.params[name]) if name in trial.params else "" for trial in self._trials
        )
        is_number = all(
            isinstance(trial.params.get(name, 0), int | float) for trial in self._trials
        )
        # A listed trial's own name is the parameter of that name.
        return Column("name" if name == "trial" else name, cells, is_number=is_number)

    def _errors(self) -> list[str]:
        failed = [x for x in self._trials if x.status == "failed" and x.error is not None]
        return [
            f"Trial {trial.number}: {trial.error.type}: "
            f"{shorten(trial.error.message.partition(_NEW_LINE)[0], limit=_MAX_ERROR)}"
            for trial in failed
            if trial.error is not None
        ]


def _id_columns(trials: Sequence[TrialRecord]) -> list[Column]:
    """Returns the column of identities, whole and as short as they tell the trials apart."""
    ids = [trial.id for trial in trials]
    digits = _SHORT_ID
    while digits < 12 and len({name[:digits] for name in ids}) < len(set(ids)):
        digits += 1
    return [
        Column("id", tuple(name[:length] for name in ids), is_kept=True) for length in (12, digits)
    ]


def _time(trial: TrialRecord) -> str:
    return duration(trial.wall_time_s) if trial.attempts else ""


def _trainable(trial: TrialRecord) -> str:
    return f"{trial.percent:.3g} %" if trial.total else ""
