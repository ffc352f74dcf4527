"""What a sweep on disk allows to be said: when, of what, and at which level."""

from __future__ import annotations

import json
import re
import tarfile
from collections import Counter
from importlib import import_module

import pytest

from sweeper.analysis.conclusions import conclusions_of
from sweeper.analysis.conclusions.sweep import unit_of
from sweeper.analysis.ranking import rank_sweep
from sweeper.analysis.statistics.verdicts import PLAIN, POINTS, BestSet, Conclusion, Silence
from sweeper.tracking import FinalResult, SweepFolder, write_final
from sweeper.tracking.final_result import FINAL_FILE
from sweeper.tracking.row_scores import FINAL_ROWS, VALIDATION_ROWS, read_row_scores
from tests.sweeper.analysis.statistics.verdicts.test_words import BANNED
from tests.sweeper.designs import (
    LORA,
    MASA,
    MOSA,
    ROWS,
    DesignSweep,
    by_method,
    peaked,
    sweep_of,
)
from tests.sweeper.execution.test_recorded import ARCHIVE
from tests.sweeper.rows import row_scores

PAIRED = {"kind": "paired", "tune": None, "seeds": 3}
LOOKS = PAIRED | {"seeds": "3/5/10"}
TUNED = {"kind": "paired", "rates": {"low": 1e-3, "high": 4e-3, "count": 4}}
SIZES = {"factors": {"method": {"rank": [2, 4, 8]}}}
CELLS = {"factors": {"method": {"experts": [2, 4], "group_size": [1, 2]}}}
BETTER = by_method(mosa=0.55)


def made(home, design, methods=(LORA, MOSA), **changes):
    return DesignSweep(home, sweep_of(design, methods, **changes))


def compared(found):
    return [each for each in found.statements if isinstance(each, Conclusion)]


def test_a_better_method_is_the_best_and_better(tmp_path):
    found = made(tmp_path, PAIRED).run(BETTER).conclusions()
    best, pair = found.statements
    assert isinstance(best, BestSet)
    assert best.winner == "mosa"
    assert (pair.kind, pair.names) == ("worse", ("lora", "mosa"))
    assert pair.estimate == pytest.approx(-0.05, abs=0.01)
    assert (pair.basis.split, pair.basis.rows, pair.basis.seeds) == ("test", 200, (3, 3))
    head = r"lora is worse than mosa by [45]\.\d+ points \[.*\] \(95 %, 3 seeds × 200 rows, all pai"
    assert re.match(head, found.sentences[1])


