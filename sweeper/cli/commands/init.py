"""The command ``init``: a first search space for one's own model and data."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.text import Text

from sweeper._environment import hide_progress_bars
from sweeper.cli.options import AsJson
from sweeper.cli.output import Output, opened_output

__all__ = ["init"]


def init(
    model: Annotated[
        str, typer.Option("--model", metavar="DIR|HUB", help="Folder of the model, or owner/name.")
    ],
    data: Annotated[
        str,
        typer.Option(
            "--data", metavar="FILE|FOLDER|HUB", help="File or folder of the data, or owner/name."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write [the data's name, .yaml]."),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt",
            help="Template of the prompt, where the format is not recognised: '{asked}\\nAnswer:'.",
        ),
    ] = None,
    answer: Annotated[
        str | None,
        typer.Option("--answer", help="Template of the answer, with --prompt: ' {reply}'."),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            "--template", help="File with a chat template, for chats where the tokenizer has none."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Write the file without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at a model and data, and write a first search space for them.

    It recognises the format of the rows, shows one as the model sees it, with what the loss counts,
    and says how long the rows are. The file has model, data, layers, lengths, batch size and
    learning rates, each with its reason: plan, run and compare take it as it is. No file is
    overwritten. Without a terminal nothing is asked.
    """
    with opened_output(as_json) as out:
        from sweeper.preflight.start import (
            look_at,
            propose,
            require_free,
            search_space_of,
            write_new,
        )
        from sweeper.report.terminal import start_view

        name = Path(data.rstrip("/")).name.split(".")[0] or "mine"
        path = output or Path(f"{name}.yaml")
        require_free(path)
        hide_progress_bars()
        with out.console.status("looking at model and data"):
            look = look_at(model, data, prompt=prompt, answer=answer, template=template)
            proposed = propose(look)
        text = search_space_of(look, proposed, name=path.stem, file=shlex.quote(str(path)))
        document = {"file": str(path), "look": look.document(), "proposed": proposed.document()}
        if not as_json:
            out.show(document, start_view(document))
        if not _is_wanted(path, out, is_asked=not yes):
            return
        write_new(path, text)
        # With --json the document is all there is, and it comes last: the file is there then.
        out.show(document, _next(path))


def _is_wanted(path: Path, out: Output, *, is_asked: bool) -> bool:
    """Asks whether the file shall be written, where there is somebody to ask."""
    is_there = sys.stdin.isatty() and sys.stdout.isatty()
    if not is_asked or out.as_json or not is_there or typer.confirm(f"Write {path}?", default=True):
        return True
    out.console.print("Nothing was written.")
    return False


def _next(path: Path) -> Group:
    file = shlex.quote(str(path))
    lines = [
        f"Wrote {path}. Next:",
        f"  python -m sweeper plan {file} --check",
        f"  python -m sweeper run {file}",
        f"  python -m sweeper compare {file} --methods masa,lora",
    ]
    return Group(*(Text(line, no_wrap=True, overflow="ignore") for line in lines))
