"""The option that a generation names first, as LLM-Adapters' evaluation reads it."""

import re

import pytest

from sweeper.errors import BadInputError, DataError
from sweeper.evaluation.metrics.option import option, option_of

# Patterns of ``extract_answer`` in LLM-Adapters, written out as they are there.
PATTERNS = {
    "true": r"true|false",
    "solution1": r"solution1|solution2",
    "answer1": r"answer1|answer2|answer3|answer4|answer5",
    "ending1": r"ending1|ending2|ending3|ending4",
    "option1": r"option1|option2",
}


@pytest.mark.parametrize(
    ("text", "like", "found"),
    [
        ("the correct answer is answer2", "answer1", "answer2"),
        ("answer3, not answer2", "answer2", "answer3"),
        ("the answer is 2", "answer2", None),
        # Of three answers a fifth is a wrong one, not none.
        ("answer5 or answer1", "answer1", "answer5"),
        ("answer6", "answer1", None),
        # No word of its own, and a digit may follow.
        ("untrue", "false", "true"),
        ("answer12", "answer3", "answer1"),
        # Capitals do not count, and neither do options of other sets.
        ("True", "true", None),
        ("Solution1: solution2", "solution1", "solution2"),
        ("answer1 option2", "option1", "option2"),
        ("ending5 ending4", "ending2", "ending4"),
        ("", "true", None),
        ("the correct answer\nis true", "true", "true"),
    ],
)
def test_the_first_option_counts(text, like, found):
    assert option_of(text, like=like) == found
    (pattern,) = [p for p in PATTERNS.values() if re.fullmatch(p, like)]
    assert [found] == (re.findall(pattern, text.strip())[:1] or [None])


def test_all_options_of_llm_adapters_are_known():
    for like, pattern in PATTERNS.items():
        for name in pattern.split("|"):
            assert option_of(f"it is {name}.", like=like) == name
            assert option_of(f"it is {name}.", like=name) == name


def test_it_is_a_share_with_its_error():
    references = [f"the correct answer is {name}" for name in ("true", "answer2", "option1")]
    found = option(
        ["false, the correct answer is true", "I think that answer2 is right", "Option1"],
        references,
    )
    assert found.value == pytest.approx(1 / 3)
    # Sample deviation of (0, 1, 0) is 1/sqrt(3).
    assert found.standard_error == pytest.approx(1 / 3)
    assert found.count == 3
    assert option(["ending4"], ["ending4"]).value == 1.0


@pytest.mark.parametrize("reference", ["water", "", "answer6", "answer1 or sand", "Answer1"])
def test_a_reference_without_an_option_is_refused(reference):
    with pytest.raises(DataError) as caught:
        option(["true", "answer1"], ["true", reference])
    assert str(caught.value).startswith(
        f"reference 1 does not end in an option: got {reference!r}; "
    )
    assert "options are true|false, solution[12], answer[1-5], " in str(caught.value)


def test_both_sides_are_needed():
    with pytest.raises(BadInputError, match="have different lengths: 1 and 2"):
        option(["true"], ["true", "false"])
