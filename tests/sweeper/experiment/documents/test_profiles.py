"""Profiles: which one is found, and what it gives a search space."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sweeper.errors import SpecError
from sweeper.experiment.documents.profiles import (
    merge_profile,
    over_profile,
    read_profile,
)
from sweeper.experiment.documents.tree import Document
from sweeper.experiment.loading import load_sweep
from tests.sweeper.experiment.spaces import SPACE, problems_of_space


def test_model_and_data_belong_to_profiles(space: Path) -> None:
    found = problems_of_space(space, text=SPACE + "engine: {zero_stage: 1}\n")
    assert "belongs to a profile" in found["engine"]


def test_an_unknown_profile_names_the_nearest(space: Path) -> None:
    with pytest.raises(SpecError, match="did you mean 'tiny'"):
        load_sweep(space, profile="tini")


def test_a_space_anywhere_finds_the_profiles_that_come_with_the_sweeper(tmp_path: Path) -> None:
    space = tmp_path / "home" / "mine" / "mine.yaml"
    space.parent.mkdir(parents=True)
    space.write_text("name: mine\nmethods: [{name: lora}]\ntrain: {learning_rate: 1e-3}\n")
    assert load_sweep(space).spec.profile == "embedded"
    assert load_sweep(space, profile="smollm2").spec.profile == "smollm2"
    with pytest.raises(
        SpecError, match=r"no profile 'embeded'; known: embedded, .*smollm2"
    ) as told:
        load_sweep(space, profile="embeded")
    assert "did you mean 'embedded'?" in str(told.value)


def test_a_profile_beside_the_space_wins_over_one_of_that_name(space: Path) -> None:
    own = space.parent / "profiles" / "tiny.yaml"
    own.rename(own.with_name("embedded.yaml"))
    sweep = load_sweep(space, profile="embedded")
    assert sweep.spec.model.kind == "folder"
    # The name that the profile gives itself is the sweep's.
    assert sweep.spec.profile == "tiny"


def test_a_profile_a_level_higher_is_found(space: Path) -> None:
    below = space.parent / "below" / "tiny.yaml"
    below.parent.mkdir()
    below.write_text(SPACE)
    assert load_sweep(below).spec == load_sweep(space).spec


def test_a_profile_can_be_a_path(space: Path) -> None:
    elsewhere = space.parent / "elsewhere.yml"
    (space.parent / "profiles" / "tiny.yaml").rename(elsewhere)
    assert load_sweep(space, profile=str(elsewhere)).spec.profile == "tiny"


def write_profiles(folder: Path, **texts: str) -> Path:
    (folder / "profiles").mkdir()
    for name, text in texts.items():
        (folder / "profiles" / f"{name}.yaml").write_text(text)
    return folder / "space.yaml"


def test_a_profile_is_put_over_the_one_that_it_extends(tmp_path: Path) -> None:
    path = write_profiles(
        tmp_path,
        base="{description: x, data: {kind: jsonl, path: p}, train: {steps: 8, seed: 1}}",
        over="{extends: base, data: {kind: embedded}, train: {steps: 9}}",
    )
    document: Document = {"name": "mine", "train": {"seed": 2}}
    assert merge_profile(document, path=path, profile="over") == {
        "name": "mine",
        "profile": "over",
        # Of another kind: the fields of the old one would not fit.
        "data": {"kind": "embedded"},
        "train": {"steps": 9, "seed": 2},
    }


def test_profiles_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    path = write_profiles(tmp_path, one="extends: two", two="extends: one")
    with pytest.raises(SpecError, match="one extends two extends one"):
        merge_profile({"profile": "one"}, path=path)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "[a]", "../x", "pipe"])
def test_a_name_that_no_profile_has_is_refused(space: Path, name: str) -> None:
    os.mkfifo(space.parent / "profiles" / "pipe.yaml")
    with pytest.raises(SpecError, match="no profile") as caught:
        load_sweep(space, profile=name)
    # What has been named is not offered.
    assert f"did you mean {name!r}" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("profile", ["[tiny]", "{name: tiny}", "3", "true"])
def test_a_profile_is_named_by_a_text(space: Path, profile: str) -> None:
    space.write_text(SPACE.replace("profile: tiny", f"profile: {profile}"))
    with pytest.raises(SpecError, match="give the name of a profile"):
        load_sweep(space)


@pytest.mark.parametrize("extended", ["[one]", "3", "''", "../one", "/", '"."'])
def test_a_profile_extends_one_beside_it(tmp_path: Path, extended: str) -> None:
    path = write_profiles(tmp_path, one=f"extends: {extended}")
    with pytest.raises(SpecError, match="give the name of a profile in the same folder"):
        merge_profile({"profile": "one"}, path=path)


OWN = """
name: mine
model: {kind: architecture, name: smollm2-135m}
data: {kind: embedded}
resources: {workers: 2}
methods: [{name: lora}]
train: {steps: 8, learning_rate: 1e-3}
"""


def test_a_space_with_model_and_data_of_its_own_needs_no_profile(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(OWN)
    spec = load_sweep(path).spec
    assert (spec.profile, spec.resources.workers) == ("smollm2-135m", 2)
    # Nothing of the default profile comes with it.
    assert load_sweep(path).space.any_trial().train.batch_size == 8
    with pytest.raises(SpecError, match="--profile: is embedded, but the file says itself"):
        load_sweep(path, profile="embedded")
    path.write_text(f"{OWN}profile: embedded\n")
    with pytest.raises(SpecError, match=r"profile: is embedded, but .* leave the profile out"):
        load_sweep(path)
    path.write_text(OWN.replace("data: {kind: embedded}", ""))
    with pytest.raises(SpecError, match="give model and data both and no profile"):
        load_sweep(path)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ({"kind": "hub", "name": "owner/Some_Model-1.5"}, "Some_Model-1.5"),
        ({"kind": "folder", "path": "/data/my model/"}, "my-model"),
        ({"kind": "folder", "path": ".."}, "model"),
        ({"kind": "embedded"}, "embedded"),
    ],
)
def test_the_model_gives_such_a_space_its_second_name(tmp_path, model, name) -> None:
    document: Document = {"name": "mine", "model": model, "data": {"kind": "embedded"}}
    assert read_profile(document, path=tmp_path / "mine.yaml") == {"profile": name}
    assert over_profile(document, {"profile": name})["profile"] == name
