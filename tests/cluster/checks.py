"""What must hold of a sweep on several machines, and after its cluster has gone."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from sweeper.tracking.record import TrialRecord
from sweeper.tracking.sweep_folder import SweepFolder
from tests.cluster.machine import living_in
from tests.cluster.needs import SEARCHED
from tests.drills.checks import logged_once, suggested_once

__all__ = ["check_actors", "check_records", "check_sweep", "left_behind"]


def check_actors(
    actors: Iterable[Mapping[str, Any]], nodes: Iterable[Mapping[str, Any]], *, workers: set[str]
) -> None:
    """Checks that Ray ran the workers of one replica, each on a machine of its own.

    Args:
        actors: the workers as ``ray list actors`` has them.
        nodes: the machines as ``ray list nodes`` has them.
        workers: addresses of the machines that must have run one.

    Raises:
        AssertionError: they ran elsewhere, or were started more than once.
    """
    address = {str(node["node_id"]): str(node["node_ip"]) for node in nodes}
    ran = sorted(address[str(actor["node_id"])] for actor in actors)
    assert ran == sorted(workers), f"workers ran on {ran}, not on {sorted(workers)}"


def check_records(records: Collection[TrialRecord], *, trials: int, nodes: set[str]) -> None:
    """Checks that all trials ended in one attempt, each on all of these machines.

    Raises:
        AssertionError: one did not.
    """
    assert len(records) == trials, f"{len(records)} trials, not {trials}"
    for record in records:
        ended = (record.status, record.attempts)
        assert ended in {("complete", 1), ("pruned", 1)}, f"trial {record.number}: {ended}"
        ran = sorted(record.nodes)
        assert ran == sorted(nodes), f"trial {record.number} ran on {ran}, not on {sorted(nodes)}"
    assert any(record.status == "complete" for record in records), "no trial is complete"


def check_sweep(folder: Path, *, trials: int, nodes: set[str]) -> None:
    """Checks a finished sweep on disk, in Optuna and in MLflow.

    Args:
        folder: of the sweep.
        trials: how many it has.
        nodes: Ray's names of the machines that each trial must have run on.

    Raises:
        AssertionError: it is not as it must be.
    """
    sweep = SweepFolder(folder)
    assert sweep.status == "complete", f"the sweep is {sweep.status}"
    records = sweep.trials()
    check_records(records, trials=trials, nodes=nodes)
    suggested_once(sweep)
    logged_once(sweep, f"sqlite:///{folder.parent / 'mlflow.db'}")
    for record in records:
        adapter = sweep.trial(record.id).adapter / "adapter_model.safetensors"
        is_there = adapter.is_file() and adapter.stat().st_size > 0
        assert is_there or record.status != "complete", f"trial {record.number} has no adapter"


def left_behind(folder: Path, namespaces: Iterable[str], names: Iterable[str]) -> list[str]:
    """Returns what is left of a cluster; nothing where all of it has gone.

    Args:
        folder: its temporary folder.
        namespaces: process namespaces of its machines.
        names: of its network devices.
    """
    found = [str(folder)] if folder.exists() else []
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    found += [line for line in mounts.splitlines() if str(folder) in line]
    for namespace in namespaces:
        found += [f"process {process.pid} of {namespace}" for process in living_in(namespace)]
    shown = subprocess.run(
        ["ip", "-brief", "link"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": SEARCHED},
    )
    devices = {line.split()[0].partition("@")[0] for line in shown.stdout.splitlines()}
    return found + sorted(devices & set(names))
