"""Commands on one trained trial: export, evaluate."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer

from sweeper._environment import hide_progress_bars
from sweeper.cli.options import (
    AsJson,
    Home,
    Trial,
    opened_home,
)
from sweeper.cli.output import opened_output

__all__ = ["evaluate", "export"]


def export(
    run_or_trial: Trial,
    form: Annotated[
        Literal["peft", "lora", "merged"],
        typer.Option(
            "--format",
            help="Form of the export: the method's adapter, a plain LoRA, or the merged model.",
        ),
    ] = "peft",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", help="Output folder; must be new (default: exports/FORMAT in the trial's)."
        ),
    ] = None,
    dtype: Annotated[
        Literal["fp32", "bf16", "fp16"] | None,
        typer.Option("--dtype", help="Precision of a merged model (default: the trial's)."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export in the output folder.")
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Export a trained adapter for other programs, and check that its outputs are the same."""
    with opened_output(as_json) as out:
        from sweeper.analysis.lookup import find_trial
        from sweeper.export import export_trial
        from sweeper.report.terminal import export_view

        found = find_trial(run_or_trial, home=opened_home(home))
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
        typer.Option(
            "--tasks", help="Tasks, such as arc_easy,mmlu (default: those of the trial's data)."
        ),
    ] = None,
    split: Annotated[
        Literal["test", "validation"], typer.Option("--split", help="Which split to evaluate on.")
    ] = "test",
    rows: Annotated[
        int | None, typer.Option("--rows", min=1, help="Most rows of each task (default: all).")
    ] = None,
    has_base: Annotated[
        bool, typer.Option("--base", help="Also evaluate the frozen base on the same rows.")
    ] = False,
    is_harness: Annotated[
        bool,
        typer.Option("--harness", help="Use lm-evaluation-harness: its tasks, prompts and code."),
    ] = False,
    harness_tasks: Annotated[
        Path | None,
        typer.Option(
            "--harness-tasks",
            exists=True,
            file_okay=False,
            help="Folder with your own tasks for the harness, as YAML files. Their `!function` "
            "is Python code that runs with your rights: use only files that you trust.",
        ),
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a trained adapter on any task, with our code or with lm-evaluation-harness.

    The result is printed and written to a file in the trial's folder. Neither the search nor the
    report reads it. Names of the harness's tasks: `lm-eval ls tasks`.
    """
    with opened_output(as_json) as out:
        from sweeper.analysis.lookup import find_trial
        from sweeper.analysis.trial_evaluation import EvaluationRequest, evaluate_trial
        from sweeper.report.terminal import evaluation_view
        from sweeper.tracking.mirror import push_file

        names = tuple(name.strip() for name in (tasks or "").split(",") if name.strip())
        asked = EvaluationRequest(names, split, rows, has_base, is_harness, harness_tasks)
        found = find_trial(run_or_trial, home=opened_home(home))
        hide_progress_bars()
        # The harness has progress bars of its own.
        waiting = nullcontext() if is_harness else out.console.status(f"Evaluating {found.title} …")
        with waiting:
            written = evaluate_trial(found, asked)
        push_file(Path(written.path), found.sweep.path)
        document = written.document()
        out.show(document, evaluation_view(document, chosen=found.reason))
