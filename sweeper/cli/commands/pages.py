"""The command that serves web pages: ui."""

from __future__ import annotations

import functools
from typing import Annotated

import typer

from sweeper.cli.options import Home, TrackingUri, opened_home, sweep_names
from sweeper.cli.output import opened_output

__all__ = ["ui"]


def ui(
    sweep: Annotated[
        str | None,
        typer.Argument(
            help="Sweep whose trials are compared (default: the newest).",
            autocompletion=sweep_names,
        ),
    ] = None,
    home: Home = None,
    tracking_uri: TrackingUri = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            "--port", min=1, max=65535, help="Port to listen on [5000; with --optuna 8080]."
        ),
    ] = None,
    allowed_hosts: Annotated[
        str | None,
        typer.Option(
            "--allowed-hosts",
            help="Names and addresses that browsers may use for this machine, such as "
            "gpu1.example,10.0.0.7; * for any (default with --host: the machine's own).",
        ),
    ] = None,
    is_optuna: Annotated[
        bool,
        typer.Option("--optuna", help="Serve Optuna's dashboard on the sweep's study instead."),
    ] = False,
) -> None:
    """Serve MLflow's UI on the sweeps' store until Ctrl-C. It opens on the sweep's experiment.

    MLflow's server asks nobody for a password: whoever reaches --host can read, change and delete
    all runs.
    """
    with opened_output(as_json=False) as out:
        from sweeper.tracking.pages import Place, serve_study, serve_ui

        names = tuple(name.strip() for name in (allowed_hosts or "").split(",") if name.strip())
        place = Place(host, port or (8080 if is_optuna else 5000), names)
        # An address in one piece can be clicked and copied.
        tell = functools.partial(out.console.print, soft_wrap=True, markup=False)
        root = opened_home(home)
        if is_optuna:
            serve_study(root, sweep=sweep, place=place, tell=tell)
        else:
            serve_ui(root, sweep=sweep, tracking_uri=tracking_uri, place=place, tell=tell)