def test_rows_of_one_unit_count_once_and_it_is_told(tmp_path):
    sweep = made(tmp_path, PAIRED)
    sweep.clusters = [row // 2 for row in range(200)]
    found = sweep.run(BETTER).conclusions()
    assert {each.basis.rows for each in found.statements} == {100}
    assert "each row counts: the 200 test rows are 100 independent ones." in found.facts[-1]
    assert "count once" not in made(tmp_path / "plain", PAIRED).run(BETTER).said()


def test_less_of_a_loss_is_better(tmp_path):
    objective = {"metric": "eval_loss", "mode": "min"}
    found = made(tmp_path, PAIRED, objective=objective).run(BETTER).conclusions()
    assert found.statements[0].winner == "lora"
    assert found.delta == pytest.approx(0.02 * 0.5, rel=0.05)
    assert "points" not in " ".join(found.sentences)


@pytest.mark.parametrize(
    ("metric", "unit"),
    [
        ("accuracy", POINTS),
        ("rouge_l/history", POINTS),
        ("perplexity", PLAIN),
        ("words", PLAIN),
        ("words/history", PLAIN),
        ("words_macro", PLAIN),
        ("swords", POINTS),
    ],
)
def test_of_what_size_a_function_of_ones_own_is_nobody_has_said(metric, unit):
    assert unit_of(metric, own={"words"}) is unit


def test_equal_methods_are_told_so_by_delta(tmp_path):
    found = made(tmp_path / "a", PAIRED).run().conclusions()
    assert found.delta == 0.01
    assert compared(found)[0].kind == "equivalent"
    assert "Equivalent within 1 point: lora and mosa differ by" in " ".join(found.sentences)
    narrow = made(tmp_path / "b", PAIRED | {"delta": 0.001}).run().conclusions()
    assert narrow.delta == 0.001
    assert compared(narrow)[0].kind == "undecided"
    said = " ".join(narrow.sentences)
    assert "Not distinguishable yet: lora and mosa; differences up to" in said
    assert "to find 0.1 points: " in said


def test_tuned_methods_are_compared_at_their_peaks(tmp_path):
    made_ = made(tmp_path, TUNED | {"seeds": 3})
    made_.run(lambda x: peaked(x) + (0.05 if x.spec.method.name == "mosa" else 0))
    best, pair = made_.conclusions().statements
    assert (best.winner, best.of_methods) == ("mosa", True)
    assert (pair.kind, pair.family) == ("worse", "peaks_all_pairs")


def test_a_rate_at_the_edge_gives_no_verdict(tmp_path):
    made_ = made(tmp_path, TUNED | {"seeds": 2})
    made_.run(lambda x: peaked(x) if x.spec.method.name == "lora" else x.spec.train.learning_rate)
    said = made_.said()
    assert "Range too narrow: the best value of mosa, train.learning_rate 0.004, is an" in said
    assert not compared(made_.conclusions())


def test_one_change_at_a_time_is_held_against_the_baseline_and_has_a_trend(tmp_path):
    made_ = made(tmp_path, {"kind": "one_factor", "seeds": 3, **SIZES}, [LORA])
    found = made_.run(lambda x: 0.4 + 0.01 * x.spec.method.rank).conclusions()
    assert [x.family for x in compared(found)] == ["against_control"] * 2 + ["size_trend"] * 2
    assert [x.kind for x in compared(found)] == ["worse", "better", "better", "better"]


def test_a_factorial_tells_effects_and_compares_with_the_control_arm(tmp_path):
    made_ = made(tmp_path, {"kind": "factorial", "seeds": 2, **CELLS}, [MASA])
    gain = {4: 0.05}
    found = made_.run(lambda x: 0.5 + gain.get(getattr(x.spec.method, "experts", 0), 0))
    families = [x.family for x in compared(found.conclusions())]
    assert families == ["factorial"] * 3 + ["declared_pairs"]
    assert "experts=4 is better than experts=2 by " in found.said()


@pytest.mark.parametrize("kind", ["grid", "replicate"])
def test_the_best_of_a_grid_or_of_given_trials(tmp_path, kind):
    trials = {"trials": [{"name": f"r{n}", "method": LORA | {"rank": n}} for n in (2, 4, 8)]}
    changes = trials if kind == "replicate" else {}
    factors = {} if kind == "replicate" else SIZES
    made_ = made(tmp_path, {"kind": kind, "seeds": 2, **factors}, [LORA], **changes)
    found = made_.run(lambda x: 0.4 + 0.02 * x.spec.method.rank).conclusions()
    assert found.statements[0].winner == ("r8" if kind == "replicate" else "rank=8")
    assert len(compared(found)) == 3


# Seeds.


@pytest.mark.parametrize(
    ("done", "used", "percent"), [(3, 3, "99"), (4, 3, "99"), (5, 5, "98.5"), (10, 10, "97.5")]
)
def test_a_look_has_its_seeds_and_its_level(tmp_path, done, used, percent):
    said = made(tmp_path, LOOKS).run(BETTER, seeds=range(done)).said()
    assert f"The best is mosa ({percent} %, {used} seeds × 200 rows, " in said


@pytest.mark.parametrize(
    ("design", "done", "why"),
    [
        (LOOKS, [0, 1], "the first declared look; 2 of them have ended in all configurations."),
        # A later one does not stand in for one that is not there.
        (LOOKS, [0, 1, 3], "the first declared look; 2 of them have ended in all configurations."),
        (LOOKS, [1], "the first declared look; 1 of them has ended in all configurations."),
        (PAIRED, [0, 1], "as the design declares; 2 of them have ended in all configurations."),
    ],
)
def test_nothing_is_concluded_before_the_seeds_that_were_declared(tmp_path, design, done, why):
    found = made(tmp_path, design).run(BETTER, seeds=done).conclusions()
    assert found.statements == ()
    assert found.why_none == f"Nothing is concluded before 3 seeds, {why}"
    assert found.parity
    assert found.facts[0].startswith("Best by validation: trial ")


def test_a_look_waits_for_the_configuration_with_the_fewest_seeds(tmp_path):
    made_ = made(tmp_path, LOOKS)
    made_.run(seeds=range(2))
    made_.trials = [x for x in made_.trials if x.spec.method.name == "lora"]
    assert "2 of them have ended" in made_.run(seeds=[2]).conclusions().why_none


@pytest.mark.parametrize("last", [2, 3])
def test_at_a_look_no_later_seed_stands_in_for_one_that_failed(tmp_path, last):
    made_ = made(tmp_path, LOOKS)
    made_.run(
        BETTER,
        seeds=range(last + 1),
        failed=lambda x: x.spec.method.name == "mosa" and x.spec.train.seed == 1,
    )
    found = made_.conclusions()
    best, pair = found.statements
    assert pair.basis.seeds == best.basis.seeds == (2, 3)
    # Three were declared at this look, though four were tried at last.
    assert "1 of 3 seeds of mosa failed and is left out" in pair.caveats
    assert found.differences is not None
    assert [len(row.seeds) for row in found.differences.rows] == [3, 2]
    assert [row.failed_seeds for row in found.differences.rows] == [0, 1]


def test_none_is_at_a_look_of_which_no_seed_lived(tmp_path):
    made_ = made(tmp_path, LOOKS, [LORA, MOSA, {"name": "dora", "rank": 4}])
    made_.run(
        seeds=range(4), failed=lambda x: x.spec.method.name == "dora" and x.spec.train.seed < 3
    )
    assert [x.names for x in compared(made_.conclusions())] == [("lora", "mosa")]


def test_seeds_that_failed_are_waited_for_no_longer(tmp_path):
    made_ = made(tmp_path, PAIRED, [LORA, MOSA, {"name": "dora", "rank": 4}])
    found = made_.run(failed=lambda x: x.spec.method.name == "dora").conclusions()
    assert [x.names for x in compared(found)] == [("lora", "mosa")]
    assert "Failed seeds: 3 of dora" in " ".join(line.text for line in found.parity)


@pytest.mark.parametrize(
    ("design", "methods", "has_adapters"),
    [
        (PAIRED, (LORA, MOSA), True),
        ({"kind": "one_factor", **SIZES}, [LORA], True),
        ({"kind": "factorial", **CELLS}, [{"name": "masa_control", "rank": 4} | MASA], True),
        (TUNED, (LORA, MOSA), False),
        (None, [{"name": "lora", "rank": {"choice": [2, 4]}}], True),
    ],
)
def test_of_one_seed_nothing_is_said_but_of_adapters(tmp_path, design, methods, has_adapters):
    asked = None if design is None else design | {"seeds": 1}
    changes = {"search": {"trials": 2}} if design is None else {}
    made_ = made(tmp_path, asked, methods, **changes)
    made_.run(lambda x: peaked(x) + 0.05 * x.number)
    first, *rest = made_.conclusions().statements
    assert isinstance(first, Silence)
    assert made_.said().startswith("Nothing is said of configurations")
    assert all(each.basis.claim == "adapters" for each in rest)
    assert bool(rest) is has_adapters
    assert " seeds ×" not in made_.said()


# What is not comparable.


def test_a_pruned_trial_is_nowhere(tmp_path):
    sweep = sweep_of(None, [{"name": "lora", "rank": {"choice": [2, 4, 8]}}], search={"trials": 3})
    made_ = DesignSweep(tmp_path, sweep)
    gone = made_.trials[1]
    found = made_.run(pruned=lambda x: x is gone).conclusions()
    assert found.table is not None
    names = {x.name for x in found.table.configurations}
    assert len(names) == 2
    assert f"rank={gone.spec.method.rank}" not in " ".join(found.sentences)


def test_trials_on_other_rows_are_named_and_all_else_is_said(tmp_path):
    made_ = made(tmp_path, PAIRED)
    made_.run(fingerprint=lambda x: ("f" if x.number == 4 else "0") * 16)
    made_.test(made_.folder.path, 0.4)
    found = made_.conclusions()
    assert found.why_none.startswith("Nothing is compared: sweep design-1: trial 4 (")
    assert "had other validation rows than the rest" in found.why_none
    assert not [x for x in compared(found) if x.basis.claim == "configurations"]
    assert len(found.parity) == 7
    assert found.facts[0].startswith("Best by validation: trial ")


def test_trials_on_other_test_rows_are_named(tmp_path):
    made_ = made(tmp_path, PAIRED).run()
    path = made_.folder.trial(made_.trials[2].spec.identity()).path
    (path / FINAL_FILE).unlink()
    made_.test(path, 0.9, fingerprint="f" * 16)
    found = made_.conclusions()
    assert found.statements == ()
    assert "trial 2 (" in found.why_none
    assert "had other test rows than the rest (their fingerprint is another)" in found.why_none


def test_the_recorded_sweep_of_an_earlier_version_says_nothing_of_configurations(tmp_path):
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    folder = SweepFolder.open("recorded-1", home=tmp_path)
    found = conclusions_of(folder, rank_sweep(folder))
    assert found.statements == ()
    assert "no validation_rows.npz was kept of" in found.why_none
    said = " ".join(found.sentences)
    assert not re.search(r"better than|worse than|best is|[Ee]quivalent", said)
    assert "chosen among 2 trials on these rows, which flatters it." in said


def test_no_banned_word_is_said(tmp_path):
    made_ = made(tmp_path, TUNED | {"seeds": 2}, [LORA, MASA]).run(peaked)
    found = made_.conclusions()
    text = " ".join((*found.sentences, *(line.text for line in found.parity)))
    assert len(text) > 500
    assert not BANNED.search(text)


# Damage.


def test_damaged_rows_are_named_and_all_else_is_said(tmp_path):
    made_ = made(tmp_path, PAIRED).run()
    path = made_.folder.trial(made_.trials[0].spec.identity()).path / VALIDATION_ROWS
    path.write_bytes(path.read_bytes()[:-9])
    found = made_.conclusions()
    assert "validation_rows.npz is damaged" in found.why_none
    assert len(found.parity) == 7


def test_a_damaged_spec_takes_its_trial_away_and_no_more(tmp_path):
    made_ = made(tmp_path, LOOKS).run(seeds=range(4))
    last = next(x for x in made_.trials if x.spec.train.seed == 3)
    (made_.folder.trial(last.spec.identity()).path / "spec.json").write_text("{}")
    found = made_.conclusions()
    assert "Trials: 3 to 4 of each configuration" in [line.text for line in found.parity]
    assert len(found.verdicts) == 2


@pytest.mark.parametrize(
    ("design", "said"),
    [
        ([], "document.design: got []; give its kind"),
        ({"kind": "gird"}, "document.design.kind: unknown value 'gird'"),
        ({"kind": "paired", "seeds": []}, "document.design.seeds"),
        ({"kind": "paired", "seeds": 2, "delta": -1}, "document.design.delta"),
        ({"kind": "grid", "seeds": 2, "factors": {"method": {"rank": [[], {}]}}}, ""),
    ],
)
def test_a_design_that_was_changed_is_no_search(tmp_path, design, said):
    made_ = made(tmp_path, PAIRED).run()
    path = made_.folder.path / "sweep.json"
    stored = json.loads(path.read_text())
    stored["document"]["design"] = design
    path.write_text(json.dumps(stored))
    found = made_.conclusions()
    assert found.statements == ()
    assert said in found.why_none
    assert found.why_none
    assert found.facts


# What is read.


@pytest.mark.parametrize("design", [PAIRED, None])
def test_each_file_of_rows_is_read_once(tmp_path, design, monkeypatch):
    changes = {} if design else {"search": {"trials": 2}}
    methods = (LORA, MOSA) if design else [{"name": "lora", "rank": {"choice": [2, 4]}}]
    made_ = made(tmp_path, design, methods, **changes).run()
    for trial in [*made_.folder.trial_folders(), made_.folder]:
        if not (trial.path / FINAL_ROWS).is_file():
            made_.test(trial.path, 0.4)
    read = []

    def noted(path):
        read.append(path)
        return read_row_scores(path)

    for name in ("analysis.comparison", "analysis.score_table", "tracking.row_scores"):
        module = import_module(f"sweeper.{name}")
        monkeypatch.setattr(module, "read_row_scores", noted)
    found = made_.conclusions()
    assert found.statements[-1].names[1] == "the frozen base"
    trials = len(made_.trials)
    # Of thousands of trials these take most of the time.
    of_validation = [path for path in read if path.name == VALIDATION_ROWS and path.is_file()]
    assert len(of_validation) == len(set(of_validation)) == trials
    after = Counter(path for path in read if path.name == FINAL_ROWS)
    # The frozen base's once to find what is damaged, once to be compared.
    assert after.pop(made_.folder.path / FINAL_ROWS) == 2
    assert len(after) == trials
    assert set(after.values()) == {1}


# δ.


def test_delta_is_a_share_of_the_loss_at_the_best_rate_of_the_first_method(tmp_path):
    objective = {"metric": "eval_loss", "mode": "min"}
    made_ = made(tmp_path, TUNED | {"seeds": 2}, objective=objective)
    made_.run(lambda x: (1.1 if x.spec.method.name == "lora" else 0.9) - peaked(x))
    # At the lowest rate it would be a part of 0.62.
    assert made_.conclusions().delta == pytest.approx(0.02 * 0.6, rel=0.02)


def test_rates_that_the_same_rows_chose_are_said_to_be(tmp_path):
    changes = {"final": {"split": "validation"}}
    made_ = made(tmp_path, TUNED | {"seeds": 2}, **changes).run(peaked)
    found = made_.conclusions()
    assert compared(found)[0].basis.split == "validation"
    assert all("These rows chose the rates" in x.caveats for x in compared(found))


# What is compared at the end.


class OnTwoMetrics(DesignSweep):
    """Test rows of another task have an accuracy, which no evaluation in training reports."""

    def test(self, path, value, *, fingerprint="0" * 16):
        loss = self.scores(value, "test", fingerprint).metrics["eval_loss"][1]
        # Here a higher loss goes with a higher accuracy, so that the two disagree.
        scores = {"eval_loss": loss.tolist(), "accuracy": (loss + 0.1).tolist()}
        rows = row_scores(scores, split="test", fingerprint=fingerprint, clusters=None)
        metrics = {name: float(rows.metrics[name][1].mean()) for name in scores}
        result = FinalResult(split="test", rows=ROWS, rows_in_split=ROWS, metrics=metrics)
        write_final(path, result, rows)


@pytest.mark.parametrize(("metric", "kind"), [(None, "worse"), ("accuracy", "better")])
def test_a_design_is_compared_by_the_metric_of_the_end(tmp_path, metric, kind):
    final = {} if metric is None else {"final": {"metric": metric}}
    objective = {"metric": "eval_loss", "mode": "min"}
    sweep = sweep_of(PAIRED, [MOSA, LORA], objective=objective, **final)
    made_ = OnTwoMetrics(tmp_path, sweep).run(BETTER)
    made_.test(made_.folder.path, 0.4)
    found = made_.conclusions()
    assert (found.metric, found.sign) == ((metric, 1) if metric else ("eval_loss", -1))
    assert found.unit is (POINTS if metric else PLAIN)
    pair = next(x for x in compared(found) if x.names == ("mosa", "lora"))
    assert pair.kind == kind
    # The adapter that validation chose, by the same metric and in the same unit.
    assert found.statements[-1].names[1] == "the frozen base"
    assert found.statements[-1].kind == ("better" if metric else "worse")
    assert any("Best by validation" in x and "eval_loss" in x for x in found.facts)
