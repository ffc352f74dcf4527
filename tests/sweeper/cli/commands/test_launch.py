"""`python -m sweeper launch`: a file is written, checked, and handed to Ray."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from sweeper.cli import app
from sweeper.execution.launch.variants import VARIANTS, render
from tests.sweeper import launching

WELL = ("ami=ami-0123456789abcdef0", "file_system=fs-0123456789abcdef0")


@pytest.fixture
def world(tmp_path, monkeypatch):
    return launching.make_world(tmp_path, monkeypatch)


@pytest.fixture
def sound(world):
    """The same world with a cluster.yaml that nothing is wrong with."""
    (world.folder / "cluster.yaml").write_text(render("aws", WELL))
    return world


def call(*arguments):
    return CliRunner().invoke(app, ["launch", *arguments])


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_is_written(world, variant):
    name = {"aws": "cluster.yaml", "image": "Dockerfile"}.get(variant, f"{variant}.yaml")
    ended = call("--write", variant)
    assert (ended.exit_code, ended.output) == (0, f"Wrote {name}.\n")
    assert (world.folder / name).read_text() == render(variant)
    assert world.calls("ray") == []


def test_a_variant_is_written_with_settings_to_a_file(world):
    ended = call("mine.yaml", "--write", "gcp", "--set", "project=a", "--set", "spot=false")
    assert ended.exit_code == 0
    assert (world.folder / "mine.yaml").read_text() == render("gcp", ["project=a", "spot=false"])


def test_no_file_is_overwritten(world):
    (world.folder / "cluster.yaml").write_text("mine")
    ended = call("--write", "aws")
    assert ended.exit_code == 2
    assert "cluster.yaml is there already; no file is overwritten" in ended.stderr
    assert (world.folder / "cluster.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--write", "asw"], "did you mean 'aws'?"),
        (["--write", "aws", "--set", "port=1"], "port: got 1: it must be at least 1024"),
        (["none/a.yaml", "--write", "aws"], "none/a.yaml cannot be written"),
        (["--set", "port=6400"], "without --write"),
        (["none.yaml"], "there is no file none.yaml"),
    ],
)
def test_bad_input_writes_and_starts_nothing(world, arguments, said):
    before = sorted(path.name for path in world.folder.iterdir())
    ended = call(*arguments)
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert sorted(path.name for path in world.folder.iterdir()) == before
    assert world.calls("ray") == []


def test_a_file_as_it_was_written_is_not_launched(world):
    call("--write", "aws")
    for arguments in ([], ["--check"], ["--yes"]):
        ended = call(*arguments)
        assert ended.exit_code == 2
        assert "cluster.yaml: 2 problems" in ended.stderr
    assert world.calls("ray") == []


def test_check_starts_nothing(sound):
    ended = call("--check")
    assert ended.exit_code == 0, ended.output
    assert "Checked: nothing is wrong with cluster.yaml." in ended.output
    assert sound.calls("ray") == []


def test_ray_is_called_and_the_next_commands_are_printed(sound):
    ended = call()
    assert ended.exit_code == 0, ended.output
    assert sound.calls("ray") == [["up", "cluster.yaml"]]
    for command in (
        "ray dashboard cluster.yaml",
        "ray job submit --address http://127.0.0.1:8265 --no-wait -- python -m sweeper run",
        "ray exec cluster.yaml --port-forward 5000",
        "ray down cluster.yaml",
    ):
        assert command in ended.output


def test_yes_is_passed_on(sound):
    assert call("--yes").exit_code == 0
    assert sound.calls("ray") == [["up", "cluster.yaml", "--yes"]]


def test_a_ray_that_fails_is_exit_code_1(sound):
    sound.program("ray", code=1)
    ended = call()
    assert ended.exit_code == 1
    assert "'ray up cluster.yaml' ended with 1" in ended.stderr
    assert "Next" not in ended.output


def test_a_profile_that_does_not_fit_is_refused(sound):
    kinds = "machines=[{name: one, machine: g5.12xlarge, cpus: 4, gpus: 4, most: 1}]"
    (sound.folder / "small.yaml").write_text(render("aws", [*WELL, kinds]))
    assert call("small.yaml", "--check").exit_code == 0
    ended = call("small.yaml", "--profile", "llama3-8b")
    assert ended.exit_code == 2
    assert "no machine has room for a worker of profile llama3-8b" in ended.stderr
    assert sound.calls("ray") == []


def test_fill_writes_the_newest_ami(world):
    call("--write", "aws", "--set", WELL[1])
    ended = call("--fill", "--check")
    assert ended.exit_code == 0, ended.output
    assert "ImageId is now ami-0123456789abcdef0" in ended.output
    assert (world.folder / "cluster.yaml").read_text() == render("aws", WELL)
    again = call("--fill", "--check")
    assert "has no AMI to look up" in again.output
    assert (world.folder / "cluster.yaml").read_text() == render("aws", WELL)


def test_a_fill_that_is_refused_changes_nothing(world):
    call("--write", "aws")
    world.aws.refused = frozenset({"get_parameter"})
    ended = call("--fill")
    assert ended.exit_code == 2
    assert "ssm:GetParameter is needed" in ended.stderr
    assert (world.folder / "cluster.yaml").read_text() == render("aws")


def test_kubectl_starts_what_is_for_kubernetes(world):
    call("--write", "rayjob", "--set", "image=mine:1", "--set", "storage_class=nfs")
    ended = call("rayjob.yaml")
    assert ended.exit_code == 0, ended.output
    assert "kubectl apply -f rayjob.yaml" in ended.output
    assert (world.calls("ray"), world.calls("kubectl")) == ([], [])


def call_as_json(world, *arguments):
    # In a process of its own: with --json the descriptors of standard output are another's.
    command = [sys.executable, "-m", "sweeper", "launch", *arguments, "--json"]
    ended = subprocess.run(
        command, cwd=world.folder, capture_output=True, text=True, check=False, timeout=200
    )
    return ended.returncode, json.loads(ended.stdout)


def test_as_json(world):
    call("--write", "rayjob", "--set", "image=mine:1", "--set", "storage_class=nfs")
    code, found = call_as_json(world, "rayjob.yaml")
    assert (code, found["file"], found["provider"]) == (0, "rayjob.yaml", "kubernetes")
    assert (found["problems"], len(found["notes"])) == ([], 1)
    assert ["make it", "kubectl apply -f rayjob.yaml"] in found["next"]


def test_problems_as_json(world):
    call("--write", "aws")
    code, found = call_as_json(world)
    assert code == 2
    paths = [each["path"] for each in found["problems"]]
    assert "available_node_types.head.node_config.ImageId" in paths
    assert "next" not in found
