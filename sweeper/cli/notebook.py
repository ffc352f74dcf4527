"""The sweeper in Python: what a program or a notebook calls as ``sweeper.run`` and the like.

A sweep runs in a process of its own, by the command line. Ray leaves threads behind where a sweep
is interrupted, which would end the notebook with it; and a notebook goes on where the sweep fails.
"""

from __future__ import annotations

import html
import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import yaml

from sweeper._environment import folder_of, sweeps_place
from sweeper._text import shorten
from sweeper.cli.commands.results import store_of, view_of
from sweeper.cli.options import opened_home
from sweeper.cli.process import run_command
from sweeper.errors import BadInputError

if TYPE_CHECKING:
    import pandas
    from rich.console import RenderableType

    from sweeper.report.page import Subject

__all__ = ["BestTrial", "PlanView", "ReportView", "SweepResults", "open_sweep", "plan", "run"]

_SpaceSource = str | Path | Mapping[str, Any]

# Characters in a line of a text that is shown in a notebook.
_WIDTH = 110


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


class _Shown:
    """Something with a text for terminals, which a notebook shows in the same form."""

    def __init__(self, view: RenderableType) -> None:
        self._view = view

    def __str__(self) -> str:
        from rich.console import Console

        text = io.StringIO()
        Console(file=text, width=_WIDTH, markup=False).print(self._view, crop=False)
        return text.getvalue()

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


class PlanView(_Shown):
    """What a search space would run; nothing has been started.

    Attributes:
        document: What ``plan --json`` prints.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Makes it of the document."""
        from sweeper.report.terminal import plan_view

        super().__init__(plan_view(dict(document)))
        self.document = document


class ReportView(_Shown):
    """The report of a sweep: a text, and in a notebook the page with its figures.

    Attributes:
        document: What ``report --json`` prints.
    """

    def __init__(self, subject: Subject) -> None:
        """Makes it of a sweep that has been read."""
        super().__init__(view_of(subject))
        self._subject = subject
        self.document = subject.document

    @property
    def verdicts(self) -> tuple[str, ...]:
        """All that is said after the parity lines, a sentence or two each."""
        return self._subject.conclusions.sentences

    def save(self, path: str | Path) -> Path:
        """Writes the page as one HTML file and returns its path."""
        from sweeper.report.page import write_page

        write_page([self._subject], Path(path))
        return Path(path)

    def _repr_html_(self) -> str:
        from sweeper.report.page import page_text

        page = html.escape(page_text([self._subject]))
        return f'<iframe srcdoc="{page}" width="100%" height="900" frameborder="0"></iframe>'


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
        run_command([*arguments, *_options(address=address, tracking_uri=self._tracking_uri)])
        return self

    def _subject(self) -> Subject:
        from sweeper.report.page import subject_of
        from sweeper.tracking.sweep_folder import SweepFolder

        folder = SweepFolder(self.path)
        return subject_of(folder, tracking_uri=store_of(folder, self._tracking_uri))

    def __repr__(self) -> str:
        return f"SweepResults({str(self.path)!r})"


def run(
    space: _SpaceSource,
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
    place = str(home) if home is not None else sweeps_place()
    with _as_file(space) as path:
        arguments = ["run", str(path), "--home", place, *_settings(overrides)]
        given = _options(profile=profile, name=name, address=address, tracking_uri=tracking_uri)
        document = run_command([*arguments, *given, *(["--fresh"] if fresh else [])])
    return SweepResults(folder_of(place) / document["sweep"], tracking_uri=tracking_uri)


def plan(
    space: _SpaceSource,
    *,
    profile: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    home: str | Path | None = None,
) -> PlanView:
    """Returns what a search space would run: trials, parameters, memory. Starts nothing.

    Args:
        space: as in :func:`run`.
        profile: as in :func:`run`.
        overrides: as in :func:`run`.
        home: as in :func:`run`; what its sweeps have finished is not trained again.

    Raises:
        SpecError: with all problems of the space.
    """
    from sweeper.experiment.loading import load_sweep
    from sweeper.preflight.plan import plan_of

    fields = _fields(overrides)
    with _as_file(space) as path:
        sweep = load_sweep(
            path, profile=None if profile is None else str(profile), overrides=fields
        )
        root = opened_home(None if home is None else str(home))
        return PlanView(plan_of(sweep, home=root).document())


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


@contextmanager
def _as_file(space: _SpaceSource) -> Iterator[Path]:
    """Yields the file of a search space; a mapping is written to one."""
    if not isinstance(space, Mapping):
        yield Path(space)
        return
    with tempfile.TemporaryDirectory(prefix="sweeper-space-") as folder:
        path = Path(folder) / "space.yaml"
        path.write_text(yaml.safe_dump(_plain(space, "space"), sort_keys=False), encoding="utf-8")
        yield path


def _fields(overrides: Mapping[str, Any] | None) -> list[str]:
    # JSON is YAML, and says of a text that it is one.
    plain = {field: _plain(value, field) for field, value in (overrides or {}).items()}
    return [f"{field}={json.dumps(value)}" for field, value in plain.items()]


def _plain(value: object, field: str) -> object:
    """Returns a value as YAML has it; a path is its text, and a number of NumPy's a number.

    Raises:
        BadInputError: YAML of a search space has no such value.
    """
    import numpy as np

    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or type(value) in (str, bool, int, float):
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(item, f"{field}.{name}") for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{field}.{number}") for number, item in enumerate(value)]
    raise BadInputError(
        f"{field}: is {shorten(repr(value), limit=80)}, a {type(value).__name__}; a search space "
        "is made of texts, numbers, true, false, None, lists, mappings and paths; give one of those"
    )


def _settings(overrides: Mapping[str, Any] | None) -> list[str]:
    return [word for field in _fields(overrides) for word in ("--set", field)]


def _options(**given: object) -> list[str]:
    """Returns the options that are given, as the command line has them."""
    named = {f"--{name.replace('_', '-')}": value for name, value in given.items()}
    return [word for key, value in named.items() if value is not None for word in (key, str(value))]
