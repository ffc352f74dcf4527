"""The command line: parse, call, print.

Exit codes: 0 ok, 1 some trials or a check failed, 2 bad input.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn, TextIO

import typer
from rich.console import Console, RenderableType

from sweeper._environment import hide_progress_bars, sweeps_home
from sweeper.errors import BadInputError, SweeperError

if TYPE_CHECKING:
    from sweeper.execution.driver import Driver
    from sweeper.tracking.sweep_folder import SweepFolder

__all__ = [
    "app",
    "data_check",
    "doctor",
    "evaluate",
    "export",
    "main",
    "params",
    "plan",
    "report",
    "resume",
    "run",
    "ui",
]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Finds the best configuration of MASA, MoSA and their rivals for a model and a task.",
)

_data = typer.Typer(no_args_is_help=True, help="Look at the data that a sweep would run on.")
app.add_typer(_data, name="data")

logger = logging.getLogger(__name__)

SOME_FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
# Seconds between two looks at the records for the live table.
REFRESH_S = 0.5

_SpaceFile = Annotated[Path, typer.Argument(help="A search-space file, search_spaces/masa.yaml.")]
_SweepName = Annotated[str, typer.Argument(help="Name of a sweep, or its folder.")]
_ProfileName = Annotated[
    str | None, typer.Option("--profile", help="On what to run: a profile's name or file.")
]
_Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Set a field: --set train.steps=20 (may be repeated)."),
]
_Home = Annotated[
    Path | None, typer.Option("--home", help="Folder of all sweeps [$SWEEPER_HOME, ./sweeps].")
]
_Address = Annotated[
    str | None,
    typer.Option("--address", help="Ray cluster: auto, host:port [$RAY_ADDRESS, this machine]."),
]
_TrackingUri = Annotated[
    str | None,
    typer.Option("--tracking-uri", help="MLflow's store [$MLFLOW_TRACKING_URI, SQLite in --home]."),
]
_Trial = Annotated[
    str,
    typer.Argument(
        metavar="RUN_OR_TRIAL",
        help="A sweep (its best trial), a trial's id or the first digits of it, SWEEP/TRIAL, a "
        "folder, an MLflow run id.",
    ),
]
_AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, nothing else.")]


@app.command()
def run(
    space: _SpaceFile,
    profile: _ProfileName = None,
    overrides: _Overrides = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the sweep.")] = None,
    home: _Home = None,
    address: _Address = None,
    tracking_uri: _TrackingUri = None,
    as_json: _AsJson = False,
) -> None:
    """Run a sweep; of a list of trials those that are on the profile's model."""
    with _output(as_json) as out:
        from sweeper.execution.driver import Driver, new_sweep_name
        from sweeper.experiment.loading import load_sweep, runnable
        from sweeper.preflight.checks import check_runnable
        from sweeper.tracking.sweep_folder import SweepFolder

        sweep, left_out = runnable(load_sweep(space, profile=profile, overrides=overrides or ()))
        if left_out:
            text = f"Not run, being on another model or repeated: {', '.join(left_out)}"
            out.console.print(text, markup=False, highlight=False)
        fingerprint = check_runnable(sweep, address=address)
        root = home or sweeps_home()
        name = name or new_sweep_name(root, sweep)
        folder = SweepFolder.create(root, name, document=sweep.document)
        driver = Driver(folder, sweep, fingerprint, address=address, tracking_uri=tracking_uri)
        _drive(driver, out)


@app.command()
def resume(
    sweep: _SweepName,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run failed trials again.")
    ] = False,
    home: _Home = None,
    address: _Address = None,
    tracking_uri: _TrackingUri = None,
    as_json: _AsJson = False,
) -> None:
    """Go on with a sweep after Ctrl-C, a crash or a reboot; what has ended is not run again."""
    with _output(as_json) as out:
        from sweeper.execution.driver import Driver
        from sweeper.tracking.sweep_folder import SweepFolder

        folder = SweepFolder.open(sweep, home=home or sweeps_home())
        driver = Driver.open(
            folder, address=address, tracking_uri=tracking_uri, retry_failed=retry_failed
        )
        _drive(driver, out)


@app.command()
def plan(
    space: _SpaceFile,
    profile: _ProfileName = None,
    overrides: _Overrides = None,
    as_json: _AsJson = False,
) -> None:
    """Show what would run: trials, parameters, memory, resources. Nothing is started."""
    with _output(as_json) as out:
        from sweeper.experiment.loading import load_sweep
        from sweeper.preflight.plan import plan_of
        from sweeper.report.terminal import plan_view

        document = plan_of(load_sweep(space, profile=profile, overrides=overrides or ())).document()
        out.show(document, plan_view(document))


