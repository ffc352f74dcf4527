"""Commands that only look: list, status, show, report, ui."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from sweeper.cli.options import (
    AsJson,
    Home,
    SweepName,
    TrackingUri,
    Trial,
    opened_home,
    sweep_names,
)
from sweeper.cli.output import Output, opened_output
from sweeper.errors import BadInputError

if TYPE_CHECKING:
    from sweeper.report.page import Subject
    from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["list_sweeps", "report", "show", "status", "store_of", "ui", "view_of"]

# Seconds after which a page that is watched is written again, and read again by the browser.
WATCH_S = 10


def list_sweeps(home: Home = None, as_json: AsJson = False) -> None:
    """List the sweeps of --home, the newest first: how they stand, and their best trials."""
    with opened_output(as_json) as out:
        from sweeper.report.standing import all_standings
        from sweeper.report.terminal import standings_view
        from sweeper.tracking.mirror import place_of

        root = opened_home(home)
        found = all_standings(root)
        none = Text(f"{place_of(root)} holds no sweep.")
        out.show(found, standings_view(found, now=datetime.now(UTC)) if found else none)


def status(sweep: SweepName, home: Home = None, as_json: AsJson = False) -> None:
    """Show how a sweep stands, while it runs and after: progress, best so far, failures, forecast.

    Besides: cost so far, replicas, and the last sign of life. Any machine that sees the sweep's
    folder can ask. The status is running, complete, stopped, or interrupted: its driver was killed.
    """
    with opened_output(as_json) as out:
        from sweeper.analysis.ranking import ranking_of
        from sweeper.report.status import status_document
        from sweeper.report.terminal import standing_view
        from sweeper.tracking.sweep_folder import SweepFolder

        folder = SweepFolder.open(sweep, home=opened_home(home, sweep=sweep))
        found = status_document(folder, ranking_of(folder))
        out.show(found, standing_view(found, now=datetime.now(UTC)))


def show(run_or_trial: Trial, home: Home = None, as_json: AsJson = False) -> None:
    """Show one trial: configuration, metrics, time, error, files."""
    with opened_output(as_json) as out:
        from sweeper.analysis.lookup import find_trial
        from sweeper.report.terminal import trial_view
        from sweeper.report.trial import trial_document

        found = find_trial(run_or_trial, home=opened_home(home))
        document = trial_document(found)
        out.show(document, trial_view(document, chosen=found.reason))


def report(
    sweeps: Annotated[
        list[str],
        typer.Argument(
            metavar="SWEEP...",
            autocompletion=sweep_names,
            help="Name of a sweep, or its folder; with --html several, and a file that ends with "
            ".html.",
        ),
    ],
    home: Home = None,
    as_json: AsJson = False,
    as_page: Annotated[
        bool,
        typer.Option(
            "--html",
            help="Write one HTML page instead, and print its path: FILE, else report.html in the "
            "sweep's folder.",
        ),
    ] = False,
    is_watched: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="With --html: write the page again and again while the sweep runs; a browser that "
            "has it open follows.",
        ),
    ] = False,
) -> None:
    """Show a sweep's verdicts, leaderboard and best configuration, or write them as a page."""
    with opened_output(as_json) as out:
        from sweeper.report.page import subject_of
        from sweeper.tracking.sweep_folder import SweepFolder

        if is_watched and not as_page:
            raise BadInputError(
                "--watch: given without --html; it follows a page, and 'status' shows how a sweep "
                "stands; add --html"
            )
        names, target = _target(sweeps, as_page=as_page)
        root = opened_home(home, sweep=names[0] if len(names) == 1 else None)
        folders = [SweepFolder.open(name, home=root) for name in names]
        if is_watched:
            _watch(folders, target, out)
        subjects = [subject_of(folder, tracking_uri=store_of(folder, None)) for folder in folders]
        if as_page:
            path = _write_page(subjects, target)
            # In a group it stays in one line: rich joins texts that stand alone, and wraps them.
            line = Group(Text(str(path), no_wrap=True, overflow="ignore"))
            out.show({"page": str(path)}, line)
            return
        documents = [subject.document for subject in subjects] if as_json else []
        views = [] if as_json else [view_of(subject) for subject in subjects]
        out.show(documents[0] if len(documents) == 1 else documents, Group(*views))


