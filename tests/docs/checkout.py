"""A folder that looks like a checkout, in which the blocks of a page are run as a reader would."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.docs.documents import DOCUMENTS, ROOT, Block, blocks, name_of
from tests.sweeper.stores import empty_store

__all__ = ["Chain", "chains", "make_checkout", "run_page"]

# A sweep of a page is cut down to this: the commands are tried, not how good what they find is.
SHORTER = (
    *("--set", "search.trials=2"),
    *("--set", "train.steps=8"),
    *("--set", "train.evaluations=2"),
    *("--set", "train.eval_examples=8"),
    *("--set", "resources.max_replicas=1"),
    *("--set", "final.rows=16"),
)
# Of a design the seeds and the rates, and methods without the control arm.
SHORTER_DESIGN = (
    *("--set", "design.seeds=2"),
    *("--set", "design.rates={low: 2e-3, high: 2.4e-2, count: 4}"),
    *("--set", "design.control=none"),
    *("--set", "train.steps=4"),
    *("--set", "train.evaluations=1"),
    *("--set", "train.eval_examples=8"),
    *("--set", "resources.max_replicas=1"),
    *("--set", "final.rows=16"),
)
# Far more than a sweep of two trials takes on a machine that does nothing else.
STEP_TIMEOUT_S = 480

_STARTS_RAY = re.compile(r"(?:-m sweeper|\bsweeper) (?:run|resume|compare(?!.*--plan))\b")
_CONTINUES = re.compile(r"^<!-- continues: (\S+) -->$", re.MULTILINE)
# What a page may write to is copied, and made anew; the rest of the checkout is linked to.
_COPIED = ("search_spaces",)
_NEW = ("sweeps", "site", ".venv", ".git", "mlruns")

# To count all trials of a paper takes a minute, and tests of its own do: here the file is read.
_PYTHON = """#!/bin/bash
if [[ "$1 $2 $3 $4" == "-m sweeper params search_spaces/papers/"* ]]; then
  {python} -m sweeper plan "${{@:4}}"
  # Of a paper's model there is the shape alone, which a plan says with exit code 1.
  code=$?; [[ $code == 1 ]] && code=0; exit $code
fi
if [[ "$1 $2 $3" == "-m sweeper run" ]]; then
  if grep -q '^design:' "$4"; then exec {python} "$@" {shorter_design}; fi
  exec {python} "$@" {shorter}
fi
if [[ "$1 $2 $3" == "-m sweeper compare" && "$*" != *--plan* ]]; then
  exec {python} "$@" {shorter_design}
fi
exec {python} "$@"
"""
_SWEEPER = '#!/bin/bash\nexec python -m sweeper "$@"\n'
# What a block exports, and the folder that it goes to, hold for the next one as in a terminal.
_SCRIPT = """
if [[ -f {state} ]]; then source {state}; cd "$PWD_OF_PAGE"; fi
{block}
PWD_OF_PAGE="$PWD"; export PWD_OF_PAGE; export -p > {state}
"""


@dataclass(frozen=True)
class Chain:
    """A page with blocks that are run, and the pages that continue it."""

    pages: tuple[Path, ...]

    @property
    def name(self) -> str:
        """The first page's path."""
        return name_of(self.pages[0])

    @property
    def starts_ray(self) -> bool:
        """Whether one of the blocks starts a sweep."""
        found = [block for page in self.pages for block in blocks(page) if block.is_run]
        return any(_STARTS_RAY.search(block.text) for block in found)


def chains() -> list[Chain]:
    """Returns all pages with blocks that are run, each with those that continue it."""
    parents = {path: _parent(path) for path in DOCUMENTS}
    found = []
    for path in DOCUMENTS:
        if parents[path] is not None:
            assert parents[path] in DOCUMENTS, f"{name_of(path)} continues what is no document"
            continue
        following = [page for page in DOCUMENTS if _root(page, parents) == path]
        pages = tuple(sorted(following, key=lambda page: _depth(page, parents)))
        if any(block.is_run or block.title for page in pages for block in blocks(page)):
            found.append(Chain(pages))
    return found


def _parent(path: Path) -> Path | None:
    found = _CONTINUES.search(path.read_text(encoding="utf-8"))
    return (path.parent / found[1]).resolve() if found else None


def _root(path: Path, parents: dict[Path, Path | None]) -> Path:
    parent = parents.get(path)
    return path if parent is None else _root(parent, parents)


def _depth(path: Path, parents: dict[Path, Path | None]) -> int:
    parent = parents.get(path)
    return 0 if parent is None else 1 + _depth(parent, parents)


def make_checkout(folder: Path) -> Path:
    """Returns ``folder``, made now and like a checkout with its environment in ``.venv``."""
    folder.mkdir(parents=True)
    for path in ROOT.iterdir():
        if path.name in _COPIED:
            shutil.copytree(path, folder / path.name)
        elif path.name not in _NEW:
            (folder / path.name).symlink_to(path)
    (folder / "sweeps").mkdir()
    shutil.copy(empty_store(), folder / "sweeps" / "mlflow.db")
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    python = _PYTHON.format(
        python=sys.executable,
        shorter=shlex.join(SHORTER),
        shorter_design=shlex.join(SHORTER_DESIGN),
    )
    # `. .venv/bin/activate` changes nothing: these are on the path already.
    scripts = {"python": python, "python3": python, "sweeper": _SWEEPER, "activate": ""}
    for name, text in scripts.items():
        (binaries / name).write_text(text, encoding="utf-8")
        (binaries / name).chmod(0o755)
    return folder


def run_page(page: Path, folder: Path) -> int:
    """Runs the blocks of a page in a checkout; returns how many steps that were.

    Raises:
        AssertionError: a step ended with another code than it should.
    """
    count = 0
    for block in _steps(blocks(page)):
        if block.title:
            path = folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
            continue
        _run(block, folder)
        count += 1
    return count


def _steps(found: Iterable[Block]) -> Iterator[Block]:
    """Yields what is done, in order; Python in blocks that follow each other is one program."""
    waiting: Block | None = None
    for block in found:
        if waiting is not None and block.is_run and block.language == "python":
            text = waiting.text + block.text
            waiting = Block(waiting.document, waiting.line, "python", "", waiting.marks, text)
            continue
        if waiting is not None and (block.is_run or block.title):
            yield waiting
            waiting = None
        if block.is_run and block.language == "python":
            waiting = block
        elif block.is_run or block.title:
            yield block
    if waiting is not None:
        yield waiting


def _run(block: Block, folder: Path) -> None:
    if block.language == "python":
        command = ["python", "-c", block.text]
    else:
        script = _SCRIPT.format(state=folder / ".venv" / "state", block=block.text)
        command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(
        command,
        cwd=folder,
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=STEP_TIMEOUT_S,
        check=False,
    )
    wanted = int(block.mark("exits") or 0)
    said = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert done.returncode == wanted, f"{block.where}: exit code {done.returncode}\n{said}"


def _environment(folder: Path) -> dict[str, str]:
    roots = [str(ROOT), str(ROOT / "adapters"), str(ROOT / "kernels")]
    if os.environ.get("PYTHONPATH"):
        roots.append(os.environ["PYTHONPATH"])
    path = f"{folder / '.venv' / 'bin'}:{os.environ['PATH']}"
    # As wide as a page, so that no table is broken.
    return {**os.environ, "PATH": path, "PYTHONPATH": ":".join(roots), "COLUMNS": "120"}
