"""The prior of learning rates: what it is fitted to, and what is predicted of what is left out."""

import json
import math
import sys
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.curves.table import read_table, write_table
from benchmarks.rates import __main__ as bench
from benchmarks.rates.cells import Cell, cells_of, content_of, model_of
from benchmarks.rates.fitting import fit, fitted
from benchmarks.rates.folds import folds
from benchmarks.rates.judging import Judged, Match, judge, matches, summaries
from benchmarks.rates.page import page, text
from benchmarks.rates.trying import bracket, chosen, climb, search
from sweeper.errors import BadInputError
from sweeper.experiment.space.rates import packaged_prior
from tests import curves

EMBEDDED = {"kind": "embedded"}
SMOLLM = {"kind": "architecture", "name": "smollm2-135m"}
LABELS = ("lora", "masa", "mosa")
STEP = math.log10(2.6)


def bowl(*, best=(3.0, 2.0, 4.0), by_size: float = 0.0, steep: float = 0.3):
    """A loss whose logarithm is a parabola over the rate's, the best at a place of the rates."""

    def loss(cell) -> float:
        method, size, rate = cell
        return float(np.exp(steep * (rate - best[method] - by_size * size) ** 2 - 0.5))

    return loss


def made(model=EMBEDDED, *, ranks=(8, 32), seeds=2, **bowled):
    return curves.table(
        ranks=ranks, seeds=seeds, loss=bowl(**bowled), labels=LABELS, model=model, rows=4
    )


def of(cells, label: str, rank: int = 8) -> Cell:
    return next(x for x in cells if (x.method.label, x.rank) == (label, rank))


@pytest.mark.parametrize("place", [2.0, 2.3, 3.7])
def test_the_best_rate_is_the_vertex_of_the_curve(place):
    cell = of(cells_of(made(best=(place, 2, 4))), "lora")
    # Rates have two digits, losses eleven bits.
    assert cell.best_log10_rate == pytest.approx(-4 + place * STEP, abs=0.02)
    assert not cell.is_at_end


@pytest.mark.parametrize(("place", "rate"), [(-3.0, 0), (11.0, 6)])
def test_a_best_rate_at_the_end_is_the_end(place, rate):
    cell = of(cells_of(made(best=(place, 2, 4), steep=0.05)), "lora")
    assert cell.is_at_end
    assert cell.best_log10_rate == math.log10(cell.rates[rate])


def test_cells_have_their_methods_in_their_sizes():
    cells = cells_of(made())
    assert [(x.method.label, x.rank) for x in cells[:3]] == [("lora", 8), ("lora", 32), ("masa", 8)]
    assert [x.method.rank for x in cells[:2]] == [8, 32]
    assert cells[0].validation.shape == (2, 7)


def test_what_diverged_has_the_bases_loss_and_what_is_missing_no_cell():
    table = curves.table(
        labels=LABELS, model=EMBEDDED, diverged=[(0, 0, 6)], missing=[(1, 1, 3)], rows=4
    )
    cells = cells_of(table)
    assert len(cells) == 5
    assert of(cells, "lora").test[:, 6] == pytest.approx(curves.BASE, abs=1e-2)


def test_losses_between_two_rates_are_between_theirs():
    cell = of(cells_of(made()), "lora")
    for place in range(6):
        middle = math.sqrt(cell.rates[place] * cell.rates[place + 1])
        low, high = sorted(cell.validation[0, place : place + 2])
        assert low < cell.losses_at(middle)[0][0] < high
    # Near the best rate of the table the curve is as flat as a parabola's.
    near = cell.rates[3] * 10 ** (STEP / 10)
    assert cell.losses_at(near)[0][0] < cell.validation[0, 3] * 1.02
    assert cell.losses_at(cell.rates[4])[1] == pytest.approx(cell.test[:, 4])
    assert cell.losses_at(1.0)[1] == pytest.approx(cell.test[:, -1])


def test_a_table_with_another_method_is_told():
    with pytest.raises(BadInputError, match=r"has the method a, which space\.yaml does not list"):
        cells_of(curves.table(model=EMBEDDED))


def test_the_prior_has_the_best_rates_of_the_table():
    table = made()
    prior = fitted([table])
    assert list(prior.methods) == list(LABELS)
    for cell in cells_of(table):
        expected = prior.expected(cell.method, cell.shape)
        assert math.log10(expected.rate) == pytest.approx(cell.best_log10_rate, abs=0.15)
    (said,) = prior.tables
    assert (said["model"], said["width"], said["content"]) == ("embedded", 128, content_of(table))
    assert prior.width == 128


