"""Commands that start nothing: plan, params, data check, doctor."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from sweeper._environment import calibration_s, hide_progress_bars, keep_off_hub
from sweeper.cli.options import (
    Address,
    AsJson,
    Fresh,
    Home,
    Overrides,
    ProfileName,
    SpaceFile,
    opened_home,
    with_fresh,
)
from sweeper.cli.output import BAD_INPUT, SOME_FAILED, opened_output
from sweeper.errors import BadInputError

__all__ = ["data_check", "doctor", "params", "plan"]


def plan(  # noqa: PLR0913 - an argument for each option
    space: SpaceFile,
    profile: ProfileName = None,
    overrides: Overrides = None,
    check: Annotated[
        bool, typer.Option("--check", help="Also check all that run checks before it starts.")
    ] = False,
    no_calibration: Annotated[
        bool,
        typer.Option(
            "--no-calibration",
            help="Take no real steps: forecast by what was measured before, or by operations.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Instead of the plan: try all that can be tried of it without the model.",
        ),
    ] = False,
    home: Home = None,
    fresh: Fresh = False,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Show what would run, and what it will cost: time, memory, disk, money. Nothing is started.

    The costs are forecast from a few real steps of each method, in a process of its own for a
    minute at most, where model and data are at hand, else computed from operations and rates.

    Of a design also show what each configuration answers. Trials that another sweep of --home has
    finished are taken over and not trained again.

    Exit code 1 means that the model or the data is missing: the plan is shown all the same.

    With --check also look at model, tokenizer, data and the studies' database as run does: exit
    code 2 means that the sweep would be refused.

    With --dry-run try, without a GPU and without the model, what a cluster would meet first: the
    architecture on torch's meta device, every trial's adapter in it, DeepSpeed's configuration of
    every trial, ten rows of every task. The Hub is asked for nothing. Exit code 2 means that
    something is wrong; what is not at hand is said, and is no error.
    """
    if dry_run:
        _dry_run(space, profile, overrides, check=check, as_json=as_json)
        return
    with opened_output(as_json) as out:
        from sweeper.experiment.loading import load_sweep
        from sweeper.experiment.runnable import only_runnable
        from sweeper.preflight.checks import require_runnable
        from sweeper.preflight.plan import plan_of
        from sweeper.report.terminal import batch_text, plan_view
        from sweeper.search import require_study_storage

        sweep = load_sweep(space, profile=profile, overrides=with_fresh(overrides, fresh))
        if check:
            hide_progress_bars()
            with out.console.status("checking model and data"):
                require_runnable(only_runnable(sweep)[0], address=address)
                require_study_storage()
        within_s = 0.0 if no_calibration else calibration_s()
        with out.waiting("measuring a few steps") if within_s else nullcontext():
            found = plan_of(
                sweep,
                home=opened_home(home),
                address=address,
                within_s=within_s,
            )
        document = found.document()
        out.show(document, plan_view(document))
        if sweep.is_batch_open:
            out.console.print(batch_text(found.sweep.document))
        if check and not as_json:
            out.console.print("Checked: model and data can be used.")
        if document["missing"]:
            raise typer.Exit(SOME_FAILED)


def _dry_run(
    space: Path, profile: str | None, overrides: list[str] | None, *, check: bool, as_json: bool
) -> None:
    """Tries a sweep without its model."""
    with opened_output(as_json) as out:
        if check:
            raise BadInputError(
                "check: got --check with --dry-run; the one needs the model, the other does "
                "without; give one of them"
            )
        # Before anything imports the Hub's libraries.
        keep_off_hub()
        hide_progress_bars()
        from sweeper.experiment.loading import load_sweep
        from sweeper.preflight.dry_run import dry_run
        from sweeper.report.terminal import dry_run_view

        sweep = load_sweep(space, profile=profile, overrides=overrides or ())
        with out.console.status("trying model, adapters, engines and rows"):
            findings = [finding.document() for finding in dry_run(sweep)]
        out.show(findings, dry_run_view(findings))
        if any(finding["status"] == "no" for finding in findings):
            raise typer.Exit(BAD_INPUT)


def params(
    space: SpaceFile,
    profile: ProfileName = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Count each trial's parameters, and the bytes of its adapter file and optimiser state.

    Every adapter is put into the profile's model without loading the model, so it needs neither
    weights nor a network. Published figures are shown beside the counts where there are any.
    """
    with opened_output(as_json) as out:
        from sweeper.experiment.loading import load_sweep
        from sweeper.preflight.counting import count_trials
        from sweeper.report.terminal import params_view

        sweep = load_sweep(space, profile=profile, overrides=overrides or ())
        with out.console.status("counting"):
            rows = [counted.document() for counted in count_trials(sweep)]
        title = f"{sweep.spec.name} on {sweep.spec.profile}"
        out.show(rows, params_view(rows, title=title))


def data_check(
    space: SpaceFile,
    profile: ProfileName = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Check the data for evaluation rows in the training rows, duplicates, and bad rows.

    Bad rows are empty, invalid or too long. Exit code 1 means that a sweep on this data would be
    refused. Other findings are only reported.
    """
    with opened_output(as_json) as out:
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


def doctor(as_json: AsJson = False) -> None:
    """List what is installed, which backend is used, what is missing and how to install it."""
    with opened_output(as_json) as out:
        from sweeper.preflight.doctor import examine
        from sweeper.report.terminal import doctor_view

        findings = [finding.document() for finding in examine()]
        out.show(findings, doctor_view(findings))
        if any(finding["status"] == "missing" for finding in findings):
            raise typer.Exit(BAD_INPUT)
