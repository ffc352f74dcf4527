"""Which trials of a search are confirmed, read from its folder, and how the confirmation stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeper.analysis.confirmation import (
    Confirmation,
    confirmation_names,
    confirmation_of,
    confirmation_text,
    confirms,
)
from sweeper.analysis.ranking import rank_sweep
from sweeper.experiment.documents.tree import get_path
from sweeper.experiment.loading import build_sweep
from sweeper.report.terminal import next_commands
from sweeper.tracking.places import MAX_NAME
from sweeper.tracking.stored import ConfirmedSearch
from sweeper.tracking.sweep_folder import SweepFolder

SEARCH: dict[str, Any] = {
    "name": "ranks",
    "profile": "tiny",
    "model": {"kind": "architecture", "name": "smollm2-135m"},
    "data": {"kind": "embedded"},
    "methods": [{"name": "lora", "rank": {"choice": [2, 4, 8]}}],
    "train": {"steps": 8, "learning_rate": 1e-3, "seed": {"choice": [0, 1, 30]}},
    "search": {"trials": 6, "confirm": {"top": 2, "seeds": 3}},
}
# Rank, seed, loss, and how the trial ended.
TRIALS = (
    (2, 0, 3.0, "complete"),
    (4, 0, 2.0, "complete"),
    (4, 1, 1.0, "complete"),
    (8, 0, 0.5, "pruned"),
    (8, 30, 0.4, "failed"),
)


def search_in(home: Path, trials=TRIALS, *, name: str = "search", **changes: Any) -> SweepFolder:
    document = {**SEARCH, **changes}
    folder = SweepFolder.create(home, name, document=document)
    space = build_sweep(document, source="a search").space
    for number, (rank, seed, loss, end) in enumerate(trials):
        spec = space.trial({"method": "lora", "lora.rank": rank, "train.seed": seed})
        trial = folder.add_trial(
            spec.identity(), spec=spec.model_dump(mode="json"), number=number, method="lora"
        )
        trial.begin()
        trial.append(8, {"eval_loss": loss})
        {"complete": trial.complete, "pruned": trial.prune}.get(
            end, lambda trial=trial: trial.fail("DivergedError", "the loss is NaN")
        )()
    folder.mark("complete")
    return folder


def found_of(folder: SweepFolder) -> Confirmation:
    found = confirmation_of(folder)
    assert found is not None
    return found


def names_in(found: Confirmation) -> list[str]:
    assert found.document is not None
    design = build_sweep(found.document, source="a confirmation").design
    assert design is not None
    return [configuration.name for configuration in design.configurations]


def own_of(search: SweepFolder, name: str = "search-confirm") -> SweepFolder:
    of = ConfirmedSearch(name=search.name, sweep_id=search.about().sweep_id)
    document = {"name": "ranks-confirm", "trials": [{}, {}]}
    return SweepFolder.create(search.home, name, document=document, confirms=of)


def text_of(folder: SweepFolder) -> str:
    return confirmation_text(folder, rank_sweep(folder))


def test_the_best_complete_configurations_are_confirmed_with_seeds_that_none_had(tmp_path):
    found = found_of(search_in(tmp_path))
    # Rank 4 is one configuration, of which trial 2 is the better; what was stopped is none.
    assert names_in(found) == ["trial-2-lora", "trial-0-lora"]
    assert found.document is not None
    # Those that failed and those that were stopped had their seeds, too.
    assert get_path(found.document, ("design", "first_seed")) == 31
    assert found.is_left


def test_there_are_no_more_than_asked_for_and_no_more_than_there_are(tmp_path):
    trials = [(rank, 0, float(rank), "complete") for rank in (8, 4, 2)]
    many = search_in(tmp_path, trials, name="many")
    assert names_in(found_of(many)) == ["trial-2-lora", "trial-1-lora"]
    search = {"trials": 3, "confirm": {"top": 9}}
    few = search_in(tmp_path, trials, name="few", search=search)
    assert names_in(found_of(few)) == ["trial-2-lora", "trial-1-lora", "trial-0-lora"]


def test_a_trial_whose_description_is_damaged_is_passed_over_and_named(tmp_path, caplog):
    trials = [(rank, 0, float(rank), "complete") for rank in (8, 4, 2)]
    folder = search_in(tmp_path, trials)
    best = rank_sweep(folder).best
    assert best is not None
    (folder.trial(best.id).path / "spec.json").write_text("{")
    assert names_in(found_of(SweepFolder(folder.path))) == ["trial-1-lora", "trial-0-lora"]
    assert "trial 2 cannot be confirmed" in caplog.text


def test_before_the_search_is_over_nothing_is_chosen(tmp_path):
    folder = search_in(tmp_path)
    folder.mark("stopped")
    found = found_of(folder)
    assert (found.document, found.is_left) == (None, False)
    assert text_of(folder) == (
        "After the search a confirmation compares the best 2 configurations with 3 fresh seeds "
        "each."
    )


def test_one_configuration_without_a_control_arm_is_not_confirmed(tmp_path):
    folder = search_in(tmp_path, TRIALS[1:])
    found = found_of(folder)
    assert (found.document, found.is_left) == (None, False)
    assert "nothing is confirmed: the search has no two" in text_of(folder)


def test_a_report_names_the_confirmation_and_what_goes_on_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SWEEPER_HOME", str(tmp_path))
    folder = search_in(tmp_path)
    resume, report = "python -m sweeper resume search", "python -m sweeper report search-confirm"
    assert "not there yet" in text_of(folder)
    assert "'resume search' runs it" in text_of(folder)
    commands = next_commands(folder, rank_sweep(folder))
    assert resume in commands
    assert report not in commands
    own = own_of(folder)
    assert "search-confirm is not complete; 'resume search'" in text_of(folder)
    assert {resume, report} <= set(next_commands(folder, rank_sweep(folder)))
    own.mark("complete")
    assert text_of(folder) == (
        "Its confirmation is search-confirm: 'report search-confirm' has the verdicts."
    )
    commands = next_commands(folder, rank_sweep(folder))
    assert report in commands
    assert resume not in commands
    assert text_of(own).startswith("This confirms the search search: its 2 best trials")


def test_a_confirmation_is_known_by_the_search_and_not_by_its_name(tmp_path):
    folder = search_in(tmp_path)
    other = SweepFolder.create(tmp_path, "search-confirm", document={})
    assert not confirms(other, folder)
    assert found_of(folder).folder is None
    own = own_of(folder, "search-confirm-2")
    found = found_of(folder)
    assert found.folder is not None
    assert found.folder.path == own.path
    (own.path / "sweep.json").write_text("{")
    assert not confirms(SweepFolder(own.path), folder)


@pytest.mark.parametrize("length", [1, MAX_NAME - 8, MAX_NAME])
def test_a_search_of_any_name_has_names_for_its_confirmation(length: int) -> None:
    names = list(confirmation_names("a" * length))
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= MAX_NAME
    assert names[0].endswith("-confirm")


@pytest.mark.parametrize("search", [{}, {"confirm": None}, {"confirm": {"top": 0}}, 3])
def test_without_a_declaration_nothing_is_said(tmp_path: Path, search: Any) -> None:
    folder = SweepFolder.create(tmp_path, "old", document={"search": search})
    assert confirmation_of(folder) is None
    assert text_of(folder) == ""
