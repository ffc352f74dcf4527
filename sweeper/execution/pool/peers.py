"""The workers of a replica as actors of Ray: which machines they are on, and whether they live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError

from sweeper.distributed import gather, workers

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["Peers"]

# Seconds in which a worker answers; it can do so while it trains, or hangs in a collective.
ANSWER_S = 30.0


class Peers:
    """All workers of a replica, as each of them knows them."""

    def __init__(self, group: ProcessGroup | None) -> None:
        """Has every worker tell the others who it is; all of them call it.

        Args:
            group: of all workers, on CPUs.
        """
        context = ray.get_runtime_context()
        self._node_ids = [context.get_node_id()]
        self._actors: list[Any] = []
        if workers() > 1:
            told = gather((context.get_node_id(), context.current_actor), group=group)
            self._node_ids = [node_id for node_id, _ in told]
            self._actors = [actor for _, actor in told]

    def nodes(self) -> list[str]:
        """Returns the machines of the workers in the order of their ranks, as Ray names them.

        A name is an address where nobody gave one. Empty on a cluster of one machine.
        """
        known: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        names = {node["NodeID"]: str(node["NodeName"]) for node in known}
        return [names[node_id] for node_id in self._node_ids] if len(names) > 1 else []

    def is_one_lost(self) -> bool:
        """Returns whether a worker's process is gone: it was killed, or its machine was."""
        try:
            ray.get([actor.__ray_ready__.remote() for actor in self._actors], timeout=ANSWER_S)
        except (RayActorError, GetTimeoutError):
            return True
        return False
