"""Commands on one trained trial: export, evaluate, inspect."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sweeper._environment import hide_progress_bars
from sweeper.cli.commands.results import store_of
from sweeper.cli.options import (
    AsJson,
    Home,
    TrackingUri,
    Trial,
    opened_home,
)
from sweeper.cli.output import Output, opened_output
from sweeper.cli.publishing import published
from sweeper.errors import BadInputError

if TYPE_CHECKING:
    from sweeper.analysis.inspection import InspectionKind
    from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["evaluate", "export", "inspect"]


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


def inspect(  # noqa: PLR0913 - a parameter for each option
    run_or_trial: Trial,
    similarity: Annotated[
        bool,
        typer.Option(
            "--similarity", help="CKA of adjacent layers: outputs of A, and full increments ΔW·x."
        ),
    ] = False,
    projection: Annotated[
        bool,
        typer.Option(
            "--projection",
            help="t-SNE of each A's features by task, and scores of how separable they are.",
        ),
    ] = False,
    spectra: Annotated[
        bool, typer.Option("--spectra", help="Singular values, stable and effective rank of ΔW.")
    ] = False,
    diversity: Annotated[
        bool,
        typer.Option("--diversity", help="Principal angles between the row spaces of the A."),
    ] = False,
    conflict: Annotated[
        bool, typer.Option("--conflict", help="Cosines of the gradients of different tasks.")
    ] = False,
    rows: Annotated[
        int | None,
        typer.Option("--rows", min=1, help="Most rows of the data [256; of --conflict 2048]."),
    ] = None,
    split: Annotated[
        Literal["train", "validation", "test"] | None,
        typer.Option("--split", help="Where the rows are from [validation; of --conflict train]."),
    ] = None,
    tokens: Annotated[
        int, typer.Option("--tokens", min=1, help="Of --similarity: tokens of each row.")
    ] = 16,
    layers: Annotated[
        str,
        typer.Option(
            "--layers",
            help="Decoder layers from 0, such as 0,2,5-7 [all; of --projection the middle one].",
        ),
    ] = "",
    modules: Annotated[
        str,
        typer.Option(
            "--modules",
            help="Adapted layers, such as q_proj,v_proj [all; of --projection v_proj].",
        ),
    ] = "",
    threshold: Annotated[
        float,
        typer.Option("--threshold", help="Of --spectra: singular values above it are counted."),
    ] = 0.01,
    draws: Annotated[
        int,
        typer.Option(
            "--draws", min=99, help="Permutations of labels, and random spaces, to compare with."
        ),
    ] = 999,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of rows, tokens and draws.")] = 0,
    device: Annotated[
        str | None, typer.Option("--device", help="Where it runs: cpu, cuda [a GPU if any].")
    ] = None,
    home: Home = None,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Look into a trained adapter: how alike layers are, ranks, experts, tasks.

    Give one of --similarity, --projection, --spectra, --diversity and --conflict. The result is
    printed and written to a file in the trial's folder. The report page of a sweep that has ended,
    and its figures in MLflow, are brought up to date.
    """
    with opened_output(as_json) as out:
        from sweeper.analysis.inspection import (
            InspectionRequest,
            inspect_trial,
            layer_numbers,
        )
        from sweeper.analysis.lookup import find_trial
        from sweeper.report.inspection import inspection_view
        from sweeper.tracking.mirror import push_file

        asked = InspectionRequest(
            _kind_of(
                similarity=similarity,
                projection=projection,
                spectra=spectra,
                diversity=diversity,
                conflict=conflict,
            ),
            rows=rows,
            tokens=tokens,
            split=split,
            seed=seed,
            draws=draws,
            threshold=threshold,
            layers=layer_numbers(layers),
            modules=tuple(name.strip() for name in modules.split(",") if name.strip()),
            device=device,
        )
        found = find_trial(run_or_trial, home=opened_home(home))
        hide_progress_bars()
        with out.console.status(f"Inspecting {found.title} …"):
            written = inspect_trial(found, asked)
        push_file(Path(written.path), found.sweep.path)
        out.show(written.document(), inspection_view(written, chosen=found.reason))
        _bring_page_up_to_date(found.sweep, out, tracking_uri)


def _kind_of(**are_asked: bool) -> InspectionKind:
    """Returns the kind of inspection that is asked for.

    Raises:
        BadInputError: it is none, or several.
    """
    from sweeper.analysis.inspection import KINDS

    asked = [kind for kind in KINDS if are_asked[kind]]
    if len(asked) != 1:
        got = " and ".join(f"--{kind}" for kind in asked) or "none"
        raise BadInputError(
            f"inspect: got {got}; it looks for one thing at a time; give one of "
            f"{', '.join(f'--{kind}' for kind in KINDS)}"
        )
    return asked[0]


def _bring_page_up_to_date(sweep: SweepFolder, out: Output, tracking_uri: str | None) -> None:
    """Writes the page of a sweep that has ended anew: one that runs writes its own at its end."""
    from sweeper.report.page import subject_of
    from sweeper.tracking.owner import driver_of

    if driver_of(sweep.path).is_alive:
        return
    subject = subject_of(sweep, tracking_uri=store_of(sweep, tracking_uri))
    page = published(subject, tracking_uri, only_where_known=True)
    if page is not None:
        out.console.print(f"Report page: {page}", soft_wrap=True, markup=False, highlight=False)
