"""Finds a trial by a sweep, an identity, a folder, or a run of MLflow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from sweeper._text import listed
from sweeper.analysis.conclusions.facts import chosen_text
from sweeper.analysis.ranking import ranking_of
from sweeper.errors import BadInputError, DamagedFileError
from sweeper.evaluation.adapter import as_trained
from sweeper.experiment.trial import TrialSpec
from sweeper.tracking.mirror import StoreError, fetch
from sweeper.tracking.mlflow_view import run_ids
from sweeper.tracking.owner.clones import CLONES
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.sweep_folder import SweepFolder, sweeps_in
from sweeper.tracking.trial_folder import SPEC_FILE, TrialFolder

__all__ = ["FoundTrial", "find_trial"]

# As many digits as git wants of a commit, at least.
TRIAL_ID = re.compile(r"[0-9a-f]{4,12}")
NUMBER = re.compile(r"[0-9]{1,6}")
RUN_ID = re.compile(r"[0-9a-f]{32}")
# A message lists so many names before it only says that there are more.
_listed = partial(listed, most=8)


@dataclass(frozen=True)
class FoundTrial:
    """A trial with the sweep that it belongs to."""

    sweep: SweepFolder
    trial: TrialFolder
    reason: str = ""
    """Why this trial was chosen, if a sweep was named: a sentence; else empty."""

    @property
    def record(self) -> TrialRecord:
        """The trial's record as it is now."""
        return self.trial.read()

    @property
    def title(self) -> str:
        """How messages call it: number, method, identity and sweep."""
        record = self.record
        noun = "clone" if record.origin == "clone" else "trial"
        return f"{noun} {record.number} ({record.method}, {record.id}) of sweep {self.sweep.name}"

    def results_folder(self, name: str) -> Path:
        """Returns a folder of results, made before hours go into one that has no place.

        Args:
            name: of the folder, in the trial's.

        Raises:
            BadInputError: it cannot be made.
        """
        folder = self.trial.path / name
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise BadInputError(
                f"{folder} cannot be made ({error.strerror or error}); a result is written there; "
                "make the trial's folder writable"
            ) from error
        return folder

    def spec(self) -> TrialSpec:
        """Returns what was run, with the chat template that it was trained with.

        Raises:
            BadInputError: it is damaged, or another version wrote it and this one cannot read it.
        """
        return self._as_trained()[0]

    def notes(self) -> tuple[str, ...]:
        """Returns a sentence where :meth:`spec` is not what ``spec.json`` and its files say now."""
        return self._as_trained()[1]

    def _as_trained(self) -> tuple[TrialSpec, tuple[str, ...]]:
        spec = self._stored()
        data, notes = as_trained(spec.data, self.trial.adapter)
        return (spec.model_copy(update={"data": data}) if notes else spec), notes

    def _stored(self) -> TrialSpec:
        try:
            return self.trial.trial_spec()
        except DamagedFileError as error:
            if error.why.startswith("spec.method") and self._is_of_file():
                raise BadInputError(
                    f"{self.title}: its method cannot be read from its file ({error.why}); it "
                    "must be the file that the trial was trained with; bring it back"
                ) from error
            raise BadInputError(
                f"{self.title}: its spec.json does not fit this version ({error.why}); use the "
                "version that ran the sweep, which its sweep.json names, or restore the file"
            ) from error

    def _is_of_file(self) -> bool:
        """Whether the trial's method is in a Python file of the user's."""
        method = self.trial.spec().get("method")
        return isinstance(method, dict) and "python" in method

    def adapter(self) -> Path:
        """Returns the folder of its adapter.

        Raises:
            BadInputError: it has none, with the trials of the sweep that have one.
        """
        try:
            fetch(self.trial.adapter)
        except StoreError as error:
            raise BadInputError(
                f"{self.title}: its adapter is not on this machine, and the store does not answer "
                f"({error}); try again when it does"
            ) from error
        if self.trial.adapter.is_dir():
            return self.trial.adapter
        record = self.record
        reason = f" ({record.error.type}: {record.error.message})" if record.error else ""
        is_pruned = record.status == "pruned"
        again = f", and where that failed by 'resume {self.sweep.name}'" if is_pruned else ""
        others = [t.id for t in self.sweep.trial_folders() if t.adapter.is_dir()]
        hint = f"name another one: {_listed(others)}" if others else "no trial of it has one"
        raise BadInputError(
            f"{self.title} is {record.status}{reason} and has no adapter; one is saved when a "
            f"trial is complete, pruned or stopped{again}; {hint}"
        )


def find_trial(text: str, *, home: Path) -> FoundTrial:
    """Returns the trial that a text names.

    Args:
        text: a sweep's name or folder (which means its best trial, the one that ``report`` puts
            first), a trial's identity or its first digits, its number in the newest sweep,
            ``SWEEP/TRIAL`` with one of these, a trial's folder or its adapter's, or MLflow's
            identity of the run that shows a trial or a sweep.
        home: folder of all sweeps.

    Raises:
        BadInputError: there is none, with the nearest names; there are several; or the sweep has
            no best one.
    """
    sweep = _sweep(text, home)
    if sweep is not None:
        return _best(sweep)
    found = _by_folder(Path(text)) or _by_both_names(text, home)
    if found is not None:
        return found
    if RUN_ID.fullmatch(text):
        return _by_run(text, home)
    return _by_number(text, home) or _by_id(text, home)


def _sweep(text: Path | str, home: Path) -> SweepFolder | None:
    # An empty text would be the folder of all sweeps.
    if not str(text):
        return None
    try:
        return SweepFolder.open(text, home=home)
    except BadInputError:
        return None


