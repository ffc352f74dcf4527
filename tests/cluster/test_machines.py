"""Machines in namespaces, as root: they reach each other by SSH, and leave nothing. No Ray runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cluster.checks import left_behind
from tests.cluster.cluster import ADDRESSES, KEY, Cluster
from tests.cluster.needs import missing

REASONS = missing()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(REASONS), reason="; ".join(REASONS) or "nothing is missing"),
]

SSH = f"ssh -i {KEY} -o StrictHostKeyChecking=no -o LogLevel=ERROR"


def kept_in_tmp():
    """What the machines have in /tmp: the environment, where it lies there."""
    places = [Path(sys.prefix), Path(sys.base_prefix)]
    return {place.parts[2] for place in places if place.is_relative_to("/tmp")}


def test_machines_reach_each_other_and_leave_nothing():
    with Cluster() as cluster:
        assert cluster.say("hostname; echo $HOME").out.split() == ["desk", str(KEY.parents[1])]
        for name in ("head", "worker-1", "worker-2"):
            there = f"hostname; getent hosts {name}; touch /mnt/sweeps/{name}; pgrep -c ."
            ended = cluster.say(f"{SSH} me@{name} '{there}'")
            assert not ended.code, ended.out
            # No process of this machine is seen there.
            host, address, known, count = ended.out.split()
            assert (host, address, known) == (name, ADDRESSES[name], name)
            assert int(count) < 8
            seen = cluster.say(f"{SSH} me@{name} 'ls -A /tmp'").out.split()
            assert set(seen) <= kept_in_tmp(), "files of this machine are seen there"
        assert {path.name for path in cluster.sweeps.iterdir()} == set(ADDRESSES) - {"desk"}
        cluster.start("sleep 1000")
        stranger = SSH.replace(str(KEY), "/dev/null -o IdentitiesOnly=yes -o BatchMode=yes")
        refused = cluster.say(f"{stranger} me@head true")
        assert refused.code == 255
    assert left_behind(cluster.folder, cluster.namespaces, ADDRESSES) == []


def interrupt(cluster):
    with cluster:
        cluster.start("sleep 1000")
        raise KeyboardInterrupt


def test_an_interrupt_ends_the_machines():
    cluster = Cluster()
    with pytest.raises(KeyboardInterrupt):
        interrupt(cluster)
    assert len(cluster.namespaces) == len(ADDRESSES)
    assert left_behind(cluster.folder, cluster.namespaces, ADDRESSES) == []
