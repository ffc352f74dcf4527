"""The mean of the dialogue metrics is the column of MoSA's Table 3."""

import pytest

from sweeper.estimates import Estimate
from sweeper.evaluation.metrics import METRICS
from sweeper.evaluation.metrics.dialogue_mean import dialogue_mean


# Rows of MoSA's table of ConvAI2, in percent: BLEU-4, F1, recall, precision, METEOR, ROUGE-L.
@pytest.mark.parametrize(
    ("row", "average"),
    [
        ((3.93, 86.53, 86.28, 86.80, 17.57, 18.44), 49.92),
        ((1.82, 84.41, 84.71, 84.16, 11.38, 10.55), 46.17),
        ((4.13, 86.83, 86.50, 87.18, 17.59, 18.64), 50.14),
    ],
)
def test_the_mean_of_dialogue_is_the_published_average(row, average):
    names = ("bleu", "bert_score", "bert_score_recall", "bert_score_precision", "meteor", "rouge_l")
    assert set(METRICS["dialogue_mean"].parts) == set(names)
    parts = {name: Estimate(x / 100, 0.01, 9) for name, x in zip(names, row, strict=True)}
    # Two decimals are printed, rounded or cut.
    assert 100 * dialogue_mean(parts).value == pytest.approx(average, abs=0.01)
