"""What Ray's autoscaler does where spot machines are refused: with our scorer, and without it."""

from __future__ import annotations

from functools import partial
from typing import Any
from unittest.mock import MagicMock

import pytest
import yaml
from ray.autoscaler._private.loader import load_function_or_class
from ray.autoscaler._private.node_launcher import BaseNodeLauncher
from ray.autoscaler._private.node_provider_availability_tracker import (
    NodeProviderAvailabilityTracker,
)
from ray.autoscaler._private.resource_demand_scheduler import (
    _default_utilization_scorer,
    get_nodes_for,
)
from ray.autoscaler._private.util import prepare_config
from ray.autoscaler.node_launch_exception import NodeLaunchException
from ray.autoscaler.v2.instance_manager.subscribers.cloud_resource_monitor import (
    CloudResourceMonitor,
)
from ray.core.generated import instance_manager_pb2

from sweeper.execution.launch.fallback import score
from sweeper.execution.launch.variants import SCORER, render

HALF_AN_HOUR = 30 * 60


class Cloud:
    """A provider that refuses the kinds of machines it is told."""

    def __init__(self, *refused: str) -> None:
        self.refused = set(refused)

    def create_node_with_resources_and_labels(self, config, tags, count, resources, labels):
        if tags["ray-user-node-type"] in self.refused:
            raise NodeLaunchException("InsufficientInstanceCapacity", "no spot capacity", None)
        return {str(number): {} for number in range(count)}


class Autoscaler:
    """The parts of Ray's first autoscaler that choose machines, launch them and remember."""

    def __init__(self, cloud: Cloud, scorer: Any = score) -> None:
        self.now = 1_000_000.0
        self.config = prepare_config(yaml.safe_load(render("aws")))
        self.tracker = NodeProviderAvailabilityTracker(timer=lambda: self.now)
        self.scorer = scorer
        self.launcher = BaseNodeLauncher(
            provider=cloud,
            pending=MagicMock(),
            event_summarizer=MagicMock(),
            node_provider_availability_tracker=self.tracker,
            session_name="test",
            prom_metrics=MagicMock(),
            node_types=self.config["available_node_types"],
        )

    def choose(self, *demands: dict[str, Any]) -> list[str]:
        """The kinds of machines asked for, in order."""
        chosen, _ = get_nodes_for(
            self.config["available_node_types"],
            {},
            self.config["head_node_type"],
            self.config["max_workers"],
            list(demands),
            partial(self.scorer, node_availability_summary=self.tracker.summary()),
        )
        return sorted(name for name, count in chosen.items() for _ in range(count))

    def launch(self, name: str) -> None:
        # The launcher reads the clock itself; the tracker then forgets by ours.
        self.launcher._launch_node(self.config, 1, name)
        _, record = self.tracker.store[name]
        self.tracker.store[name] = (self.now + self.tracker.ttl, record)


# Made when it is imported, from a protocol: without types.
MESSAGES: Any = instance_manager_pb2
FOUR = {"CPU": 32.0, "GPU": 4.0}
EIGHT = {"CPU": 64.0, "GPU": 8.0}


@pytest.fixture(autouse=True)
def no_log(monkeypatch):
    monkeypatch.setattr(BaseNodeLauncher, "log", lambda self, statement: None)


def test_spot_is_asked_for_first():
    autoscaler = Autoscaler(Cloud())
    assert autoscaler.choose(FOUR) == ["a10g-spot"]
    assert autoscaler.choose(EIGHT) == ["a100-spot"]


def test_where_spot_is_refused_its_twin_is_asked_for():
    autoscaler = Autoscaler(Cloud("a10g-spot"))
    autoscaler.launch("a10g-spot")
    assert autoscaler.choose(FOUR) == ["a10g-on-demand"]
    # A refusal of one kind says nothing of another.
    assert autoscaler.choose(EIGHT) == ["a100-spot"]


def test_spot_is_tried_again_half_an_hour_later():
    autoscaler = Autoscaler(Cloud("a10g-spot"))
    autoscaler.launch("a10g-spot")
    autoscaler.now += HALF_AN_HOUR - 60
    assert autoscaler.choose(FOUR) == ["a10g-on-demand"]
    autoscaler.now += 120
    assert autoscaler.choose(FOUR) == ["a10g-spot"]


def test_spot_that_was_given_is_asked_for_again():
    autoscaler = Autoscaler(cloud := Cloud("a10g-spot"))
    autoscaler.launch("a10g-spot")
    cloud.refused.clear()
    autoscaler.launch("a10g-spot")
    assert autoscaler.choose(FOUR) == ["a10g-spot"]


def test_where_all_four_gpus_are_refused_nothing_larger_is_taken():
    # A machine of twice the size would cost more than the wait.
    autoscaler = Autoscaler(Cloud("a10g-spot", "a10g-on-demand"))
    autoscaler.launch("a10g-spot")
    autoscaler.launch("a10g-on-demand")
    assert autoscaler.choose(FOUR) == ["a10g-spot"]


def test_what_fits_nowhere_has_no_score():
    summary = NodeProviderAvailabilityTracker().summary()
    found = score({"CPU": 8}, [{"GPU": 1}], "a10g-spot", node_availability_summary=summary)
    assert found is None


def test_without_the_scorer_ray_asks_for_what_was_refused():
    autoscaler = Autoscaler(Cloud("a10g-spot"), scorer=_default_utilization_scorer)
    autoscaler.launch("a10g-spot")
    assert autoscaler.choose(FOUR) == ["a10g-spot"]


def test_ray_finds_the_scorer_by_its_name():
    assert load_function_or_class(SCORER) is score


def test_ray_s_second_autoscaler_forgets_a_refusal_and_remembers_a_wait():
    # Why AWS runs the first one, and why the second does for Kubernetes, where pods wait.
    monitor = CloudResourceMonitor()
    refused = MESSAGES.InstanceUpdateEvent(
        instance_type="a10g-spot", new_instance_status=MESSAGES.Instance.ALLOCATION_FAILED
    )
    monitor.notify([refused])
    assert monitor.get_recoverable_resource_availabilities() == {}
    waited = MESSAGES.InstanceUpdateEvent(
        instance_type="gpu-spot", new_instance_status=MESSAGES.Instance.ALLOCATION_TIMEOUT
    )
    monitor.notify([waited])
    assert monitor.get_recoverable_resource_availabilities() == {"gpu-spot": 0.0}
