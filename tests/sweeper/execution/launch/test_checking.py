"""What is wrong with a cluster's file, said at once and before anything starts."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
from types import SimpleNamespace

import pytest
import yaml

from sweeper.execution.launch import checking
from sweeper.execution.launch.checking import check_cluster
from sweeper.execution.launch.reading import ClusterFile, read_cluster
from sweeper.execution.launch.starting import next_commands
from sweeper.execution.launch.variants import render
from tests.sweeper import launching

AWS = ("ami=ami-0123456789abcdef0", "file_system=fs-0123456789abcdef0")
HOSTS = ("head_ip=10.0.0.1", "worker_ips=[10.0.0.2]")
RAY = importlib.metadata.version("ray")


@pytest.fixture
def world(tmp_path, monkeypatch):
    return launching.make_world(tmp_path, monkeypatch)


def check(world, variant, *settings, change=(), **options):
    """What is found in a variant's file, after some of its text was replaced."""
    text = render(variant, settings)
    for old, new in change:
        assert old in text
        text = text.replace(old, new)
    path = world.folder / "file.yaml"
    path.write_text(text)
    return check_cluster(read_cluster(path), **options)


def problems(checked):
    return {each.path: each.message for each in checked.problems}


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    path.write_text("")
    path.chmod(0o600)
    return path


def test_a_file_in_which_all_is_well(world, key):
    assert problems(check(world, "aws", *AWS, profile="llama3-8b")) == {}
    assert problems(check(world, "local", *HOSTS, f"ssh_key={key}")) == {}
    kube = ("image=registry.example/sweeper:1", "storage_class=nfs")
    assert problems(check(world, "raycluster", *kube, profile="llama3-8b")) == {}
    assert problems(check(world, "rayjob", *kube)) == {}


def test_everything_is_said_at_once(world):
    (world.folder / "LICENSE").unlink()
    (world.programs / "rsync").unlink()
    world.aws.has_credentials = False
    change = [
        ("max_workers: 6", "max_worker: 6"),
        ("2.60.0-py311", "2.50.0-py311"),
        ("ssh_user: ubuntu", "ssh_private_key: /none"),
    ]
    checked = check(world, "aws", "region=eu-west-1", change=change, profile="llama3-8b")
    found = problems(checked)
    expected = {
        "available_node_types.head.node_config.ImageId": r"^ami-0{17} is a placeholder; .*--fill",
        "initialization_commands.2": r"^fs-0{17} is a placeholder; .*describe-file-systems",
        "docker.image": rf"is Ray 2\.50\.0, and Ray here is {RAY}; both .*; take an image",
        "auth.ssh_private_key": r"got /none, and there is no such file; .*ssh-keygen",
        "file_mounts": r"LICENSE cannot be sent: .*; call this from the top",
        "provider": r"no AWS credentials were found; .*aws configure",
    }
    for path, match in expected.items():
        assert re.search(match, found[path]), (path, found.get(path))
    messages = [each.message for each in checked.problems]
    assert any("'max_worker' was unexpected" in message for message in messages)
    assert any("'rsync' on PATH" in message for message in messages)


def test_a_placeholder_is_said_once_and_names_each_place(world):
    found = problems(check(world, "gcp", "nfs=10.0.0.2:/sweeps"))
    assert [path for path, text in found.items() if "placeholder" in text] == [
        "provider.project_id"
    ]
    found = problems(check(world, "local"))
    named = [path for path, text in found.items() if "placeholder" in text]
    assert named == ["provider.head_ip", "provider.worker_ips.0", "provider.worker_ips.1"]
    found = problems(check(world, "raycluster"))
    assert {path for path, text in found.items() if "replace-me" in text} >= {
        "spec.storageClassName",
        "spec.headGroupSpec.template.spec.containers.0.image",
    }


def test_the_command_that_prints_the_ami_is_whole(world):
    found = problems(check(world, "aws", "region=eu-west-1", "zone=eu-west-1a"))
    text = found["available_node_types.head.node_config.ImageId"]
    assert "aws ssm get-parameter --region eu-west-1 --name /aws/service/deeplearning/ami/" in text
    assert "--query Parameter.Value --output text" in text


def test_an_unknown_provider(world):
    change = [("type: aws", "type: asw")]
    found = problems(check(world, "aws", *AWS, change=change))
    assert re.search(r"'asw'; known: aws, gcp, local; did you mean 'aws'", found["provider.type"])


def test_hosts_need_their_addresses(world):
    change = [('  head_ip: "10.0.0.1"\n', "")]
    found = problems(check(world, "local", *HOSTS, change=change))
    assert "is missing" in found["provider.head_ip"]


