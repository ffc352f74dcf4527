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


def test_a_search_stops_by_asha_or_by_races() -> None:
    assert SearchSpec().stop == "asha"
    assert SearchSpec().rungs == SearchSpec().asha
    racing = SearchSpec.model_validate({"stop": "racing", "racing": {"grace": 2}})
    assert (racing.rungs, racing.racing.grace, racing.racing.alpha) == (None, 2, 0.05)
    assert SearchSpec.model_validate({"stop": "racing", "asha": None}).rungs is None
    assert SearchSpec.model_validate(racing.model_dump(by_alias=True)) == racing


@pytest.mark.parametrize(
    ("search", "unread"),
    [
        ({"stop": "racing", "asha": {"grace": 2}}, "stop is racing, which reads nothing of asha"),
        ({"racing": {"grace": 2}}, "stop is asha, which reads nothing of racing"),
    ],
)
def test_settings_that_nothing_reads_are_refused(search: dict[str, Any], unread: str) -> None:
    with pytest.raises(ValidationError, match=f"{unread}.*set stop to .*, or leave .* out"):
        SearchSpec.model_validate(search)


@pytest.mark.parametrize(
    ("field", "value"),
    [("alpha", 0), ("alpha", 0.21), ("rows", 15), ("rows", 100_001), ("grace", 0)],
)
def test_settings_of_races_have_bounds(field: str, value: float) -> None:
    with pytest.raises(ValidationError, match=field):
        SearchSpec.model_validate({"stop": "racing", "racing": {field: value}})


def test_races_are_of_losses() -> None:
    racing = {"name": "x", "search": {"stop": "racing"}, **ON}
    assert SweepSpec.model_validate(racing).search.stop == "racing"
    for objective in ({"metric": "accuracy"}, {"metric": "eval_loss", "mode": "max"}):
        message = "the objective is (accuracy|eval_loss) max; .* must be eval_loss min; leave obj"
        with pytest.raises(ValidationError, match=message):
            SweepSpec.model_validate({**racing, "objective": objective})
