"""The suite of contracts on a method of one's own: it passes, and finds what does not hold."""

import os
import subprocess
import sys

from tests.adapters.own_method import write_method
from tests.places import ROOT

CHOSEN = "tests/adapters/contracts/test_passes.py"


def contracts(named: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", CHOSEN]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "METHOD": named},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def test_it_passes_where_the_method_keeps_them_and_tells_what_it_does_not(tmp_path):
    said = contracts(write_method(tmp_path))
    assert " passed" in said
    assert "failed" not in said
    said = contracts(write_method(tmp_path, ("return self.rank *", "return 3 * self.rank *")))
    assert "failed" in said
    assert "spec.count(shape)" in said
