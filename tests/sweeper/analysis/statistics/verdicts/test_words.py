"""The words: exactly these."""

import re
from dataclasses import replace

import pytest

from sweeper.analysis.statistics.verdicts import (
    PLAIN,
    POINTS,
    Basis,
    BestSet,
    Conclusion,
    Needs,
    Silence,
    words,
)

BASIS = Basis(
    claim="configurations",
    level=0.95,
    seeds=(5, 5),
    rows=2_000,
    split="test",
    fixed_rows=False,
    members=3,
)
PAIR = Conclusion(
    kind="better",
    family="all_pairs",
    contrasted="pair",
    names=("A", "B"),
    estimate=0.018,
    interval=(0.006, 0.030),
    equivalence_interval=(0.008, 0.028),
    delta=0.01,
    basis=BASIS,
)
UNDECIDED = replace(PAIR, kind="undecided", estimate=0.009, interval=(-0.003, 0.021))
ONE_SEED = replace(BASIS, claim="adapters", seeds=(1, 1))
BANNED = re.compile(
    r"significan|trend toward|weak evidence|\brank(ed|s)?\b (first|second)|\branked\b",
    re.IGNORECASE,
)

SAID = [
    (PAIR, "A is better than B by 1.8 points [0.6, 3.0] (95 %, 5 seeds × 2,000 rows, all pairs)."),
    (
        replace(PAIR, kind="worse", estimate=-0.018, interval=(-0.030, -0.006)),
        "A is worse than B by 1.8 points [0.6, 3.0] (95 %, 5 seeds × 2,000 rows, all pairs).",
    ),
    (
        replace(PAIR, kind="better_within_delta", estimate=0.005, interval=(0.0012, 0.0088)),
        "A is better than B, by less than 1 point: by 0.50 points [0.12, 0.88] (95 %, "
        "5 seeds × 2,000 rows, all pairs).",
    ),
    (
        replace(PAIR, kind="equivalent", estimate=0.002, equivalence_interval=(-0.004, 0.008)),
        "Equivalent within 1 point: A and B differ by 0.20 points [-0.40, 0.80] (90 %, "
        "5 seeds × 2,000 rows, two one-sided tests).",
    ),
    (
        replace(UNDECIDED, needs=Needs(seeds=6, rows=None)),
        "Not distinguishable yet: A and B; differences up to 2.1 points are possible; to find "
        "1 point: about 6 more seeds (95 %, 5 seeds × 2,000 rows, all pairs).",
    ),
    (
        replace(UNDECIDED, needs=Needs(seeds=None, rows=2_561)),
        "Not distinguishable yet: A and B; differences up to 2.1 points are possible; to find "
        "1 point: no number of seeds; needs 2,600 rows (95 %, 5 seeds × 2,000 rows, all pairs).",
    ),
    (
        replace(UNDECIDED, needs=Needs(seeds=1, rows=2_500)),
        "Not distinguishable yet: A and B; differences up to 2.1 points are possible; to find "
        "1 point: about 1 more seed and 2,500 rows (95 %, 5 seeds × 2,000 rows, all pairs).",
    ),
    (
        replace(UNDECIDED, needs=Needs(seeds=None, rows=None), delta=0.015),
        "Not distinguishable yet: A and B; differences up to 2.1 points are possible; to find "
        "1.5 points: more than 200 seeds (95 %, 5 seeds × 2,000 rows, all pairs).",
    ),
    (
        replace(UNDECIDED, family="peaks_all_pairs", needs=Needs(None, None, closer_rates=True)),
        "Not distinguishable yet: A and B; differences up to 2.1 points are possible; to find "
        "1 point: no number of seeds; needs rates closer together (95 %, 5 seeds × 2,000 rows, "
        "all pairs at tuned rates).",
    ),
    (
        replace(PAIR, family="declared_pairs", basis=replace(ONE_SEED, split="validation")),
        "A is better than B by 1.8 points [0.6, 3.0] (95 %, as adapters, 2,000 validation rows, "
        "declared pairs).",
    ),
    (
        replace(PAIR, family="declared_pairs", basis=replace(ONE_SEED, members=1)),
        "A is better than B by 1.8 points [0.6, 3.0] (95 %, as adapters, 2,000 rows, one declared "
        "pair).",
    ),
    (
        replace(PAIR, family="against_control"),
        "A is better than B by 1.8 points [0.6, 3.0] (95 %, 5 seeds × 2,000 rows, all against B).",
    ),
    (
        replace(UNDECIDED, basis=ONE_SEED, needs=Needs(seeds=None, rows=9_999)),
        "Not distinguishable yet: A and B; differences up to 2.1 points are possible; to find "
        "1 point: needs 10,000 rows (95 %, as adapters, 2,000 rows, all pairs).",
    ),
    (
        UNDECIDED,
        "Not distinguishable yet: A and B; differences up to 2.1 points are possible (95 %, "
        "5 seeds × 2,000 rows, all pairs).",
    ),
    (
        BestSet(("A", "B"), ("C",), of_methods=False, basis=replace(BASIS, seeds=(3, 5))),
        "The best is among {A, B} (95 %, 3 to 5 seeds × 2,000 rows, comparisons with the best).",
    ),
    (
        BestSet(("A",), ("B",), of_methods=True, basis=replace(BASIS, fixed_rows=True)),
        "The best is A (95 %, 5 seeds × these 2,000 rows, at tuned rates).",
    ),
    (
        replace(PAIR, contrasted="line", names=("rank", "16", "2"), family="size_trend"),
        "rank 16 is better than rank 2 on the line through all sizes by 1.8 points [0.6, 3.0] "
        "(95 %, 5 seeds × 2,000 rows, planned contrasts, Holm).",
    ),
    (
        replace(UNDECIDED, contrasted="bend", names=("rank", "16", "2"), family="size_trend"),
        "Not distinguishable yet: the ends and the middle of rank; differences up to 2.1 points "
        "are possible (95 %, 5 seeds × 2,000 rows, planned contrasts, Holm).",
    ),
    (
        replace(PAIR, contrasted="main_effect", names=("share", "on", "off"), family="factorial"),
        "share=on is better than share=off by 1.8 points [0.6, 3.0] (95 %, 5 seeds × 2,000 rows, "
        "main effects and interactions, Holm).",
    ),
    (
        replace(
            PAIR,
            contrasted="interaction",
            names=("share", "on", "off", "groups", "8", "1"),
            family="factorial",
        ),
        "share=on against share=off is better at groups=8 than at groups=1 by 1.8 points "
        "[0.6, 3.0] (95 %, 5 seeds × 2,000 rows, main effects and interactions, Holm).",
    ),
    (
        replace(PAIR, caveats=("A has 2 % more parameters", "1 of 5 seeds of B failed.")),
        "A is better than B by 1.8 points [0.6, 3.0] (95 %, 5 seeds × 2,000 rows, all pairs). "
        "A has 2 % more parameters. 1 of 5 seeds of B failed.",
    ),
    (Silence("all_one_seed", ("A", "B")), "Nothing is said of configurations; as adapters:"),
    (
        Silence("no_second_seed", ("A", "B")),
        "Nothing is said of configurations: each has one seed; 2 are needed.",
    ),
    (
        Silence("one_seed", ("A", "B")),
        "Nothing is said of A, B, which have one seed; 2 are needed.",
    ),
    (
        Silence("missing", ("A, rank=2", "B, rank=2")),
        "Nothing is said of A, rank=2; B, rank=2: no scores that can be compared.",
    ),
    (Silence("too_few", ("A",)), "Nothing is compared: it takes two; only A is left."),
    (Silence("missing", ("A",)), "Nothing is said of A: no scores that can be compared."),
    (Silence("no_control", ("A",)), "Nothing is compared with A, of which nothing is said."),
    (
        Silence("edge", ("A",), "train.learning_rate 0.01"),
        "Range too narrow: the best value of A, train.learning_rate 0.01, is an end of its grid; "
        "nothing is said of it; widen the range.",
    ),
    (
        Silence("grid", ("A",), "2 of 8 values of train.learning_rate"),
        "Nothing is said of A: only 2 of 8 values of train.learning_rate were scored; 3 are "
        "needed.",
    ),
]


