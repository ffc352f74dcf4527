"""The replicas of a sweep: each is a Ray Train run that a thread of the driver waits for."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from sweeper.execution.pool.jobs import ReplicaConfig
from sweeper.execution.pool.registry import MAX_FALSE_STARTS
from sweeper.execution.pool.worker import serve
from sweeper.experiment.sweep import ResourcesSpec

if TYPE_CHECKING:
    from ray.actor import ActorHandle
    from ray.train.torch import TorchTrainer

__all__ = ["ReplicaSet", "trainer_of"]

logger = logging.getLogger(__name__)

# Seconds that a controller waits at its end for its cleaner, which ends by itself after it.
CLEANER_S = 0.5


class ReplicaSet:
    """The replicas of one sweep, each a Ray Train run that a thread of the driver waits for."""

    def __init__(
        self, pool: ActorHandle[Any], config: ReplicaConfig, *, count: int, storage: str
    ) -> None:
        """Prepares ``count`` replicas; ``storage`` is Ray Train's own folder."""
        self._pool = pool
        self._config = config
        self._storage = storage
        self._is_over = False
        self._threads = [
            threading.Thread(target=self._fit, args=(index,), daemon=True) for index in range(count)
        ]

    def start(self, *, one_by_one: bool) -> None:
        """Starts the replicas and returns at once; they register with the pool when they are up.

        Args:
            one_by_one: on one machine each replica's start keeps several processors busy with
                imports; in turn the first one serves sooner, and none later.
        """
        launch = threading.Thread(target=self._launch, args=(one_by_one,), daemon=True)
        launch.start()

    def _launch(self, one_by_one: bool) -> None:
        for index, thread in enumerate(self._threads):
            if self._is_over:
                return
            thread.start()
            if one_by_one:
                self._wait_settled(index)

    def _wait_settled(self, index: int) -> None:
        try:
            ray.get(self._pool.wait_settled.remote(index))
        except RayError as error:
            # Where the pool has died no replica is of use; the driver finds that out itself.
            logger.debug("the pool does not say when replica %d is ready: %s", index, error)
        # The sweep ended meanwhile, and Ray with it.
        except Exception:
            if not self._is_over:
                raise

    def abandon(self) -> None:
        """Notes that the sweep is over: nobody is left to be told of a replica's end."""
        self._is_over = True

    def join(self, timeout_s: float) -> None:
        """Waits until every replica has returned, at most ``timeout_s`` seconds in all."""
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.ident is None:
                continue
            thread.join(max(0.0, deadline - time.monotonic()))

    def _fit(self, index: int) -> None:
        try:
            error = self._error_of_runs(index)
        # The pool has died, or the sweep has ended meanwhile, and Ray with it.
        except Exception as failure:  # noqa: BLE001
            error = f"{type(failure).__name__}: {failure}"
        if not self._is_over:
            # Where the pool has died there is nobody to be told.
            with suppress(RayError):
                ray.get(self._pool.lost.remote(index, error))

    def _error_of_runs(self, index: int) -> str:
        """Runs a replica until it ends, or its starts have failed too often; returns why.

        Raises:
            RayError: the pool has died.
        """
        error, name, run = "", f"replica-{index}", 0
        while ray.get(self._pool.launched.remote(index)) and not self._is_over:
            failure = self._failure_of(index, name)
            if failure is None:
                return "it ended"
            error = f"{type(failure).__name__}: {failure}"
            ray.get(self._pool.failed.remote(index, _starts_of(failure)))
            run += 1
            name = f"replica-{index}-{run}"
        if not self._is_over:
            logger.warning("replica %d is lost: %s", index, error)
        return error

    def _failure_of(self, index: int, name: str) -> Exception | None:
        """Returns what a run of Ray Train has ended with; None where it served to its end."""
        try:
            trainer_of(
                serve,
                {"pool": self._pool, "replica": index, "config": self._config},
                self._config.resources,
                name=name,
                storage=self._storage,
            ).fit()
        # Whatever Ray Train raises, the trials must hear of it.
        except Exception as failure:  # noqa: BLE001
            return failure
        return None


def _starts_of(failure: Exception) -> int:
    """Returns how often a failed run has tried a replica: 0 where it waited for machines alone."""
    from ray.train import ControllerError
    from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError

    if not isinstance(failure, ControllerError):
        return 1 + MAX_FALSE_STARTS
    # An autoscaler may be bringing machines up, for as long as that lasts.
    return int(not isinstance(failure.controller_failure, WorkerGroupStartupTimeoutError))


def trainer_of(
    loop: Callable[[dict[str, Any]], None],
    loop_config: dict[str, Any],
    resources: ResourcesSpec,
    *,
    name: str,
    storage: str,
) -> TorchTrainer:
    """Returns a TorchTrainer that runs ``loop`` on one worker group.

    Args:
        loop: run by each worker.
        loop_config: what it is called with.
        resources: size of the group.
        name: of the run, unique within ``storage``.
        storage: folder for Ray Train's own files.
    """
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.train.v2._internal.callbacks.placement_group_callback import (
        PlacementGroupCleanerCallback,
    )
    from ray.train.v2.api import data_parallel_trainer
    from ray.train.v2.api.config import FailureConfig

    # What frees a dead controller's place asks Ray's API server whether it lives. Where there is
    # none, it waits ten seconds for one, and the controller twelve for it to stop (Ray 2.60).
    made: Any = functools.partial(PlacementGroupCleanerCallback, stop_timeout=CLEANER_S)
    vars(data_parallel_trainer)["PlacementGroupCleanerCallback"] = made

    has_gpu = resources.gpus_per_worker > 0
    per_worker: dict[str, float] = {"CPU": resources.cpus_per_worker}
    if has_gpu:
        per_worker["GPU"] = resources.gpus_per_worker
    return TorchTrainer(
        loop,
        train_loop_config=loop_config,
        torch_config=TorchConfig(backend="nccl" if has_gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=resources.workers, use_gpu=has_gpu, resources_per_worker=per_worker
        ),
        run_config=RunConfig(
            name=name,
            storage_path=storage,
            # The pool decides whether another run follows; workers that die before they can speak
            # to it would be restarted for ever. That a machine is taken away is nobody's failure.
            failure_config=FailureConfig(
                max_failures=MAX_FALSE_STARTS,
                controller_failure_limit=0,
                max_preemption_failures=-1,
            ),
        ),
    )
