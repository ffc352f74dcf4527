"""The application: all commands, in the order of ``--help``."""

from __future__ import annotations

import typer

from sweeper.cli import chat, preflight, sweep, trial

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Find the best configuration of MASA, MoSA and other PEFT methods for a model and a task.",
)

_data = typer.Typer(no_args_is_help=True, help="Inspect the data of a sweep.")
_data.command("check")(preflight.data_check)
app.add_typer(_data, name="data")

for _command in (
    sweep.run,
    sweep.resume,
    preflight.plan,
    preflight.params,
    sweep.report,
    trial.export,
    trial.evaluate,
    chat.chat,
    sweep.ui,
    preflight.doctor,
):
    app.command()(_command)


def main() -> None:
    """Runs the command line."""
    app()
