"""The sweeper in Python: what a program or a notebook calls as ``sweeper.run`` and the like.

A sweep runs in a process of its own, by the command line. Ray leaves threads behind where a sweep
is interrupted, which would end the notebook with it; and a notebook goes on where the sweep fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper._environment import folder_of, sweeps_place
from sweeper._third_party import load_progress_bars
from sweeper.cli.arguments import (
    SpaceSource,
    comparison_asked,
    fields_of,
    options_of,
    settings_of,
    space_file,
)
from sweeper.cli.commands.results import store_of
from sweeper.cli.options import opened_home
from sweeper.cli.process import run_command
from sweeper.cli.shown import PlanView, ReportView, TextView

if TYPE_CHECKING:
    import pandas

    from sweeper.report.page import Subject

__all__ = ["BestTrial", "SweepResults", "compare", "open_sweep", "plan", "run"]

# Before anything here imports Optuna.
load_progress_bars()


@dataclass(frozen=True)
class BestTrial:
    """The best trial of a sweep.

    Attributes:
        id: Its identity, by which every command knows it.
        method: Name of its method.
        params: What was searched, and the method's fields.
        metrics: Last value of each metric, by name; None where it is no number.
        adapter: Folder of its trained adapter; None where it has none.
    """

    id: str
    method: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float | None]
    adapter: Path | None


class SweepResults:
    """The results of a sweep on disk; each attribute reads them as they are now."""

    def __init__(self, path: Path, *, tracking_uri: str | None = None) -> None:
        """Names the sweep's folder.

        Args:
            path: the folder.
            tracking_uri: MLflow's store; None for the one of the folder of all sweeps.
        """
        self.path = path
        self._tracking_uri = tracking_uri

    @property
    def name(self) -> str:
        """Name of the sweep."""
        return self.path.name

    @property
    def status(self) -> str:
        """``running``, ``stopped`` or ``complete``."""
        from sweeper.tracking.sweep_folder import SweepFolder

        return SweepFolder(self.path).status

    @property
    def trials(self) -> pandas.DataFrame:
        """The trials, one a row, by number.

        Columns are ``id``, ``method``, ``status``, ``steps``, ``trainable``, ``adapter``, and as in
        MLflow ``params.<name>`` and ``metrics.<name>``; ``final.<name>`` are the metrics of the
        evaluation after the search.
        """
        import pandas

        rows = [_row(trial) for trial in self._subject().document["trials"]]
        return pandas.DataFrame(
            rows, index=pandas.Index([x.pop("number") for x in rows], name="number")
        )

    @property
    def best(self) -> BestTrial | None:
        """The best complete trial by validation; None as long as there is none."""
        found = self._subject().document["best"]
        if found is None:
            return None
        adapter = None if found["adapter"] is None else Path(found["adapter"])
        return BestTrial(found["id"], found["method"], found["params"], found["metrics"], adapter)

    def report(self) -> ReportView:
        """Returns what the sweep allows to be said."""
        return ReportView(self._subject())

    def resume(self, *, retry_failed: bool = False, address: str | None = None) -> SweepResults:
        """Continues the sweep, shows how it goes, and returns these results.

        Args:
            retry_failed: whether failed trials are run again.
            address: Ray cluster; None for this machine.

        Raises:
            BadInputError: the sweep cannot be continued.
            SweeperError: it failed.
        """
        from sweeper.tracking.mirror import place_of

        arguments = ["resume", self.name, "--home", place_of(self.path.parent)]
        arguments += ["--retry-failed"] if retry_failed else []
        run_command([*arguments, *options_of(address=address, tracking_uri=self._tracking_uri)])
        return self

    def _subject(self) -> Subject:
        from sweeper.report.page import subject_of
        from sweeper.tracking.sweep_folder import SweepFolder

        folder = SweepFolder(self.path)
        return subject_of(folder, tracking_uri=store_of(folder, self._tracking_uri))

    def __repr__(self) -> str:
        return f"SweepResults({str(self.path)!r})"

    def _repr_html_(self) -> str:
        """Returns how the sweep stands, as ``status`` shows it."""
        from sweeper.analysis.ranking import ranking_of
        from sweeper.report.status import status_document
        from sweeper.report.terminal import standing_view
        from sweeper.tracking.sweep_folder import SweepFolder

        folder = SweepFolder(self.path)
        standing = status_document(folder, ranking_of(folder))
        return TextView(standing_view(standing, now=datetime.now(UTC)))._repr_html_()


def run(
    space: SpaceSource,
    *,
    profile: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    name: str | None = None,
    home: str | Path | None = None,
    fresh: bool = False,
    address: str | None = None,
    tracking_uri: str | None = None,
) -> SweepResults:
    """Runs a sweep to its end, shows how it goes, and returns its results.

    An interrupt stops the sweep as Ctrl-C does; :meth:`SweepResults.resume` continues it.

    Args:
        space: a search-space file, the name of a packaged one, or its content as a mapping.
        profile: name or file of a profile; that of the space where None.
        overrides: by dotted path of a field its value, for example ``{"train.steps": 20}``.
        name: of the sweep; the first free one where None.
        home: folder of all sweeps; ``$SWEEPER_HOME``, else ``./sweeps`` where None.
        fresh: whether trials are trained that another sweep has finished.
        address: Ray cluster; None for ``$RAY_ADDRESS``, else this machine.
        tracking_uri: MLflow's store; None for the one of ``home``.

    Raises:
        BadInputError: nothing was started.
        SweeperError: the sweep stopped; its last messages say why.
    """
    arguments = options_of(profile=profile, name=name, address=address)
    arguments += [*settings_of(overrides), *(["--fresh"] if fresh else [])]
    return _started("run", space, arguments, home=home, tracking_uri=tracking_uri)


def compare(  # noqa: PLR0913 - an argument for each option of the command
    space: SpaceSource,
    *,
    methods: Sequence[str] | None = None,
    seeds: int | str = 3,
    delta: float | None = None,
    rates: Sequence[float] | None = None,
    profile: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    name: str | None = None,
    home: str | Path | None = None,
    fresh: bool = False,
    address: str | None = None,
    tracking_uri: str | None = None,
) -> SweepResults:
    """Compares methods at one size, each at its own best learning rate, and returns the results.

    It is the command ``compare``: the search space says on which model and data, and with which
    training. :func:`plan` with the same arguments shows what would run.

    Args:
        space: as in :func:`run`.
        methods: names, for example ``["masa", "lora"]``; those of the space where None.
        seeds: how many of each method at each rate, or the looks ``"3/5/10"``.
        delta: smallest difference that matters, in units of the metric; a point of accuracy, or
            2 % of the control's mean, where None.
        rates: learning rates that each method is tuned over: the lowest, the highest and, where it
            is given, how many; those that the space searches where None.
        profile: as in :func:`run`.
        overrides: as in :func:`run`, of fields of the comparison.
        name: as in :func:`run`.
        home: as in :func:`run`.
        fresh: as in :func:`run`.
        address: as in :func:`run`.
        tracking_uri: as in :func:`run`.

    Raises:
        BadInputError: nothing was started.
        SweeperError: the sweep stopped; its last messages say why.
    """
    asked = comparison_asked(methods=methods, seeds=seeds, delta=delta, rates=rates)
    named = ",".join(asked.methods) or None
    arguments = options_of(methods=named, seeds=asked.seeds, delta=asked.delta, rates=asked.rates)
    arguments += options_of(profile=profile, name=name, address=address)
    arguments += [*settings_of(overrides), *(["--fresh"] if fresh else [])]
    return _started("compare", space, arguments, home=home, tracking_uri=tracking_uri)


def _started(
    command: str,
    space: SpaceSource,
    arguments: Sequence[str],
    *,
    home: str | Path | None,
    tracking_uri: str | None,
) -> SweepResults:
    """Runs a command that trains a sweep, to its end, and returns the results."""
    place = str(home) if home is not None else sweeps_place()
    options = options_of(home=place, tracking_uri=tracking_uri)
    with space_file(space) as path:
        document = run_command([command, str(path), *options, *arguments])
    return SweepResults(folder_of(place) / document["sweep"], tracking_uri=tracking_uri)


def plan(
    space: SpaceSource,
    *,
    methods: Sequence[str] | None = None,
    seeds: int | str | None = None,
    delta: float | None = None,
    rates: Sequence[float] | None = None,
    profile: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    home: str | Path | None = None,
) -> PlanView:
    """Returns what a search space would run: trials, parameters, memory. Starts nothing.

    It is what :func:`run` would run. Where one of ``methods``, ``seeds``, ``delta`` and ``rates``
    is given, it is what :func:`compare` would.

    Args:
        space: as in :func:`run`.
        methods: as in :func:`compare`.
        seeds: as in :func:`compare`.
        delta: as in :func:`compare`.
        rates: as in :func:`compare`.
        profile: as in :func:`run`.
        overrides: as in :func:`run`.
        home: as in :func:`run`; what its sweeps have finished is not trained again.

    Raises:
        BadInputError: with all problems of the space.
    """
    from sweeper.experiment.comparing import load_comparison
    from sweeper.experiment.loading import load_sweep
    from sweeper.experiment.runnable import only_runnable
    from sweeper.preflight.plan import plan_of

    fields, on = fields_of(overrides), None if profile is None else str(profile)
    root = opened_home(None if home is None else str(home))
    dropped: tuple[str, ...] = ()
    with space_file(space) as path:
        if any(given is not None for given in (methods, seeds, delta, rates)):
            asked = comparison_asked(methods=methods, seeds=seeds, delta=delta, rates=rates)
            whole, dropped = load_comparison(path, asked, profile=on, overrides=fields)
            sweep, _ = only_runnable(whole)
        else:
            sweep = load_sweep(path, profile=on, overrides=fields)
        return PlanView(plan_of(sweep, home=root).document(), dropped=dropped)


def open_sweep(name: str | Path, *, home: str | Path | None = None) -> SweepResults:
    """Returns the results of a sweep on disk.

    Args:
        name: of the sweep, or its folder.
        home: folder of all sweeps; ``$SWEEPER_HOME``, else ``./sweeps`` where None.

    Raises:
        BadInputError: there is no such sweep.
    """
    from sweeper.tracking.sweep_folder import SweepFolder

    root = opened_home(None if home is None else str(home), sweep=str(name))
    return SweepResults(SweepFolder.open(str(name), home=root).path)


def _row(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a trial of the document as a row of the table."""
    own = ("number", "id", "method", "status", "steps", "trainable", "adapter")
    row = {key: trial[key] for key in own}
    row |= {f"params.{name}": value for name, value in trial["params"].items()}
    row |= {f"metrics.{name}": value for name, value in trial["metrics"].items()}
    final = trial["final"] or {"metrics": {}}
    return row | {f"final.{name}": value for name, value in final["metrics"].items()}
