"""A sweep while it runs: a table that follows it, or, without a terminal, a line for each trial."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.text import Text

from sweeper._text import count, duration, params_text, varying
from sweeper.analysis.ranking import Ranking, rank
from sweeper.experiment.sweep import ObjectiveSpec
from sweeper.report.terminal.tables import row_table
from sweeper.tracking.record import TrialRecord

__all__ = ["LiveTable", "time_left_s"]

# Metric of every training step; shown beside the objective, which only evaluations have.
LOSS = "train_loss"
# Lines around the table of trials.
FRAME_LINES = 8
# From this width on there is room for the loss and the time of each trial.
WIDE = 110
BAR_CELLS = 10


class LiveTable:
    """Shows records as they come; a context manager.

    Without a terminal it prints a line for each trial that ends, and for each new note.
    """

    def __init__(
        self,
        console: Console,
        *,
        sweep: str,
        objective: ObjectiveSpec,
        trials_total: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepares the table.

        Args:
            console: where to show it.
            sweep: name of the sweep.
            objective: what is optimised.
            trials_total: trials that there will be.
            clock: seconds, from any start.
        """
        self._console = console
        self._sweep = sweep
        self._objective = objective
        self._trials_total = trials_total
        self._clock = clock
        self._start_s = clock()
        # When work was first seen, and how much: what was done before tells nothing of the pace.
        self._first: tuple[float, float] | None = None
        self._ended: dict[str, str] | None = None
        self._note = ""
        self._live: Live | None = None

    def __enter__(self) -> LiveTable:
        if self._console.is_terminal:
            self._live = Live(console=self._console, transient=True, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def update(
        self, records: Sequence[TrialRecord], *, note: str = "", trials_total: int | None = None
    ) -> None:
        """Shows how the trials stand.

        Args:
            records: of all trials so far.
            note: one line on what is going on otherwise, such as replicas that start.
            trials_total: trials that there will be, where that has changed.
        """
        self._trials_total = trials_total or self._trials_total
        # What is superseded is done by another trial.
        counted = [record for record in records if record.status != "superseded"]
        ranking = rank(counted, self._objective)
        if self._live is not None:
            self._live.update(self.view(ranking, note=note, height=self._console.height))
        else:
            self._print_lines(ranking, note)

    # With a terminal.

    def view(self, ranking: Ranking, *, note: str, height: int) -> RenderableType:
        """Returns the whole view; ``height`` is the number of lines that there are."""
        trials = ranking.trials
        parts: list[RenderableType] = [
            Text(f"Sweep {self._sweep}", style="bold"),
            Text(self._progress(trials)),
            Text(self._best_line(ranking)),
        ]
        shown = _shown(ranking, max(3, height - FRAME_LINES))
        if shown:
            parts += ["", _Rows(ranking, shown)]
        if len(shown) < len(trials):
            parts.append(Text(f"… and {count(len(trials) - len(shown), 'more trial')}"))
        if note:
            parts.append(Text(note))
        return Group(*parts)

    def _progress(self, trials: Sequence[TrialRecord]) -> str:
        done, total = sum(map(_is_done, trials)), self._total(trials)
        elapsed_s = self._clock() - self._start_s
        left_s = self._left_s(trials)
        left = "time left not known yet" if left_s is None else f"about {duration(left_s)} left"
        if done == total:
            left = "all trials have ended"
            if any(trial.is_finalist and not trial.is_final for trial in trials):
                left = "the best go on to their end"
        bar = _bar(_units(trials) / total)
        return f"{bar} {done} of {count(total, 'trial')}, {duration(elapsed_s)} so far, {left}"

    def _total(self, trials: Sequence[TrialRecord]) -> int:
        return max(self._trials_total, len(trials), 1)

    def _left_s(self, trials: Sequence[TrialRecord]) -> float | None:
        units, now_s = _units(trials), self._clock()
        if self._first is None:
            # The pace counts from the first trial on: before it, replicas start.
            if any(trial.status == "running" for trial in trials):
                self._first = (now_s, units)
            return None
        first_s, first_units = self._first
        return time_left_s(
            elapsed_s=now_s - first_s, done=units - first_units, left=self._total(trials) - units
        )

    def _best_line(self, ranking: Ranking) -> str:
        best, metric = ranking.best, self._objective.metric
        if best is not None:
            return f"best so far: {_scored(ranking, best)}"
        ahead = ranking.ahead
        if ahead is None:
            return f"no complete trial yet; objective {metric}"
        steps = f"after {ahead.steps_text} steps"
        return f"no complete trial yet; {steps} the best is {_scored(ranking, ahead)}"

    # Without a terminal.

    def _print_lines(self, ranking: Ranking, note: str) -> None:
        trials = ranking.trials
        # A finalist ends twice.
        ended: dict[str, str] = {x.id: x.status for x in trials if x.is_final}
        if self._ended is None:
            self._ended = ended
            if ended:
                self._print(f"{count(len(ended), 'trial')} ended before")
        if note and note != self._note:
            self._print(note)
        self._note = note
        names = varying(trial.params for trial in trials)
        total = self._total(trials)
        for trial in trials:
            if trial.is_final and self._ended.get(trial.id) != trial.status:
                self._ended[trial.id] = trial.status
                self._print(f"[{len(self._ended)}/{total}] {_line(ranking, trial, names)}")

    def _print(self, text: str) -> None:
        # One line of a log is one line, however long it is.
        self._console.print(text, soft_wrap=True, markup=False, highlight=False)


class _Rows:
    """Some trials in a table, one line each."""

    def __init__(self, ranking: Ranking, shown: Sequence[TrialRecord]) -> None:
        self._ranking = ranking
        self._shown = shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        ranking, is_wide = self._ranking, options.max_width >= WIDE
        table = row_table()
        metric = ranking.objective.metric
        for name in ("trial", "steps", *([LOSS] if is_wide else []), metric):
            table.add_column(name, justify="right", no_wrap=True)
        for name in ("status", *(["time"] if is_wide else [])):
            table.add_column(name, no_wrap=True)
        table.add_column("configuration", ratio=1)
        names = varying(trial.params for trial in ranking.trials)
        for trial in self._shown:
            score, loss = ranking.score(trial), trial.metrics.get(LOSS)
            loss_text = f"{loss:.4g}" if loss is not None else ""
            time_text = duration(trial.wall_time_s) if trial.attempts else ""
            configuration = f"{trial.method} {params_text(trial.params, names)}"
            table.add_row(
                str(trial.number),
                trial.steps_text,
                *([loss_text] if is_wide else []),
                str(score) if score is not None else "",
                _status(trial),
                *([time_text] if is_wide else []),
                # What does not fit is in the leaderboard at the end.
                Text(configuration, no_wrap=True, overflow="ellipsis"),
            )
        yield table


def time_left_s(*, elapsed_s: float, done: float, left: float) -> float | None:
    """Returns the seconds that are left at the pace so far, None while there is too little of it.

    Args:
        elapsed_s: seconds since the first trial began.
        done: trials done in that time; a share of one counts.
        left: trials left, likewise.
    """
    # A tenth of a trial is mostly warming up.
    if done < 0.1 or elapsed_s <= 0:
        return None
    return elapsed_s * max(0.0, left) / done


def _units(trials: Sequence[TrialRecord]) -> float:
    """Returns the work done in trials; a pruned or failed one is done."""
    return sum(
        1.0 if _is_done(trial) else min(1.0, trial.steps / trial.steps_total)
        for trial in trials
        if _is_done(trial) or trial.steps_total
    )


def _is_done(trial: TrialRecord) -> bool:
    """Whether a trial has ended, or has and goes on as one of the best."""
    return trial.is_final or trial.is_finalist


def _bar(share: float) -> str:
    cells = round(BAR_CELLS * min(1.0, share))
    return f"[{'#' * cells}{'-' * (BAR_CELLS - cells)}]"


def _shown(ranking: Ranking, rows: int) -> list[TrialRecord]:
    """Returns at most ``rows`` trials by number: running ones first, then by worth."""
    running = [trial for trial in ranking.others if trial.status == "running"]
    rest = [trial for trial in ranking.others if trial.status != "running"]
    chosen = [*running, *ranking.ranked, *rest][:rows]
    return sorted(chosen, key=lambda trial: trial.number)


def _scored(ranking: Ranking, trial: TrialRecord) -> str:
    metric = ranking.objective.metric
    return f"trial {trial.number} ({trial.method}), {metric} {ranking.score(trial)}"


def _status(trial: TrialRecord) -> str:
    status = trial.status_text
    return f"{status}, attempt {trial.attempts}" if trial.attempts > 1 else status


def _line(ranking: Ranking, trial: TrialRecord, names: Sequence[str]) -> str:
    parts = [f"trial {trial.number} {trial.status_text}", f"{trial.steps_text} steps"]
    score = ranking.score(trial)
    if score is not None:
        parts.append(f"{ranking.objective.metric} {score}")
    parts.append(duration(trial.wall_time_s))
    said = params_text(trial.params, names)
    # A design's configuration begins with its method.
    is_named = said.startswith(f"{trial.method}, ")
    parts.append(said if is_named else f"{trial.method} {said}".rstrip())
    if trial.error is not None:
        parts.append(f"{trial.error.type}: {trial.error.message}".partition("\n")[0])
    return ", ".join(parts)
