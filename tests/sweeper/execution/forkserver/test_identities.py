"""Two forks of what the fork server imports draw different identities from Ray."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from sweeper.execution.forkserver.identities import are_shared
from sweeper.execution.forkserver.starting import PRELOADED

CHECK = """
import importlib, sys
from sweeper.execution.forkserver.identities import are_shared, draw_from_system

if sys.argv[1] == "system":
    draw_from_system()
for name in sys.argv[2:]:
    importlib.import_module(name)
print(are_shared())
"""
# What of the fork server's imports has classes under ``@ray.remote``, or may come to have them.
OF_RAY = [
    name
    for name in PRELOADED
    if name.startswith(("ray.", "sweeper.execution.")) and ":" not in name
]


@pytest.mark.parametrize(("source", "is_shared"), [("system", "False"), ("ray", "True")])
def test_imports_leave_the_random_numbers_of_ray_alone(source: str, is_shared: str) -> None:
    said = subprocess.check_output([sys.executable, "-c", CHECK, source, *OF_RAY], text=True)
    assert said.split()[-1] == is_shared


def test_without_ray_there_is_nothing_to_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ray._raylet", raising=False)
    assert not are_shared()


def test_a_fork_that_cannot_draw_is_as_one_that_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    # A Ray without what is asked of it.
    monkeypatch.setitem(sys.modules, "ray._raylet", ModuleType("ray._raylet"))
    assert are_shared()
