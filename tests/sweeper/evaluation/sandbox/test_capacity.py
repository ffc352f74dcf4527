"""A container's share says how many programs run at once."""

from types import SimpleNamespace

import pytest

from sweeper.evaluation.sandbox import capacity
from sweeper.evaluation.sandbox.capacity import programs_at_once

GIB = 1 << 30
OF_UNIFIED = "0::/pod/own\n"
OF_SEPARATE = "9:name=systemd:/\n4:memory:/pod/own\n2:cpu,cpuacct:/pod/own\n"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Sixteen processors and 64 GiB, and control groups that the test writes."""
    monkeypatch.setattr(capacity, "_processors", lambda: 16)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=64 * GIB))
    monkeypatch.setattr(capacity, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(capacity, "OWN_CGROUPS", tmp_path / "own")

    def write(kind: str, files: dict[str, object]) -> None:
        (tmp_path / "own").write_text(kind)
        for name, content in files.items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{content}\n")

    return write


def test_without_control_groups_the_machine_counts(machine):
    assert programs_at_once(GIB) == 16
    assert programs_at_once(8 * GIB) == 8
    assert programs_at_once(128 * GIB) == 1


@pytest.mark.parametrize(
    ("kind", "files", "expected"),
    [
        (OF_UNIFIED, {"pod/own/cpu.max": "max 100000", "pod/own/memory.max": "max"}, 16),
        (OF_UNIFIED, {"pod/own/cpu.max": "250000 100000"}, 2),
        (OF_UNIFIED, {"pod/cpu.max": "300000 100000"}, 3),
        (OF_UNIFIED, {"cpu.max": "50000 100000"}, 1),
        (OF_UNIFIED, {"pod/memory.max": 6 * GIB, "pod/memory.current": 2 * GIB}, 4),
        (
            OF_UNIFIED,
            {
                "memory.max": 6 * GIB,
                "memory.current": 5 * GIB,
                "memory.stat": f"anon {GIB}\ninactive_file {2 * GIB}",
            },
            3,
        ),
        (OF_UNIFIED, {"memory.max": GIB, "memory.current": GIB}, 1),
        (
            OF_SEPARATE,
            {
                "cpu,cpuacct/pod/cpu.cfs_quota_us": 400_000,
                "cpu,cpuacct/pod/cpu.cfs_period_us": 100_000,
            },
            4,
        ),
        (
            OF_SEPARATE,
            {
                "cpu,cpuacct/pod/own/cpu.cfs_quota_us": -1,
                "cpu,cpuacct/pod/own/cpu.cfs_period_us": 100_000,
                "memory/pod/own/memory.limit_in_bytes": 9 * GIB,
                "memory/pod/own/memory.usage_in_bytes": 2 * GIB,
            },
            7,
        ),
        ("nonsense\n", {"cpu.max": "100000 100000"}, 16),
    ],
)
def test_the_smallest_share_counts(machine, kind, files, expected):
    machine(kind, files)
    assert programs_at_once(GIB) == expected
