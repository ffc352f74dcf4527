"""Checks the resources for a sweep: of this machine, or of a cluster that answers."""

from __future__ import annotations

import math
import os
import socket
from dataclasses import dataclass

from sweeper._environment import ray_address
from sweeper.errors import BadInputError
from sweeper.experiment.sweep import ResourcesSpec

__all__ = ["Cluster", "no_cluster_message", "require_room"]


# Custom resource that thin trials ask for, because Tune refuses a trial that asks for nothing. The
# head of a cluster declares it (see cluster.yaml).
TRIAL_RESOURCE = "trial"
# What Ray itself declares on every head, once, and the smallest share that it gives of it. A share
# of a CPU would put trials on machines that come and go, and take a replica's room there.
HEAD_RESOURCE, HEAD_SHARE = "node:__internal_head__", 0.0001


# Seconds in which a cluster takes a connection.
ANSWER_S = 5.0


@dataclass(frozen=True)
class Cluster:
    """What a sweep knows of the cluster it runs on."""

    is_local: bool
    """Started by this process, on this machine."""
    cpus: float
    gpus: float
    has_trial_resource: bool
    dashboard_url: str = ""
    """Host and port of Ray's dashboard; empty where it does not run."""

    @property
    def trial_resources(self) -> dict[str, float]:
        """What a thin trial asks for: a place on the head, whatever there is of CPUs."""
        if self.has_trial_resource:
            return {"CPU": 0, TRIAL_RESOURCE: 1}
        return {"CPU": 0, HEAD_RESOURCE: HEAD_SHARE}

    def replicas(self, resources: ResourcesSpec, *, trials: int) -> int:
        """Returns how many replicas to start.

        On this machine as many as it has room for; on a cluster up to the cap, because the
        autoscaler adds machines for those that wait.

        Raises:
            BadInputError: this machine has no room for a single one.
        """
        wanted = min(resources.max_replicas, trials)
        if not self.is_local:
            return wanted
        fitting = math.floor(self.cpus / (resources.workers * resources.cpus_per_worker))
        if resources.gpus_per_worker:
            gpus = math.floor(self.gpus / (resources.workers * resources.gpus_per_worker))
            fitting = min(fitting, gpus)
        if fitting < 1:
            raise BadInputError(_no_room(self, resources))
        return min(wanted, fitting)


def _no_room(cluster: Cluster, resources: ResourcesSpec) -> str:
    need = f"{resources.workers} worker(s) of {resources.cpus_per_worker:g} CPU"
    if resources.gpus_per_worker:
        need += f" and {resources.gpus_per_worker:g} GPU"
    return (
        f"one replica needs {need} each, but this machine has {cluster.cpus:g} CPUs and "
        f"{cluster.gpus:g} GPUs; run on a cluster ('python -m sweeper launch', then "
        "--address auto), use a smaller profile, or set resources.workers, "
        "resources.cpus_per_worker, resources.gpus_per_worker"
    )


def require_room(resources: ResourcesSpec, address: str | None) -> None:
    """Looks, without starting Ray, whether a replica has room here, or a cluster answers there.

    Args:
        resources: of a replica.
        address: as of :func:`connect`.

    Raises:
        BadInputError: there is no room here, or no cluster answers.
    """
    address = address or ray_address()
    if address is not None:
        _require_answer(address)
        return
    gpus = 0
    if resources.gpus_per_worker:
        import torch

        gpus = torch.cuda.device_count()
    machine = Cluster(is_local=True, cpus=os.cpu_count() or 1, gpus=gpus, has_trial_resource=False)
    machine.replicas(resources, trials=1)


def _require_answer(address: str) -> None:
    # Ray itself would try for a minute and then end the process without an exception.
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_S).close()
    except (OSError, OverflowError, ValueError) as error:
        # A port above 65535 overflows; a name may be none.
        raise BadInputError(no_cluster_message(address, error)) from error


def no_cluster_message(address: str, error: Exception) -> str:
    """Returns the message that says that no cluster answers, why, and what to do."""
    return (
        f"no Ray cluster at {address!r}: {error}; start one with 'python -m sweeper launch' or "
        "'ray start --head', or leave out --address and RAY_ADDRESS to use this machine"
    )
