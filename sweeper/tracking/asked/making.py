"""A new sweep's folder, under a name that is free."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from pathlib import Path

from sweeper.errors import NameTakenError
from sweeper.experiment.documents.tree import Document, Json
from sweeper.experiment.sweep import Sweep
from sweeper.tracking.mirror import claim_name
from sweeper.tracking.places import write_space
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["new_sweep_folder", "new_sweep_name"]


def new_sweep_name(home: Path, sweep: Sweep) -> str:
    """Returns the first of ``<space>-<profile>-1``, ``-2``, … that is free."""
    stem = f"{sweep.spec.name}-{sweep.spec.profile}"
    number = 1
    while (home / f"{stem}-{number}").exists():
        number += 1
    return f"{stem}-{number}"


def new_sweep_folder(home: Path, sweep: Sweep, *, name: str | None = None) -> SweepFolder:
    """Returns the folder of a new sweep, made by this process alone.

    Args:
        home: folder of all sweeps.
        sweep: what is to run.
        name: of the sweep; the first free one of :func:`new_sweep_name` where None.

    Raises:
        BadInputError: the name is taken, or nothing can be written there.
    """
    document = _with_search(sweep)
    folder = None
    while folder is None:
        # Another process may be faster by a moment; the next name is free then.
        with suppress(NameTakenError) if name is None else nullcontext():
            free = name or new_sweep_name(home, sweep)
            made = SweepFolder.create(home, free, document=document)
            claim_name(made.path)
            folder = made
    write_space(folder.path, document)
    return folder


def _with_search(sweep: Sweep) -> Document:
    """Returns the document of a sweep with its way of searching, whatever the default will be."""
    if {"design", "trials"} & sweep.document.keys():
        return sweep.document
    search = sweep.document.get("search", {})
    assert isinstance(search, dict)
    own = sweep.spec.search
    noted: dict[str, Json] = {**search, "sampler": own.sampler, "stop": own.stop}
    return {**sweep.document, "search": noted}