def test_exponents_stay_at_what_is_published_where_no_table_says_anything():
    prior = fitted([made(ranks=(8,))])
    assert (prior.by_width.exponent, prior.by_width.spread) == (-0.781, 0.25)
    # Sizes of one rank differ by rounding alone.
    assert prior.by_size.exponent == pytest.approx(0.19, abs=0.01)


def test_exponents_move_towards_what_tables_say():
    still = fitted([made(by_size=0.0)])
    moved = fitted([made(by_size=1.0)])
    assert still.by_size.exponent < 0.19 < moved.by_size.exponent
    assert moved.by_size.spread < 0.1
    wide = fitted([made(), made(SMOLLM)])
    # The best rates are the same on a model that is 4.5 times as wide.
    assert -0.781 < wide.by_width.exponent < -0.5
    # Two models may differ by more than their widths.
    assert 0.2 < wide.by_width.spread < 0.25


def test_methods_that_agree_are_drawn_together_by_noise():
    alike = fitted([made(best=(3, 3, 3))])
    values = [x.log10_rate for x in alike.methods.values()]
    assert max(values) - min(values) < 0.02
    assert alike.others.spread < fitted([made(best=(1, 3, 5))]).others.spread


def test_what_can_be_left_out_is_left_out():
    one = cells_of(made(seeds=1, ranks=(8,)))
    assert folds(one) == []
    several = [*cells_of(made()), *cells_of(made(SMOLLM, ranks=(8,), seeds=1))]
    found = [(x.kind, x.name, len(x.held), len(x.rest)) for x in folds(several)]
    assert found == [
        ("model", "embedded", 6, 3),
        ("model", "smollm2-135m", 3, 6),
        ("size", "embedded, size 8", 3, 6),
        ("size", "embedded, size 32", 3, 6),
        ("seed", "seed 0", 6, 6),
        ("seed", "seed 1", 6, 6),
    ]
    by_seed = folds(several)[-1]
    assert {x.seeds for x in (*by_seed.held, *by_seed.rest)} == {1}
    assert not {id(x) for x in by_seed.held} & {id(x) for x in by_seed.rest}


def test_small_designs_try_three_rates():
    cell = of(cells_of(made(seeds=1)), "lora")
    best = float(cell.rates[3])
    assert list(bracket(0.01)) == pytest.approx([0.01, 0.03, 0.01 / 3])
    assert cell.nearest(best * 1.5) == best
    assert climb(cell, best)[2] == pytest.approx(best / 3)
    low = float(cell.rates[0])
    assert climb(cell, low)[2] == pytest.approx(low * 9)


def test_what_is_chosen_is_the_best_by_validation():
    cell = of(cells_of(made(seeds=1)), "lora")
    other = Cell(
        cell.model, cell.method, cell.rank, cell.shape, cell.rates, cell.validation, 99 - cell.test
    )
    rates = [float(cell.rates[x]) for x in (0, 3, 6)]
    assert chosen(cell, rates) == pytest.approx([cell.test[0, x] for x in (0, 3, 3)])
    assert chosen(other, rates)[-1] == pytest.approx(other.test[0, 3])


def test_a_search_starts_where_it_is_told():
    cell = of(cells_of(made(seeds=1)), "lora")
    plain = search(cell, trials=6, seed=1)
    started = search(cell, trials=6, seed=1, start=2e-3)
    assert started[0] == 2e-3
    assert len(set(plain)) == len(set(started)) == 6
    assert all(1e-4 <= rate <= cell.rates[-1] for rate in plain)
    assert search(cell, trials=1, seed=1, start=1.0) == (cell.rates[-1],)
    assert search(cell, trials=6, seed=1) == plain


def test_a_prior_that_is_right_needs_one_trial():
    judged = judge(cells_of(made()), trials=4, searches=1)
    assert {x.kind for x in judged} == {"size", "seed"}
    first = {x.kind: x for x in summaries(judged) if x.way == "first"}
    assert (first["seed"].near, first["seed"].cells) == (1.0, 12)
    assert abs(first["seed"].mean) < 0.02
    three = {(x.kind, x.way): x for x in matches(judged)}
    # Four trials of a search seldom find it.
    assert three["seed", "climb"].difference < 0
    assert three["seed", "climb"].low < three["seed", "climb"].difference
    assert all(x.excess["search"] == x.search[-1] for x in judged)
    assert {x.kind for x in judged if "tuned elsewhere" in x.excess} == {"seed"}


