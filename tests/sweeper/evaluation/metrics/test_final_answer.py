"""The final answer of MetaMathQA's solutions, which need not be a number."""

import pytest

from sweeper.errors import BadInputError
from sweeper.evaluation.metrics.final_answer import final_answer


@pytest.mark.parametrize(
    ("got", "want", "is_right"),
    [
        # Numbers, as numbers.
        ("So 3.\n#### 3\nThe answer is: 1,342", "1342", True),
        ("The answer is: $5.00", "\\$5", True),
        ("The answer is: 5 dollars.", "5", True),
        ("The answer is: 50\\%", "50", True),
        ("The answer is: $-4$", "-4", True),
        ("The answer is: 4", "-4", False),
        ("The answer is: 1,2", "12", False),
        # What only begins or ends with the number is another answer.
        ("The answer is: \\frac{1}{2}", "2", False),
        ("The answer is: 1/2", "1", False),
        ("The answer is: 5x", "5", False),
        ("The answer is: 5 or 6", "5", False),
        # No numbers, as text.
        ("The answer is: \\frac{1}{2}", "\\frac{1}{2}", True),
        ("The answer is: $\\frac{1}{2}$.", "\\frac{1}{2}", True),
        ("The answer is: 1/2", "\\frac{1}{2}", False),
        ("The answer is: (-1,3)", "(-1, 3)", True),
        ("The answer is: (1, 3)", "(-1, 3)", False),
        ("The answer is: 1,3", "1,2", False),
        ("The answer is: x^2 + 1", "x^2+1", True),
        ("The answer is:\nEve", "Eve", True),
        ("The answer is: ", "Eve", False),
        # What is written when it should have stopped does not count.
        ("The answer is: 5\n\nQuestion: 3?\nThe answer is: 3", "5", True),
        ("The answer is: Eve\nOr Ann.", "Eve", True),
        # Without the words.
        ("It is 2 + 3 = 5.", "5", True),
        ("It is 5, not 6", "5", False),
        ("(-1, 3)", "(-1, 3)", True),
        ("It is (-1, 3)", "(-1, 3)", False),
        ("", "5", False),
    ],
)
def test_a_final_answer(got, want, is_right):
    assert final_answer([got], [want]).value == float(is_right)


def test_it_is_a_share_with_its_error():
    found = final_answer(["The answer is: 1", "x", "y", "z"], ["1", "2", "a", "b"])
    assert (found.value, found.count) == (0.25, 4)
    # Sample deviation of (1, 0, 0, 0) is 1/2.
    assert found.standard_error == pytest.approx(0.25)
    with pytest.raises(BadInputError, match="have different lengths: 1 and 2"):
        final_answer(["1"], ["1", "2"])
