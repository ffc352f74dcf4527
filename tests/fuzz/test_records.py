"""Damaged files of a sweep, tried by the hundred: each is shown, passed over, or named."""

from __future__ import annotations

import io
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import torch
from rich.console import Console

from sweeper.analysis import conclusions_of, find_trial, rank_sweep
from sweeper.errors import BadInputError
from sweeper.experiment.loading import load_sweep
from sweeper.report import sweep_result
from sweeper.report.terminal import sweep_view
from sweeper.tracking import FinalResult, SweepFolder, sweeps_in, write_final
from sweeper.tracking.mlflow_view import content
from sweeper.tracking.mlflow_view.state import SentState, StateFile, run_ids
from sweeper.tracking.row_scores import VALIDATION_ROWS, RowScores, write_row_scores
from sweeper.training.checkpoint import load_checkpoint, save_checkpoint
from sweeper.training.engine import EngineState
from sweeper.training.trainer import TrainerState
from tests.places import SPACES
from tests.sweeper.rows import row_scores

SEED = 20_261_128
FILES = 1_500
# Damaged at once: a disk that fails seldom takes one file.
TOGETHER = 5
STORE = StateFile("sqlite:////store.db", experiment="sweeper")

ODD_VALUES: tuple[object, ...] = (
    None,
    True,
    -1,
    0,
    10**30,
    1e308,
    "",
    "NaN",
    "Infinity",
    "../../x",
    "[/bold]",
    "\x1b[2J\0",
    "2023-11-14",
    "9999-12-31T23:59:59-12:00",
    [],
    {},
    [[[]]],
    {"a": {"b": None}},
    "x" * 1_000,
)


def make(home: Path) -> SweepFolder:
    """A sweep with a trial of each status, and what each keeps."""
    document = {
        "name": "masa",
        "profile": {"name": "embedded"},
        "objective": {"metric": "eval_loss", "mode": "min"},
    }
    sweep = SweepFolder.create(home, "masa-1", document=document)
    space = load_sweep(SPACES / "masa.yaml", profile="embedded").space
    spec = space.any_trial().model_dump(mode="json")
    ends = ("complete", "prune", "fail", "run")
    for number, end in enumerate(ends):
        trial = sweep.add_trial(
            f"{number:012x}", spec=spec, number=number, method="lora", params={"rank": 8}
        )
        trial.begin(trainable=10, total=100)
        for step in (1, 2):
            trial.append(step, {"train_loss": 3.0 - step, "eval_loss": 2.0 / step})
        if end == "complete":
            trial.complete(train_time_s=1.0)
            write_row_scores(trial.path / VALIDATION_ROWS, rows())
            write_final(trial.path, final(), rows())
            trial.adapter.mkdir()
            save(trial.checkpoint)
        elif end == "prune":
            trial.prune()
        elif end == "fail":
            trial.fail("DivergedError", "the loss is not a number", traceback="Traceback …")
        STORE.save(trial.path, SentState(run_id="f" * 32, last_steps={"eval_loss": 2}))
    sweep.note_base({"eval_loss": 4.0, "accuracy": float("nan")})
    sweep.note_protocol({"rows": 8, "task_rows": {"arc_easy": 8}})
    write_row_scores(sweep.path / VALIDATION_ROWS, rows())
    write_final(sweep.path, final(), rows())
    sweep.mark("stopped")
    return sweep


def final() -> FinalResult:
    metrics = {"eval_loss": 1.0, "arc_easy/accuracy": 0.5}
    return FinalResult(
        split="test",
        rows=2,
        rows_in_split=2,
        metrics=metrics,
        protocol={"task_rows": {"arc_easy": 2}},
    )


def rows() -> RowScores:
    return row_scores({"eval_loss": (1.5, 0.5), "arc_easy/accuracy": (1.0, 0.0)})


def save(folder: Path) -> None:
    for step in (5, 10):
        state = EngineState(shared={"weights": torch.zeros(2)}, shard={})
        progress = TrainerState(step=step).document()
        save_checkpoint(folder, state, identity="i", step=step, progress=progress)


# Damage.


def mutated(text: bytes, rng: random.Random) -> bytes:
    """Bytes with one fault in them."""
    where = rng.randrange(len(text) + 1)
    return rng.choice(
        [
            b"",
            text[:where],
            bytes(len(text)),
            text[:where] + bytes(rng.randrange(1, 64)) + text[where:],
            text[:where] + bytes([rng.randrange(256)]) + text[where + 1 :],
            text + text[where:],
            text[:where] + b"[" * 3000 + text[where:],
            changed(text, rng),
            changed(text, rng),
            changed(text, rng),
            changed(text, rng),
        ]
    )


