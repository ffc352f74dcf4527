"""The end of a sweep: leaderboard, conclusions, best configuration, what to do next."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from sweeper._environment import sweeps_home
from sweeper._text import count, value_text
from sweeper.analysis.conclusions import SweepConclusions
from sweeper.analysis.confirmation import confirmation_of
from sweeper.analysis.ranking import Ranking, rank
from sweeper.estimates import to_metrics
from sweeper.report.clones import CLONES_NOTE, clone_rows
from sweeper.report.configurations import error_note
from sweeper.report.summary import cost_text, task_metrics, trials_text
from sweeper.report.terminal.evaluation import metrics_table
from sweeper.report.terminal.plan import taken_text
from sweeper.report.terminal.sweep.board import Leaderboard
from sweeper.report.terminal.sweep.clones import ClonesTable
from sweeper.report.terminal.sweep.conclusions import conclusions_view
from sweeper.report.terminal.sweep.configurations import configurations_table
from sweeper.report.terminal.sweep.published import published_view
from sweeper.report.terminal.tables import pair_table
from sweeper.tracking.mirror import adapter_url, place_of
from sweeper.tracking.owner.outside import space_revisions
from sweeper.tracking.owner.revising import describe
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["next_commands", "sweep_view"]


def sweep_view(
    folder: SweepFolder, ranking: Ranking, conclusions: SweepConclusions, *, tracking_uri: str = ""
) -> RenderableType:
    """Returns the view of a sweep that has ended, or of one so far.

    Print it with ``crop=False``: commands and paths stay in one line each, however long.

    Args:
        folder: the sweep.
        ranking: of its trials.
        conclusions: what the sweep allows to be said.
        tracking_uri: MLflow's store, without a password; not shown where empty.
    """
    overhead = cost_text(ranking)
    sources = [folder.trial(trial.id).taken_from() for trial in ranking.trials]
    taken = taken_text([x.sweep for x in sources if x is not None], is_over=True)
    revisions = [describe(revision) for revision in space_revisions(folder)]
    board = _board(ranking, conclusions)
    parts: list[RenderableType] = [
        Text(f"Sweep {folder.name}", style="bold"),
        *(Text(text) for text in (trials_text(ranking), folder.note, taken, overhead) if text),
        *map(Text, revisions),
        "",
        *conclusions_view(conclusions),
        *board,
        *published_view(conclusions, ranking),
    ]
    parts += _clones(folder, ranking)
    parts += _finals(ranking, is_design=conclusions.plan is not None)
    best = ranking.best
    if best is not None:
        # Which configuration is the best is the verdicts' to say.
        parts += ["", _configuration(best)] if conclusions.plan is None else []
        parts += ["", *_adapter(folder, best)]
    parts += _damage(ranking)
    parts += ["", Text("Next", style="bold")]
    # Commands and paths are not broken into lines: they are there to be copied.
    parts += [_line(f"  {command}") for command in next_commands(folder, ranking)]
    if tracking_uri:
        parts += ["", _line(f"MLflow store: {tracking_uri}")]
    return Group(*parts)


def _board(ranking: Ranking, conclusions: SweepConclusions) -> list[RenderableType]:
    """Returns the trials of a search, or the configurations of a design and what failed of it."""
    if not ranking.trials:
        return []
    configurations = configurations_table(conclusions, ranking)
    if configurations is None:
        return [Leaderboard(ranking), ""]
    failed = rank([x for x in ranking.trials if x.status == "failed"], ranking.objective)
    shown: list[RenderableType] = [configurations, Text(error_note(conclusions)), ""]
    if not failed.trials:
        return shown
    return [*shown, Leaderboard(failed, names=("configuration", "seed")), ""]


def _clones(folder: SweepFolder, ranking: Ranking) -> list[RenderableType]:
    """Returns the clones in a table of their own; nothing where there is none."""
    found = clone_rows(folder, ranking.objective)
    if found is None:
        return []
    return [Text("Clones", style="bold"), ClonesTable(*found), Text(CLONES_NOTE), ""]


def _line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ignore")


def _finals(ranking: Ranking, *, is_design: bool) -> list[RenderableType]:
    """Returns a table of each evaluated trial's scores by task, beside those of the base.

    A design evaluates all of its trials: of these the chosen one's alone is shown.
    """
    base = {} if ranking.base_final is None else ranking.base_final.metrics
    parts: list[RenderableType] = []
    for trial in ranking.ranked[:1] if is_design else ranking.ranked:
        final = ranking.finals.get(trial.id)
        names = [] if final is None else task_metrics(final)
        if final is None or not names:
            continue
        gains = to_metrics(ranking.gains.get(trial.id, {}))
        by = "metric" if "metrics" in final.protocol else "task"
        title = f"Trial {trial.number} on the {final.split} split, by {by}"
        table = metrics_table(final.metrics, base, gains, names=names)
        parts += ["", Text(title, style="bold"), Padding(table, (0, 0, 0, 2))]
    return parts


def _damage(ranking: Ranking) -> list[RenderableType]:
    """Returns which files could not be read, and what becomes of them."""
    if not ranking.damage:
        return []
    lines = [_line(f"  {one.path}: {one.why}") for one in ranking.damage]
    rest = "The rest is shown. 'resume' does again what of a trial is lost."
    title = f"{count(len(lines), 'file')} damaged, or of a newer version"
    return ["", Text(title, style="bold"), *lines, Text(rest)]


def _configuration(best: TrialRecord) -> RenderableType:
    table = pair_table()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    rows = {"method": best.method, **best.params}
    if best.total:
        rows["trainable"] = f"{best.trainable:,} parameters, {best.percent:.3g} %"
    for name, value in rows.items():
        table.add_row(f"  {name}", value_text(value))
    return Group(
        Text(f"Trial {best.number} ({best.id}), which validation chose", style="bold"), table
    )


def _adapter(folder: SweepFolder, best: TrialRecord) -> list[RenderableType]:
    trial = folder.trial(best.id)
    path, url = trial.adapter, adapter_url(trial.path)
    if not path.is_dir() and url:
        return [
            Text("Its adapter, which chat, evaluate and export get", style="bold"),
            _line(f"  {url}"),
        ]
    if not path.is_dir():
        return [Text("Its adapter was not saved.")]
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    return [Text("Its adapter", style="bold"), _line(f"  {shown}")]


def next_commands(folder: SweepFolder, ranking: Ranking) -> list[str]:
    """Returns the next commands, the likeliest first."""
    name = shlex.quote(folder.name)
    home = ""
    if folder.home != sweeps_home().absolute():
        home = f" --home {shlex.quote(place_of(folder.home))}"
    commands = []
    counts = ranking.counts()
    is_damaged = any(error.path.parent != folder.path for error in ranking.damage)
    confirmation = confirmation_of(folder, ranking)
    is_left = confirmation is not None and confirmation.is_left
    is_left = is_left or bool(counts.keys() & {"queued", "running", "interrupted"})
    is_stopped = folder.status != "complete"
    if is_stopped or is_damaged or is_left:
        commands.append(f"python -m sweeper resume {name}{home}")
    failed = [trial.error for trial in ranking.trials if trial.status == "failed"]
    if any(error is None or not error.recurs for error in failed):
        commands.append(f"python -m sweeper resume {name}{home} --retry-failed")
    if confirmation is not None and confirmation.folder is not None:
        own = shlex.quote(confirmation.folder.name)
        commands.append(f"python -m sweeper report {own}{home}")
    commands.append(f"python -m sweeper ui {name}{home}")
    best = None if ranking.best is None else folder.trial(ranking.best.id)
    if best is not None and (best.adapter.is_dir() or adapter_url(best.path)):
        commands.append(f"python -m sweeper export {name}{home} --format peft")
    commands.append(f"python -m sweeper report {name}{home} --json")
    return commands
