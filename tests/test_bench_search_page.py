"""What the replay bench prints, writes and draws."""

from typing import Any

import pytest

from benchmarks.curves.table import write_table
from benchmarks.search import __main__ as bench
from benchmarks.search.contestants import TODAY, by_name
from benchmarks.search.page import PAGE, conclusions, page, plot, rows_of, text
from benchmarks.search.scoring import Difference, Result, Results
from benchmarks.search.searching import searches
from tests import curves


def result(name: str, regret: float, **fields) -> Result:
    standard: dict[str, Any] = {
        "note": f"what {name} is",
        "curve": (0.5, 0.2, regret),
        "standard_error": 0.01,
        "difference": None,
        "steps": 100.0,
        "saving": 0.0,
        "time_saving": 0.0,
        "goal": None,
        "trials": 12.5,
        "swaps": 13.0,
    }
    return Result(name=name, regret=regret, **(standard | fields))


def results(*, high: float, goal_high: float, saving: float | None) -> Results:
    rival = result(
        "rival",
        0.05,
        difference=Difference(-0.05, -0.1, high),
        goal=Difference(-0.01, -0.2, goal_high),
        saving=saving,
        time_saving=None,
    )
    return Results("today", (40.0, 80.0, 120.0), 100.0, (result("today", 0.1), rival))


def test_what_wins_and_reaches_the_goal_is_said():
    won, time, reached = conclusions(results(high=-0.01, goal_high=-0.001, saving=0.4))
    assert won.startswith("rival is better than today at the same steps")
    assert time == "Time that it saves, swaps included: not reached."
    assert reached == "The goal, 30 % fewer steps than today at equal regret, is reached by rival."


def test_a_goal_that_is_not_shown_is_missed():
    stays, missed, mean = conclusions(results(high=0.01, goal_high=0.01, saving=0.4))
    assert stays == "No way is better than today at the same steps. The default stays."
    assert "is **missed**" in missed
    assert mean == "In the mean, without the interval, it is reached by rival."
    assert len([*conclusions(results(high=0.01, goal_high=0.01, saving=None))]) == 2


@pytest.mark.parametrize("width", [80, 160])
def test_the_table_fits_and_is_whole(width):
    found = text(results(high=-0.01, goal_high=0.01, saving=0.4), width=width)
    table = found.partition("\n\n")[0]
    assert max(map(len, table.splitlines())) <= width
    assert "…" not in table
    for word in ("rival", "0.0500", "-0.0500", "40 %", "not reached"):
        assert word in table
    assert ("12.5" in table) == (width == 160)


def test_the_page_has_every_row_the_figure_and_what_is_missing():
    found = page(
        results(high=-0.01, goal_high=0.01, saving=0.4), about=["Of a table."], unlisted=["Racing."]
    )
    for line in (
        "# Search",
        "Of a table.",
        "| rival | 0.0500 ± 0.0100 | -0.0500 [-0.1000, -0.0100] | better | 40 % | not reached | 12",
        "| today | 0.1000 ± 0.0100 |  |  | 0 % | 0 % | 12.5 |",
        "| rival | what rival is |",
        "- Racing.",
    ):
        assert line in found
    assert "](../assets/images/search-regret.svg)" in found
    assert not [x for x in found.splitlines() if len(x) > 120 and not x.startswith("|")]
    assert PAGE.is_file()


def test_the_figure_is_the_same_for_the_same_figures(tmp_path):
    made = results(high=-0.01, goal_high=0.01, saving=0.4)
    for name in ("a.svg", "b.svg"):
        plot(made, tmp_path / name)
    drawn = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert drawn == (tmp_path / "b.svg").read_text(encoding="utf-8")
    for word in ("rival", "today", "steps spent"):
        assert f">{word}</text>" in drawn


def test_rows_are_plain():
    first, second = rows_of(results(high=-0.01, goal_high=0.01, saving=0.4))
    assert first["difference"] is None
    assert second["difference"] == {"value": -0.05, "low": -0.1, "high": -0.01}


def test_searches_are_the_same_in_processes_of_their_own(tmp_path):
    table = curves.table(noise=0.05)
    path = tmp_path / "curves.npz"
    write_table(path, table)
    setting = bench.setting_of(table, trials=4, swap_s=0.3)
    names = ["random", TODAY]
    found = searches(names, seeds=7, path=path, setting=setting, processes=2)
    assert found == {
        name: [by_name(name).search(table, setting, seed=seed) for seed in range(7)]
        for name in names
    }


def test_a_swap_takes_as_long_as_so_many_steps_of_the_table():
    setting = bench.setting_of(curves.table(), trials=20, swap_s=0.3)
    assert setting.budget_steps == 20 * 120
    assert setting.swap_steps == pytest.approx(15)
    said = " ".join(bench.about_of(curves.table(), setting, seeds=7))
    for word in ("3 methods", "84 trainings", "7 searches of 2,400 steps", "torch 1, peft 2"):
        assert word in said


@pytest.mark.parametrize(
    "given", [["--seeds", "1"], ["--only", "TPE + ASHA"], ["--write", "--only", "TPE"]]
)
def test_what_cannot_be_asked_is_refused(monkeypatch, capsys, given):
    monkeypatch.setattr("sys.argv", ["search", *given])
    with pytest.raises(SystemExit, match="2"):
        bench.main()
    assert "error:" in capsys.readouterr().err


def test_without_a_table_the_bench_says_how_it_is_made(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["search", "--table", str(tmp_path / "none.npz")])
    with pytest.raises(SystemExit, match="train it with make curves"):
        bench.main()