def changed(text: bytes, rng: random.Random) -> bytes:
    """The same JSON with another value, a key more or a key less somewhere; of others a bit."""
    if text.startswith(b"PK"):
        where = rng.randrange(len(text))
        return text[:where] + bytes([text[where] ^ 1 << rng.randrange(8)]) + text[where + 1 :]
    lines = text.splitlines() if b'"unix_time_s"' in text else [text]
    number = rng.randrange(len(lines))
    tree = json.loads(lines[number])
    places = list(branches(tree))
    branch = rng.choice(places)
    keys = list(branch) if isinstance(branch, dict) else list(range(len(branch)))
    key = rng.choice(keys) if keys else None
    what = rng.choice(["value", "value", "value", "less", "more"])
    if key is None or what == "more":
        if isinstance(branch, dict):
            branch[rng.choice(["", "new", "..", "status"])] = rng.choice(ODD_VALUES)
        else:
            branch.append(rng.choice(ODD_VALUES))
    elif what == "less":
        del branch[key]
    else:
        branch[key] = rng.choice(ODD_VALUES)
    lines[number] = json.dumps(tree).encode()
    return b"\n".join(lines) + b"\n"


def branches(tree):
    if isinstance(tree, dict | list):
        yield tree
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from branches(item)


# What is done with it.


def report(home: Path) -> None:
    sweep = SweepFolder.open("masa-1", home=home)
    ranking = rank_sweep(sweep)
    assert len(ranking.trials) + len(ranking.damage) >= 4
    out = Console(file=io.StringIO(), width=120, markup=False)
    found = conclusions_of(sweep, ranking)
    out.print(sweep_view(sweep, ranking, found, tracking_uri="x"), crop=False)
    json.dumps(sweep_result(sweep, ranking, found, tracking_uri="x"), allow_nan=False)


def look_up(home: Path) -> None:
    for text in ("masa-1", f"{0:012x}"):
        found = find_trial(text, home=home)
        assert found.trial.path.parent == home / "masa-1" / "trials"
        assert str(found.title)
        found.adapter()
        found.spec()


def show(home: Path) -> None:
    for path in sweeps_in(home):
        sweep = SweepFolder(path)
        content.sweep_constants(sweep), content.sweep_tags(sweep), run_ids(path)
        for record in sweep.trials():
            trial = sweep.trial(record.id)
            STORE.load(trial.path)
            content.trial_status(record, sweep_status=sweep.status)
            content.failure_text(record)
            content.trial_params(trial.spec(), content.varied_in(sweep.document))
            content.trial_metrics(record, objective="eval_loss")


def resume(home: Path) -> None:
    sweep = SweepFolder(home / "masa-1")
    with sweep.lock():
        sweep.set_damage_aside()
        sweep.requeue_interrupted()
        assert sweep.damage() == []
        assert sweep.trials()
        for trial in sweep.trial_folders():
            trial.trial_spec()
            if not trial.read().is_final:
                trial.begin()
                trial.rewind(0)
                trial.fail("ReplicaLost", "it died")
        sweep.mark("complete")
    assert sweep.status == "complete"


def load(home: Path) -> None:
    """Takes up the first trial, of whose two checkpoints one may be damaged."""
    found = load_checkpoint(
        home / "masa-1" / "trials" / f"{0:012x}" / "checkpoint",
        identity="i",
        workers=1,
        device=torch.device("cpu"),
        read_progress=TrainerState.read,
    )
    assert found is not None


def test_nothing_but_a_message_comes_of_a_damaged_file(
    tmp_path: Path, share_of: Callable[[int], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # No power is lost here, and each wait for the disk costs more than all else.
    monkeypatch.setattr("sweeper._files.os.fsync", lambda _: None)
    home = tmp_path / "sweeps"
    make(home)
    whole = {path: path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}
    names = {path.suffix for path in whole}
    assert names >= {".json", ".jsonl", ".npz", ".pt"}
    # The tensors of a checkpoint are behind a hash, and locks hold nothing.
    paths = [path for path in whole if path.suffix in {".json", ".jsonl", ".npz"}]
    assert len(paths) > 20
    rng = random.Random(SEED)
    outcomes: Counter[str] = Counter()
    longest = 0
    tried = 0
    for damaged in rounds(paths):
        if tried >= share_of(FILES):
            break
        tried += len(damaged)
        for path in damaged:
            path.write_bytes(mutated(whole[path], rng))
        for action in (report, look_up, show, load, resume):
            try:
                action(home)
                outcomes["passed over"] += 1
            except BadInputError as error:
                outcomes["named"] += 1
                longest = max(longest, len(str(error)))
            except Exception as error:
                for path in damaged:
                    text = path.read_bytes() if path.is_file() else b"(gone)"
                    error.add_note(f"{action.__name__}: {path}: {text[:2000]!r}")
                raise
        restore(home, whole)
    assert outcomes["passed over"] > outcomes["named"] > 0
    assert longest < 2000


def rounds(paths: list[Path]) -> Iterator[list[Path]]:
    """Which files are damaged together: far from each other, and never both of two checkpoints."""
    # Without it nothing else is read, so it has rounds of its own.
    asked = next(path for path in paths if path.name == "sweep.json")
    others = [path for path in paths if path != asked]
    for first in count():
        distance = len(others) // TOGETHER
        yield [others[(first + place * distance) % len(others)] for place in range(TOGETHER)]
        if first % distance == 0:
            yield [asked]


def restore(home: Path, whole: dict[Path, bytes]) -> None:
    for path in home.rglob("*"):
        if path.is_file() and path not in whole:
            path.unlink()
    for path, text in whole.items():
        if path.is_dir():
            shutil.rmtree(path)
        if not path.exists() or path.read_bytes() != text:
            path.write_bytes(text)
