"""What a paper's item has on a profile: set before anything else, and kept where it ran."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from sweeper.errors import SpecError
from sweeper.experiment.loading import build_sweep, load_sweep
from tests.sweeper.experiment.paper.test_spec import PAPER

SPACE: dict[str, Any] = {
    "name": "space",
    "methods": [{"name": "masa", "rank": 4}],
    "design": {"kind": "one_factor", "factors": {"method": {"group_size": [1, 2, 4]}}, "seeds": 2},
}
PROFILES: dict[str, Any] = {
    "embedded": {"set": {"design.factors.method.group_size": [1, 2], "methods.masa.rank": 2}},
    "llama3-8b": {"set": {"train.learning_rate": 1e-5}, "column": "Average, %"},
}


@pytest.fixture
def load(tmp_path):
    def load(profiles=PROFILES, **options):
        path = tmp_path / "space.yaml"
        path.write_text(yaml.safe_dump({**SPACE, "paper": {**PAPER, "profiles": profiles}}))
        return load_sweep(path, **options)

    return load


def names(sweep):
    return [x.name for x in sweep.design.configurations if not x.controls]


def test_a_profile_has_its_own_fields(load):
    small, large = load(), load(profile="llama3-8b")
    assert names(small) == ["group_size=1", "group_size=2"]
    assert names(large) == ["group_size=1", "group_size=2", "group_size=4"]
    assert small.space.any_trial().method.rank == 2
    assert large.space.any_trial().train.learning_rate == 1e-5


def test_an_override_of_the_command_line_comes_after(load):
    assert load(overrides=["methods.masa.rank=8"]).space.any_trial().method.rank == 8


def test_a_profile_that_is_not_named_gets_the_file_as_it_is(load):
    sweep = load(profile="smollm2")
    assert names(sweep) == ["group_size=1", "group_size=2", "group_size=4"]
    assert sweep.document["paper"]["profiles"] == {"smollm2": {}}


def test_a_sweep_keeps_the_profile_that_it_runs_on(load, tmp_path):
    sweep = load(profile="llama3-8b")
    assert sweep.document["paper"]["profiles"] == {"llama3-8b": {"column": "Average, %"}}
    # Its own file is built again as it is, and read again, without a profile of its own.
    assert build_sweep(sweep.document, source="it").document == sweep.document
    path = tmp_path / "again.yaml"
    rest = {key: value for key, value in sweep.document.items() if key != "profile"}
    path.write_text(yaml.safe_dump(rest))
    again = load_sweep(path)
    assert again.spec.paper == sweep.spec.paper
    assert names(again) == names(sweep)


def test_what_is_wrong_is_told_with_its_place(load):
    with pytest.raises(SpecError, match=r"paper: .*profiles\.embedded\.column is 'nothing'"):
        load({"embedded": {"column": "nothing"}})
    with pytest.raises(SpecError, match=r"no method 'lora' in this space; it has masa"):
        load({"embedded": {"set": {"methods.lora.rank": 2}}})
