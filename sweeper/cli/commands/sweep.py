"""Commands that run a sweep: run, resume."""

from __future__ import annotations

import functools
import logging
import os
import shlex
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from sweeper._environment import sweeps_home
from sweeper.cli.commands.owner import revised
from sweeper.cli.commands.results import store_of, view_of
from sweeper.cli.limits import (
    MaxCost,
    MaxHours,
    MaxMemory,
    admitted,
    go_on_within,
    limits_asked,
    require_at_rest,
)
from sweeper.cli.options import (
    Address,
    AsJson,
    Dashboard,
    Experiment,
    Fresh,
    Home,
    Name,
    Overrides,
    ProfileName,
    SpaceFile,
    SweepName,
    TrackingUri,
    opened_home,
    with_fresh,
)
from sweeper.cli.output import INTERRUPTED, SOME_FAILED, Output, opened_output
from sweeper.cli.publishing import published
from sweeper.errors import BadInputError, PoolLostError, StudyLostError
from sweeper.execution.forkserver import start_fork_server

if TYPE_CHECKING:
    from sweeper.execution.driver import SweepDriver
    from sweeper.experiment.sweep import Sweep
    from sweeper.tracking.owner import Limits
    from sweeper.tracking.record import TrialRecord

__all__ = ["resume", "run", "start"]

logger = logging.getLogger(__name__)


# Seconds between two looks at the records for the live table.
REFRESH_S = 0.5


def run(  # noqa: PLR0913 - an argument for each option
    space: SpaceFile,
    profile: ProfileName = None,
    overrides: Overrides = None,
    name: Name = None,
    home: Home = None,
    fresh: Fresh = False,
    address: Address = None,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
    has_dashboard: Dashboard = False,
    max_hours: MaxHours = None,
    max_cost: MaxCost = None,
    max_memory: MaxMemory = None,
    as_json: AsJson = False,
) -> None:
    """Run a sweep. Of a list of trials, run those whose architecture is the profile's model.

    A search that declares a confirmation is followed by it, in a sweep of its own.

    Trials that another sweep of --home has finished are taken over and not trained again.

    With a limit the sweep is forecast first, by a few real steps where the model is at hand. Exit
    code 2 means that the forecast does not keep it, and nothing was started.
    """
    with opened_output(as_json) as out:
        start_fork_server(address)
        from sweeper.experiment.loading import load_sweep
        from sweeper.experiment.runnable import only_runnable

        sweep, left_out = only_runnable(
            load_sweep(space, profile=profile, overrides=with_fresh(overrides, fresh))
        )
        if left_out:
            text = f"Skipped (other model, or repeated): {', '.join(left_out)}"
            out.console.print(text, markup=False, highlight=False)
        start(
            sweep,
            out,
            name=name,
            home=home,
            address=address,
            tracking_uri=tracking_uri,
            experiment=experiment,
            has_dashboard=has_dashboard,
            limits=limits_asked(max_hours, max_cost, max_memory),
        )


def start(  # noqa: PLR0913 - an argument for each option
    sweep: Sweep,
    out: Output,
    *,
    name: str | None,
    home: str | None,
    address: str | None,
    tracking_uri: str | None,
    experiment: str | None = None,
    has_dashboard: bool = False,
    limits: Limits | None = None,
) -> None:
    """Checks a sweep, makes its folder and runs it to its end; the options are those of ``run``."""
    from sweeper.execution.driver import SweepDriver
    from sweeper.execution.owner import keep_limits
    from sweeper.preflight.checks import require_runnable
    from sweeper.preflight.plan import finished_trials
    from sweeper.report.terminal import earlier_text, taken_text
    from sweeper.search import earlier_trials, require_study_storage
    from sweeper.tracking.asked import new_sweep_folder
    from sweeper.tracking.mlflow_view import require_store
    from sweeper.tracking.places import SPACE_FILE

    fingerprint = require_runnable(sweep, address=address)
    root = opened_home(home)
    require_store(root, tracking_uri)
    require_study_storage()
    sweep, costs = admitted(sweep, limits, out, root=root, hashed=fingerprint, address=address)
    earlier = earlier_trials(sweep, root, data_fingerprint=fingerprint).model_dump()
    taken = finished_trials(sweep, root, data_fingerprint=fingerprint).values()
    for text in (taken_text(taken), earlier_text(earlier)):
        if text:
            out.console.print(text, markup=False, highlight=False)
    folder = new_sweep_folder(root, sweep, name=name)
    if limits is not None:
        keep_limits(folder.path, limits, costs)
    text = f"To repeat it: python -m sweeper run {shlex.quote(str(folder.path / SPACE_FILE))}"
    out.console.print(text, soft_wrap=True, markup=False, highlight=False)
    driver = SweepDriver(
        folder,
        sweep,
        fingerprint,
        address=address,
        tracking_uri=tracking_uri,
        experiment=experiment,
        has_dashboard=has_dashboard,
    )
    _drive(driver, out)