def _watch(folders: Sequence[SweepFolder], target: Path | None, out: Output) -> None:
    """Writes the page of sweeps over and over until none of them runs any more."""
    from sweeper.report.page import subject_of

    def subjects() -> list[Subject]:
        return [subject_of(folder, tracking_uri=store_of(folder, None)) for folder in folders]

    path: Path | None = None
    try:
        while _any_runs(folders):
            begin_s, is_first = time.monotonic(), path is None
            path = _write_page(subjects(), target, refresh_s=WATCH_S)
            if is_first:
                told = f"Open {path} in a browser; it follows the sweep. Ctrl-C ends this."
                out.console.print(told, soft_wrap=True, highlight=False)
            took_s = time.monotonic() - begin_s
            # A page of a large sweep takes its time: half of it is left to the sweep.
            _pause(folders, max(WATCH_S - took_s, took_s))
    except KeyboardInterrupt:
        # A page that nobody writes any more must not ask to be read again.
        if path is not None:
            _write_page(subjects(), target)
        raise


def _any_runs(folders: Sequence[SweepFolder]) -> bool:
    from sweeper.tracking.owner import driver_of

    return any(driver_of(folder.path).is_alive for folder in folders)


def _pause(folders: Sequence[SweepFolder], seconds: float) -> None:
    """Waits, and no longer than a sweep runs."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and _any_runs(folders):
        time.sleep(0.2)


def _target(words: Sequence[str], *, as_page: bool) -> tuple[list[str], Path | None]:
    """Returns the sweeps of a command, and the file that its page goes to, if one is named."""
    *first, last = words
    if as_page and first and last.endswith(".html"):
        return first, Path(last)
    return list(words), None


def _write_page(subjects: Sequence[Subject], target: Path | None, *, refresh_s: int = 0) -> Path:
    """Writes the page of sweeps and returns its path; one that refreshes itself, without figures.

    Raises:
        BadInputError: it cannot be written.
    """
    from sweeper.report.page import write_page, write_sweep_page
    from sweeper.tracking.stored import PAGE_FILE

    first = subjects[0].folder
    path = target or (first.path if len(subjects) == 1 else first.home) / PAGE_FILE
    try:
        if target is None and len(subjects) == 1 and not refresh_s:
            return write_sweep_page(subjects[0])
        write_page(subjects, path, refresh_s=refresh_s)
    except OSError as error:
        raise BadInputError(
            f"report page: {path} cannot be written ({error.strerror or error}); the page is a "
            "file; name another one after --html"
        ) from error
    return path


def store_of(folder: SweepFolder, tracking_uri: str | None) -> str:
    """Returns MLflow's store of a sweep without its password.

    Args:
        folder: of the sweep.
        tracking_uri: the store where it is not the one of its home.
    """
    from sweeper.tracking.databases import public_uri
    from sweeper.tracking.mlflow_view import resolve_tracking_uri

    return public_uri(resolve_tracking_uri(folder.home, tracking_uri))


def view_of(subject: Subject) -> RenderableType:
    """Returns a sweep as the terminal shows it."""
    from sweeper.report.terminal import sweep_view

    return sweep_view(
        subject.folder,
        subject.ranking,
        subject.conclusions,
        tracking_uri=subject.tracking_uri,
    )


def ui(
    sweep: Annotated[
        str | None,
        typer.Argument(
            help="Sweep whose trials are compared (default: the newest).",
            autocompletion=sweep_names,
        ),
    ] = None,
    home: Home = None,
    tracking_uri: TrackingUri = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            "--port", min=1, max=65535, help="Port to listen on [5000; with --optuna 8080]."
        ),
    ] = None,
    allowed_hosts: Annotated[
        str | None,
        typer.Option(
            "--allowed-hosts",
            help="Names and addresses that browsers may use for this machine, such as "
            "gpu1.example,10.0.0.7; * for any (default with --host: the machine's own).",
        ),
    ] = None,
    is_optuna: Annotated[
        bool,
        typer.Option("--optuna", help="Serve Optuna's dashboard on the sweep's study instead."),
    ] = False,
) -> None:
    """Serve MLflow's UI on the sweeps' store until Ctrl-C. It opens on the sweep's experiment.

    MLflow's server asks nobody for a password: whoever reaches --host can read, change and delete
    all runs.
    """
    with opened_output(as_json=False) as out:
        from sweeper.tracking.pages import Place, serve_study, serve_ui

        names = tuple(name.strip() for name in (allowed_hosts or "").split(",") if name.strip())
        place = Place(host, port or (8080 if is_optuna else 5000), names)
        # An address in one piece can be clicked and copied.
        tell = functools.partial(out.console.print, soft_wrap=True, markup=False)
        root = opened_home(home)
        if is_optuna:
            serve_study(root, sweep=sweep, place=place, tell=tell)
        else:
            serve_ui(root, sweep=sweep, tracking_uri=tracking_uri, place=place, tell=tell)
