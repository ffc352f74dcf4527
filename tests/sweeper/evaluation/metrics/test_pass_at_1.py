"""HumanEval: what becomes of completions, and that its own solutions pass."""

import json

import pytest

from sweeper.errors import BadInputError
from sweeper.evaluation.metrics.pass_at_1 import (
    ProgrammingProblem,
    pass_at_1,
    program_of,
    run_completions,
    truncated,
)
from sweeper.evaluation.sandbox.run import Limits
from tests.places import SHARED
from tests.whole import IS_WHOLE, few

DOUBLE = ProgrammingProblem(
    prompt="import math\n\n\ndef half(x):\n    return x / 2\n\n\n"
    'def double(x):\n    """Returns 2x."""\n',
    entry_point="double",
    test="def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(0) == 0\n",
)


@pytest.mark.parametrize(
    ("completion", "kept"),
    [
        ("    return 2 * x\n\n\ndef other():\n    pass\n", "    return 2 * x\n\n"),
        ("    return 1\nclass A:\n    pass", "    return 1"),
        ("    return 1\n# next", "    return 1"),
        ("    return 1\nif x:\n    pass\nprint(1)", "    return 1"),
        ("    return 1\nprint(1)", "    return 1"),
        (
            "    # inside\n    if x:\n        print(x)\n",
            "    # inside\n    if x:\n        print(x)\n",
        ),
    ],
)
def test_a_completion_ends_where_something_new_begins(completion, kept):
    assert truncated(completion) == kept


RIGHT = [
    "    return 2 * x\n",
    "    return x + x\n\n\nprint(1 / 0)\n",
    "    return math.floor(2 * half(2 * x))",
    "def double(x):\n    return 2 * x\n",
    "Here it is:\n```python\ndef double(x):\n    return twice(x)\n\n\n"
    "def twice(x):\n    return math.floor(2 * x)\n```\nIt doubles.\n```\nx\n```",
    "```\n    return 2 * x\n```",
    "```python\ndef double(x):\n    return 2 * x",
]
WRONG = [
    "    return x\n",
    "    return 2 *\n",
    "",
    "    pass\n    raise SystemExit(0)\n",
    "    import os\n    os._exit(0)\n",
    "    while True:\n        pass\n",
    "def doubled(x):\n    return 2 * x\n",
]


def test_pass_at_1_is_the_share_that_passes_with_its_error():
    completions = RIGHT + WRONG
    limits = Limits(cpu_time_s=1)
    outcomes = run_completions(completions, [DOUBLE] * len(completions), limits=limits)
    assert [outcome.is_passed for outcome in outcomes] == [True] * 7 + [False] * 7
    assert outcomes[-2].end == "timeout"
    found = pass_at_1(completions[3:11], [DOUBLE] * 8, limits=limits)
    assert (found.value, found.count) == (0.5, 8)
    assert found.standard_error == pytest.approx(0.5 / 7**0.5)


def test_a_whole_function_takes_the_place_of_its_head():
    program = program_of(DOUBLE, RIGHT[3])
    assert program.count("def double") == 1
    assert program.startswith("import math\n")
    assert program.endswith("\n\ncheck(double)\n")


def test_completions_and_problems_belong_together():
    with pytest.raises(
        BadInputError, match="completions and problems have different lengths: 1 and 2"
    ):
        pass_at_1(["x"], [DOUBLE, DOUBLE])


@pytest.fixture(scope="module")
def rows():
    path = SHARED / "humaneval" / "HumanEval.jsonl"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(found) == 164
    return found


def problem_of(row):
    return ProgrammingProblem(
        prompt=row["prompt"], entry_point=row["entry_point"], test=row["test"]
    )


@pytest.mark.slow
@pytest.mark.parametrize("form", few(["continued", "answered"], "answered"))
def test_canonical_solutions_pass(rows, form):
    rows = rows if IS_WHOLE else rows[::8]
    problems = [problem_of(row) for row in rows]
    completions = [row["canonical_solution"] for row in rows]
    if form == "answered":
        pairs = zip(problems, completions, strict=True)
        completions = [f"Sure!\n```python\n{p.prompt}{c}```\nThere." for p, c in pairs]
    outcomes = run_completions(completions, problems)
    failed = [
        (row["task_id"], outcome.end, outcome.detail)
        for row, outcome in zip(rows, outcomes, strict=True)
        if not outcome.is_passed
    ]
    assert failed == []


def test_no_problem_is_passed_by_doing_nothing(rows):
    some = rows[::20]
    outcomes = run_completions(["    pass\n"] * len(some), [problem_of(r) for r in some])
    assert [outcome.end for outcome in outcomes] == ["failed"] * len(some)
