"""What a driver decides before Ray starts."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeper.errors import BadInputError
from sweeper.execution.driver import SweepDriver
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.sweep import Sweep
from sweeper.search.draws import draw_all
from sweeper.search.study import preview
from sweeper.tracking.sweep_folder import SweepFolder
from tests.places import SPACES

SPACE = SPACES / "masa.yaml"
EMBEDDED = str(SPACES / "profiles" / "embedded.yaml")

KINDS = """
name: kinds
methods: [{name: lora, rank: %s}]
train: {learning_rate: {loguniform: [1e-3, 1e-2]}}
baselines: [{train: {learning_rate: 2e-3}}]
search: {trials: 4, startup_trials: 1}
"""


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of something that listens, as a cluster's head does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def on_disk(home: Path, sweep: Sweep) -> SweepFolder:
    return SweepFolder.create(home, "sweep-1", document=sweep.document)


def test_a_resume_looks_for_room_on_the_cluster_that_it_is_given(
    tmp_path: Path, cluster: str
) -> None:
    overrides = ["resources.gpus_per_worker=64"]
    sweep = load_sweep(SPACE, profile="embedded", overrides=overrides)
    folder = on_disk(tmp_path, sweep)
    assert SweepDriver.open(folder, address=cluster).address == cluster
    with pytest.raises(BadInputError, match=r"1 CPU and 64 GPU each, but this machine has"):
        SweepDriver.open(folder)


@pytest.mark.parametrize(
    ("rank", "origins"),
    [
        ("4", ["baseline", "search", "search", "search"]),
        ("{grid: [4, 8]}", ["baseline", "grid", "grid", "grid"]),
    ],
)
def test_plan_and_record_name_the_same_origin(
    tmp_path: Path, rank: str, origins: list[str]
) -> None:
    path = tmp_path / "kinds.yaml"
    path.write_text(KINDS % rank)
    sweep = load_sweep(path, profile=EMBEDDED)
    folder = on_disk(tmp_path, sweep)
    driver = SweepDriver(folder, sweep, data_fingerprint="")
    for number, (point, _) in enumerate(preview(sweep.space, sweep.spec.search)):
        driver.job(point, number)
    assert [record.origin for record in folder.trials()] == origins
    assert [trial.origin for trial in draw_all(sweep)] == origins


def test_a_plan_tells_which_trials_depend_on_results(tmp_path: Path) -> None:
    path = tmp_path / "kinds.yaml"
    path.write_text(KINDS % "4")
    drawn = draw_all(load_sweep(path, profile=EMBEDDED))
    assert [trial.is_example for trial in drawn] == [False, True, True, True]
