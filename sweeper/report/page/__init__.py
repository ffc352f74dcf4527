"""A sweep, or several, as one HTML file that opens from disk and loads nothing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from sweeper.report.page.subject import Subject, subject_of

if TYPE_CHECKING:
    from sweeper.report.page.writing import page_text, warm_up, write_page, write_sweep_page

__all__ = ["Subject", "page_text", "subject_of", "warm_up", "write_page", "write_sweep_page"]

_OF_WRITING = frozenset({"page_text", "warm_up", "write_page", "write_sweep_page"})


def __getattr__(name: str) -> object:
    """Returns a function that writes pages, importing its module on first use.

    What a sweep is shown as in the terminal needs none of what draws charts and asks Optuna.
    """
    if name not in _OF_WRITING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("sweeper.report.page.writing"), name)


def __dir__() -> list[str]:
    """Returns the public names."""
    return sorted(__all__)
