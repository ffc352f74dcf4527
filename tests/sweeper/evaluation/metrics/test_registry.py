"""Metrics by name."""

import pytest

from sweeper.errors import BadInputError
from sweeper.evaluation.metrics import METRICS, metric


def test_metrics_are_had_by_name():
    assert sorted(METRICS) == [
        "bert_score",
        "bert_score_precision",
        "bert_score_recall",
        "bleu",
        "choice",
        "dialogue_mean",
        "exact",
        "final_answer",
        "final_number",
        "meteor",
        "option",
        "pass_at_1",
        "perplexity",
        "rouge_l",
    ]
    assert all(metric(name).name == name for name in METRICS)
    no_means = ["bleu", "dialogue_mean", "perplexity"]
    assert [name for name in METRICS if not metric(name).has_mean] == no_means


@pytest.mark.parametrize(
    ("name", "advice"),
    [("rougeL", "did you mean 'rouge_l'?"), ("zzz", "choose one of them")],
)
def test_an_unknown_metric_is_refused_with_the_nearest(name, advice):
    with pytest.raises(BadInputError) as caught:
        metric(name)
    assert str(caught.value).startswith(
        f"no metric {name!r}; known: bert_score, bert_score_precision, "
    )
    assert str(caught.value).endswith(f"; {advice}")
