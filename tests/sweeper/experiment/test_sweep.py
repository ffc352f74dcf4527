"""What a sweep is without its space.

`test_loading.py` and `sections/test_header.py` check how it is read.
"""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sweeper.experiment.sweep import SearchSpec, SweepSpec

ON: dict[str, Any] = {
    "profile": "x",
    "model": {"kind": "architecture", "name": "smollm2-135m"},
    "data": {"kind": "embedded"},
}


@pytest.mark.parametrize("name", ["a", "masa-2.1_x", "7"])
def test_a_name_can_be_a_folders(name: str) -> None:
    assert SweepSpec.model_validate({"name": name, **ON}).name == name


@pytest.mark.parametrize("name", ["", "a b", "../a", ".a", "a/b"])
def test_what_cannot_be_a_folders_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="pattern"):
        SweepSpec.model_validate({"name": name, **ON})


def test_early_stopping_can_be_turned_off() -> None:
    assert SearchSpec.model_validate({"asha": None}).asha is None
    assert SearchSpec().asha is not None
