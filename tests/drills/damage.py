"""Drills with files that something else has cut, emptied, changed or filled with zeros."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sweeper.tracking.sweep_folder import SweepFolder
from tests.drills.checks import Outcome, check_message, check_sweep, outcome
from tests.drills.drill import Drill, Reference
from tests.drills.here import NO_RAY, Here
from tests.drills.playground import Playground, Said

__all__ = ["DRILLS", "SPOILT", "damage_one_by_one", "files_of", "spoil_checkpoints"]

SPOILT: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "emptied": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
}
"""Ways in which a file of each kind is spoilt."""

_NOT_OURS = ("ray", "tune")


def files_of(sweep: Path, trial: str) -> list[Path]:
    """Returns the files of a sweep and of one of its trials, relative to the sweep's folder."""
    found = []
    for path in sorted(sweep.rglob("*")):
        parts = path.relative_to(sweep).parts
        is_other = parts[0] == "trials" and len(parts) > 1 and parts[1] != trial
        is_lock = path.suffix == ".lock"
        if path.is_file() and not is_other and not is_lock and parts[0] not in _NOT_OURS:
            found.append(path.relative_to(sweep))
    assert len(found) > 8, found
    return found


def flip(path: Path, drawn: random.Random) -> None:
    """Changes one bit of a file."""
    content = bytearray(path.read_bytes())
    content[drawn.randrange(len(content))] ^= 1 << drawn.randrange(8)
    path.write_bytes(content)


def spoil_checkpoints(play: Playground, sweep: str, *, newest: bool) -> int:
    """Spoils the newest checkpoint, or each, of the trials that have not ended; returns how many.

    In each a random file loses its end, or one bit of it changes.
    """
    count = 0
    for record in play.records(sweep):
        if record.is_final:
            continue
        folder = SweepFolder(play.home / sweep).trial(record.id).checkpoint
        for checkpoint in sorted(folder.glob("step-*"), reverse=True)[: 1 if newest else None]:
            path = play.random.choice(sorted(path for path in checkpoint.iterdir()))
            if play.random.random() < 0.5:
                SPOILT["cut"](path)
            else:
                flip(path, play.random)
            count += 1
    return count


def _names_damage(document: Any, path: Path) -> bool:
    return any(Path(one["file"]) == path for one in document["damaged"])


def _check_shown(said: Said, wanted: Outcome, path: Path, *, told: str = "") -> None:
    """Checks a report on a sweep one of whose files is spoilt: nothing wrong is shown.

    Args:
        said: the report.
        wanted: what was shown before.
        path: the file.
        told: what a resume has said since; a trial whose description it has set aside is shown
            again when a resume has come to suggest it.
    """
    if said.code == 2:
        check_message(said, path.name)
        return
    assert said.code in {0, 1}, said.text[-1000:]
    document = said.document
    found = outcome(document)
    for key, values in found.items():
        is_open = values[0] in {"queued", "running"}
        assert is_open or values == wanted[key], f"{path.name}: {values}, not {wanted[key]}"
    if set(found) != set(wanted):
        is_said = _names_damage(document, path) or f"{path} is damaged" in told
        assert is_said, f"{path}: a trial is missing, and nothing is said"


def damage_one_by_one(
    play: Playground, wanted: Outcome, *, sweep: str, turn: int, few: int | None = None
) -> int:
    """Spoils each file of a finished sweep, alone, and asks for status, report and resume.

    Args:
        play: whose home has the sweep.
        wanted: its results.
        sweep: its name.
        turn: which way of spoiling a file comes first; after three turns each had all.
        few: number of files, drawn; all where None.

    Returns:
        How many files were spoilt.
    """
    whole = play.path / "whole"
    shutil.copytree(play.home, whole)
    trial = play.random.choice(
        [key for key, (status, *_) in wanted.items() if status == "complete"]
    )
    files = files_of(play.home / sweep, trial)
    chosen = files if few is None else play.random.sample(files, few)
    names = list(SPOILT)
    wrong = []
    for number, name in enumerate(chosen):
        how = names[(number + turn) % len(names)]
        shutil.rmtree(play.home)
        shutil.copytree(whole, play.home)
        try:
            _spoil_and_ask(Here(play.home), play.home / sweep / name, how, wanted, sweep)
        except AssertionError as error:
            wrong.append(f"{name} {how}: {error}")
    assert wrong == [], f"{len(wrong)} of {len(chosen)} files: " + "; ".join(wrong)
    return len(chosen)


def _spoil_and_ask(here: Here, path: Path, how: str, wanted: Outcome, sweep: str) -> None:
    SPOILT[how](path)
    check_message(here.say("status", sweep, "--json"))
    _check_shown(here.say("report", sweep, "--json"), wanted, path)
    resumed = here.say("resume", sweep, "--json")
    check_message(resumed)
    # Either the sweep is whole again, or something is to be trained, or a sentence says why not.
    assert resumed.code in {0, 1, 2}, resumed.text[-1000:]
    if resumed.code == 2 and NO_RAY not in resumed.text:
        check_message(resumed, path.name)
        return
    said = here.say("report", sweep, "--json")
    _check_shown(said, wanted, path, told=resumed.text)
    assert said.document["damaged"] == [], "still damaged after a resume"


def each_file(play: Playground, reference: Reference) -> None:
    """Each file of a finished sweep, one by one."""
    reference.copy_home(play)
    count = damage_one_by_one(
        play, reference.outcome(), sweep=Reference.SWEEP, turn=play.random.randrange(3)
    )
    play.notes.append(f"{count} files a round, each in one of the three ways")


def many_files(play: Playground, reference: Reference) -> None:
    """Several files at once; the resume does again what is lost with them."""
    wanted = reference.outcome()
    reference.copy_home(play)
    folder = play.home / Reference.SWEEP
    complete = [key for key, (status, *_) in wanted.items() if status == "complete"]
    play.random.shuffle(complete)
    files = [folder / "trials" / complete[0] / "record.json"]
    files += [folder / "trials" / complete[1] / "spec.json"]
    files += [
        folder / name for name in ("base.json", "evaluation.json", "state.json", "mlflow.json")
    ]
    files += [play.home / "mlflow.db"]
    for path in files:
        SPOILT[play.random.choice(list(SPOILT))](path)
    said = Here(play.home).say("report", Reference.SWEEP, "--json")
    check_message(said, code=0)
    named = {Path(one["file"]).name for one in said.document["damaged"]}
    assert {"record.json", "spec.json", "base.json", "evaluation.json", "state.json"} <= named, (
        named
    )
    said = play.say("resume", Reference.SWEEP, "--json")
    check_message(said, "it is now record.json.damaged", code=1)
    check_sweep(play, Reference.SWEEP, wanted, attempts=2)
    assert json.loads((folder / "state.json").read_text())["status"] == "complete"


DRILLS = (
    Drill("files", "each file of a sweep cut, emptied or filled with zeros, one by one", each_file),
    Drill("lost", "seven files of a sweep and its store at once, then a resume", many_files),
)
