"""From tables to conclusions as objects."""

from dataclasses import replace

import numpy as np
import pytest

from sweeper.analysis.statistics.questions import LOOKS
from sweeper.analysis.statistics.verdicts import (
    AgainstControl,
    AllPairs,
    Best,
    ConclusionSpec,
    DeclaredPairs,
    Factorial,
    Peaks,
    SizeTrend,
    conclude,
)
from sweeper.errors import BadInputError
from tests.sweeper.analysis.statistics.sweeps import Answers, table_of

NAMES = ("lora", "masa", "mosa")
PAIRS = ConclusionSpec((AllPairs(),), delta=0.01, draws=2_000)


def drawn(*truths, seeds=5, rows=2_000, seed_sd=0.002, names=NAMES):
    sweep = Answers(truths, seeds=seeds, rows=rows, seed_sd=seed_sd)
    return table_of(sweep.draw(np.random.default_rng(9)), names=names[: len(truths)])


def asked(table, *questions, **changes) -> list:
    return list(conclude(table, replace(PAIRS, questions=questions, **changes)).statements)


def test_each_question_is_a_family_of_its_own():
    table = drawn(0.6, 0.62, 0.7)
    best, *rest = asked(table, Best(), AllPairs(), AgainstControl("lora"))
    assert best.winner == "mosa"
    assert best.left_out == ("lora", "masa")
    assert [each.family for each in rest] == ["all_pairs"] * 3 + ["against_control"] * 2
    assert [each.names for each in rest[3:]] == [("masa", "lora"), ("mosa", "lora")]
    widths = {each.family: np.diff(each.interval)[0] for each in rest if "mosa" in each.names}
    assert [each.basis.members for each in rest] == [3] * 3 + [2] * 2
    assert widths["against_control"] != widths["all_pairs"]


def test_of_one_seed_nothing_is_said_but_of_adapters():
    table = drawn(0.6, 0.7, seeds=1)
    silence, best, pair = asked(
        table, Best(), AllPairs(), SizeTrend("rank", (("lora", 1), ("masa", 2)))
    )
    assert (silence.reason, silence.names) == ("all_one_seed", ("lora", "masa"))
    assert best.basis.claim == pair.basis.claim == "adapters"
    assert pair.kind == "worse"


def test_one_that_has_one_seed_is_left_out():
    table = drawn(0.6, 0.7, 0.65)
    first = table.configurations[0]
    single = replace(first, seeds=(0,), scores=first.scores[:1], failed_seeds=(1, 2, 3, 4))
    table = replace(table, configurations=(single, *table.configurations[1:]))
    silence, pair = asked(table, AllPairs())
    assert (silence.reason, silence.names) == ("one_seed", ("lora",))
    assert pair.names == ("masa", "mosa")
    _, missing = asked(table, AgainstControl("lora"))
    assert (missing.reason, missing.names) == ("missing", ("lora",))


def test_of_several_seeds_each_adapter_is_compared_where_that_is_asked():
    (best,) = asked(drawn(0.6, 0.7, seeds=2), Best(), claim="adapters")
    assert set(best.members) | set(best.left_out) == {
        f"{name}, seed {seed}" for name in ("lora", "masa") for seed in (0, 1)
    }


def test_a_caveat_of_a_configuration_goes_with_its_adapters():
    table = drawn(0.6, 0.7, seeds=2)
    found = asked(table, AllPairs(), claim="adapters", caveats=(("masa", "masa is larger"),))
    assert [each.caveats for each in found if each.names == ("lora, seed 0", "lora, seed 1")] == [
        ()
    ]
    assert [each.caveats for each in found].count(("masa is larger",)) == 5


def test_for_these_very_rows_more_can_be_said():
    table = drawn(0.6, 0.62, rows=300)
    new, fixed = (asked(table, AllPairs(), rows=rows)[0] for rows in ("new", "fixed"))
    assert np.diff(fixed.interval) < np.diff(new.interval)
    assert fixed.basis.fixed_rows


def test_failed_seeds_and_given_caveats_go_with_what_they_are_of():
    table = drawn(0.6, 0.62, 0.7)
    failed = replace(table.configurations[1], failed_seeds=(7, 8))
    table = replace(
        table, configurations=(table.configurations[0], failed, table.configurations[2])
    )
    found = asked(table, Best(), AllPairs(), caveats=(("lora", "lora is larger"),))
    text = "2 of 7 seeds of masa failed and are left out"
    assert [each.caveats for each in found] == [
        ("lora is larger", text),
        ("lora is larger", text),
        ("lora is larger",),
        (text,),
    ]


def test_a_line_and_a_bend_over_sizes():
    names = ("r2", "r4", "r8", "r16")
    table = drawn(0.56, 0.59, 0.62, 0.65, names=names)
    sizes = tuple(zip(names, (2, 4, 8, 16), strict=True))
    line, bend = asked(table, SizeTrend("rank", sizes))
    assert (line.kind, line.contrasted, line.names) == ("better", "line", ("rank", "16", "2"))
    assert line.estimate == pytest.approx(0.09, abs=0.02)
    assert not bend.is_difference
    assert bend.contrasted == "bend"
    (only,) = asked(drawn(0.56, 0.65, names=names), SizeTrend("rank", (("r2", 2), ("r4", 4))))
    assert only.contrasted == "line"


def test_a_factorial_without_one_of_its_cells_says_nothing():
    cells = tuple((name, (("a", name[0]), ("b", name[1]))) for name in ("0x", "0y", "1x", "1y"))
    table = drawn(0.6, 0.6, 0.7, 0.7, names=[name for name, _ in cells])
    found = asked(table, Factorial(cells))
    assert [each.contrasted for each in found] == ["main_effect", "main_effect", "interaction"]
    assert found[0].kind == "better"
    assert found[0].names == ("a", "1", "0")
    assert not found[1].is_difference
    less = replace(table, configurations=table.configurations[:3])
    (silence,) = asked(less, Factorial(cells))
    assert (silence.reason, silence.names) == ("missing", ("1y",))


def test_declared_pairs_that_are_missing_are_named():
    table = drawn(0.6, 0.7, 0.6)
    question = DeclaredPairs((("masa", "lora"), ("masa", "masa_control")))
    silence, pair = asked(table, question)
    assert silence.names == ("masa_control",)
    assert (pair.names, pair.family, pair.kind) == (("masa", "lora"), "declared_pairs", "better")


def test_a_look_takes_its_seeds_and_its_level():
    table = drawn(0.6, 0.62, seeds=10)
    for look in LOOKS:
        (found,) = asked(table, AllPairs(), look=look)
        assert found.basis.seeds == (look.seeds, look.seeds)
        assert found.basis.level == pytest.approx(1 - look.alpha)
        assert found.equivalence_level == pytest.approx(1 - 2 * look.alpha)


def test_one_alone_is_not_compared():
    (silence,) = asked(drawn(0.6), Best(), AllPairs())
    assert silence.reason == "too_few"


@pytest.mark.parametrize("delta", [0.0, -0.01, float("nan")])
def test_delta_must_be_positive(delta):
    with pytest.raises(BadInputError, match="the smallest difference of interest must be positive"):
        asked(drawn(0.6, 0.7), AllPairs(), delta=delta)


def test_tuned_methods_need_validation():
    with pytest.raises(BadInputError, match="got no validation scores"):
        asked(drawn(0.6, 0.7), Peaks(()))
