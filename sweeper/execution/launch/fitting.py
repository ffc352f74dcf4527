"""Whether the replicas of a profile find room on the machines that a cluster may have."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pydantic import ValidationError

from sweeper._text import count
from sweeper.errors import Problem
from sweeper.execution.launch.reading import ClusterFile, NodeType
from sweeper.experiment.documents.profiles import read_profile
from sweeper.experiment.problems import problems_of
from sweeper.experiment.sweep import ResourcesSpec

__all__ = ["problems_of_fit", "unknown_sizes"]


def problems_of_fit(cluster: ClusterFile, profile: str) -> Iterator[Problem]:
    """Yields why a replica of a profile would wait for ever on this cluster.

    Args:
        cluster: the file.
        profile: name or file of the profile.

    Raises:
        SpecError: there is no such profile.
    """
    document = read_profile({"profile": profile}, path=cluster.path)
    try:
        wanted = ResourcesSpec.model_validate(document.get("resources") or {})
    except ValidationError as error:
        yield from problems_of(error, ResourcesSpec, under="resources")
        return
    nodes = cluster.node_types()
    if not nodes or any(node.gpus is None or node.cpus is None for node in nodes):
        # What `unknown_sizes` says.
        return
    one = f"{wanted.cpus_per_worker:g} CPUs and {wanted.gpus_per_worker:g} GPUs"
    there = "; ".join(
        f"{node.name}: {node.cpus:g} CPUs, {node.gpus:g} GPUs, {node.most} at most"
        for node in nodes
    )
    if not any(_holds(node, wanted) and node.most for node in nodes):
        yield Problem(
            "available_node_types",
            f"no machine has room for a worker of profile {profile}, which takes {one}; there are "
            f"{there}; take larger machines, or --set resources.gpus_per_worker of the sweep",
        )
        return
    places = _places(nodes, wanted, cluster.most_workers)
    if places < wanted.workers:
        yield Problem(
            "max_workers",
            f"a replica of profile {profile} has {count(wanted.workers, 'worker')} with {one} "
            f"each, and all machines together have room for {places}; there are {there}; raise "
            "max_workers, or --set resources.workers of the sweep",
        )


def unknown_sizes(cluster: ClusterFile) -> str | None:
    """Returns why it cannot be told what fits; None where it can."""
    nodes = cluster.node_types()
    if not nodes:
        return (
            "the GPUs of listed hosts are not known before Ray runs there: whether the profile "
            "fits is seen when a sweep asks for them"
        )
    blind = [node.name for node in nodes if node.gpus is None or node.cpus is None]
    if not blind:
        return None
    return (
        f"{', '.join(blind)}: the file does not say CPU and GPU in resources, so whether the "
        "profile fits was not checked"
    )


def _holds(node: NodeType, wanted: ResourcesSpec) -> int:
    """Returns how many workers of a replica one machine has room for."""
    rooms = [math.floor((node.cpus or 0) / wanted.cpus_per_worker)]
    if wanted.gpus_per_worker:
        rooms.append(math.floor((node.gpus or 0) / wanted.gpus_per_worker))
    return min(rooms)


def _places(nodes: list[NodeType], wanted: ResourcesSpec, most: int | None) -> int:
    """Returns how many workers there is room for, on as many machines as there may be."""
    rooms = sorted((_holds(node, wanted) for node in nodes for _ in range(node.most)), reverse=True)
    return sum(rooms[:most])
