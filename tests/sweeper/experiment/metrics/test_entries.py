"""What ``evaluation.metrics`` takes, and what it says of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import SpecError
from sweeper.experiment.loading import load_sweep
from tests.sweeper.experiment.spaces import problems_of_space


def own(metrics: str) -> str:
    return f"evaluation={{metrics: {metrics}}}"


@pytest.mark.parametrize(
    ("metrics", "place", "words"),
    [
        (
            "[rougel]",
            ".0",
            "got 'rougel': no metric of this name; known: bert_score, .*rouge_l; did",
        ),
        ("[accuracy]", ".0", "did you mean 'choice'"),
        ("[zzz]", ".0", "a function of your own is {python: FILE.py:FUNCTION, mode: max}"),
        ("[pass_at_1]", ".0", "runs programs on the tests that HumanEval's rows have"),
        ("[exact, bleu, exact]", "", "exact stands there more than once"),
        ("rouge_l", "", r"it must be a list; write \[rouge_l\]"),
        ("[7]", ".0", "a metric is a name, or {python: "),
        ("[{python: 'json:dumps'}]", ".0.mode", "is missing; give mode: min or max"),
        ("[{python: 'json:dumps', mode: up}]", ".0.mode", "allowed: min, max"),
        ("[{python: 'json:dumps', mode: max, nam: x}]", ".0.nam", "did you mean 'name'"),
        ("[{python: score, mode: max}]", ".0.python", "write, for example, my_metrics.py:score"),
        ("[{python: 'json:bleu', mode: max}]", ".0.name", "name of a number of the sweeper's own"),
        ("[{python: 'json:x', mode: max, name: x_se}]", ".0.name", "rename the function, or give"),
        ("[{python: 'json:x', mode: max, name: 'a/b'}]", ".0.name", "letters, digits and _"),
    ],
)
def test_what_is_no_metric_is_told_once(space: Path, metrics: str, place: str, words: str) -> None:
    problems = problems_of_space(space, own(metrics))
    assert list(problems) == [f"evaluation.metrics{place}"]
    with pytest.raises(SpecError, match=words):
        load_sweep(space, overrides=[own(metrics)])


def test_tasks_name_their_own(space: Path) -> None:
    data = "data={kind: tasks, train: [boolq]}"
    problems = problems_of_space(space, data, own("[rouge_l]"))
    assert "metrics is [rouge_l], and the data is made of tasks" in problems["evaluation"]
    assert len(problems) == 1
