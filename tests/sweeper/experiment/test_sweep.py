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


def test_a_search_stops_at_a_share_by_asha_or_by_races() -> None:
    assert (SearchSpec().stop, SearchSpec().sampler, SearchSpec().rungs) == ("share", "gp", None)
    asha = SearchSpec(stop="asha")
    assert (asha.rungs, asha.sampler) == (asha.asha, "tpe")
    racing = SearchSpec.model_validate({"stop": "racing", "racing": {"grace": 2}})
    assert (racing.rungs, racing.racing.grace, racing.racing.alpha) == (None, 2, 0.05)
    assert SearchSpec.model_validate({"stop": "racing", "asha": None}).rungs is None
    assert SearchSpec.model_validate(racing.model_dump(by_alias=True)) == racing


@pytest.mark.parametrize("asha", [None, {"grace": 2}])
def test_who_gives_rungs_stops_by_them_and_draws_as_fits(asha: Any) -> None:
    found = SearchSpec.model_validate({"asha": asha})
    assert (found.stop, found.sampler) == ("asha", "tpe")
    given = SearchSpec.model_validate({"asha": None, "sampler": "gp"})
    assert (given.sampler, given.rungs) == ("gp", None)


@pytest.mark.parametrize("search", [{"stop": "asha"}, {"stop": "racing"}, {"asha": {"grace": 2}}])
def test_a_process_compares_trainings_of_one_length(search: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"sampler is gp, and stop is .*; set stop to share"):
        SearchSpec.model_validate({"sampler": "gp", **search})


@pytest.mark.parametrize(
    ("fraction", "evaluations", "expected"),
    [(0.25, 4, 1), (0.25, 12, 3), (0.25, 1, 1), (0.5, 5, 2), (0.9, 4, 4), (0.01, 12, 1)],
)
def test_a_share_is_the_nearest_evaluation(
    fraction: float, evaluations: int, expected: int
) -> None:
    search = SearchSpec.model_validate({"share": {"fraction": fraction}})
    assert search.compared_at(evaluations) == expected
    assert SearchSpec(stop="asha").compared_at(evaluations) == evaluations


@pytest.mark.parametrize(
    ("search", "final", "expected"),
    [
        ({}, {}, 1),
        ({"share": {"finalists": 3}}, {}, 3),
        ({"confirm": {"top": 5}}, {}, 5),
        ({}, {"trials": 4}, 4),
        ({}, {"trials": "all"}, 1),
    ],
)
def test_as_many_go_on_as_are_asked_for_after_the_search(
    search: dict[str, Any], final: dict[str, Any], expected: int
) -> None:
    spec = SweepSpec.model_validate({"name": "x", "search": search, "final": final, **ON})
    assert spec.finalists == expected


@pytest.mark.parametrize(
    ("field", "value"), [("fraction", 0), ("fraction", 1), ("finalists", 0), ("finalists", 101)]
)
def test_settings_of_a_share_have_bounds(field: str, value: float) -> None:
    with pytest.raises(ValidationError, match=field):
        SearchSpec.model_validate({"share": {field: value}})


@pytest.mark.parametrize(
    ("search", "unread"),
    [
        ({"stop": "asha", "share": {"finalists": 2}}, "stop is asha, which reads nothing of share"),
        ({"stop": "share", "asha": {"grace": 2}}, "stop is share, which reads nothing of asha"),
        ({"stop": "racing", "asha": {"grace": 2}}, "stop is racing, which reads nothing of asha"),
        ({"racing": {"grace": 2}}, "stop is share, which reads nothing of racing"),
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


def test_rungs_of_none_beside_a_share_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"asha is null, and stop is share.*set stop to asha"):
        SearchSpec.model_validate({"stop": "share", "asha": None})
