"""The options that limit a sweep."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sweeper._text import size_of
from sweeper.cli.limits import go_on_within, limits_asked, require_at_rest, require_no_url
from sweeper.errors import BadInputError
from sweeper.execution.owner import keep_limits
from sweeper.experiment.loading import load_sweep
from sweeper.tracking.asked import read_sweep
from sweeper.tracking.owner import Limits, note_limits
from sweeper.tracking.sweep_folder import SweepFolder
from tests.sweeper.preflight.forecast.test_micro_batch import costs_of


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("22GiB", 22 * 2**30),
        ("22 GB", 22 * 10**9),
        ("1.5MiB", 3 * 2**19),
        ("512KB", 512_000),
        ("22", None),
        ("GiB", None),
        ("-1GiB", None),
        ("22GiBs", None),
        (f"{'9' * 400}GiB", None),
    ],
)
def test_sizes_have_units(text, size):
    assert size_of(text) == size


def test_options_become_limits():
    assert limits_asked(None, None, None) == Limits()
    assert limits_asked(8, 200, "1KiB") == Limits(max_hours=8, max_cost=200, max_memory_bytes=1024)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((0, None, None), "--max-hours: got 0; allowed is a number above 0"),
        ((None, -1, None), "--max-cost: got -1; allowed is a number above 0"),
        ((None, float("inf"), None), "--max-cost: got inf"),
        ((None, None, "lots"), "--max-memory: got 'lots'; allowed is a size above 0"),
        ((None, None, "0GiB"), "--max-memory: got '0GiB'"),
        ((1e308, None, None), "--max-hours: got 1e\\+308; allowed .* at most 1,000,000;"),
        ((None, 1e308, None), "--max-cost: got 1e\\+308; allowed is a number above 0 and at most"),
        ((None, None, "99999999TiB"), "--max-memory: got '99999999TiB'; .* at most 1,024 TiB"),
    ],
)
def test_what_is_no_limit_is_refused(options, said):
    with pytest.raises(BadInputError, match=said):
        limits_asked(*options)


def test_the_largest_limits_can_be_said():
    assert str(limits_asked(1e6, 1e15, "1024TiB")).startswith(
        "1000000 h 00 min and a cost of 1e+15"
    )


@pytest.fixture
def folder(tmp_path):
    sweep = load_sweep(Path("search_spaces/masa.yaml"))
    return SweepFolder.create(tmp_path, "night", document=sweep.document)


def test_a_limit_of_the_cost_holds_when_its_price_is_taken_away(folder):
    note_limits(folder.path, Limits(max_cost=4))
    driver: Any = SimpleNamespace(folder=folder, sweep=read_sweep(folder))
    nothing: Any = None
    with pytest.raises(BadInputError, match=r"--max-cost: got 4, but resources.price_per_hour is"):
        go_on_within(driver, Limits(), nothing)


def test_a_limit_in_which_no_trial_ends_is_refused(folder):
    sweep = read_sweep(folder)
    keep_limits(folder.path, Limits(max_hours=0.006), costs_of(sweep))
    driver: Any = SimpleNamespace(folder=folder, sweep=sweep)
    nothing: Any = None
    with pytest.raises(BadInputError, match=r"21.6 s left of its limit .* nothing was started"):
        go_on_within(driver, Limits(), nothing)


def test_a_sweep_that_runs_takes_no_limits(folder):
    require_at_rest(folder, Limits(max_hours=2))
    with folder.lock():
        require_at_rest(folder, Limits())
        with pytest.raises(BadInputError, match="got a limit of 2 h 00 min for sweep night, which"):
            require_at_rest(folder, Limits(max_hours=2))


def test_what_a_url_would_undo_is_refused(tmp_path, monkeypatch):
    folder = SweepFolder.create(tmp_path, "night", document={})
    require_no_url(folder, "clone")
    monkeypatch.setattr("sweeper.tracking.mirror.is_at_url", lambda _: True)
    with pytest.raises(BadInputError, match="clone: sweep night is kept at a URL"):
        require_no_url(folder, "clone")
