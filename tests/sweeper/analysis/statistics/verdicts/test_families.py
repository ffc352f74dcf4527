"""Which contrasts a question asks for."""

import pytest

from sweeper.analysis.statistics.verdicts import (
    AgainstControl,
    AllPairs,
    DeclaredPairs,
    Factorial,
    SizeTrend,
)
from sweeper.analysis.statistics.verdicts.families import declared_contrasts, named

NAMES = ("a", "b", "c")
CELLS = tuple((name, (("f", level),)) for name, level in zip("ab", ("0", "1"), strict=True))


@pytest.mark.parametrize(
    ("question", "expected", "weights"),
    [
        (AllPairs(), (), [[1, -1, 0], [1, 0, -1], [0, 1, -1]]),
        (AgainstControl("b"), ("b",), [[1, -1, 0], [0, -1, 1]]),
        (DeclaredPairs((("c", "a"), ("a", "d"))), ("c", "a", "d"), [[-1, 0, 1]]),
        (SizeTrend("rank", (("c", 4.0), ("a", 1.0))), ("c", "a"), [[-1, 0, 1]]),
        (Factorial(CELLS), ("a", "b"), [[-1, 1, 0]]),
    ],
)
def test_a_question_names_configurations_and_weighs_them(question, expected, weights):
    assert named(question) == expected
    _, contrasts = declared_contrasts(question, NAMES)
    assert [each.weights.tolist() for each in contrasts] == weights


@pytest.mark.parametrize(
    "question",
    [
        AgainstControl("d"),
        DeclaredPairs((("a", "d"),)),
        SizeTrend("rank", (("a", 1.0), ("d", 4.0))),
        Factorial((*CELLS, ("d", (("f", "2"),)))),
    ],
)
def test_what_is_missing_leaves_nothing_to_weigh(question):
    assert declared_contrasts(question, NAMES)[1] == []
