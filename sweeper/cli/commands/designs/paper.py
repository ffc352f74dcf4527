"""The command ``paper``: a table or figure of one of the two papers, as a sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sweeper._text import nearest
from sweeper.cli.commands.sweep import start
from sweeper.cli.limits import MaxCost, MaxHours, MaxMemory, limits_asked
from sweeper.cli.options import (
    Address,
    AsJson,
    Dashboard,
    Experiment,
    Fresh,
    Home,
    Name,
    Overrides,
    ProfileName,
    TrackingUri,
    opened_home,
    with_fresh,
)
from sweeper.cli.output import Output, opened_output
from sweeper.errors import Problem, SpecError
from sweeper.execution.forkserver import start_fork_server

if TYPE_CHECKING:
    from pathlib import Path

    from sweeper.experiment.sweep import Sweep
    from sweeper.report.papers import PaperFile

__all__ = ["paper"]


def _names(incomplete: str) -> list[str]:
    """Returns the names of items that begin so, for the shell."""
    from sweeper.experiment.documents import find_packaged_folders

    # By the files alone: a shell waits for it with each press of a key.
    files = [path for home in find_packaged_folders() for path in (home / "papers").glob("*.yaml")]
    found = [path for path in files if path.stem.startswith(incomplete)]
    return sorted(path.stem for path in found if "\npaper:" in path.read_text(encoding="utf-8"))


def paper(  # noqa: PLR0913 - an argument for each option
    item: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            autocompletion=_names,
            help="Such as masa_table6; without a name all are listed.",
        ),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show what would run. Nothing is started.")
    ] = False,
    profile: ProfileName = None,
    overrides: Overrides = None,
    name: Name = None,
    home: Home = None,
    fresh: Fresh = False,
    address: Address = None,
    tracking_uri: TrackingUri = None,
    experiment: Experiment = None,
    has_dashboard: Dashboard = False,
    max_hours: MaxHours = None,
    max_cost: MaxCost = None,
    max_memory: MaxMemory = None,
    as_json: AsJson = False,
) -> None:
    """Ask a table or figure of the MASA or MoSA paper again: show its protocol, run it, report it.

    The protocol says what is compared on the profile, what the paper has published, and what is not
    as in the paper. The report puts what is published beside what was found, with a verdict on each
    difference to the baseline. The first profile of an item is one for a laptop.

    Without a name list all items: on which profiles each is asked, and which sweeps of --home have
    asked it. What a bench times is not run: the command of the bench is shown.
    """
    with opened_output(as_json) as out:
        from sweeper.report.papers import find_paper, paper_files, protocol_document
        from sweeper.report.terminal import protocol_view

        files = paper_files()
        if item is None:
            _show_all(files, out, opened_home(home))
            return
        file = find_paper(item, files)
        is_run = not plan and not file.paper.reads.startswith("bench")
        if is_run:
            start_fork_server(address)
        sweep = _loaded(file, profile, with_fresh(overrides, fresh))
        if not is_run:
            _show_plan(sweep, file, out, opened_home(home), is_planned=plan)
            return
        document = protocol_document(sweep, profiles=tuple(file.paper.profiles))
        out.console.print(protocol_view(document), crop=False)
        start(
            sweep,
            out,
            name=name,
            home=home,
            address=address,
            tracking_uri=tracking_uri,
            experiment=experiment,
            has_dashboard=has_dashboard,
            limits=limits_asked(max_hours, max_cost, max_memory),
        )


def _loaded(file: PaperFile, profile: str | None, overrides: list[str]) -> Sweep:
    """Returns the sweep of an item on a profile, by default the item's first one.

    Raises:
        SpecError: the item is not asked on the profile, or the file cannot be read with it.
    """
    from sweeper.experiment.loading import load_sweep
    from sweeper.experiment.runnable import only_runnable

    known = [*file.paper.profiles]
    wanted = profile or known[0]
    if wanted not in known:
        message = (
            f"got {wanted!r}; {file.name} says how it is asked on {', '.join(known)}"
            f"{nearest(wanted, known)}; for a profile of your own: python -m sweeper run "
            f"search_spaces/papers/{file.path.name} --profile {wanted}"
        )
        raise SpecError("--profile", [Problem("", message)])
    return only_runnable(load_sweep(file.path, profile=wanted, overrides=overrides))[0]


def _show_all(files: tuple[PaperFile, ...], out: Output, home: Path) -> None:
    from sweeper.report.papers import listing_document, runs_of
    from sweeper.report.terminal import papers_view

    document = listing_document(files, runs_of(files, home))
    out.show(document, papers_view(document))


def _show_plan(sweep: Sweep, file: PaperFile, out: Output, home: Path, *, is_planned: bool) -> None:
    """Shows the protocol, and what would run."""
    from rich.console import Group

    from sweeper.preflight.plan import plan_of
    from sweeper.report.papers import protocol_document
    from sweeper.report.terminal import plan_view, protocol_view

    document = protocol_document(sweep, profiles=tuple(file.paper.profiles))
    if not is_planned:
        out.show(document, protocol_view(document))
        return
    made = plan_of(sweep, home=home).document()
    out.show({**document, "plan": made}, Group(protocol_view(document), plan_view(made)))