@pytest.mark.parametrize(("statement", "sentence"), SAID)
def test_a_statement_is_said_so(statement, sentence):
    found = words(statement)
    assert found.sentence == sentence
    assert not BANNED.search(sentence)
    assert sentence.startswith(found.head)


def test_the_head_is_the_verdict_alone():
    assert words(PAIR).head == "A is better than B"
    assert words(UNDECIDED).head == "Not distinguishable yet"


def test_a_loss_is_said_without_a_unit():
    found = replace(PAIR, estimate=0.0384, interval=(0.018, 0.0588), delta=0.02)
    assert words(found, PLAIN).sentence.startswith("A is better than B by 0.038 [0.018, 0.059] (")
    undecided = replace(UNDECIDED, delta=0.02, needs=Needs(seeds=3, rows=None))
    assert "to find 0.02: about 3 more seeds" in words(undecided, PLAIN).sentence


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        (0.018, 0.012, "1.8 points"),
        (0.0123, 0.15, "1 point"),
        (-0.00001, 0.012, "0.0 points"),
        (0.01, 0.0, "1.0 point"),
        (0.01234, 0.00012, "1.234 points"),
        (0.3, float("inf"), "30.0 points"),
    ],
)
def test_a_number_has_the_decimals_that_its_error_deserves(value, scale, text):
    assert POINTS.amount(value, scale) == text
