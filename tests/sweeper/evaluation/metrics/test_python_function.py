"""Functions of one's own: what they are given, what they must give, and where they are found."""

import math
import re
import sys
from pathlib import Path

import pytest

from sweeper.errors import BadInputError
from sweeper.estimates import mean_estimate
from sweeper.evaluation.metrics.python_function import load_function, python_metric
from sweeper.experiment.metrics import PythonMetricSpec

PAIRS = (["yes", "no", "a b"], ["yes", "yes", "a"])


@pytest.fixture
def write(tmp_path):
    """Writes a file with a function of this body, and returns its spec."""

    def made(body, *, head="", function="score", file="my_metrics.py"):
        path = tmp_path / file
        text = f"{head}\ndef score(predictions, references):\n    {body}\n"
        path.write_text(text)
        return PythonMetricSpec(python=f"{path}:{function}", mode="max", name="mine")

    return made


def test_the_mean_of_what_it_returns_with_what_each_row_contributes(write):
    spec = write("return [len(g) - len(w) for g, w in zip(predictions, references, strict=True)]")
    found = python_metric(spec, [" yes\n", "no", "a b"], ["yes", "yes ", "a"])
    assert found == mean_estimate([0.0, -1.0, 2.0])
    assert found.contributions == (0.0, -1.0, 2.0)


def test_it_may_return_numbers_of_numpy(write):
    spec = write("return np.ones(len(predictions), np.float32)", head="import numpy as np")
    assert python_metric(spec, *PAIRS).contributions == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return [1.0]", "returned 1 values for 3 pairs"),
        ("return [0.0, float('nan'), 0.0]", "returned nan for pair 1, of reference 'yes'"),
        ("return [0.0, 0.0, float('-inf')]", "returned -inf for pair 2"),
        ("return [None, 0.0, 0.0]", "returned None for pair 0"),
        ("return ['1', 0.0, 0.0]", "returned '1' for pair 0"),
        ("return [10**400, 0.0, 0.0]", "returned 10+…0+ for pair 0"),
        (
            "import numpy; return numpy.ones((3, 2))",
            r"returned array\(.*\), which is no list and no",
        ),
        ("return dict.fromkeys(range(3), 0.5)", r"returned \{0: 0\.5, .*\}, which is no list"),
        ("return {0.1, 0.2, 0.3}", r"returned \{.*\}, which is no list"),
        ("return '123'", "returned '123', which is no list"),
        ("raise SystemExit('over')", "raised SystemExit: over"),
        ("return 1.0", r"returned 1\.0, which is no list and no array of one dimension"),
        ("return {}['key']", "raised KeyError: 'key' in line 3; "),
    ],
)
def test_what_breaks_the_contract_names_the_file(write, body, words):
    spec = write(body)
    with pytest.raises(BadInputError, match="it must return a finite number for each") as caught:
        python_metric(spec, *PAIRS)
    message = str(caught.value)
    start = re.escape(f"the metric mine failed: score of {spec.place} ")
    assert re.match(f"{start}{words}.*; ", message), message


def test_what_cannot_be_loaded_names_the_file(write):
    with pytest.raises(BadInputError, match=r"my_metrics\.py raised ModuleNotFoundError: No mod"):
        load_function(write("return []", head="import no_such_module"))
    with pytest.raises(BadInputError, match="raised SystemExit: 3; it must run without an error"):
        load_function(write("return []", head="raise SystemExit(3)"))
    with pytest.raises(BadInputError, match=r"raised SyntaxError: .*my_metrics\.py"):
        load_function(write("return [", head="x = 1"))
    with pytest.raises(BadInputError, match=r"'scor' is not there in .*; did you mean 'score'"):
        load_function(write("return []", function="scor"))
    with pytest.raises(BadInputError, match="'LIMIT' is no function in"):
        load_function(write("return []", head="LIMIT = 3", function="LIMIT"))


def test_a_file_finds_those_beside_it_and_leaves_no_trace(write, tmp_path):
    before = list(sys.path)
    (tmp_path / "beside_it.py").write_text("VALUE = 4.0\n")
    head = "from beside_it import VALUE"
    assert python_metric(write("return [VALUE] * 3", head=head), *PAIRS).value == 4.0
    # Also what the function imports when it is called.
    late = write("from beside_it import VALUE as x; return [x] * 3")
    assert python_metric(late, *PAIRS).value == 4.0
    assert sys.path == before
    assert not list(tmp_path.glob("__pycache__/my_metrics*"))


def test_a_file_that_changed_within_a_moment_is_run_again(write):
    assert python_metric(write("return [1.0] * 3"), *PAIRS).value == 1.0
    assert python_metric(write("return [2.0] * 3"), *PAIRS).value == 2.0
    spec = write("return [2.0] * 3")
    assert load_function(spec) is load_function(spec)


def test_a_file_may_define_classes_that_look_for_their_module(write):
    head = "from dataclasses import dataclass\n@dataclass\nclass Row:\n    value: 'float' = 3.0\n"
    assert python_metric(write("return [Row().value] * 3", head=head), *PAIRS).value == 3.0


def test_a_module_in_the_current_folder_is_found(tmp_path, monkeypatch):
    package = tmp_path / "metrics_of_mine"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "inner.py").write_text(
        "from math import dist\ndef score(p, r):\n    return [7] * len(p)\n"
    )
    monkeypatch.chdir(tmp_path)
    spec = PythonMetricSpec(python="metrics_of_mine.inner:score", mode="min")
    assert python_metric(spec, *PAIRS).value == 7.0
    missing = PythonMetricSpec(python="metrics_of_mine.outer:score", mode="min")
    with pytest.raises(BadInputError, match="there is no Python module metrics_of_mine"):
        load_function(missing)


def test_a_pair_of_each(write):
    spec = write("return [0.0 for _ in predictions]")
    with pytest.raises(BadInputError, match="different lengths: 2 and 1"):
        python_metric(spec, ["a", "b"], ["a"])
    assert not math.isnan(python_metric(spec, ["a"], ["a"]).value)
    assert Path(spec.place).is_absolute()