def test_python_of_the_image_is_told(world):
    here = platform.python_version_tuple()
    other = f"py3{int(here[1]) + 1}"
    change = [(f"2.60.0-py{here[0]}{here[1]}", f"2.60.0-{other}")]
    checked = check(world, "aws", *AWS, change=change)
    assert problems(checked) == {}
    assert any("in the image" in note and "ray://" in note for note in checked.notes)
    assert check(world, "aws", *AWS).notes == ()


def test_an_image_of_one_s_own_is_not_guessed(world):
    checked = check(world, "aws", *AWS, "image=mine:7")
    assert problems(checked) == {}
    assert any("tag of mine:7" in note for note in checked.notes)


def test_ray_in_kubernetes_is_compared(world):
    settings = ("image=mine:7", "storage_class=nfs", "ray_version=2.50.0")
    found = problems(check(world, "rayjob", *settings))
    assert "is Ray 2.50.0" in found["rayVersion"]


def test_a_file_system_of_another_region(world):
    change = [("fs-0123456789abcdef0.efs.us-west-2", "fs-0123456789abcdef0.efs.eu-west-1")]
    found = problems(check(world, "aws", *AWS, change=change))
    assert "has a file system of eu-west-1" in found["initialization_commands.2"]


def test_a_key_that_others_may_read(world, key):
    key.chmod(0o644)
    found = problems(check(world, "local", *HOSTS, f"ssh_key={key}"))
    assert re.search(r"others may read \(mode 0644\); .*chmod 600", found["auth.ssh_private_key"])


def test_a_key_of_one_s_own_needs_its_name_at_aws(world, key):
    change = [("ssh_user: ubuntu", f"ssh_private_key: {key}")]
    found = problems(check(world, "aws", *AWS, change=change))
    assert "available_node_types.head.node_config.KeyName" in found


def test_the_head_of_hosts_is_tried_as_ray_does_it(world, key):
    world.program("ssh", code=255, says="ssh: connect to host 10.0.0.1 port 22: timed out")
    found = problems(check(world, "local", *HOSTS, f"ssh_key={key}", "ssh_user=me"))
    assert re.search(
        r"ssh does not reach me@10\.0\.0\.1 \(.*timed out\); ", found["provider.head_ip"]
    )
    (words,) = world.calls("ssh")
    assert words[:2] == ["-i", str(key)]
    assert "BatchMode=yes" in words
    assert words[-2:] == ["me@10.0.0.1", "command -v rsync"]


def test_a_head_without_rsync_is_told_before_ray_stumbles_over_it(world, key):
    world.program("ssh", code=1)
    found = problems(check(world, "local", *HOSTS, f"ssh_key={key}", "ssh_user=me"))
    assert re.search("no program 'rsync' on me@10.*install rsync", found["provider.head_ip"])


def damaged(tree, odd):
    """Each tree that differs from one in a single place."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        copy = dict(tree) if isinstance(tree, dict) else list(tree)
        for other in odd:
            copy[key] = other
            yield dict(copy) if isinstance(copy, dict) else list(copy)
        if isinstance(value, dict | list):
            for below in damaged(value, odd):
                copy[key] = below
                yield dict(copy) if isinstance(copy, dict) else list(copy)


@pytest.mark.parametrize("variant", ["aws", "local", "rayjob"])
def test_whatever_stands_in_a_file_is_told_and_not_stumbled_over(world, variant, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: SimpleNamespace(returncode=0))
    # Slow, and of libraries.
    monkeypatch.setattr(importlib.metadata, "version", lambda name: RAY)
    monkeypatch.setattr(checking, "_programs", lambda cluster: [])
    monkeypatch.setattr(checking, "_schema", lambda cluster: [])
    *_, whole = yaml.safe_load_all(render(variant))
    path = world.folder / "file.yaml"
    count = 0
    for document in damaged(whole, [None, 3, [None]]):
        provider = document.get("provider")
        kind = provider.get("type") if isinstance(provider, dict) else ""
        name = "kubernetes" if "kind" in whole else str(kind or "")
        cluster = ClusterFile(path, name, document)
        checked = check_cluster(cluster)
        # What --profile reads, without reading the profile each time.
        assert isinstance(cluster.node_types(), list)
        next_commands(cluster)
        assert all(each.message for each in checked.problems)
        count += 1
    assert count > 100


def test_a_program_that_is_missing(world, monkeypatch, tmp_path):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    settings = ("image=registry.example/sweeper:1", "storage_class=nfs")
    found = check(world, "raycluster", *settings).problems
    assert ["'kubectl'" in each.message for each in found] == [True]
    found = check(world, "aws", *AWS).problems
    assert {name for name in ("ssh", "rsync") for x in found if f"'{name}'" in x.message} == {
        "ssh",
        "rsync",
    }
