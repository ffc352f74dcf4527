"""The files that the template gives, as Ray reads them, and the settings that change them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config, with_envs

from sweeper.errors import BadInputError, SpecError
from sweeper.execution.launch.variants import SCORER, VARIANTS, render
from sweeper.preflight.room import TRIAL_RESOURCE

FOR_RAY = ("aws", "gcp", "local")
# Whatever is a placeholder in the files.
FILLED = {
    "aws": ("ami=ami-0123456789abcdef0", "file_system=fs-0123456789abcdef0"),
    "gcp": ("project=my-project", "nfs=10.0.0.2:/sweeps"),
    "local": ("head_ip=10.0.0.1", "worker_ips=[10.0.0.2, 10.0.0.3]"),
    "raycluster": ("image=registry.example/sweeper:1", "storage_class=nfs"),
    "rayjob": ("image=registry.example/sweeper:1", "storage_class=nfs"),
    "image": (),
}
PLACEHOLDER = re.compile(r"ami-0{17}|fs-0{17}|192\.0\.2\.|replace-me")
# A program `ray` that shows how it was called, and the variables that matter.
FAKE_RAY = """#!/bin/bash
echo "$RAY_enable_autoscaler_v2|$RAY_AUTOSCALER_UTILIZATION_SCORER|$PATH|$SWEEPER_HOME|$HF_HOME"
printf '%s\\n' "$@"
"""


def read(variant: str, *settings: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(render(variant, settings))
    return document


def run(command: str, folder: Path, **variables: str) -> tuple[list[str], list[str]]:
    """The variables and the arguments that a start command calls `ray` with."""
    program = folder / "ray"
    program.write_text(FAKE_RAY)
    program.chmod(0o755)
    command = command.replace("ulimit -n 65536;", "")
    ended = subprocess.run(
        ["bash", "-c", command],
        env={
            "PATH": f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "HOME": str(folder),
            **variables,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    first, *arguments = ended.stdout.splitlines()
    return first.split("|"), arguments


@pytest.mark.parametrize("settings", [(), ("setup=[]", "files=false"), ("client_port=10002",)])
@pytest.mark.parametrize("variant", FOR_RAY)
def test_ray_accepts_it(variant, settings):
    validate_config(prepare_config(read(variant, *FILLED[variant], *settings)))


@pytest.mark.parametrize("variant", FOR_RAY)
def test_ray_would_refuse_a_misspelt_field(variant):
    document = read(variant)
    document["max_worker"] = 1
    with pytest.raises(ValidationError, match="max_worker"):
        validate_config(prepare_config(document))


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_set_leaves_no_placeholder(variant):
    assert bool(PLACEHOLDER.search(render(variant))) == bool(FILLED[variant])
    assert PLACEHOLDER.search(render(variant, FILLED[variant])) is None


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_reader_s_lines_are_short(variant):
    # The path of a machine image cannot be broken.
    lines = [line for line in render(variant).splitlines() if "sourceImage" not in line]
    assert [line for line in lines if len(line) > 110 or line != line.rstrip()] == []


def test_the_head_has_what_trials_ask_for():
    for variant in ("aws", "gcp"):
        head = read(variant)["available_node_types"]["head"]["resources"]
        assert (head["CPU"], head[TRIAL_RESOURCE]) == (0, 10_000)


def test_spot_machines_have_an_on_demand_twin_on_aws():
    types = read("aws")["available_node_types"]
    spot = [name for name in types if name.endswith("-spot")]
    assert len(spot) == 2
    for name in spot:
        twin = deepcopy(types[name.removesuffix("-spot") + "-on-demand"])
        assert types[name]["node_config"].pop("InstanceMarketOptions") == {"MarketType": "spot"}
        assert types[name] == twin
    assert read("aws")["max_workers"] == sum(types[name]["max_workers"] for name in spot)
    only = read("aws", "spot=false")["available_node_types"]
    assert set(only) == {"head", "a10g", "a100"}
    assert "InstanceMarketOptions" not in json.dumps(only)
    assert SCORER not in render("aws", ["spot=false"])


def test_spot_machines_of_google_are_a_setting():
    kinds = [x for n, x in read("gcp")["available_node_types"].items() if n != "head"]
    assert [x["node_config"]["scheduling"]["provisioningModel"] for x in kinds] == ["SPOT"] * 2
    text = render("gcp", ["spot=false"])
    assert "SPOT" not in text
    assert "# On-demand machines." in text


@pytest.mark.parametrize("variant", FOR_RAY)
def test_the_head_listens_on_its_loopback_address(variant, tmp_path):
    settings = [*FILLED[variant], "dashboard_port=8300", "port=6400", "client_port=10400"]
    if variant == "local":
        settings.append("docker=true")
    document = prepare_config(read(variant, *settings))
    *_, start = document["head_start_ray_commands"]
    _, arguments = run(start, tmp_path)
    assert arguments[:2] == ["start", "--head"]
    assert {"--dashboard-host=127.0.0.1", "--dashboard-port=8300", "--port=6400"} <= set(arguments)
    assert {"--ray-client-server-port=10400", "--include-dashboard=true"} <= set(arguments)
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in arguments
    *_, start = document["worker_start_ray_commands"]
    _, arguments = run(start, tmp_path, RAY_HEAD_IP="10.0.0.1")
    assert "--address=10.0.0.1:6400" in arguments


def test_the_head_on_aws_runs_the_first_autoscaler_with_our_scorer(tmp_path):
    # So `ray up` calls it: it asks for the second one.
    command = with_envs(read("aws")["head_start_ray_commands"], {"RAY_enable_autoscaler_v2": "1"})[
        -1
    ]
    variables, _ = run(command, tmp_path)
    assert variables[:2] == ["0", SCORER]
    command = with_envs(read("gcp")["head_start_ray_commands"], {"RAY_enable_autoscaler_v2": "1"})[
        -1
    ]
    assert run(command, tmp_path)[0][:2] == ["1", ""]


@pytest.mark.parametrize("docker", ["true", "false"])
def test_the_head_of_hosts_runs_the_first_autoscaler(tmp_path, docker):
    # The second one, which `ray up` asks for, starts one of the listed hosts and no other.
    document = read("local", f"docker={docker}", "venv=/venv")
    command = with_envs(document["head_start_ray_commands"], {"RAY_enable_autoscaler_v2": "1"})[-1]
    variables, _ = run(command.replace("/venv/bin/", ""), tmp_path)
    assert variables[:2] == ["0", ""]


def test_hosts_need_no_docker(tmp_path):
    settings = ["venv=/venv", "sweeps=/mine", "worker_options=--num-cpus=2", *FILLED["local"]]
    document = read("local", *settings)
    assert "docker" not in document
    assert document["provider"]["worker_ips"] == ["10.0.0.2", "10.0.0.3"]
    assert all("/venv/bin/pip" in command for command in document["setup_commands"])
    head, worker = (
        document[f"{role}_start_ray_commands"][-1].replace("/venv/bin/", "")
        for role in ("head", "worker")
    )
    (*_, path, home, hub), arguments = run(head, tmp_path)
    assert (home, hub) == ("/mine", "/mine/huggingface")
    # A job's `python` is found there.
    assert path.startswith(f"/venv/bin{os.pathsep}{tmp_path}{os.pathsep}")
    assert "--node-ip-address=10.0.0.1" in arguments
    (resources,) = [x.partition("=")[2] for x in arguments if x.startswith("--resources")]
    assert json.loads(resources) == {TRIAL_RESOURCE: 10_000}
    assert {"--num-cpus=0", "--num-gpus=0"} <= set(arguments)
    # sshd says so: client, its port, server, its port.
    ssh = {"SSH_CONNECTION": "10.0.0.1 5000 10.0.0.3 22", "RAY_HEAD_IP": "10.0.0.1"}
    (*_, home, _), arguments = run(worker, tmp_path, **ssh)
    assert home == "/mine"
    assert {"--node-ip-address=10.0.0.3", "--address=10.0.0.1:6379"} <= set(arguments)
    assert arguments[-1] == "--num-cpus=2"


def test_a_head_of_hosts_may_work_too(tmp_path):
    settings = ["head_works=true", "venv=/venv", "head_options=--num-cpus=3 --temp-dir=/t"]
    start = read("local", *settings)["head_start_ray_commands"][-1].replace("/venv/bin/", "")
    _, arguments = run(start, tmp_path)
    assert "--num-gpus=0" not in arguments
    assert arguments[-2:] == ["--num-cpus=3", "--temp-dir=/t"]


@pytest.mark.parametrize("variant", FOR_RAY)
def test_what_installs_can_be_another(variant):
    document = read(variant, "setup=[pip install mine, 'echo \"it is: there\"']", "files=false")
    assert document["setup_commands"] == ["pip install mine", 'echo "it is: there"']
    assert "file_mounts" not in document
    assert read(variant, "setup=[]")["setup_commands"] == []


def test_other_machines_take_the_place_of_ours():
    kinds = "machines=[{name: l40s, machine: g6e.12xlarge, cpus: 48, gpus: 4, most: 3}]"
    document = read("aws", kinds)
    assert set(document["available_node_types"]) == {"head", "l40s-spot", "l40s-on-demand"}
    assert document["max_workers"] == 3


def test_all_settings_that_do_not_fit_are_named():
    settings = ["regoin=x", "port=80", "machines=[{name: A}]", "spot"]
    with pytest.raises(SpecError) as caught:
        render("aws", settings)
    message = str(caught.value)
    assert "'regoin=x'; write name=value with one of" in message
    assert "did you mean 'region'?" in message
    assert "port: got 80: it must be at least 1024" in message
    assert "machines.0.machine" in message
    assert "'spot'; write name=value" in message


def test_the_head_of_hosts_is_an_address():
    with pytest.raises(SpecError, match=r"head_ip: got 'gpu1': .*IP address of the head"):
        render("local", ["head_ip=gpu1"])


def test_a_value_cannot_smuggle_a_line():
    with pytest.raises(SpecError, match="ami"):
        render("aws", ['ami="ami-1\\nhead_node_type: other"'])


def test_an_unknown_variant_is_named_with_those_there_are():
    with pytest.raises(BadInputError, match=r"'azure'; known: aws, gcp, local, .*name one"):
        render("azure")