def test_the_interval_of_a_difference_says_whether_it_is_shown():
    def verdict(low: float, high: float) -> str:
        return Match("seed", "bracket", (low + high) / 2, low, high, equal_after=None).verdict

    assert verdict(-0.5, 0.019) == "as good, within 2%"
    assert verdict(-0.5, 0.021) == verdict(0.01, 0.03) == "not shown"
    assert verdict(0.021, 0.03) == "worse"


def test_a_prior_of_another_model_that_is_wrong_is_found_out():
    tables = [made(seeds=1, ranks=(8,)), made(SMOLLM, seeds=1, ranks=(8,), best=(6, 5, 6))]
    judged = judge([x for table in tables for x in cells_of(table)], trials=4, searches=1)
    assert {x.kind for x in judged} == {"model"}
    (first,) = [x for x in summaries(judged) if x.way == "first"]
    assert first.near == 0
    assert first.mean > 0.1


def test_page_and_text_say_whether_the_goals_are_reached():
    tables = [made()]
    judged = judge(cells_of(tables[0]), trials=3, searches=1)
    shown = text(judged, width=120)
    assert "the first trial (first) is near in 100% of 12 cells; the goal, 80%, is reached" in shown
    assert "No model could be left out" in shown
    written = page(judged, fitted(tables), about=["About."])
    assert written.startswith("# Learning rates\n")
    assert "| seed | first | 12 | 100% |" in written
    assert "About." in written
    worse = [replace(x, excess={**x.excess, "first": 0.5}) for x in judged]
    assert "the goal, 80%, is **missed**" in text(worse, width=120)


def test_judged_cells_go_into_json():
    judged: list[Judged] = judge(cells_of(made(seeds=1)), trials=3, searches=1)
    (first, *_) = json.loads(json.dumps([x.document() for x in judged], allow_nan=False))
    assert first["kind"] == "size"
    assert set(first["excess"]) == {
        "first",
        "rule",
        "bracket",
        "climb",
        "nearest",
        "started",
        "search",
    }


def test_the_command_writes_the_prior(tmp_path, monkeypatch, capsys):
    path, written = tmp_path / "curves.npz", tmp_path / "prior.json"
    write_table(path, made())
    monkeypatch.setattr(bench, "PRIOR_FILE", written)
    monkeypatch.setattr(sys, "argv", ["rates", "--fit", str(path)])
    bench.main()
    assert capsys.readouterr().out == f"{written}\n"
    assert json.loads(written.read_text())["tables"][0]["model"] == "embedded"
    monkeypatch.setattr(sys, "argv", ["rates", str(tmp_path / "none.npz")])
    with pytest.raises(SystemExit, match="there is no table at"):
        bench.main()


def test_the_packaged_prior_is_what_the_tables_of_the_repository_say():
    """Whoever trains a table again fits the prior again: make rate-priors."""
    paths = bench.tables_there()
    if not paths:
        pytest.skip("no table of learning curves is here: make curves")
    tables = [read_table(path) for path in paths]
    assert fitted(tables) == packaged_prior()


def test_a_model_is_named_without_the_folder_that_it_is_in():
    table = made({"kind": "folder", "path": "/some/where/stories260K/"})
    assert model_of(table) == "stories260K"


def test_a_model_of_the_tables_keeps_its_own_rates_where_width_does_not_explain_them():
    # The wider one has the higher rates, against what is published.
    cells = [*cells_of(made(best=(2, 1, 3))), *cells_of(made(SMOLLM, best=(4, 3, 5)))]
    prior = fit(cells, tables=[{"model": "both"}])
    low, high = prior.models
    assert (low.name, high.name) == ("embedded", "smollm2-135m")
    assert low.decades == pytest.approx(-high.decades)
    assert high.decades > 0.2
    for cell in cells:
        expected = prior.expected(cell.method, cell.shape)
        assert math.log10(expected.rate) == pytest.approx(cell.best_log10_rate, abs=0.15)
    (alone,) = fit(cells_of(made()), tables=[{"model": "one"}]).models
    assert alone.decades == 0


def test_a_fit_needs_cells_of_any_model():
    cells = cells_of(made(SMOLLM, seeds=1, ranks=(8,)))
    prior = fit(cells, tables=[{"model": "x"}])
    assert prior.width == pytest.approx(576)
