"""A pickle that runs code, planted in each file that the program reads: none of it is run.

Checkpoints, whose files are read by torch, have more of these in their own test.
"""

from __future__ import annotations

import ast
import io
import os
import pickle
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from sweeper.analysis.finished import find_finished
from sweeper.analysis.lookup import find_trial
from sweeper.analysis.ranking import ranking_of
from sweeper.errors import SweeperError
from sweeper.evaluation.metrics.bert_score import Matcher
from sweeper.execution.owner.watch import OwnerWatch
from sweeper.execution.reconcile import set_damage_aside
from sweeper.execution.tune import NothingUnpickled
from sweeper.models import FolderModelSpec
from sweeper.models.inspection.checkpoint import read_headers
from sweeper.report.page import subject_of
from sweeper.report.standing import all_standings
from sweeper.report.status import status_document
from sweeper.search import read_study, using_study
from sweeper.tracking.databases import place_of_study
from sweeper.tracking.owner import REVISIONS_FILE, driver_of, pending
from sweeper.tracking.owner.life import LIFE_FILE
from sweeper.tracking.owner.requests import REQUESTS
from sweeper.tracking.row_scores import FINAL_ROWS, VALIDATION_ROWS, read_row_scores
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TAKEN_FILE
from sweeper.training.checkpoint import load_checkpoint
from tests.places import ROOT
from tests.sweeper import tiny

PACKAGES = ("sweeper", "adapters", "kernels", "benchmarks", "docs/generator")
ARCHIVE = Path(__file__).with_name("recorded-sweep.tar.gz")
COMPLETE, INTERRUPTED = "59dba79d6177", "83f50e68e1f7"
DRIVER = "d" * 12
# Files that a sweep may have, and the recorded one has not.
OTHERS = (
    *(VALIDATION_ROWS, FINAL_ROWS, "final.json", "data.json", "mlflow.json", "verdicts.json"),
    *("leaderboard.json", REVISIONS_FILE, LIFE_FILE, f"{REQUESTS}/stop-{DRIVER}-sweep.json"),
)
OTHERS_OF_A_TRIAL = (VALIDATION_ROWS, FINAL_ROWS, "final.json", TAKEN_FILE, "mlflow.json")


