"""cluster.yaml, by Ray's own validation and by what the rest of the project expects of it."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

from sweeper.preflight.room import TRIAL_RESOURCE

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def written() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def prepared(written):
    return prepare_config(deepcopy(written))


def test_ray_accepts_it(prepared):
    validate_config(prepared)


def test_ray_would_refuse_a_misspelt_field(written):
    # Guards the test above: a validation that accepts everything proves nothing.
    written["max_worker"] = 1
    with pytest.raises(ValidationError, match="max_worker"):
        validate_config(prepare_config(written))


def test_ray_is_the_tested_version(written):
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    version = re.search(r"^ray==(\S+)$", pins, re.MULTILINE)
    assert version is not None
    assert written["docker"]["image"].split(":")[1].startswith(f"{version[1]}-py311")


def test_trials_wait_on_the_head_and_replicas_do_not(prepared):
    head = prepared["available_node_types"][prepared["head_node_type"]]["resources"]
    assert head["CPU"] == 0
    assert head[TRIAL_RESOURCE] > 0
    workers = [name for name in prepared["available_node_types"] if name != "head"]
    assert len(workers) == 2
    for name in workers:
        assert TRIAL_RESOURCE not in prepared["available_node_types"][name]["resources"]


def test_workers_start_from_none_and_are_capped(prepared):
    workers = {k: v for k, v in prepared["available_node_types"].items() if k != "head"}
    assert [node["min_workers"] for node in workers.values()] == [0, 0]
    assert sum(node["max_workers"] for node in workers.values()) == prepared["max_workers"]


def test_everything_the_install_needs_is_sent(written):
    sent = written["file_mounts"]
    assert all((ROOT / local).exists() for local in sent.values())
    assert set(sent.values()) == {
        "pyproject.toml", "constraints.txt", "README.md", "LICENSE",
        "sweeper", "adapters", "kernels", "search_spaces",
    }  # fmt: skip
    assert all(remote == f"~/project/{local}" for remote, local in sent.items())


def test_the_head_scales_and_shows_the_dashboard(prepared):
    start = prepared["head_start_ray_commands"][-1]
    assert "--head" in start
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in start
    assert "--include-dashboard=true" in start


def test_sweeps_are_on_the_shared_file_system(prepared):
    assert any("nfs4" in command for command in prepared["initialization_commands"])
    assert "-v /mnt/sweeps:/mnt/sweeps" in prepared["docker"]["run_options"]
