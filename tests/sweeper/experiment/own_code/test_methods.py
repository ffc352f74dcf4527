"""Methods of one's own in a search space: found, named, and searched like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import SpecError
from sweeper.experiment.loading import build_sweep, load_sweep
from sweeper.experiment.trial import TrialSpec
from sweeper.search.draws import draw_all
from tests.adapters.own_method import write_method
from tests.sweeper.experiment.spaces import problems_of_space

FIRST = "methods=[{python: 'mine.py:NarrowSpec', rank: {choice: [1, 3]}}, {name: lora}]"
FIXED = "methods=[{python: 'mine.py:NarrowSpec', rank: 2}, {name: lora}]"
ALONE = ("baselines=null", "train.learning_rate=1e-3", "search.trials=3")


@pytest.fixture
def mine(space: Path) -> Path:
    write_method(space.parent)
    return space.parent / "mine.py"


def trials(space: Path, *overrides: str) -> list[TrialSpec]:
    return [x.spec for x in draw_all(load_sweep(space, overrides=[FIRST, *ALONE, *overrides]))]


def test_it_is_searched_sized_and_addressed_by_its_name(space: Path, mine: Path) -> None:
    found = trials(space)
    assert sorted((x.method.label, x.method.rank) for x in found) == [
        ("lora", 8),
        ("narrow", 1),
        ("narrow", 3),
    ]
    sized = "methods=[{python: 'mine.py:NarrowSpec'}, {name: lora}]"
    budget = "budget={match: lora, rank: 4}"
    found = trials(space, sized, budget)
    assert {x.method.rank for x in found} == {4}
    problems = problems_of_space(space, FIRST, *ALONE, budget)
    assert "the budget sets it" in problems["methods.narrow.rank"]


def test_an_override_calls_it_by_its_name(space: Path, mine: Path) -> None:
    text = space.read_text().replace("name: lora", "python: mine.py:NarrowSpec")
    space.write_text(text.replace("rank: {choice: [4, 8]}", "rank: 4"))
    sweep = load_sweep(space, overrides=["methods.narrow.rank=2"])
    tree: Any = sweep.space.method("narrow").tree
    assert tree["method"]["rank"] == 2


def test_what_is_kept_of_a_sweep_makes_it_again(
    space: Path, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = load_sweep(space, overrides=[FIRST, *ALONE])
    document: Any = sweep.document
    entry = document["methods"][0]
    assert entry["name"] == "narrow"
    assert entry["python"] == f"{mine}:NarrowSpec"
    monkeypatch.chdir("/")
    again = build_sweep(sweep.document, source="kept")
    assert again.spec == sweep.spec
    assert again.space.any_trial() == sweep.space.any_trial()


def test_it_is_found_in_baselines_and_lists_and_here(
    space: Path, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    mine.rename(here / "mine.py")
    baseline = "baselines=[{method: {python: 'mine.py:NarrowSpec', rank: 3}}]"
    sweep = load_sweep(space, overrides=[FIRST, *ALONE[1:], baseline])
    assert sweep.space.baselines == ({"method": "narrow", "narrow.rank": 3},)
    listed = "trials=[{name: a, method: {python: 'mine.py:NarrowSpec', rank: 3}}]"
    text = space.read_text().split("methods:")[0] + "trials: []\ntrain: {learning_rate: 1e-3}\n"
    space.write_text(text)
    sweep = load_sweep(space, overrides=[listed])
    assert sweep.space.any_trial().method.model_dump()["python"] == f"{here}/mine.py:NarrowSpec"


def test_another_code_is_another_trial_and_another_folder_is_not(space: Path, mine: Path) -> None:
    first = {x.method.label: x.identity() for x in trials(space, FIXED)}
    elsewhere = space.parent / "elsewhere"
    elsewhere.mkdir()
    mine.rename(elsewhere / "mine.py")
    moved = f"methods=[{{python: '{elsewhere}/mine.py:NarrowSpec', rank: 2}}, {{name: lora}}]"
    assert {x.method.label: x.identity() for x in trials(space, moved)} == first
    write_method(elsewhere, ("Rank.", "The rank."))
    changed = {x.method.label: x.identity() for x in trials(space, moved)}
    assert changed["lora"] == first["lora"]
    assert changed["narrow"] != first["narrow"]


@pytest.mark.parametrize(
    ("entry", "place", "message"),
    [
        ("python: 'mina.py:NarrowSpec'", "python", "there is no file .*did you mean 'mine.py'"),
        ("python: 'mine.py:Narrow'", "python", "defines no 'Narrow'; .* did you mean 'NarrowSpec'"),
        ("python: my.package:A", "python", "is named FILE.py:CLASS; .* or install a package"),
        ("python: 3", "python", "got 3; it must be text; write FILE.py:CLASS"),
        ("python: 'mine.py:NarrowSpec', sha256: [a]", "python", r"sha256 is \['a'\]; it must"),
        ("python: 'mine.py:NarrowSpec', name: wide", "name", "is 'wide', but NarrowSpec is called"),
    ],
)
def test_what_is_wrong_is_told_before_anything_else(
    space: Path, mine: Path, entry: str, place: str, message: str
) -> None:
    with pytest.raises(SpecError, match=rf"methods\.1\.{place}: .*{message}"):
        load_sweep(space, overrides=[f"methods=[{{name: lora}}, {{{entry}}}]", *ALONE])


def test_fields_that_are_wrong_are_told_under_its_name(space: Path, mine: Path) -> None:
    entry = "methods=[{python: 'mine.py:NarrowSpec', rank: 99}]"
    assert "its rank is at most" in problems_of_space(space, entry, *ALONE)["methods.narrow.rank"]
    entry = "methods=[{python: 'mine.py:NarrowSpec', rnk: 9}]"
    assert "known: name, rank" in problems_of_space(space, entry, *ALONE)["methods.narrow.rnk"]


def test_a_method_that_fails_is_bad_input(space: Path, mine: Path) -> None:
    write_method(space.parent, ("return self.rank *", "return self.rnk *"))
    message = problems_of_space(space, FIRST, *ALONE)["methods"]
    assert "failed in count: AttributeError" in message


def test_a_sweep_whose_file_is_gone_says_so(space: Path, mine: Path) -> None:
    document = load_sweep(space, overrides=[FIRST, *ALONE]).document
    document["methods"][0]["sha256"] = "0" * 64  # type: ignore[index, call-overload]
    with pytest.raises(SpecError, match="is not the file that the sweep was made with"):
        build_sweep(document, source="kept")