def resume(  # noqa: PLR0913 - an argument for each option
    sweep: SweepName,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also run failed trials and clones again.")
    ] = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change a range or a choice of a search, or how it searches, from now on: "
            "--set 'train.learning_rate={loguniform: [1e-4, 1e-3]}' (may be repeated).",
        ),
    ] = None,
    home: Home = None,
    address: Address = None,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
    has_dashboard: Dashboard = False,
    max_hours: MaxHours = None,
    max_cost: MaxCost = None,
    max_memory: MaxMemory = None,
    as_json: AsJson = False,
) -> None:
    """Continue a sweep after Ctrl-C, a crash or a reboot. Ended trials are not run again.

    With --set it goes on in a changed space; where a driver runs it, that one takes it up. Old
    trials stay in the record. What would make trials incomparable is refused. A command that is
    refused changes nothing.

    The confirmation that a search declares is begun, or continued, too.

    A limit holds for all runs of the sweep together: give more than it has had. The time in which
    no driver ran does not count.
    """
    with opened_output(as_json) as out:
        from sweeper.execution.driver import SweepDriver
        from sweeper.tracking.mlflow_view import require_store
        from sweeper.tracking.sweep_folder import SweepFolder

        asked = limits_asked(max_hours, max_cost, max_memory)
        folder = SweepFolder.open(sweep, home=opened_home(home, sweep=sweep))
        require_at_rest(folder, asked)
        with revised(folder, overrides or []) as change:
            if change is not None and change.is_running:
                out.show(change.document(), Text(change.sentence))
                return
            if folder.status != "complete":
                start_fork_server(address)
            require_store(folder.home, tracking_uri)
            driver = SweepDriver.open(
                folder,
                address=address,
                tracking_uri=tracking_uri,
                experiment=experiment,
                has_dashboard=has_dashboard,
                retry_failed=retry_failed,
            )
            go_on_within(driver, asked, out)
            if change is not None:
                out.console.print(change.sentence, soft_wrap=True, markup=False, highlight=False)
            _drive(driver, out)


def _drive(driver: SweepDriver, out: Output) -> None:
    """Runs a sweep with the live table, and what confirms it, then shows the results."""
    _run(driver, out)
    try:
        confirmation = _confirmed(driver, out)
    except BadInputError:
        # The search has come to its end all the same.
        _show_result(driver, out)
        raise
    failed = _show_result(driver, out)
    if confirmation is not None:
        # One document is printed; it names the confirmation, whose own one is a report away.
        failed |= _show_result(confirmation, out, is_shown=not out.as_json)
    if failed:
        raise typer.Exit(SOME_FAILED)


def _confirmed(driver: SweepDriver, out: Output) -> SweepDriver | None:
    """Runs what confirms a search; returns its driver, None where nothing does."""
    from sweeper.execution.confirm import confirmation_driver, has_time_for

    with _leaving(driver, out):
        confirmation = confirmation_driver(driver)
        is_in_time = confirmation is not None and has_time_for(confirmation)
    if confirmation is not None:
        text = f"Confirmation of {driver.folder.name}: sweep {confirmation.folder.name}"
        out.console.print(text, highlight=False)
        if is_in_time:
            _run(confirmation, out)
        else:
            out.console.print(confirmation.folder.note, markup=False, highlight=False)
    return confirmation


def _run(driver: SweepDriver, out: Output) -> None:
    """Runs one sweep with the live table."""
    driver.on_loss = lambda why: _leave(driver, out, SOME_FAILED, why)
    driver.tell = functools.partial(
        out.console.print, soft_wrap=True, markup=False, highlight=False
    )
    driver.tell(_mlflow_line(driver))
    with _leaving(driver, out), _followed(driver, out.console):
        driver.run()


