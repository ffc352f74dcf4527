"""The files for Kubernetes: by KubeRay's fields, by Kubernetes' schema, and as Ray reads them."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import (
    _derive_autoscaling_config_from_ray_cr,
)
from ray.autoscaler._private.util import validate_config
from ray.autoscaler.v2.instance_manager import config
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil

from sweeper.execution.launch.variants import IMAGE, render
from sweeper.preflight.room import TRIAL_RESOURCE
from tests.sweeper.kuberay import RAY_CLUSTER, RAY_JOB

VARIANTS = {"raycluster": RAY_CLUSTER, "rayjob": RAY_JOB}


def read(variant: str, *settings: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The volume's claim, and the cluster or the job."""
    claim, ray = yaml.safe_load_all(render(variant, settings))
    return claim, ray


def cluster_of(ray: dict[str, Any]) -> dict[str, Any]:
    spec = ray["spec"]
    return spec.get("rayClusterSpec", spec)


def templates(ray: dict[str, Any]) -> list[dict[str, Any]]:
    spec = cluster_of(ray)
    return [spec["headGroupSpec"]["template"], *(g["template"] for g in spec["workerGroupSpecs"])]


def as_ray_reads(*settings: str) -> dict[str, Any]:
    """The autoscaler's own form of the cluster."""
    _, ray = read("raycluster", *settings)
    ray["metadata"]["namespace"] = "default"
    return _derive_autoscaling_config_from_ray_cr(ray)


@pytest.mark.parametrize("variant", VARIANTS)
def test_its_fields_are_kuberay_s(variant):
    _, ray = read(variant)
    jsonschema.validate(ray, VARIANTS[variant])


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_field_that_kuberay_does_not_know_would_be_seen(variant):
    _, ray = read(variant)
    cluster_of(ray)["workerGroupSpecs"][0]["maxReplica"] = 1
    with pytest.raises(jsonschema.ValidationError, match="maxReplica"):
        jsonschema.validate(ray, VARIANTS[variant])


@pytest.mark.parametrize("variant", VARIANTS)
def test_pods_and_volume_are_kubernetes(variant):
    validation = pytest.importorskip("kubernetes_validate", reason="make install brings it")
    claim, ray = read(variant)
    version = validation.latest_version()
    validation.validate(claim, version, strict=True)
    pods = [{"apiVersion": "v1", "kind": "Pod", **pod} for pod in templates(ray)]
    assert len(pods) == 3
    for pod in pods:
        pod["metadata"] = {"name": "one"}
        validation.validate(pod, version, strict=True)
        broken = copy.deepcopy(pod)
        broken["spec"]["containers"][0]["resource"] = {}
        with pytest.raises(validation.ValidationError):
            validation.validate(broken, version, strict=True)


def test_ray_s_autoscaler_reads_it():
    found = as_ray_reads()
    validate_config(found)
    types = found["available_node_types"]
    assert types["headgroup"]["resources"]["CPU"] == 0
    assert types["headgroup"]["resources"][TRIAL_RESOURCE] == 10_000
    for group in ("gpu-spot", "gpu-on-demand"):
        assert types[group]["resources"] | {"memory": 0} == {"CPU": 40, "GPU": 4, "memory": 0}
        assert (types[group]["min_workers"], types[group]["max_workers"]) == (0, 4)


def test_the_job_runs_on_the_same_cluster():
    _, cluster = read("raycluster")
    _, job = read("rayjob")
    assert cluster_of(job) == cluster_of(cluster)
    assert job["spec"]["shutdownAfterJobFinishes"] is True
    assert "sweeper run" in job["spec"]["entrypoint"]


def test_nothing_is_reached_from_outside():
    for variant in VARIANTS:
        _, ray = read(variant)
        assert cluster_of(ray)["headGroupSpec"]["serviceType"] == "ClusterIP"
        assert cluster_of(ray)["headGroupSpec"].get("enableIngress", False) is False
        assert all("hostPort" not in json.dumps(pod) for pod in templates(ray))


def test_ray_in_the_image_is_the_tested_one():
    _, ray = read("raycluster")
    assert cluster_of(ray)["rayVersion"] in IMAGE
    assert f"FROM {IMAGE}\n" in render("image")


def choose(unavailable: dict[str, float]) -> list[str]:
    """The pods that Ray's second autoscaler asks for where four GPUs are wanted."""
    types = as_ray_reads()["available_node_types"]
    configs = {
        name: config.NodeTypeConfig(
            name=name,
            min_worker_nodes=node["min_workers"],
            max_worker_nodes=node["max_workers"],
            resources=node["resources"],
        )
        for name, node in types.items()
        if name != "headgroup"
    }
    wanted = [ResourceRequestUtil.make({"CPU": 8, "GPU": 4})]
    request = SchedulingRequest(
        node_type_configs=configs,
        max_num_nodes=8,
        resource_requests=ResourceRequestUtil.group_by_count(wanted),
        cloud_resource_availabilities=unavailable,
        recoverable_resource_availabilities=unavailable,
        disable_launch_config_check=True,
    )
    reply = ResourceDemandScheduler(event_logger=None).schedule(request)
    return [each.instance_type for each in reply.to_launch for _ in range(each.count)]


def test_spot_is_asked_for_first_and_its_twin_after_a_wait():
    assert choose({}) == ["gpu-spot"]
    # What CloudResourceMonitor says after a time-out (test_fallback.py); it recovers in minutes.
    assert choose({"gpu-spot": 0.0}) == ["gpu-on-demand"]
    assert choose({"gpu-spot": 0.9}) == ["gpu-on-demand"]
    assert choose({"gpu-spot": 1.0}) == ["gpu-spot"]


def test_the_wait_is_one_that_ray_reads(monkeypatch):
    _, ray = read("raycluster", "fallback_s=777")
    ((name, value),) = [
        (each["name"], each["value"]) for each in cluster_of(ray)["autoscalerOptions"]["env"]
    ]
    monkeypatch.setenv(name, value)
    import importlib.util

    # A copy of the module, which reads its variables when it is loaded.
    spec = importlib.util.spec_from_file_location("ray_config_copy", config.__file__)
    assert spec is not None
    assert spec.loader is not None
    copied = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "ray_config_copy", copied)
    spec.loader.exec_module(copied)
    assert copied.InstanceReconcileConfig().allocate_status_timeout_s == 777
