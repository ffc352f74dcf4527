"""The file of an adapter where there is no room for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import TrialError
from sweeper.training.adapter_file import adapter_elements, save_adapter
from tests.sweeper import tiny
from tests.sweeper.full_disk import small_files


def test_an_adapter_without_room_is_a_failed_trial_and_leaves_the_one_before(
    tmp_path: Path,
) -> None:
    model = tiny.METHODS["lora"].inject(tiny.model(), seed=0)
    folder, elements = tmp_path / "adapter", adapter_elements(model)
    save_adapter(model, folder, elements=elements)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    # The config has room, the tensors have not.
    message = r"adapter could not be saved in .*adapter: .*File too large"
    with small_files(3000), pytest.raises(TrialError, match=message):
        save_adapter(model, folder, elements=elements)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    # Nothing is said any more of the one before, which was to be replaced.
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
