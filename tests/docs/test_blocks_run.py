"""The code of documents runs: the blocks of a page in order, in a folder like a checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper_docs.files import HOME, SWEEP, TRIAL, KeptFile
from tests.docs.checkout import Chain, chains, make_checkout, run_page
from tests.docs.documents import DOCUMENTS, blocks
from tests.whole import only_whole

CHAINS = chains()
# Seconds for a chain, on a machine that may do other things.
TIMEOUT_S = 900


def cases() -> list[object]:
    return [pytest.param(chain, id=chain.name, marks=marks(chain)) for chain in CHAINS]


def marks(chain: Chain) -> list[pytest.MarkDecorator]:
    ray = [pytest.mark.ray] if chain.starts_ray else []
    return [*ray, pytest.mark.slow, *only_whole(chain.name != "README.md")]


def unlisted(folder: Path, files: tuple[KeptFile, ...]) -> list[str]:
    """What is in a folder of a sweep and not on the page about its files."""
    known = {file.name.split("/")[0] for file in files}
    # A write that a crash cut short leaves a hidden file.
    there = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    return sorted(f"{folder.name}/{name}" for name in there if name not in known)


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("chain", cases())
def test_blocks_run(chain: Chain, tmp_path: Path):
    folder = make_checkout(tmp_path / "checkout")
    for page in chain.pages:
        run_page(page, folder)
    sweeps = [path.parent for path in folder.glob("sweeps/*/sweep.json")]
    assert bool(sweeps) == chain.starts_ray
    for sweep in sweeps:
        trials = [path.parent for path in sweep.glob("trials/*/spec.json")]
        assert trials
        found = unlisted(sweep, SWEEP)
        found += [name for trial in trials for name in unlisted(trial, TRIAL)]
        assert found == []
    names = {sweep.name for sweep in sweeps} | {file.name.rstrip("/") for file in HOME}
    assert {path.name for path in folder.glob("sweeps/*")} <= names


def test_every_block_that_runs_is_in_a_chain():
    run = {block.document for path in DOCUMENTS for block in blocks(path) if block.is_run}
    pages = {path for chain in CHAINS for path in chain.pages}
    assert run <= {block.document for path in pages for block in blocks(path)}


def test_few_pages_start_ray():
    # Each costs half a minute or more of every run of the tests: let a page continue another one.
    assert sum(chain.starts_ray for chain in CHAINS) <= 3