def _mlflow_line(driver: SweepDriver) -> str:
    """Returns where a sweep is seen in MLflow: a server's address, or the command that serves."""
    from sweeper.tracking.mirror import place_of
    from sweeper.tracking.mlflow_view import is_server, sweep_url

    store = store_of(driver.folder, driver.tracking_uri)
    if is_server(store):
        return f"MLflow: {sweep_url(store, driver.folder, experiment=driver.experiment)}"
    command = f"python -m sweeper ui {shlex.quote(driver.folder.name)}"
    if driver.folder.home != sweeps_home().absolute():
        command += f" --home {shlex.quote(place_of(driver.folder.home))}"
    if driver.tracking_uri is not None:
        command += f" --tracking-uri {shlex.quote(store)}"
    return f"MLflow: {command}"


@contextmanager
def _leaving(driver: SweepDriver, out: Output) -> Iterator[None]:
    """Ends the process where the body is interrupted or fails; bad input is raised."""
    try:
        yield
    except KeyboardInterrupt:
        _leave(driver, out, INTERRUPTED, driver.why_interrupted or "Interrupted.")
    except BadInputError:
        raise
    except (PoolLostError, StudyLostError) as error:
        _leave(driver, out, SOME_FAILED, f"Stopped: {error}.")
    except Exception as error:
        if isinstance(error, OSError) and not isinstance(error, TimeoutError | ConnectionError):
            why = (
                f"Stopped: the sweep's files cannot be written ({error}). Make room for them, or "
                "make them writable."
            )
            _leave(driver, out, SOME_FAILED, why)
        logger.exception("the sweep failed with an internal error")
        _leave(driver, out, SOME_FAILED, "Stopped.")


def _show_result(driver: SweepDriver, out: Output, *, is_shown: bool = True) -> bool:
    """Shows a sweep's result and writes its page; returns whether a trial failed."""
    from sweeper.report.page import subject_of

    folder, uri = driver.folder, driver.tracking_uri
    with out.waiting("comparing the trials"):
        subject = subject_of(folder, tracking_uri=store_of(folder, uri))
    if is_shown:
        out.show(subject.document, view_of(subject))
    with out.waiting("writing the report page"):
        page = published(subject, uri)
    if page is not None:
        out.console.print(f"Report page: {page}", soft_wrap=True, markup=False, highlight=False)
    return "failed" in subject.ranking.counts()


def _leave(driver: SweepDriver, out: Output, code: int, why: str) -> NoReturn:
    """Ends the process at once: an orderly exit would wait for, or abort in, Ray's own threads."""
    from sweeper.execution.cluster import end_agents
    from sweeper.tracking.mirror import words_of

    words = words_of(driver.folder.path)
    out.console.print(
        f"{why} Continue with: python -m sweeper resume {words}", soft_wrap=True, markup=False
    )
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        end_agents()
    finally:
        os._exit(code)


@contextmanager
def _followed(driver: SweepDriver, console: Console) -> Iterator[None]:
    """Shows how the sweep stands while the body runs, from a thread of its own."""
    from sweeper.report.standing import trials_total
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
            pause_s, is_warm = REFRESH_S, False
            while not over.wait(pause_s):
                begin_s, records = time.monotonic(), folder.trials()
                # Its owner may extend a search while it runs; a design is read once.
                total = None if driver.sweep.design else trials_total(folder.document)
                table.update(records, note=driver.note(), trials_total=total)
                if not is_warm and _have_ended(records, total or spec.search.trials):
                    is_warm = True
                    _warm_up()
                # Of thousands of trials a look takes long: it gets a tenth of a processor.
                pause_s = max(REFRESH_S, 9 * (time.monotonic() - begin_s))

        thread = threading.Thread(target=follow, name="live-table", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            table.update(folder.trials())


def _have_ended(records: Sequence[TrialRecord], total: int) -> bool:
    """Returns whether all trials have ended, those apart that go on as the best."""
    return len(records) >= total and all(x.is_final or x.is_finalist for x in records)


def _warm_up() -> None:
    """Gets the report page ready to be written while the best go on and are evaluated."""
    from sweeper.report.page import warm_up

    # What goes wrong here goes wrong again when the page is written, and is told there.
    with suppress(Exception):
        warm_up()