class Planted:
    """What makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return (os.mkdir, (str(self.target),))


def forms(target: Path) -> Iterator[bytes]:
    """The forms in which libraries find a pickle: bare, torch's archive, numpy's arrays."""
    yield pickle.dumps(Planted(target))
    saved = io.BytesIO()
    torch.save({"planted": Planted(target)}, saved)
    yield saved.getvalue()
    array = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    array = array.ljust(127) + b"\n" + pickle.dumps([Planted(target)])
    arrays = io.BytesIO()
    with zipfile.ZipFile(arrays, "w") as made:
        made.writestr("about.npy", array)
    yield arrays.getvalue()


def recorded(home: Path) -> SweepFolder:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(home, filter="data")
    return SweepFolder.open("recorded-1", home=home)


def files_of(folder: SweepFolder) -> list[Path]:
    """All files that a sweep may have; those that this one lacks are to be made."""
    there = [path for path in folder.path.rglob("*") if path.is_file()]
    trials = [folder.trial(name).path for name in (COMPLETE, INTERRUPTED)]
    lacking = [folder.path / name for name in OTHERS]
    return there + lacking + [path / name for path in trials for name in OTHERS_OF_A_TRIAL]


def read_all(folder: SweepFolder) -> None:
    """Reads a sweep in each way that a command does; what is damaged is told and not raised."""

    def trial(name: str) -> Any:
        return SweepFolder(folder.path).trial(name)

    def watched() -> None:
        with OwnerWatch(SweepFolder(folder.path), stage=str):
            pass

    def study() -> None:
        place = place_of_study(folder)
        with using_study(place):
            found = read_study(place)
            assert found is None or found.get_trials()

    readers: list[Callable[[], object]] = [
        lambda: all_standings(folder.home),
        lambda: status_document(SweepFolder(folder.path), ranking_of(SweepFolder(folder.path))),
        lambda: subject_of(SweepFolder(folder.path), tracking_uri="sqlite:///x"),
        lambda: find_trial(f"recorded-1/{COMPLETE}", home=folder.home),
        lambda: find_finished(folder.home, [COMPLETE]),
        study,
        lambda: (driver_of(folder.path), pending(folder.path, driver=DRIVER)),
        *(
            lambda path=path: read_row_scores(path)
            for place in (folder.path, trial(COMPLETE).path)
            for path in (place / VALIDATION_ROWS, place / FINAL_ROWS)
        ),
        lambda: load_checkpoint(
            trial(INTERRUPTED).checkpoint,
            identity=INTERRUPTED,
            workers=1,
            device=torch.device("cpu"),
            read_progress=dict,
        ),
        lambda: read_headers(trial(COMPLETE).adapter / "adapter_model.safetensors"),
        lambda: trial(COMPLETE).trial_spec(),
        lambda: set_damage_aside(SweepFolder(folder.path)),
        watched,
    ]
    for read in readers:
        # A file that is no longer what it was is told, in our words or in Python's.
        with suppress(SweeperError, ValueError, TypeError, KeyError, AttributeError, OSError):
            read()


@pytest.mark.parametrize("form", range(3), ids=["bare", "torch", "numpy"])
def test_no_file_of_a_sweep_runs_code(form: int, tmp_path: Path) -> None:
    target = tmp_path / "ran"
    number = len(files_of(recorded(tmp_path / "count")))
    assert number > 35
    for place in range(number):
        folder = recorded(tmp_path / str(place))
        path = files_of(folder)[place]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes([*forms(target)][form])
        read_all(folder)
        assert not target.exists(), path


def test_what_is_planted_would_run(tmp_path: Path) -> None:
    """The other tests would say nothing of pickles that run nowhere."""
    import numpy as np

    bare, saved, arrays = forms(tmp_path / "ran")
    for read in (
        lambda: pickle.loads(bare),
        lambda: torch.load(io.BytesIO(saved), weights_only=False),
        lambda: np.load(io.BytesIO(arrays), allow_pickle=True)["about"],
    ):
        with suppress(ValueError):
            read()
        assert (tmp_path / "ran").is_dir()
        (tmp_path / "ran").rmdir()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", range(2), ids=["bare", "torch"])
def test_no_weights_of_a_model_run_code(form: int, tmp_path: Path) -> None:
    target, folder = tmp_path / "ran", tiny.saved(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes([*forms(target)][form])
    spec = FolderModelSpec(path=str(folder))
    for read in (
        lambda: spec.inspect(max_length=16),
        lambda: spec.load("fp32"),
        lambda: Matcher(folder),
    ):
        with pytest.raises((SweeperError, OSError, ValueError, pickle.UnpicklingError)):
            read()
        assert not target.exists()


def calls() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Where the packages call what, and with which keywords."""
    paths = [path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))]
    assert len(paths) > 300
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                keywords = {word.arg or "**": ast.unparse(word.value) for word in node.keywords}
                yield f"{path.relative_to(ROOT)}:{node.lineno}", ast.unparse(node.func), keywords


def test_no_call_in_the_packages_unpickles_or_runs_a_repositorys_code() -> None:
    asked = {"torch.load": ("weights_only", "True"), "np.load": ("allow_pickle", "False")}
    banned = re.compile(r"(cloud)?pickle\.loads?|dill\.loads?|joblib\.load|shelve\.open|yaml\.load")
    found, seen = [], 0
    for place, name, keywords in calls():
        if re.fullmatch(r"Auto\w+\.from_pretrained", name):
            keyword, value = "trust_remote_code", "False"
        elif name in asked:
            keyword, value = asked[name]
        else:
            found += [place] if banned.fullmatch(name) else []
            continue
        seen += 1
        found += [place] if keywords.get(keyword) != value else []
    assert seen > 8
    assert found == []


def test_tune_does_not_read_its_errors_back() -> None:
    from types import SimpleNamespace

    trials: list[Any] = [
        SimpleNamespace(run_metadata=SimpleNamespace(pickled_error_filename="error.pkl"))
    ]
    NothingUnpickled().on_experiment_end(trials)
    assert trials[0].run_metadata.pickled_error_filename is None
