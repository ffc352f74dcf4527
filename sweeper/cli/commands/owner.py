"""Commands by which the owner of a sweep changes it: stop, extend, clone, resume --set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from sweeper.cli.limits import require_no_url
from sweeper.cli.options import AsJson, Home, SweepName, Trial, opened_home, sweep_names
from sweeper.cli.output import opened_output
from sweeper.errors import BadInputError

if TYPE_CHECKING:
    from sweeper.tracking.owner.revising import RevisedSweep
    from sweeper.tracking.sweep_folder import SweepFolder
    from sweeper.tracking.trial_folder import TrialFolder

__all__ = ["clone", "extend", "revised", "stop"]


def stop(
    sweep_or_trial: Annotated[
        str,
        typer.Argument(
            metavar="SWEEP_OR_TRIAL",
            autocompletion=sweep_names,
            help="Name of a sweep, or its folder; or one trial: SWEEP/TRIAL with the trial's "
            "number or the first digits of its id, or one of these of the newest sweep.",
        ),
    ],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Stop a running sweep, or one of its trials, from any machine that sees its folder.

    The driver is asked by a file. A sweep ends as with Ctrl-C, after each trial has written a
    checkpoint, and `resume` continues it. A trial ends for good after its step: no resume trains
    it further, its adapter is kept as it stands, and no verdict counts it.
    """
    with opened_output(as_json) as out:
        from sweeper.tracking.owner.stopping import stop as ask

        folder, trial = _found(sweep_or_trial, opened_home(home))
        _require_here(folder)
        asked = ask(folder, trial)
        out.show(asked.document(), Text(asked.sentence))


def extend(
    sweep: SweepName,
    trials: Annotated[int, typer.Option("--trials", help="How many trials more.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Give a search more trials, while it runs or when it has ended; `resume` then runs them.

    The sampler goes on from all trials before, and so does what stops trials early. A design or a
    list of trials decides its trials before it starts: it is refused, with the command that trains
    more.
    """
    with opened_output(as_json) as out:
        from sweeper.tracking.owner.extending import extend as give
        from sweeper.tracking.sweep_folder import SweepFolder

        folder = SweepFolder.open(sweep, home=opened_home(home, sweep=sweep))
        _require_here(folder)
        _require_more(folder)
        found = give(folder, trials=trials)
        out.show(found.document(), Text(found.sentence))


def clone(
    trial: Trial,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="What is another than in the trial: --set train.learning_rate=1e-3, "
            "--set method.rank=16 (may be repeated).",
        ),
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Make a new trial that begins with what another one has learnt; `resume` trains it.

    It is of the same sweep, be that a search, a design, running or complete. Tensors of the
    adapter whose shapes agree are taken, each other one is named. It has had more steps than the
    trials: the report has it in a section of its own, and no ranking, verdict or search counts it.
    """
    with opened_output(as_json) as out:
        from sweeper.analysis.lookup import find_trial
        from sweeper.preflight.model.cloning import clone as make

        found = find_trial(trial, home=opened_home(home))
        require_no_url(found.sweep, "clone")
        made = make(found, overrides or [])
        out.show(made.document(), Text("\n".join(made.lines)))


@contextmanager
def revised(folder: SweepFolder, overrides: list[str]) -> Iterator[RevisedSweep | None]:
    """Changes a sweep, as ``resume --set`` asks, for the body to go on with it.

    Where the body raises before the sweep goes on, the change is taken back.

    Args:
        folder: of the sweep.
        overrides: ``path=value`` each; without any nothing is changed.

    Yields:
        The change; None without overrides.

    Raises:
        BadInputError: a field may not change, or the sweep is run elsewhere.
    """
    from sweeper.tracking.owner.revising import revise, take_back

    if not overrides:
        yield None
        return
    _require_here(folder)
    since = folder.status_since
    found = revise(folder, overrides)
    try:
        yield found
    except BaseException:
        # Whoever runs it marks it so, and draws from the new space.
        if not found.is_running and folder.status_since == since:
            take_back(folder, found)
        raise


def _require_here(folder: SweepFolder) -> None:
    """Checks that the driver of a sweep sees what is written into its folder here.

    Raises:
        BadInputError: the sweep is kept at a URL, and a driver on another machine has its own copy.
    """
    from sweeper.tracking.mirror import driver_elsewhere

    if driver := driver_elsewhere(folder.path):
        raise BadInputError(
            f"sweep {folder.name} is run by {driver}, with its own copy of what is at the URL; a "
            "request reaches a driver that shares the folder; run the command on its machine"
        )


def _require_more(folder: SweepFolder) -> None:
    """Checks that the space of a sweep has trials that were not tried.

    Raises:
        BadInputError: it has none, or its study is damaged, or does not answer.
    """
    from sweeper.search import is_exhausted, read_study, using_study
    from sweeper.tracking.databases import place_of_study

    place = place_of_study(folder)
    if not place.is_there:
        return
    with using_study(place):
        study = read_study(place)
        if study is not None and is_exhausted(study):
            raise BadInputError(
                f"extend: the space of sweep {folder.name} has no trial besides those that were "
                "tried; more trials need more values; widen a range or a choice with 'resume "
                f"{folder.name} --set …', or begin a new sweep, which takes over what is trained"
            )


def _found(text: str, home: Path) -> tuple[SweepFolder, TrialFolder | None]:
    """Returns the sweep that a text names, or the trial with its sweep."""
    from sweeper.analysis.lookup import find_trial
    from sweeper.tracking.sweep_folder import SweepFolder

    try:
        return SweepFolder.open(text, home=home), None
    except BadInputError:
        found = find_trial(text, home=home)
        return found.sweep, found.trial
