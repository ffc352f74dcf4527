"""What the owner has changed of a sweep: kept, the last one counts, damage is none."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import DamagedFileError
from sweeper.tracking.owner.revisions import (
    REVISIONS_FILE,
    Revision,
    Revisions,
    add_revision,
    revised,
)
from sweeper.tracking.stored import read_stored
from sweeper.tracking.sweep_folder import SweepFolder

NOW = datetime(2026, 1, 1, tzinfo=UTC)


# How a sweep is searched that has not noted it.
BEGUN = {"sampler": "tpe", "stop": "asha"}


def revision(before: int, trials: int) -> Revision:
    return Revision(at=NOW, by="me@here", trials_before=before, trials=trials)


def test_revisions_are_kept_and_the_last_one_counts(tmp_path: Path) -> None:
    sweep = SweepFolder.create(tmp_path, "one", document={"search": {"trials": 8, "seed": 3}})
    asked = (sweep.path / "sweep.json").read_bytes()
    for before, trials in [(8, 10), (10, 30)]:
        add_revision(sweep.path, revision(before, trials))
    found = read_stored(sweep.path / REVISIONS_FILE, Revisions)
    assert found is not None
    assert [one.trials for one in found.revisions] == [10, 30]
    assert sweep.document["search"] == {"trials": 30, "seed": 3}
    assert (sweep.path / "sweep.json").read_bytes() == asked


def test_a_search_without_a_section_gets_one() -> None:
    found = Revisions(revisions=(revision(8, 9),))
    assert revised({"name": "x"}, found) == {"name": "x", "search": {"trials": 9}}
    assert revised({"name": "x"}, None) == {"name": "x"}
    assert revised({"name": "x"}, Revisions(revisions=())) == {"name": "x"}


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ({}, BEGUN),
        ({"trials": 4}, {**BEGUN, "trials": 4}),
        ({"sampler": "gp", "stop": "share"}, {"sampler": "gp", "stop": "share"}),
    ],
)
def test_a_search_that_has_not_noted_how_it_is_searched_is_of_the_first_way(
    search: dict[str, Any], expected: dict[str, Any]
) -> None:
    document = {"methods": [], "search": search}
    assert revised(document, None)["search"] == expected
    for key in ("design", "trials"):
        assert revised({**document, key: []}, None)["search"] == search


def test_a_damaged_file_counts_as_none_is_told_and_stays(tmp_path: Path) -> None:
    sweep = SweepFolder.create(tmp_path, "one", document={"search": {"trials": 8}})
    path = sweep.path / REVISIONS_FILE
    path.write_text('{"revisions": [{"trials": "all"}]}')
    assert sweep.document["search"]["trials"] == 8
    assert [error.path for error in sweep.damage()] == [path]
    with pytest.raises(DamagedFileError):
        add_revision(sweep.path, revision(8, 9))
    assert "all" in path.read_text()
