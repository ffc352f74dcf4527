"""MLflow's own pages on the sweeps' store."""

from __future__ import annotations

import os
import webbrowser
from collections.abc import Callable
from pathlib import Path

from sweeper.errors import BadInputError
from sweeper.tracking.databases import public_uri
from sweeper.tracking.mlflow_view import (
    MlflowView,
    is_server,
    resolve_tracking_uri,
    ui_command,
    ui_environment,
)
from sweeper.tracking.pages.hosts import Place
from sweeper.tracking.pages.serving import serve
from sweeper.tracking.sweep_folder import SweepFolder, sweeps_in

__all__ = ["newest_sweep", "serve_ui"]


def serve_ui(
    home: Path,
    *,
    sweep: str | None,
    tracking_uri: str | None,
    place: Place,
    tell: Callable[[str], None],
) -> None:
    """Serves MLflow's pages until it is interrupted, and opens them where there is a browser.

    Args:
        home: folder of all sweeps.
        sweep: the one whose trials are compared; the newest where None.
        tracking_uri: the store; a server is not started again, only opened.
        place: to listen on.
        tell: prints a line.

    Raises:
        BadInputError: there is no sweep, the port is taken, or MLflow's server did not come up.
    """
    folder = newest_sweep(home) if sweep is None else SweepFolder.open(sweep, home=home)
    uri = resolve_tracking_uri(home, tracking_uri)
    if not is_server(uri):
        # Before anything takes time.
        place.require_free()
    view = MlflowView(folder, tracking_uri=tracking_uri)
    # What an earlier driver could not send is sent now, and what a store that was made anew lacks.
    view.sync()
    _sync_others(home, tracking_uri)
    if is_server(uri):
        _open(view, public_uri(uri), tell)
        return
    environment = {
        # Its runners of jobs, seven processes, are for language models that judge, and outlive it.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **os.environ,
        **ui_environment(home, tracking_uri=tracking_uri),
    }

    def opened() -> None:
        _open(view, place.url, tell)
        for url in place.other_urls:
            tell(f"Also at:     {url}")

    serve(
        ui_command(
            home,
            place.port,
            host=place.host,
            tracking_uri=tracking_uri,
            allowed_hosts=place.allowed_hosts(),
            allowed_origins=place.allowed_origins(),
        ),
        environment,
        name="MLflow's server",
        health_url=f"{place.url}/health",
        opened=opened,
        tell=tell,
    )


def _sync_others(home: Path, tracking_uri: str | None) -> None:
    """Sends of all sweeps of a folder that a store had what it does not have."""
    for path in sweeps_in(home):
        other = MlflowView(SweepFolder(path), tracking_uri=tracking_uri)
        if other.was_sent():
            other.sync()


def newest_sweep(home: Path) -> SweepFolder:
    """Returns the newest sweep of a folder.

    Raises:
        BadInputError: there is none.
    """
    folders = sweeps_in(home)
    if not folders:
        raise BadInputError(
            f"{home} holds no sweep, so there is nothing to show; start a sweep with 'python -m "
            "sweeper run search_spaces/masa.yaml', or give --home"
        )
    return SweepFolder(folders[-1])


def _open(view: MlflowView, base_url: str, tell: Callable[[str], None]) -> None:
    pages = view.pages(base_url)
    for name, url in pages.items():
        tell(f"{f'{name}:':<12} {url}")
    # Without a display a text browser would take the terminal.
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(next(iter(pages.values())))
