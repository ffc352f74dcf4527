"""Whether a replica has room here, and what a trial asks of a cluster without asking this one."""

from __future__ import annotations

import pytest
import torch

from sweeper.errors import BadInputError
from sweeper.execution.driver import SweepDriver
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.sweep import ResourcesSpec
from sweeper.preflight.room import Cluster, require_room
from sweeper.tracking.sweep_folder import SweepFolder
from tests.places import SPACES

ON_GPUS = ResourcesSpec(workers=2, gpus_per_worker=1, max_replicas=3)


def cluster(*, is_local: bool = False, has_trial_resource: bool = True) -> Cluster:
    return Cluster(is_local=is_local, cpus=0, gpus=0, has_trial_resource=has_trial_resource)


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose devices nobody may ask for."""

    def ask(*_: object) -> None:
        raise AssertionError("the head's own devices were asked for")

    for name in ("is_available", "device_count", "get_device_properties", "mem_get_info"):
        monkeypatch.setattr(torch.cuda, name, ask)
    monkeypatch.setattr("psutil.virtual_memory", ask)


@pytest.mark.parametrize("address", ["auto", "ray://head:10001"])
def test_a_head_without_devices_opens_a_sweep_whose_workers_have_gpus(
    address: str, blind: None, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.preflight.room.socket.create_connection", lambda *_, **__: Open())
    asked = ["resources.gpus_per_worker=1", "resources.workers=8", "engine.zero_stage=3"]
    sweep = load_sweep(SPACES / "masa.yaml", profile="embedded", overrides=asked)
    folder = SweepFolder.create(tmp_path, "sweep-1", document=sweep.document)
    driver = SweepDriver.open(folder, address=address)
    assert driver.sweep.spec.resources.gpus_per_worker == 1


class Open:
    """A connection."""

    def close(self) -> None:
        """Closes nothing."""


def test_on_a_cluster_replicas_wait_for_machines_that_are_still_to_come() -> None:
    assert cluster().replicas(ON_GPUS, trials=9) == 3
    assert cluster().replicas(ON_GPUS, trials=2) == 2


def test_without_a_cluster_this_machine_must_have_room() -> None:
    with pytest.raises(BadInputError, match="one replica needs 2 worker"):
        cluster(is_local=True).replicas(ON_GPUS, trials=9)
    with pytest.raises(BadInputError, match="1 CPU and 64 GPU each"):
        require_room(ResourcesSpec(gpus_per_worker=64), None)


def test_a_thin_trial_takes_no_cpu_and_waits_on_the_head() -> None:
    assert cluster().trial_resources == {"CPU": 0, "trial": 1}
    undeclared = cluster(has_trial_resource=False).trial_resources
    assert undeclared == {"CPU": 0, "node:__internal_head__": 0.0001}
