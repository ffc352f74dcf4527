"""Which values of a metric are better, and which metrics need a generated answer."""

from __future__ import annotations

import pytest

from sweeper.data.examples import _BY_LIKELIHOOD
from sweeper.evaluation.metrics import METRICS
from sweeper.experiment.metrics import METRIC_MODES, mode_of


def test_each_metric_has_a_mode() -> None:
    assert METRICS.keys() == METRIC_MODES.keys()


def test_the_others_are_of_written_answers() -> None:
    by_likelihood = {x.name for x in METRICS.values() if x.takes in {"choices", "losses"}}
    assert by_likelihood == _BY_LIKELIHOOD


@pytest.mark.parametrize(
    ("metric", "mode"),
    [
        ("eval_loss", "min"),
        ("accuracy", "max"),
        ("accuracy/capitals", "max"),
        # A domain may be called anything.
        ("accuracy/loss", "max"),
        ("accuracy_macro", "max"),
        ("boolq/loss", "min"),
        ("wikitext/perplexity", "min"),
        ("gsm8k/final_number", "max"),
        ("mmlu/accuracy_macro", "max"),
        ("mmlu/stem", None),
        ("my_score", None),
        ("", None),
    ],
)
def test_the_mode_follows_from_the_metric(metric: str, mode: str | None) -> None:
    assert mode_of(metric) == mode
    assert mode_of("distance/loss", own={"distance": "max"}) == "max"