@app.command()
def params(
    space: _SpaceFile,
    profile: _ProfileName = None,
    overrides: _Overrides = None,
    as_json: _AsJson = False,
) -> None:
    """Count each trial's parameters, bytes of its adapter file and of its optimiser's state.

    Every adapter is put into the profile's model without loading it: neither weights nor a network
    are needed. Beside each count stands what a paper prints of it, where it does.
    """
    with _output(as_json) as out:
        from sweeper.experiment.loading import load_sweep
        from sweeper.preflight.counting import count_trials
        from sweeper.report.terminal import params_view

        sweep = load_sweep(space, profile=profile, overrides=overrides or ())
        with out.console.status("counting"):
            rows = [counted.document() for counted in count_trials(sweep)]
        title = f"{sweep.spec.name} on {sweep.spec.profile}"
        out.show(rows, params_view(rows, title=title))


@_data.command("check")
def data_check(
    space: _SpaceFile,
    profile: _ProfileName = None,
    overrides: _Overrides = None,
    as_json: _AsJson = False,
) -> None:
    """Find evaluation rows inside training rows, duplicates, empty, wrong and over-long rows.

    Exit code 1 says that a sweep on this data is refused; whatever else is found is told only.
    """
    with _output(as_json) as out:
        from sweeper.experiment.loading import load_sweep
        from sweeper.preflight.data import check_sweep_data
        from sweeper.report.terminal import data_check_view

        sweep = load_sweep(space, profile=profile, overrides=overrides or ())
        hide_progress_bars()
        with out.console.status("reading the data"):
            document = check_sweep_data(sweep).document()
        title = f"{sweep.spec.name} on {sweep.spec.profile}"
        out.show(document, data_check_view(document, title=title))
        if document["is_refused"]:
            raise typer.Exit(SOME_FAILED)


@app.command()
def report(sweep: _SweepName, home: _Home = None, as_json: _AsJson = False) -> None:
    """Show a sweep's leaderboard and best configuration."""
    with _output(as_json) as out:
        from sweeper.tracking.sweep_folder import SweepFolder

        _show_result(SweepFolder.open(sweep, home=home or sweeps_home()), out, tracking_uri=None)


