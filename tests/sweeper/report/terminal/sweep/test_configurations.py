"""The table of a design's configurations, or of its tuned methods."""

from __future__ import annotations

import pytest

from sweeper.analysis.ranking import rank_sweep
from sweeper.report.terminal.sweep.configurations import configurations_table
from tests.sweeper.designs import LORA, MASA, MOSA, DesignSweep, by_method, peaked, sweep_of
from tests.sweeper.report.terminal.sweep.test_leaderboard import printed

PAIRED = {"kind": "paired", "tune": None, "seeds": 3}
TUNED = {"kind": "paired", "rates": {"low": 1e-3, "high": 4e-3, "count": 4}, "seeds": 2}


def rows_of(made, width=100):
    table = configurations_table(made.conclusions(), rank_sweep(made.folder))
    assert table is not None
    return [" ".join(line.split()) for line in printed(table, width=width).splitlines()]


def test_configurations_stand_in_the_order_of_the_design(tmp_path):
    made = DesignSweep(tmp_path, sweep_of(PAIRED)).run(
        by_method(mosa=0.55),
        failed=lambda x: x.number == 0,
        trainable=lambda x: 1234 if x.spec.method.name == "mosa" else 1200,
    )
    head, first, second, *_ = [line for line in rows_of(made) if line and "─" not in line]
    assert head == "configuration seeds accuracy (test) trainable may be best"
    assert first.startswith("lora 2 (1 failed) 0.49")
    assert first.endswith(" 1,200")
    assert second.startswith("mosa 3 0.5")
    assert second.endswith(" 1,234 yes")


def test_a_loss_is_shown_as_it_was_measured(tmp_path):
    objective = {"metric": "eval_loss", "mode": "min"}
    made = DesignSweep(tmp_path, sweep_of(PAIRED, objective=objective)).run(by_method(mosa=0.8))
    text = " ".join(rows_of(made))
    assert "-0." not in text
    assert " 0.799" in text


def test_tuned_methods_have_their_best_rate_and_its_edge(tmp_path):
    made = DesignSweep(tmp_path, sweep_of(TUNED)).run(
        lambda x: peaked(x) if x.spec.method.name == "lora" else -100 * x.spec.train.learning_rate
    )
    head, first, second, *_ = [line for line in rows_of(made) if line and "─" not in line]
    assert head == "method seeds best rate accuracy (test) trainable may be best"
    assert first.startswith(("lora 2 0.00159 0.49", "lora 2 0.00252 0.49"))
    assert second.startswith("mosa 2 0.001 (edge) ")
    assert "yes" not in first + second


def test_of_a_factorial_nobody_asks_which_is_the_best(tmp_path):
    factors = {"method": {"rank": [2, 4]}, "train": {"weight_decay": [0, 0.1]}}
    design = {"kind": "factorial", "factors": factors, "seeds": 2}
    head, *_ = rows_of(DesignSweep(tmp_path, sweep_of(design, [LORA])).run())
    assert head == "configuration seeds accuracy (test) trainable"


def test_too_few_rates_are_said(tmp_path):
    made = DesignSweep(tmp_path, sweep_of(TUNED)).run(
        peaked,
        failed=lambda x: x.spec.method.name == "lora" and x.spec.train.learning_rate > 1.6e-3,
    )
    assert any("lora 2 too few rates have two seeds" in line for line in rows_of(made))


@pytest.mark.parametrize("seeds", [1, 2])
def test_without_a_design_or_a_score_there_is_no_table(tmp_path, seeds):
    search = sweep_of(None, [{"name": "lora", "rank": {"choice": [2, 4]}}], search={"trials": 2})
    made = DesignSweep(tmp_path / "a", search).run()
    assert configurations_table(made.conclusions(), rank_sweep(made.folder)) is None
    made = DesignSweep(tmp_path / "b", sweep_of(PAIRED | {"seeds": seeds}, [MASA, MOSA, LORA]))
    made.run(failed=lambda _: True)
    assert configurations_table(made.conclusions(), rank_sweep(made.folder)) is None
