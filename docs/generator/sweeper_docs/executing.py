"""Runs notebooks for the pages: each in a kernel and a folder of its own, outputs as Markdown."""

from __future__ import annotations

import html
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sweeper_docs.notebooks import NOTEBOOKS, OUTPUTS, output_name
from sweeper_docs.project import ROOT

__all__ = ["NotebookError", "outputs_of", "write_outputs"]

# Far more than a cell takes on a machine that does other things, too.
CELL_TIMEOUT_S = 600
# Colours, and moves of the cursor.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# What pandas adds to a table: the pages have a style of their own.
_STYLE = re.compile(r"<style scoped>.*?</style>\s*", re.DOTALL)
# A text in the form in which the terminal has it.
_PLAIN = re.compile(r"<pre[^>]*>(.*)</pre>\s*", re.DOTALL)
_CLASS = ' border="1" class="dataframe"'


class NotebookError(Exception):
    """A notebook that cannot be executed, or a cell of one that fails."""


def write_outputs(notebooks: Iterable[Path] = NOTEBOOKS, *, folder: Path = OUTPUTS) -> None:
    """Executes notebooks and writes what their cells show.

    Args:
        notebooks: their paths.
        folder: that gets a folder for each notebook; what was there of it is removed.

    Raises:
        NotebookError: one cannot be executed; nothing is written of it.
    """
    for notebook in notebooks:
        begin_s = time.monotonic()
        outputs = outputs_of(notebook)
        shutil.rmtree((folder / output_name(notebook, 1)).parent, ignore_errors=True)
        for number, text in enumerate(outputs, start=1):
            path = folder / output_name(notebook, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        took_s = time.monotonic() - begin_s
        print(f"Executed {_name_of(notebook)}: {len(outputs)} cells in {took_s:.0f} s")


def outputs_of(notebook: Path) -> list[str]:
    """Executes a notebook in an empty folder and returns what each cell with code shows.

    Raises:
        NotebookError: its kernel does not start, or one of its cells fails.
    """
    try:
        import nbformat
        from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    except ImportError as error:
        raise _not_executed(notebook, error) from error
    # It ships its annotations for a part.
    read: Any = nbformat.read
    content = read(notebook, as_version=4)
    cells = [x for x in content.cells if x.cell_type == "code" and x.source.strip()]
    found: list[str] = []
    with _client(notebook, content) as client:
        for number, cell in enumerate(cells, start=1):
            where = f"{_name_of(notebook)}: code cell {number} of {len(cells)}"
            try:
                client.execute_cell(cell, content.cells.index(cell))
            except CellExecutionError as error:
                raise NotebookError(_failure(where, cell, error)) from error
            except (CellTimeoutError, DeadKernelError) as error:
                raise NotebookError(f"{where} does not end: {error}") from error
            found.append(_markdown(cell.outputs, where=where))
    return found


@contextmanager
def _client(notebook: Path, content: Any) -> Iterator[Any]:
    """Yields a client whose kernel is this Python, in a folder that is empty and goes afterwards.

    Raises:
        NotebookError: the kernel does not start.
    """
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
        from jupyter_client.manager import AsyncKernelManager
        from nbclient import NotebookClient
        from zmq import ZMQError
    except ImportError as error:
        raise _not_executed(notebook, error) from error
    with tempfile.TemporaryDirectory(prefix="notebook-") as folder:
        place, own = Path(folder, notebook.stem), Path(folder, "jupyter")
        place.mkdir()
        own.mkdir()
        # Kernels that the user has installed, of another Python perhaps, are not looked at. It
        # listens in its folder, where no other user of the machine can reach it.
        manager = AsyncKernelManager(
            kernel_name="python3",
            transport="ipc",
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
            connection_file=str(own / "kernel.json"),
        )
        client = NotebookClient(
            content,
            km=manager,
            timeout=CELL_TIMEOUT_S,
            resources={"metadata": {"path": str(place)}},
        )
        environment = {**os.environ, "IPYTHONDIR": str(own)}
        with ExitStack() as stack:
            try:
                stack.enter_context(client.setup_kernel(cleanup_kc=True, env=environment))
            except (NoSuchKernel, OSError, RuntimeError, ZMQError) as error:
                raise _not_executed(notebook, error) from error
            yield client


def _not_executed(notebook: Path, error: Exception) -> NotebookError:
    return NotebookError(
        f"{_name_of(notebook)}: not executed, its kernel does not start: "
        f"{type(error).__name__}: {error}; nbclient, nbformat and ipykernel are needed, and "
        "sockets of this machine; run: make install"
    )


def _failure(where: str, cell: Any, error: Any) -> str:
    traceback = _ESCAPES.sub("", error.traceback).strip()
    return (
        f"{where} fails with {error.ename}: {_ESCAPES.sub('', error.evalue)}\n{cell.source}\n\n"
        f"{traceback}\nEvery cell must run; mend the cell, or what it calls"
    )


def _markdown(outputs: Iterable[Mapping[str, Any]], *, where: str) -> str:
    """Returns what a cell shows as Markdown: texts that follow each other are one block."""
    parts: list[str] = []
    text = ""
    for output in outputs:
        if output["output_type"] == "stream":
            text += output["text"]
            continue
        parts += [_block(text), _shown(output["data"], where=where)]
        text = ""
    return "\n\n".join(part for part in [*parts, _block(text)] if part) + "\n"


def _shown(data: Mapping[str, str], *, where: str) -> str:
    """Returns what a notebook shows of a value: its HTML, if it is more than a text."""
    shown, text = data.get("text/html", ""), data.get("text/plain")
    plain = _PLAIN.fullmatch(shown)
    if plain is not None:
        return _block(html.unescape(plain[1]))
    if shown:
        return f"<div>\n{_STYLE.sub('', shown).replace(_CLASS, '').strip()}\n</div>"
    if text is None:
        raise NotebookError(
            f"{where} shows {', '.join(data)}; a page takes text and HTML; show one of these"
        )
    return _block(text)


def _block(text: str) -> str:
    """Returns a text as a block of code with a fence that does not occur in it."""
    text = _ESCAPES.sub("", text).strip("\n")
    if not text.strip():
        return ""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return f"{fence}text\n{lines}\n{fence}"


def _name_of(notebook: Path) -> str:
    return notebook.relative_to(ROOT).as_posix() if ROOT in notebook.parents else notebook.name
