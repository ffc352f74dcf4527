"""The application: all commands, in the order of ``--help``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from sweeper import __version__
from sweeper.cli.commands import (
    chat,
    designs,
    init,
    launch,
    owner,
    preflight,
    results,
    sweep,
    trial,
)

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Find the best configuration of MASA, MoSA and other PEFT methods for a model and a task.",
)


def _help_of(command: Callable[..., Any]) -> str:
    """Its docstring, a line a paragraph: the terminal breaks lines, not the source."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


_data = typer.Typer(no_args_is_help=True, help="Inspect the data of a sweep.")
_data.command("check", help=_help_of(preflight.data_check))(preflight.data_check)
app.add_typer(_data, name="data")

_COMMANDS: dict[str, Callable[..., Any]] = {
    "init": init.init,
    "compare": designs.compare.compare,
    "paper": designs.paper.paper,
    "run": sweep.run,
    "resume": sweep.resume,
    "stop": owner.stop,
    "extend": owner.extend,
    "clone": owner.clone,
    "plan": preflight.plan,
    "params": preflight.params,
    "list": results.list_sweeps,
    "status": results.status,
    "show": results.show,
    "report": results.report,
    "export": trial.export,
    "evaluate": trial.evaluate,
    "inspect": trial.inspect,
    "chat": chat.chat,
    "ui": results.ui,
    "launch": launch.launch,
    "doctor": preflight.doctor,
}
for _name, _command in _COMMANDS.items():
    app.command(_name, help=_help_of(_command))(_command)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"masa-mosa-sweeper {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Runs the command line."""
    app()
