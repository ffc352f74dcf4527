"""Commands on a sweep: run, resume, report, ui."""

from __future__ import annotations

import functools
import logging
import os
import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from sweeper._environment import sweeps_home
from sweeper.cli.options import (
    Address,
    AsJson,
    Fresh,
    Home,
    Overrides,
    ProfileName,
    SpaceFile,
    SweepName,
    TrackingUri,
    with_fresh,
)
from sweeper.cli.output import INTERRUPTED, SOME_FAILED, Output, opened_output
from sweeper.errors import BadInputError

if TYPE_CHECKING:
    from sweeper.execution.driver import SweepDriver
    from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["report", "resume", "run", "ui"]

logger = logging.getLogger(__name__)


# Seconds between two looks at the records for the live table.
REFRESH_S = 0.5


def run(  # noqa: PLR0913 - an argument for each option
    space: SpaceFile,
    profile: ProfileName = None,
    overrides: Overrides = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the sweep.")] = None,
    home: Home = None,
    fresh: Fresh = False,
    address: Address = None,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Run a sweep. Of a list of trials, run those whose architecture is the profile's model.

    A search that declares a confirmation is followed by it, in a sweep of its own.

    Trials that another sweep of --home has finished are taken over and not trained again.
    """
    with opened_output(as_json) as out:
        from sweeper.execution.driver import SweepDriver, new_sweep_folder
        from sweeper.experiment.loading import load_sweep
        from sweeper.experiment.runnable import only_runnable
        from sweeper.preflight.checks import require_runnable
        from sweeper.preflight.plan import finished_trials
        from sweeper.report.terminal import taken_text
        from sweeper.tracking.mlflow_view import require_store

        sweep, left_out = only_runnable(
            load_sweep(space, profile=profile, overrides=with_fresh(overrides, fresh))
        )
        if left_out:
            text = f"Skipped (other model, or repeated): {', '.join(left_out)}"
            out.console.print(text, markup=False, highlight=False)
        fingerprint = require_runnable(sweep, address=address)
        root = home or sweeps_home()
        require_store(root, tracking_uri)
        text = taken_text(finished_trials(sweep, root, data_fingerprint=fingerprint).values())
        if text:
            out.console.print(text, markup=False, highlight=False)
        folder = new_sweep_folder(root, sweep, name=name)
        driver = SweepDriver(folder, sweep, fingerprint, address=address, tracking_uri=tracking_uri)
        _drive(driver, out)


def resume(
    sweep: SweepName,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also run failed trials again.")
    ] = False,
    home: Home = None,
    address: Address = None,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Continue a sweep after Ctrl-C, a crash or a reboot. Ended trials are not run again.

    The confirmation that a search declares is begun, or continued, too.
    """
    with opened_output(as_json) as out:
        from sweeper.execution.driver import SweepDriver
        from sweeper.tracking.mlflow_view import require_store
        from sweeper.tracking.sweep_folder import SweepFolder

        folder = SweepFolder.open(sweep, home=home or sweeps_home())
        require_store(folder.home, tracking_uri)
        driver = SweepDriver.open(
            folder, address=address, tracking_uri=tracking_uri, retry_failed=retry_failed
        )
        _drive(driver, out)


def report(sweep: SweepName, home: Home = None, as_json: AsJson = False) -> None:
    """Show a sweep's leaderboard and best configuration."""
    with opened_output(as_json) as out:
        from sweeper.tracking.sweep_folder import SweepFolder

        _show_result(SweepFolder.open(sweep, home=home or sweeps_home()), out, tracking_uri=None)


def ui(
    sweep: Annotated[
        str | None, typer.Argument(help="Sweep whose trials are compared (default: the newest).")
    ] = None,
    home: Home = None,
    tracking_uri: TrackingUri = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")
    ] = 5000,
) -> None:
    """Serve MLflow's UI on the sweeps' store until Ctrl-C. It opens on the sweep's experiment."""
    with opened_output(as_json=False) as out:
        from sweeper.tracking.mlflow_view.server import serve_ui

        serve_ui(
            home or sweeps_home(),
            sweep=sweep,
            tracking_uri=tracking_uri,
            host=host,
            port=port,
            # An address in one piece can be clicked and copied.
            tell=functools.partial(out.console.print, soft_wrap=True, markup=False),
        )