def _in(sweep: SweepFolder, trial_id: str) -> TrialFolder | None:
    # A trial's identity is one part of a path, or it would lead out of the sweep.
    is_there = trial_id in {folder.id for folder in sweep.trial_folders()}
    return sweep.trial(trial_id) if is_there else None


def _best(sweep: SweepFolder) -> FoundTrial:
    ranking = ranking_of(sweep)
    if ranking.best is None:
        ids = [trial.id for trial in ranking.trials]
        hint = f"it has {_listed(ids)}; name one of them" if ids else "it has no trials yet"
        raise BadInputError(
            f"sweep {sweep.name}: no trial is complete with a finite "
            f"{ranking.objective.metric}, so there is no best trial; {hint}"
        )
    return FoundTrial(sweep, sweep.trial(ranking.best.id), f"{chosen_text(ranking, ranking.best)}.")


def _by_folder(path: Path) -> FoundTrial | None:
    path = path.absolute()
    # `report` prints the folder of the adapter.
    folder = path.parent if path.name == "adapter" else path
    sweep = _sweep(folder.parent.parent, folder.parent.parent)
    if sweep is not None and folder.parent.name == CLONES and (folder / SPEC_FILE).is_file():
        return FoundTrial(sweep, TrialFolder(folder))
    trial = _in(sweep, folder.name) if sweep is not None else None
    if sweep is None or trial is None or trial.path != folder:
        return None
    return FoundTrial(sweep, trial)


def _by_both_names(text: str, home: Path) -> FoundTrial | None:
    name, slash, trial_id = text.rstrip("/").rpartition("/")
    sweep = _sweep(name, home) if slash else None
    if sweep is None:
        return None
    found = _numbered(trial_id, sweep) or _beginning_with(trial_id, [sweep])
    if not found and NUMBER.fullmatch(trial_id):
        raise BadInputError(f"trial: got {text!r}; {_numbers_of(sweep)}")
    return _only(found, text, home) if found else None


def _numbers_of(sweep: SweepFolder) -> str:
    """Returns which trials a sweep has, a sentence's part."""
    numbers = sorted({record.number for record in sweep.trials()})
    if not numbers:
        return f"sweep {sweep.name} has no trials yet; run it first"
    is_whole = numbers == [*range(numbers[0], numbers[-1] + 1)] and len(numbers) > 1
    known = f"{numbers[0]}–{numbers[-1]}" if is_whole else _listed([str(x) for x in numbers])
    noun = "trial" if len(numbers) == 1 else "trials"
    return f"sweep {sweep.name} has {noun} {known}; give one of these numbers, or an identity"


def _by_number(text: str, home: Path) -> FoundTrial | None:
    """Returns the trial of that number in the newest sweep, unless an identity begins like it."""
    sweeps = _sweeps(home)
    if not sweeps or not NUMBER.fullmatch(text) or _beginning_with(text, sweeps):
        return None
    found = _numbered(text, sweeps[-1])
    return found[0] if found else None


def _numbered(text: str, sweep: SweepFolder) -> list[FoundTrial]:
    """Returns the trial of that number: of a superseded one what stands in its place."""
    if not NUMBER.fullmatch(text):
        return []
    known = [record for record in sweep.trials() if record.number == int(text)]
    known.sort(key=lambda record: record.status == "superseded")
    return [FoundTrial(sweep, sweep.trial(record.id)) for record in known[:1]]


def _sweeps(home: Path) -> list[SweepFolder]:
    return [SweepFolder(path) for path in sweeps_in(home)]


def _by_id(text: str, home: Path) -> FoundTrial:
    return _only(_beginning_with(text, _sweeps(home)), text, home)


def _beginning_with(digits: str, sweeps: list[SweepFolder]) -> list[FoundTrial]:
    """Returns the trials whose identity is, or begins with, some digits."""
    if not TRIAL_ID.fullmatch(digits):
        return []
    return [
        FoundTrial(sweep, trial)
        for sweep in sweeps
        for trial in sweep.trial_folders()
        if trial.id.startswith(digits)
    ]


def _by_run(text: str, home: Path) -> FoundTrial:
    found: list[FoundTrial] = []
    for sweep in _sweeps(home):
        if text in run_ids(sweep.path):
            return _best(sweep)
        trials = [trial for trial in sweep.trial_folders() if text in run_ids(trial.path)]
        found += [FoundTrial(sweep, trial) for trial in trials]
    return _only(found, text, home)


def _only(found: list[FoundTrial], text: str, home: Path) -> FoundTrial:
    if not found:
        raise BadInputError(_unknown(text, home))
    if len(found) > 1:
        names = [f"{one.sweep.name}/{one.trial.id}" for one in found]
        raise BadInputError(
            f"trial: got {text!r}, which matches {len(found)} trials; it must match exactly one; "
            f"give one of {_listed(names)}"
        )
    return found[0]


def _unknown(text: str, home: Path) -> str:
    sweeps = _sweeps(home)
    if not sweeps:
        return (
            f"trial: got {text!r}, but {home} holds no sweep; give --home, or the folder of a "
            "sweep or of a trial"
        )
    near = get_close_matches(text, list(_names(sweeps)), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "give one of them"
    return (
        f"trial: got {text!r}; allowed are a sweep, a trial's number in the newest sweep, its "
        "identity (12 hex digits, the first 4 or more will do), SWEEP/TRIAL with one of these, a "
        "folder, or MLflow's identity of a run; "
        f"{home} holds the sweeps {_listed([x.name for x in sweeps])}; {hint}"
    )


def _names(sweeps: list[SweepFolder]) -> Iterator[str]:
    for sweep in sweeps:
        yield sweep.name
        for trial in sweep.trial_folders():
            yield trial.id
            yield f"{sweep.name}/{trial.id}"
