"""cluster.yaml: what the template gives, and by what the rest of the project expects of it.

What Ray says of it and of the other variants is in tests/sweeper/execution/launch/.
"""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config

from sweeper.execution.launch import render
from sweeper.execution.launch.variants import IMAGE

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def written() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def prepared(written):
    return prepare_config(deepcopy(written))


def test_it_is_what_the_template_gives():
    # python -m sweeper launch --write aws
    assert (ROOT / "cluster.yaml").read_text(encoding="utf-8") == render("aws")


def test_ray_is_the_tested_version():
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    version = re.search(r"^ray==(\S+)$", pins, re.MULTILINE)
    assert version is not None
    assert IMAGE.split(":")[1].startswith(f"{version[1]}-py311")


def test_workers_start_from_none(prepared):
    workers = {k: v for k, v in prepared["available_node_types"].items() if k != "head"}
    assert [node["min_workers"] for node in workers.values()] == [0] * 4


def test_everything_the_install_needs_is_sent(written):
    sent = written["file_mounts"]
    assert all((ROOT / local).exists() for local in sent.values())
    assert set(sent.values()) == {
        "pyproject.toml", "constraints.txt", "README.md", "LICENSE",
        "sweeper", "adapters", "kernels", "search_spaces",
    }  # fmt: skip
    assert all(remote == f"~/project/{local}" for remote, local in sent.items())
    # An image of one's own has the same in it.
    copied = re.findall(r"^COPY --chown=ray:users (.+) \S+$", render("image"), re.MULTILINE)
    assert {part for line in copied for part in line.split()} == set(sent.values())


def test_sweeps_are_on_the_shared_file_system(prepared):
    assert any("nfs4" in command for command in prepared["initialization_commands"])
    assert "-v /mnt/sweeps:/mnt/sweeps" in prepared["docker"]["run_options"]
    assert "-e SWEEPER_HOME=/mnt/sweeps" in prepared["docker"]["run_options"]
