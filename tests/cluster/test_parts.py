"""What of the cluster can be tested without root: its files, its checks, its transcript."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from sweeper.execution.launch import VARIANTS, next_commands, read_cluster, render
from sweeper.tracking.record import TrialRecord
from tests.cluster import __main__ as program
from tests.cluster.checks import check_actors, check_records, left_behind
from tests.cluster.cluster import ADDRESSES
from tests.cluster.machine import HOME, USER, Plan, start_script
from tests.cluster.needs import missing
from tests.cluster.network import commands
from tests.cluster.page import page
from tests.cluster.sshd import accounts, host_table, server_settings
from tests.cluster.transcript import LEFT_OUT, Transcript, plain, shortened
from tests.cluster.walk import printed

PLENTY = 64 << 30


# What is needed.


def test_what_is_missing_is_said_with_what_to_do():
    there = {"bash", "ip", "mount", "nsenter", "setpriv", "ssh", "ssh-keygen", "unshare"}
    found = missing(find=lambda name: name if name in there else None, user=1000, memory=2 << 30)
    assert found == [
        "programs rsync, sshd are not installed; on Debian: apt install openssh-server rsync",
        "namespaces, mounts and sshd need root; call it as root",
        "2.0 GiB of memory are free; 6 are needed",
    ]


def test_without_root_the_command_says_so_and_starts_nothing(monkeypatch, capsys):
    reasons = missing(find=lambda name: name, user=1000, memory=PLENTY)
    assert len(reasons) == 1
    monkeypatch.setattr(program, "missing", lambda: reasons)
    monkeypatch.setattr("sys.argv", ["cluster"])
    monkeypatch.setattr(program, "Cluster", None)
    assert program.main() == 0
    assert capsys.readouterr().out.startswith("Skipped: namespaces, mounts and sshd need root")


# Files of a machine.


def test_root_has_another_name_and_home_there():
    passwd, shadow = accounts(
        "root:x:0:0:root:/elsewhere:/bin/sh\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n",
        "root:!:1::::::\nsshd:!:1::::::\n",
    )
    assert passwd.splitlines() == [
        f"{USER}:x:0:0::{HOME}:/bin/bash",
        "sshd:x:101:65534::/run/sshd:/usr/sbin/nologin",
    ]
    # sshd lets nobody into an account whose password begins with an exclamation mark.
    assert shadow.splitlines()[0].split(":")[:2] == [USER, "*"]


def test_machines_are_known_by_name():
    assert host_table({"head": "10.0.0.1"}) == "127.0.0.1 localhost\n10.0.0.1 head\n"


def test_sshd_takes_one_key_and_no_password():
    lines = server_settings("10.0.0.1", environment={"A": "x y", "B": "1"}).splitlines()
    assert {"ListenAddress 10.0.0.1", "PasswordAuthentication no", "UsePAM no"} <= set(lines)
    assert lines[-1] == 'SetEnv "A=x y" "B=1"'
    assert not server_settings("10.0.0.1", environment={}).endswith("SetEnv \n")


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "hosts").touch()
    return Plan(
        name="head",
        address="10.0.0.1",
        files=tmp_path,
        kept=(Path("/tmp/my checkout/.venv"), Path("/usr/lib")),
        binds={Path("/mnt/shared"): Path("/srv/one")},
        is_read_only=frozenset({Path("/mnt/shared")}),
    )


def test_a_machine_hides_what_is_here_and_keeps_what_it_needs(plan):
    lines = start_script(plan).splitlines()
    moved = [line.split()[-1] for line in lines if "--move" in line]
    # What is staged may lie in /tmp.
    assert moved == ["/run", "/home", "/mnt", "/dev/shm", "/tmp"]
    first = min(number for number, line in enumerate(lines) if "--move" in line)
    kept = [line for line in lines if "my checkout" in line]
    assert len(kept) == 1
    words = shlex.split(kept[0])
    assert words[-2:] == ["/tmp/my checkout/.venv", f"{plan.files}/stage/tmp/my checkout/.venv"]
    assert lines.index(kept[0]) < first
    # It lies in no folder that is hidden.
    assert not any("/usr/lib" in line for line in lines)
    assert any("--bind" in line and line.endswith("/etc/hosts") for line in lines)
    (read_only,) = [line for line in lines if "remount" in line]
    assert read_only.endswith("stage/mnt/shared")
    assert lines[-3:] == ["echo ready", "read -r _", "exec sleep infinity"]


def test_the_script_of_a_machine_is_bash(plan):
    subprocess.run(["bash", "-n", "-c", start_script(plan)], check=True)


def test_the_bridge_is_on_the_first_machine_and_each_other_has_a_cable():
    lines = commands(["desk", "head"], ["10.0.0.1", "10.0.0.2"], [7, 8])
    assert "addr add 10.0.0.1/24 dev bridge0" in lines
    assert [line for line in lines if "veth" in line] == [
        "link add head type veth peer name eth0 netns 8"
    ]
    # A name of a device has 15 characters at most.
    assert all(len(name) <= 15 for name in ADDRESSES)


# What is written down.


def test_a_transcript_tells_nothing_of_the_machine():
    text = (
        "2026-01-02 03:04:05,678\tINFO updater.py:283 -- \x1b[36m[1/7]\x1b[39m Waiting\r\n"
        "in /srv/one/two and /srv/one\n"
        "ED25519 key SHA256:abcDEF123+/= and ssh-ed25519 AAAAC3Nza/+=\n"
    )
    assert plain(text, places={"/srv/one": "~", "/srv/one/two": "~/.venv"}) == (
        "[1/7] Waiting\nin ~/.venv and ~\nED25519 key (key) and (key)\n"
    )


def test_lines_that_are_left_out_leave_one_mark():
    text = "one\n\ntwo\nthree\nfour\n"
    assert shortened(text, shown=()) == ["one", "two", "three", "four"]
    assert shortened(text, shown=("^two",)) == [LEFT_OUT, "two", LEFT_OUT]


def test_a_page_has_each_command_with_its_output():
    transcript = Transcript({"/srv": "~"})
    transcript.say("It begins:")
    transcript.note("ls /srv", "a\nb\n", seconds=1, shown=("a",))
    text = page(transcript, seconds=125)
    assert "It begins:\n\n```text\n$ ls ~\na\n…\n```\n" in text
    assert "took 2 min" in text


# What is typed.


def test_a_command_is_the_one_that_launch_has_printed(tmp_path):
    path = tmp_path / "local.yaml"
    path.write_text(render("local"))
    pairs = next_commands(read_cluster(path), profile="embedded")
    said = "\n".join(["Next:", *(f"  # {what}\n  {command}" for what, command in pairs)])
    assert "local" in VARIANTS
    for purpose in ("dashboard", "start a sweep", "machines, and what", "end "):
        assert printed(said, purpose).startswith("ray ")
    assert "--profile embedded" in printed(said, "start a sweep")
    with pytest.raises(AssertionError, match="no command for 'fly'"):
        printed(said, "fly")


# What must hold.

NODES = [{"node_id": "a", "node_ip": "10.0.0.1"}, {"node_id": "b", "node_ip": "10.0.0.2"}]
WORKERS = {"10.0.0.1", "10.0.0.2"}


def test_two_workers_on_two_machines_span_them():
    check_actors([{"node_id": "b"}, {"node_id": "a"}], NODES, workers=WORKERS)


@pytest.mark.parametrize("ran", ["aa", "a", "", "aab"])
def test_workers_elsewhere_or_started_again_are_a_fault(ran):
    with pytest.raises(AssertionError, match="workers ran on"):
        check_actors([{"node_id": each} for each in ran], NODES, workers=WORKERS)


def record(number=0, **changes):
    fields = {"status": "complete", "attempts": 1, "nodes": ["one", "two"], **changes}
    return TrialRecord(id=f"{number:012x}", number=number, method="lora", **fields)


def test_records_that_name_both_machines_hold():
    check_records([record(), record(1, status="pruned")], trials=2, nodes={"one", "two"})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"nodes": ["one"]}, "ran on"),
        ({"nodes": []}, "ran on"),
        ({"nodes": ["one", "head"]}, "ran on"),
        ({"attempts": 2}, "trial 1: "),
        ({"status": "failed"}, "trial 1: "),
    ],
)
def test_a_record_that_tells_something_else_is_a_fault(changes, why):
    with pytest.raises(AssertionError, match=why):
        check_records([record(), record(1, **changes)], trials=2, nodes={"one", "two"})


def test_a_sweep_without_a_complete_trial_is_a_fault():
    with pytest.raises(AssertionError, match="no trial is complete"):
        check_records([record(status="pruned")], trials=1, nodes={"one", "two"})
    with pytest.raises(AssertionError, match="1 trials, not 2"):
        check_records([record()], trials=2, nodes={"one", "two"})


@pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="no namespaces here")
def test_what_is_left_behind_is_found(tmp_path):
    own = str(Path("/proc/self/ns/pid").readlink())
    found = left_behind(tmp_path, [own], [])
    assert found[0] == str(tmp_path)
    assert any(each.startswith("process ") for each in found)
    assert left_behind(tmp_path / "gone", ["pid:[1]"], []) == []
