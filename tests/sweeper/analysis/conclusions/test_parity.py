"""In what the trials of a design are alike, and which verdicts say where they are not."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from tests.adapters.own_method import forget_methods, write_method
from tests.sweeper.designs import LORA, MASA, MOSA, DesignSweep, peaked, sweep_of

TUNED = {"kind": "paired", "rates": {"low": 1e-3, "high": 4e-3, "count": 4}, "seeds": 2}
SAME_RATE = {"kind": "paired", "tune": None, "seeds": 2}
TWO = [{"name": "small", "method": LORA}, {"name": "large", "method": LORA | {"rank": 8}}]


def lines(found):
    return {line.subject: line for line in found.parity}


def test_all_lines_of_tuned_methods_hold(tmp_path):
    found = DesignSweep(tmp_path, sweep_of(TUNED, [LORA, MASA])).run().conclusions()
    assert [line.text for line in found.parity] == [
        "Trainable parameters: 1,000",
        "Scale of the update: alpha / rank 4 for all",
        "Training: 8 steps of 4 examples of at most 64 tokens for all; one seed gives all of them "
        "one order of the data",
        "Learning rate: each method at its own, tuned over 4 rates from 0.001 to 0.004",
        "Trials: 8 of each method",
        "Control arm: masa_control of masa",
        "Failed seeds: none",
        "Hygiene: checked before the start; at most 1 % of a task's test rows and 10 % of the "
        "validation rows are in the training rows",
    ]
    assert all(line.holds and not line.names and not line.caveat for line in found.parity)
    assert not any(getattr(x, "caveats", ()) for x in found.statements)


def test_a_rate_that_is_not_tuned_goes_with_each_verdict_on_two_methods(tmp_path):
    methods: list[dict[str, Any]] = [LORA, MOSA, {"name": "dora", "rank": 4}]
    found = DesignSweep(tmp_path, sweep_of(SAME_RATE, methods)).run().conclusions()
    line = lines(found)["learning rate"]
    assert not line.holds
    assert line.text.startswith("Learning rate: one for all, 0.003, not tuned for each method; ")
    assert len(found.verdicts) == 4
    for verdict in found.verdicts:
        assert verdict.caveats == ("The learning rate is not tuned for each method",)
        assert verdict.sentence.count("not tuned") == 1


def test_two_configurations_of_one_method_need_no_rate_of_their_own(tmp_path):
    factors = {"method": {"experts": [2, 4]}}
    design = {"kind": "one_factor", "factors": factors, "seeds": 2}
    sweep = sweep_of(design, [MASA | {"experts": 4}])
    found = DesignSweep(tmp_path, sweep).run().conclusions()
    said = {x.names: x.caveats for x in found.statements if hasattr(x, "names")}
    assert said["experts=2", "experts=4"] == ()
    assert said["masa_control", "experts=4"]


def test_sizes_may_be_a_twentieth_apart(tmp_path):
    near = DesignSweep(tmp_path / "a", sweep_of(SAME_RATE)).run(
        trainable=lambda x: 1000 if x.spec.method.name == "lora" else 960
    )
    line = lines(near.conclusions())["size"]
    assert (line.holds, line.text) == (True, "Trainable parameters: 960 to 1,000 (4 % apart)")
    far = DesignSweep(tmp_path / "b", sweep_of(SAME_RATE)).run(
        trainable=lambda x: 1000 if x.spec.method.name == "lora" else 900
    )
    line = lines(far.conclusions())["size"]
    assert (line.holds, line.names) == (False, ("mosa",))
    for verdict in far.conclusions().verdicts:
        assert verdict.sentence.count("Sizes differ by 10 %.") == 1


def test_a_verdict_has_the_sizes_of_its_own_names(tmp_path):
    sizes = {"lora": 1000, "mosa": 600, "dora": 980}
    methods: list[dict[str, Any]] = [LORA, MOSA, {"name": "dora", "rank": 4}]
    made = DesignSweep(tmp_path, sweep_of(SAME_RATE, methods))
    found = made.run(trainable=lambda x: sizes[x.spec.method.name]).conclusions()
    assert lines(found)["size"].text.endswith("600 to 1,000 (40 % apart)")
    best, *pairs = found.statements
    assert "Sizes differ by up to 40 %" in best.caveats
    said = {x.names: [y for y in x.caveats if "Sizes" in y] for x in pairs}
    assert said == {
        ("lora", "mosa"): ["Sizes differ by 40 %"],
        ("lora", "dora"): [],
        ("mosa", "dora"): ["Sizes differ by 38.8 %"],
    }


def test_an_alpha_that_has_another_share_of_the_rank_is_said(tmp_path):
    methods: list[dict[str, Any]] = [LORA | {"alpha": 8}, MOSA, {"name": "dora", "rank": 4}]
    found = DesignSweep(tmp_path, sweep_of(TUNED, methods)).run(peaked).conclusions()
    line = lines(found)["scale"]
    # Of as many, the first one has the usual scale.
    assert (line.holds, line.names) == (False, ("dora",))
    expected = "Scale of the update: alpha / rank differs: lora 2, dora 4; mosa has none"
    assert line.text == expected
    said = [verdict.sentence for verdict in found.verdicts if "dora" in verdict.sentence]
    assert said
    assert all(text.count("alpha / rank differs.") == 1 for text in said)


def test_a_method_whose_file_is_gone_is_said_to_have_no_known_scale(tmp_path, monkeypatch):
    named = write_method(tmp_path)
    sweep = sweep_of(SAME_RATE, [LORA, {"name": "narrow", "python": named}])
    run = DesignSweep(tmp_path / "home", sweep).run()
    expected = "Scale of the update: alpha / rank 4 for all"
    assert lines(run.conclusions())["scale"].text == f"{expected} that have one; narrow has none"
    forget_methods(monkeypatch)
    (tmp_path / "mine.py").unlink()
    found = run.conclusions()
    unknown = "; of narrow it is not known: this program cannot read the spec"
    assert lines(found)["scale"].text == expected + unknown
    assert any("narrow" in verdict.sentence for verdict in found.verdicts)


PATIENT = {"steps": 8, "evaluations": 4, "patience": 1, "schedule": "constant"}


def patient(tmp_path, steps, **changes):
    sweep = sweep_of(SAME_RATE, [LORA, {"name": "dora", "rank": 4}], train=PATIENT, **changes)
    return DesignSweep(tmp_path, sweep).run(steps=steps).conclusions()


def test_trials_that_patience_ended_count_and_their_unlike_steps_are_said(tmp_path):
    found = patient(tmp_path, lambda x: 4 if x.spec.method.name == "dora" else 8)
    line = lines(found)["end"]
    assert (line.holds, line.names) == (False, ("dora",))
    expected = "End: patience 1 for all; it ended 2 of 4 trials, so that they had 4 to 8 steps"
    assert line.text == expected
    caveat = "Patience ended trials after unlike numbers of steps"
    assert found.verdicts
    assert all(verdict.caveats.count(caveat) == 1 for verdict in found.verdicts)
    # They are in the table with their seeds, like any other complete trial.
    assert found.table is not None
    assert [len(x.seeds) for x in found.table.configurations] == [2, 2]
    saved = "Patience ended 2 of 4 complete trials before all steps: 8 of their 32 steps were not"
    assert any(text.startswith(saved) for text in found.facts)


def test_trials_that_patience_ended_at_one_step_are_alike(tmp_path):
    found = patient(tmp_path, lambda _: 4)
    line = lines(found)["end"]
    assert (line.holds, line.caveat) == (True, "")
    assert line.text == "End: patience 1 for all; it ended 4 of 4 trials, all after 4 steps"
    assert not any("Patience" in text for x in found.verdicts for text in x.caveats)


def test_rows_that_ended_the_trials_are_no_fresh_ones(tmp_path):
    found = patient(tmp_path, lambda _: 4, final={"split": "validation"})
    assert found.verdicts
    assert all("These rows ended trials" in x.caveats for x in found.verdicts)


def test_without_an_early_end_nothing_is_said_of_it(tmp_path):
    found = patient(tmp_path, lambda _: 8)
    assert "end" not in lines(found)
    assert not any("atience" in text for text in found.facts)


def test_training_that_differs_is_said(tmp_path):
    trials = [TWO[0], TWO[1] | {"train": {"steps": 9}}]
    sweep = sweep_of({"kind": "replicate", "seeds": 2}, trials=trials)
    found = DesignSweep(tmp_path, sweep).run().conclusions()
    line = lines(found)["training"]
    assert (line.holds, line.names) == (False, ("small", "large"))
    assert all(verdict.sentence.count("Training differs.") == 1 for verdict in found.verdicts)


def test_numbers_of_trials_that_differ_are_said(tmp_path):
    made = DesignSweep(tmp_path, sweep_of(SAME_RATE | {"seeds": "3/5/10"}))
    made.run(seeds=range(3))
    made.trials = tuple(x for x in made.trials if x.spec.method.name == "lora")
    found = made.run(seeds=[3]).conclusions()
    line = lines(found)["trials"]
    assert (line.holds, line.text) == (False, "Trials: 3 to 4 of each configuration")
    assert line.names == ("mosa",)
    assert all("Numbers of trials differ." in verdict.sentence for verdict in found.verdicts)


@pytest.mark.parametrize("design", [TUNED, SAME_RATE])
def test_a_control_arm_that_is_not_wanted_is_missed(tmp_path, design):
    sweep = sweep_of(design | {"control": "none"}, [MASA, LORA])
    found = DesignSweep(tmp_path, sweep).run(peaked).conclusions()
    line = lines(found)["control arm"]
    assert not line.holds
    assert line.text == "Control arm: none, as the design asks; a gain may not be the method's own"
    assert len(found.verdicts) == 2
    for verdict in found.verdicts:
        assert verdict.sentence.count("There is no control arm.") == 1


def test_a_control_arm_that_the_file_lists_is_one(tmp_path):
    control = {**MASA, "name": "masa_control"}
    designs: list[dict[str, Any]] = [TUNED, SAME_RATE, SAME_RATE | {"control": "none"}]
    for number, design in enumerate(designs):
        sweep = sweep_of(design, [control, MASA, LORA])
        found = DesignSweep(tmp_path / str(number), sweep).run(peaked).conclusions()
        line = lines(found)["control arm"]
        assert (line.holds, line.text) == (True, "Control arm: masa_control of masa")


HYGIENE = [
    ({}, True, "checked before the start; at most 1 % of a task's test rows and 10 % of the", ""),
    ({"test_share": 0.0, "overlap": 0.5}, True, "at most 0 % of a task's test rows and 10 %", ""),
    ({"validation_share": 0.3}, True, "at most 1 % of a task's test rows and 30 % of the val", ""),
    ({"test_share": 0.25}, False, "at most 25 % of a", "Training rows may contain 25 % of the te"),
    ({"overlap": 0.9}, False, "at most 1 % of a", "Training rows may contain 1 % of the test rows"),
    (
        {"contamination": "allow"},
        False,
        "nobody knows how many test rows are in the training rows (hygiene.contamination: allow)",
        "Training rows may contain test rows",
    ),
]


@pytest.mark.parametrize(("hygiene", "holds", "text", "caveat"), HYGIENE)
def test_how_the_data_was_checked_is_said(tmp_path, hygiene, holds, text, caveat):
    made = DesignSweep(tmp_path, sweep_of(SAME_RATE, hygiene=hygiene)).run()
    line = lines(made.conclusions())["hygiene"]
    assert line.holds is holds
    assert line.text.startswith("Hygiene: ")
    assert text in line.text
    assert line.names == (() if holds else ("lora", "mosa"))
    for verdict in made.conclusions().verdicts:
        assert caveat in verdict.sentence
        assert ("Training rows may" in verdict.sentence) is not holds


def test_a_check_of_data_that_the_file_does_not_tell_is_unknown(tmp_path):
    made = DesignSweep(tmp_path, sweep_of(SAME_RATE)).run()
    path = made.folder.path / "sweep.json"
    stored = json.loads(path.read_text())
    stored["document"]["hygiene"] = {"contamination": "perhaps"}
    path.write_text(json.dumps(stored))
    line = lines(made.conclusions())["hygiene"]
    assert not line.holds
    assert line.text.endswith("in the training rows (the sweep's file does not say)")


def test_failed_seeds_are_counted_and_told_once(tmp_path):
    made = DesignSweep(tmp_path, sweep_of(SAME_RATE | {"seeds": 4}))
    made.run(failed=lambda x: x.spec.method.name == "mosa" and x.spec.train.seed == 2)
    found = made.conclusions()
    line = lines(found)["failed seeds"]
    assert not line.holds
    assert line.text == "Failed seeds: 1 of mosa; what is left may be what went well"
    said = Counter(text for x in found.verdicts for text in x.caveats if "failed" in text)
    assert said == {"1 of 4 seeds of mosa failed and is left out": len(found.verdicts)}
    assert all("3 to 4 seeds" in verdict.sentence for verdict in found.verdicts)


def test_seeds_that_the_owner_stopped_are_in_no_verdict_and_told_in_each(tmp_path):
    made = DesignSweep(tmp_path, sweep_of(SAME_RATE | {"seeds": 4}))
    made.run(stopped=lambda x: x.spec.method.name == "mosa" and x.spec.train.seed == 2)
    found = made.conclusions()
    line = lines(found)["stopped seeds"]
    assert (line.holds, line.names) == (False, ("mosa",))
    assert line.text == "Stopped by the owner: 1 of mosa; what is left may be what looked well"
    assert lines(found)["failed seeds"].text == "Failed seeds: none"
    assert found.verdicts
    for verdict in found.verdicts:
        assert "3 to 4 seeds" in verdict.sentence
        assert "Its owner stopped trials of it" in verdict.sentence


def test_a_look_does_not_wait_for_seeds_that_the_owner_stopped(tmp_path):
    made = DesignSweep(tmp_path, sweep_of(SAME_RATE | {"seeds": "3/5/10"}))
    made.run(seeds=range(3), stopped=lambda x: x.spec.train.seed == 1)
    assert made.conclusions().verdicts


def test_a_search_declares_no_comparison(tmp_path):
    sweep = sweep_of(None, [{"name": "lora", "rank": {"choice": [2, 4]}}], search={"trials": 2})
    assert DesignSweep(tmp_path, sweep).run().conclusions().parity == ()
