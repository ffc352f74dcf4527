"""A cluster of three machines and a desk, made out of this machine, launched, used and ended.

python -m tests.cluster [--write]
"""

from __future__ import annotations

import argparse
import signal
import sys
import time

from rich.console import Console

# What every test relies on, too: no network, one thread, no settings of the user.
import tests.conftest  # noqa: F401
from tests.cluster.checks import left_behind
from tests.cluster.cluster import ADDRESSES, VENV, Cluster
from tests.cluster.machine import HOME
from tests.cluster.needs import missing
from tests.cluster.page import PAGE, page
from tests.cluster.transcript import Transcript
from tests.cluster.walk import walk


def main() -> int:
    """Makes the cluster and walks through it; returns 1 where something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}, too")
    asked = parser.parse_args()
    out = Console(soft_wrap=True, highlight=False, markup=False)
    if reasons := missing():
        for reason in reasons:
            out.print(f"Skipped: {reason}.")
        return 0
    # A manager's SIGTERM is a Ctrl-C: all that was made is taken away.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    places = {sys.prefix: str(VENV).replace(str(HOME), "~"), str(HOME): "~"}
    transcript, started_s = Transcript(places), time.monotonic()
    cluster = Cluster()
    code = _walk(cluster, transcript, out)
    left = left_behind(cluster.folder, cluster.namespaces, ADDRESSES)
    for each in left:
        out.print(f"Left behind: {each}")
    if code or left:
        return code or 1
    seconds = time.monotonic() - started_s
    out.print(f"All of it held, and nothing is left, after {seconds:.0f} s.")
    if asked.write:
        PAGE.write_text(page(transcript, seconds=seconds), encoding="utf-8")
        out.print(f"Written: {PAGE}")
    return 0


def _walk(cluster: Cluster, transcript: Transcript, out: Console) -> int:
    """Makes the machines, walks, and takes the machines away; returns an exit code."""
    try:
        with cluster:
            out.print(f"Machines: {', '.join(ADDRESSES)}; their files: {cluster.folder}")
            walk(cluster, transcript, tell=out.print)
    except AssertionError as error:
        out.print(f"Fault: {error}")
        return 1
    except KeyboardInterrupt:
        out.print("Interrupted.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
