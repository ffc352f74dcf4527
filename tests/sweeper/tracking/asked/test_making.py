"""Folders of new sweeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import BadInputError
from sweeper.experiment.loading import load_sweep
from sweeper.tracking.asked import new_sweep_folder, new_sweep_name
from tests.places import SPACES

SPACE = SPACES / "masa.yaml"


def test_a_new_sweep_gets_the_first_free_number(tmp_path: Path) -> None:
    sweep = load_sweep(SPACE, profile="embedded")
    for number in (1, 2):
        (tmp_path / f"{sweep.spec.name}-{sweep.spec.profile}-{number}").mkdir()
    assert new_sweep_name(tmp_path, sweep).endswith(f"-{sweep.spec.profile}-3")


def test_of_two_new_sweeps_without_a_name_each_gets_one(tmp_path: Path, monkeypatch) -> None:
    sweep = load_sweep(SPACE, profile="embedded")
    names = iter(["same", "same", "other"])
    monkeypatch.setattr("sweeper.tracking.asked.making.new_sweep_name", lambda *_: next(names))
    assert new_sweep_folder(tmp_path, sweep).name == "same"
    # The second process has looked for a free name before the first one made its folder.
    assert new_sweep_folder(tmp_path, sweep).name == "other"
    with pytest.raises(BadInputError, match="'same' is taken"):
        new_sweep_folder(tmp_path, sweep, name="same")