def _drive(driver: SweepDriver, out: Output) -> None:
    """Runs a sweep with the live table, and what confirms it, then shows the results."""
    from sweeper.execution.confirm import confirmation_driver

    _run(driver, out)
    with _leaving(driver, out):
        confirmation = confirmation_driver(driver)
    if confirmation is not None:
        text = f"Confirmation of {driver.folder.name}: sweep {confirmation.folder.name}"
        out.console.print(text, highlight=False)
        _run(confirmation, out)
    failed = _show_result(driver.folder, out, tracking_uri=driver.tracking_uri)
    # One document is printed; it names the confirmation, whose own one is a report away.
    if confirmation is not None and not out.as_json:
        failed |= _show_result(confirmation.folder, out, tracking_uri=driver.tracking_uri)
    elif confirmation is not None:
        failed |= any(trial.status == "failed" for trial in confirmation.folder.trials())
    if failed:
        raise typer.Exit(SOME_FAILED)


def _run(driver: SweepDriver, out: Output) -> None:
    """Runs one sweep with the live table."""
    driver.on_loss = lambda why: _leave(driver, out, SOME_FAILED, why)
    with _leaving(driver, out), _followed(driver, out.console):
        driver.run()


@contextmanager
def _leaving(driver: SweepDriver, out: Output) -> Iterator[None]:
    """Ends the process where the body is interrupted or fails; bad input is raised."""
    try:
        yield
    except KeyboardInterrupt:
        _leave(driver, out, INTERRUPTED, "Interrupted.")
    except BadInputError:
        raise
    except OSError as error:
        _leave(driver, out, SOME_FAILED, f"Stopped: the sweep's files cannot be written ({error}).")
    except Exception:
        logger.exception("the sweep failed with an internal error")
        _leave(driver, out, SOME_FAILED, "Stopped.")


def _leave(driver: SweepDriver, out: Output, code: int, why: str) -> NoReturn:
    """Ends the process at once: an orderly exit would wait for, or abort in, Ray's own threads."""
    folder = driver.folder
    path = shlex.quote(str(folder.path))
    out.console.print(
        f"{why} Continue with: python -m sweeper resume {path}", soft_wrap=True, markup=False
    )
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def _followed(driver: SweepDriver, console: Console) -> Iterator[None]:
    """Shows how the sweep stands while the body runs, from a thread of its own."""
    from sweeper.report.terminal import LiveTable
    from sweeper.tracking.sweep_folder import SweepFolder

    spec = driver.sweep.spec
    # Its own reader: the driver's remembers what the driver has read.
    folder = SweepFolder(driver.folder.path)
    over = threading.Event()
    with LiveTable(
        console, sweep=folder.name, objective=spec.objective, trials_total=spec.search.trials
    ) as table:

        def follow() -> None:
            while not over.wait(REFRESH_S):
                table.update(folder.trials(), note=driver.note())

        thread = threading.Thread(target=follow, name="live-table", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            table.update(folder.trials())


def _show_result(folder: SweepFolder, out: Output, *, tracking_uri: str | None) -> bool:
    """Shows a sweep's result; returns whether a trial failed."""
    from sweeper.analysis.conclusions import conclusions_of
    from sweeper.analysis.ranking import rank_sweep
    from sweeper.report.document import sweep_result
    from sweeper.report.terminal import sweep_view
    from sweeper.tracking.mlflow_view import public_uri, resolve_tracking_uri

    uri = public_uri(resolve_tracking_uri(folder.home, tracking_uri))
    ranking = rank_sweep(folder)
    conclusions = conclusions_of(folder, ranking)
    out.show(
        sweep_result(folder, ranking, conclusions, tracking_uri=uri),
        sweep_view(folder, ranking, conclusions, tracking_uri=uri),
    )
    return "failed" in ranking.counts()
