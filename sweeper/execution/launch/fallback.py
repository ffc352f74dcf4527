"""Which of two equal machines Ray's autoscaler asks for: the one that was not refused of late."""

from __future__ import annotations

from typing import Any

__all__ = ["score"]


def score(
    resources: dict[str, Any],
    demands: list[dict[str, Any]],
    node_type: str,
    *,
    node_availability_summary: Any,  # noqa: ANN401 - Ray's, and private to it
) -> tuple[Any, ...] | None:
    """Returns how well a kind of machine suits what waits, None where nothing fits; more is better.

    Ray's own score comes first. Of kinds with the same score, as a spot machine and its on-demand
    twin, the one whose last launch was not refused is better, and else the one whose name is later
    in the alphabet: ``spot`` is later than ``on-demand``. Ray forgets a refusal after half an hour
    (``AUTOSCALER_NODE_AVAILABILITY_MAX_STALENESS_S``).

    The autoscaler calls it by the name in ``RAY_AUTOSCALER_UTILIZATION_SCORER``.

    Args:
        resources: of a machine of that kind.
        demands: resources that wait for a machine, one mapping each.
        node_type: name of the kind in ``available_node_types``.
        node_availability_summary: what Ray knows of the last launch of each kind.
    """
    from ray.autoscaler._private.resource_demand_scheduler import _default_utilization_scorer

    fit = _default_utilization_scorer(
        resources, demands, node_type, node_availability_summary=node_availability_summary
    )
    if fit is None:
        return None
    record = node_availability_summary.node_availabilities.get(node_type)
    return (*fit, record is None or record.is_available)