@app.command()
def export(
    run_or_trial: _Trial,
    form: Annotated[
        Literal["peft", "lora", "merged"],
        typer.Option(
            "--format", help="The method's adapter, a plain LoRA, or the model with it merged in."
        ),
    ] = "peft",
    output: Annotated[
        Path | None,
        typer.Option("--output", help="A new folder (else exports/FORMAT in the trial's)."),
    ] = None,
    dtype: Annotated[
        Literal["fp32", "bf16", "fp16"] | None,
        typer.Option("--dtype", help="Of a merged model (else the trial's precision)."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export in that folder.")
    ] = False,
    home: _Home = None,
    as_json: _AsJson = False,
) -> None:
    """Write a trained adapter for other programs, and check that it gives the same outputs."""
    with _output(as_json) as out:
        from sweeper.analysis.lookup import find_trial
        from sweeper.export import export_trial
        from sweeper.report.terminal import export_view

        found = find_trial(run_or_trial, home=home or sweeps_home())
        hide_progress_bars()
        with out.console.status(f"Exporting {found.title} …"):
            document = export_trial(
                found, form, output=output, dtype=dtype, is_overwriting=overwrite
            ).document()
        out.show(document, export_view(document, chosen=found.reason))


@app.command()
def evaluate(  # noqa: PLR0913 - a parameter for each option
    run_or_trial: _Trial,
    tasks: Annotated[
        str | None,
        typer.Option("--tasks", help="arc_easy,mmlu,… (else those of the trial's data)."),
    ] = None,
    split: Annotated[
        Literal["test", "validation"], typer.Option("--split", help="Which rows to ask.")
    ] = "test",
    rows: Annotated[
        int | None, typer.Option("--rows", min=1, help="Most rows of each task (else all).")
    ] = None,
    has_base: Annotated[
        bool, typer.Option("--base", help="Ask the frozen base, too, and show it beside.")
    ] = False,
    is_harness: Annotated[
        bool,
        typer.Option("--harness", help="By lm-evaluation-harness: its tasks, prompts and code."),
    ] = False,
    harness_tasks: Annotated[
        Path | None,
        typer.Option(
            "--harness-tasks",
            exists=True,
            file_okay=False,
            help="Folder with tasks of your own for the harness, as YAML.",
        ),
    ] = None,
    home: _Home = None,
    as_json: _AsJson = False,
) -> None:
    """Evaluate a trained adapter on any task, by our code or by lm-evaluation-harness.

    What is found is shown and kept in a file of its own in the trial's folder; neither the search
    nor the report reads it. Names of the harness's tasks: `lm-eval ls tasks`.
    """
    with _output(as_json) as out:
        from sweeper.analysis.lookup import find_trial
        from sweeper.analysis.trial_evaluation import Asked, evaluate_trial
        from sweeper.report.terminal import evaluation_view

        names = tuple(name.strip() for name in (tasks or "").split(",") if name.strip())
        asked = Asked(names, split, rows, has_base, is_harness, harness_tasks)
        found = find_trial(run_or_trial, home=home or sweeps_home())
        hide_progress_bars()
        # The harness has progress bars of its own.
        waiting = nullcontext() if is_harness else out.console.status(f"Evaluating {found.title} …")
        with waiting:
            document = evaluate_trial(found, asked).document()
        out.show(document, evaluation_view(document, chosen=found.reason))


@app.command()
def ui(
    sweep: Annotated[str | None, typer.Argument(help="Open the comparison of its trials.")] = None,
    home: _Home = None,
    tracking_uri: _TrackingUri = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 5000,
) -> None:
    """Serve MLflow's own UI on this store, opened on this experiment, until Ctrl-C."""
    with _output(as_json=False) as out:
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


@app.command()
def doctor(as_json: _AsJson = False) -> None:
    """Tell what is installed, which backend runs, what is missing and how to get it."""
    with _output(as_json) as out:
        from sweeper.preflight.doctor import examine
        from sweeper.report.terminal import doctor_view

        findings = [finding.document() for finding in examine()]
        out.show(findings, doctor_view(findings))
        if any(finding["status"] == "missing" for finding in findings):
            raise typer.Exit(BAD_INPUT)


def _drive(driver: Driver, out: _Output) -> None:
    """Runs a sweep with the live table, then shows its result."""
    try:
        with _followed(driver, out.console):
            driver.run()
    except KeyboardInterrupt:
        _leave(driver, out, INTERRUPTED, "Interrupted.")
    except BadInputError:
        raise
    except Exception:
        logger.exception("the sweep ended by an error of its own")
        _leave(driver, out, SOME_FAILED, "Stopped.")
    failed = _show_result(driver.folder, out, tracking_uri=driver.tracking_uri)
    if failed:
        raise typer.Exit(SOME_FAILED)


def _leave(driver: Driver, out: _Output, code: int, why: str) -> NoReturn:
    """Ends the process at once: an orderly exit would wait for, or abort in, Ray's own threads."""
    folder = driver.folder
    out.console.print(f"{why} Go on with: python -m sweeper resume {folder.path}", soft_wrap=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@contextmanager
def _followed(driver: Driver, console: Console) -> Iterator[None]:
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


def _show_result(folder: SweepFolder, out: _Output, *, tracking_uri: str | None) -> bool:
    """Shows a sweep's result; returns whether a trial failed."""
    from sweeper.analysis.ranking import rank_sweep
    from sweeper.report.document import sweep_result
    from sweeper.report.terminal import sweep_view
    from sweeper.tracking.mlflow_view import public_uri, resolve_tracking_uri

    uri = public_uri(resolve_tracking_uri(folder.home, tracking_uri))
    ranking = rank_sweep(folder)
    out.show(
        sweep_result(folder, ranking, tracking_uri=uri),
        sweep_view(folder, ranking, tracking_uri=uri),
    )
    return "failed" in ranking.counts()


class _Output:
    """Where a command's result goes: a document on standard output, or a view of it."""

    def __init__(self, *, as_json: bool, stdout: TextIO) -> None:
        self._as_json = as_json
        self._stdout = stdout
        self.console = Console(stderr=as_json)

    def show(self, document: object, view: RenderableType) -> None:
        """Prints the document or its view."""
        if self._as_json:
            self._stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")
            self._stdout.flush()
        else:
            # Commands and paths are printed whole, however narrow the terminal is.
            self.console.print(view, crop=False)


@contextmanager
def _output(as_json: bool) -> Iterator[_Output]:
    """Yields where to print; turns bad input into its message and exit code 2.

    With ``--json`` all that libraries write on standard output, native ones included, goes to
    standard error: nothing but the document may stand there.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # PEFT imports it wherever it is, and it warns that a kernel could be faster.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    stdout = sys.stdout
    if as_json:
        sys.stdout.flush()
        stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
    try:
        yield _Output(as_json=as_json, stdout=stdout)
    except BadInputError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        raise typer.Exit(BAD_INPUT) from error
    except SweeperError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        raise typer.Exit(SOME_FAILED) from error


def main() -> None:
    """Runs the command line."""
    app()
