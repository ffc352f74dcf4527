"""The Ray cluster that a sweep runs on: this machine, or one that is already up."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import threading
from dataclasses import dataclass
from typing import Any

import ray

from sweeper._environment import ray_address
from sweeper.errors import BadInputError
from sweeper.spec import ResourcesSpec

__all__ = ["Cluster", "connect", "demand_room", "disconnect"]

# Custom resource that thin trials ask for, because Tune refuses a trial that asks for nothing. The
# head of a cluster declares it (see cluster.yaml); where it does not, a trial asks for a thousandth
# of a CPU.
TRIAL_RESOURCE = "trial"
TRIAL_SLOTS = 10_000
# Seconds in which a cluster takes a connection.
ANSWER_S = 5.0

# Environment of all Ray processes that a sweep starts.
RAY_ENVIRONMENT = {
    # Ray makes its workers polite to the rest of the machine; these do the work.
    "RAY_worker_niceness": "0",
    # One run of Ray Train lives as long as the sweep; its working directory stays the user's.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Tune's tables on standard output would stand between ours.
    "RAY_AIR_NEW_OUTPUT": "0",
    # Records are written by us; Tune's CSV, JSON and TensorBoard files would be a second truth.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


@dataclass(frozen=True)
class Cluster:
    """What a sweep knows of the cluster it runs on."""

    is_local: bool
    """Started by this process, on this machine."""
    cpus: float
    gpus: float
    has_trial_resource: bool

    @property
    def trial_resources(self) -> dict[str, float]:
        """What a thin trial asks for."""
        if self.has_trial_resource:
            return {"CPU": 0, TRIAL_RESOURCE: 1}
        return {"CPU": 0.001}

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
        f"{cluster.gpus:g} GPUs; run on a cluster ('ray up cluster.yaml', then --address auto), "
        "take a smaller profile, or set resources.workers, resources.cpus_per_worker, "
        "resources.gpus_per_worker"
    )


def demand_room(resources: ResourcesSpec, address: str | None) -> None:
    """Looks, without starting Ray, whether a replica has room here, or a cluster answers there.

    Args:
        resources: of a replica.
        address: as of :func:`connect`.

    Raises:
        BadInputError: it has not, or none does.
    """
    address = address or ray_address()
    if address is not None:
        _demand_answer(address)
        return
    gpus = 0
    if resources.gpus_per_worker:
        import torch

        gpus = torch.cuda.device_count()
    machine = Cluster(is_local=True, cpus=os.cpu_count() or 1, gpus=gpus, has_trial_resource=False)
    machine.replicas(resources, trials=1)


def _demand_answer(address: str) -> None:
    # Ray itself would try for a minute and then end the process without an exception.
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_S).close()
    except OSError as error:
        raise BadInputError(_no_cluster(address, error)) from error


def _no_cluster(address: str, error: Exception) -> str:
    return (
        f"no Ray cluster at {address!r}: {error}; start one with 'ray up cluster.yaml' or "
        "'ray start --head', or leave out --address and RAY_ADDRESS to use this machine"
    )


def connect(address: str | None) -> Cluster:
    """Connects to the cluster at ``address``, or starts Ray on this machine.

    Args:
        address: ``auto``, ``host:port``, ``ray://…``; where None, ``RAY_ADDRESS``, else a local
        Ray.

    Raises:
        BadInputError: no cluster answers there.
    """
    os.environ.update({key: os.environ.get(key, value) for key, value in RAY_ENVIRONMENT.items()})
    address = address or ray_address() or "local"
    is_local = address == "local"
    options: dict[str, Any]
    if is_local:
        options = {"include_dashboard": False, "resources": {TRIAL_RESOURCE: TRIAL_SLOTS}}
    else:
        options = {"runtime_env": {"env_vars": dict(RAY_ENVIRONMENT)}}
    try:
        ray.init(
            address=address,
            namespace="sweeper",
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=True,
            **options,
        )
    except (ConnectionError, ValueError) as error:
        raise BadInputError(_no_cluster(address, error)) from error
    if threading.current_thread() is threading.main_thread():
        # Ray has put its own handler there, which ends the process without a word. A cluster
        # manager's SIGTERM is a Ctrl-C: what is needed to go on is on disk.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return Cluster(
        is_local=is_local,
        cpus=found.get("CPU", 0),
        gpus=found.get("GPU", 0),
        has_trial_resource=TRIAL_RESOURCE in found,
    )


def disconnect() -> None:
    """Leaves the cluster; a Ray that :func:`connect` started ends."""
    ray.shutdown()
