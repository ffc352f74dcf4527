"""The command ``compare``: methods against each other, as one design made of any search space."""

from __future__ import annotations

from typing import Annotated

import typer

from sweeper.cli.commands.sweep import start
from sweeper.cli.options import (
    Address,
    AsJson,
    Fresh,
    Home,
    Name,
    Overrides,
    ProfileName,
    SpaceFile,
    TrackingUri,
    opened_home,
    with_fresh,
)
from sweeper.cli.output import opened_output
from sweeper.execution.forkserver import start_fork_server

__all__ = ["compare"]


def compare(  # noqa: PLR0913 - an argument for each option
    space: SpaceFile,
    methods: Annotated[
        str | None,
        typer.Option(
            "--methods",
            help="Methods with commas between them: masa,masa_control,lora [those of the file].",
        ),
    ] = None,
    seeds: Annotated[
        str, typer.Option("--seeds", help="Seeds of each method at each rate, or the looks 3/5/10.")
    ] = "3",
    delta: Annotated[
        float | None,
        typer.Option(
            "--delta",
            help="Smallest difference that matters, in units of the metric "
            "[a point of accuracy, or 2 % of the control's mean].",
        ),
    ] = None,
    rates: Annotated[
        str | None,
        typer.Option(
            "--rates",
            help="Learning rates that each method is tuned over: LOW,HIGH or LOW,HIGH,COUNT "
            "[those that the file searches].",
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
    as_json: AsJson = False,
) -> None:
    """Compare methods: one size, one scale, each at its own best learning rate, verdicts first.

    The search space says on which model and data, and with which training. The methods get the size
    of its budget, or of a LoRA of rank 8, one alpha / rank, the control arms that they owe, and the
    same rates and seeds. All trials run to their end and are evaluated on the test split. What the
    file searches besides the learning rate is at its default here.

    The sweep keeps the search space that it runs: search_space.yaml.
    """
    with opened_output(as_json) as out:
        if not plan:
            start_fork_server(address)
        from sweeper.experiment.comparing import Comparison, load_comparison
        from sweeper.experiment.runnable import only_runnable
        from sweeper.report.terminal import dropped_text

        asked = Comparison.read(methods=methods, seeds=seeds, delta=delta, rates=rates)
        whole, dropped = load_comparison(
            space, asked, profile=profile, overrides=with_fresh(overrides, fresh)
        )
        sweep, _ = only_runnable(whole)
        text = dropped_text(dropped)
        if text:
            out.console.print(text, markup=False, highlight=False)
        if plan:
            from sweeper.preflight.plan import plan_of
            from sweeper.report.terminal import plan_view

            document = plan_of(sweep, home=opened_home(home)).document()
            out.show(document, plan_view(document))
            return
        start(sweep, out, name=name, home=home, address=address, tracking_uri=tracking_uri)
