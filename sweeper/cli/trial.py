"""Commands on one trained trial: export, evaluate."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer

from sweeper._environment import hide_progress_bars, sweeps_home
from sweeper.cli.options import (
    AsJson,
    Home,
    Trial,
)
from sweeper.cli.output import opened_output

__all__ = ["evaluate", "export"]


def export(
    run_or_trial: Trial,
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
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Write a trained adapter for other programs, and check that it gives the same outputs."""
    with opened_output(as_json) as out:
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


def evaluate(  # noqa: PLR0913 - a parameter for each option
    run_or_trial: Trial,
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
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a trained adapter on any task, by our code or by lm-evaluation-harness.

    What is found is shown and kept in a file of its own in the trial's folder; neither the search
    nor the report reads it. Names of the harness's tasks: `lm-eval ls tasks`.
    """
    with opened_output(as_json) as out:
        from sweeper.analysis.lookup import find_trial
        from sweeper.analysis.trial_evaluation import EvaluationRequest, evaluate_trial
        from sweeper.report.terminal import evaluation_view

        names = tuple(name.strip() for name in (tasks or "").split(",") if name.strip())
        asked = EvaluationRequest(names, split, rows, has_base, is_harness, harness_tasks)
        found = find_trial(run_or_trial, home=home or sweeps_home())
        hide_progress_bars()
        # The harness has progress bars of its own.
        waiting = nullcontext() if is_harness else out.console.status(f"Evaluating {found.title} …")
        with waiting:
            document = evaluate_trial(found, asked).document()
        out.show(document, evaluation_view(document, chosen=found.reason))
