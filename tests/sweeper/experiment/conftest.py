from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from sweeper.experiment.sweep import Sweep
from tests.sweeper.experiment.spaces import load_budget, load_design, load_list, write_space


@pytest.fixture
def space(tmp_path: Path) -> Path:
    return write_space(tmp_path)


@pytest.fixture
def list_of(tmp_path: Path) -> Callable[..., Sweep]:
    """Loads a list of trials, with changes."""
    return partial(load_list, tmp_path)


@pytest.fixture
def design_of(tmp_path: Path) -> Callable[..., Sweep]:
    """Loads a design, with changes of its file."""
    return partial(load_design, tmp_path)


@pytest.fixture
def sized(tmp_path: Path) -> Callable[..., Sweep]:
    """Loads a space with a budget, with changes."""
    return partial(load_budget, tmp_path)
