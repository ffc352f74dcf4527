"""BERTScore with a tiny encoder against its equations, and what it says of a wrong folder."""

import math
from statistics import stdev

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from sweeper.errors import BadInputError, MissingError
from sweeper.evaluation.metrics.bert_score import (
    Match,
    Matcher,
    bert_score,
    bert_score_precision,
    bert_score_recall,
)

WORDS = ["the", "a", "cat", "dog", "sat", "on", "mat", "runs", "fast", "slow", ".", ","]
# Texts of one batch are padded to one length: float32 sums are rounded otherwise.
ROUNDING = 1e-5
PAIRS = [
    ("the cat sat on the mat .", "a cat sat on a mat ."),
    ("a dog runs", "the dog runs fast"),
    ("", "the cat"),
    ("slow , slow", "slow , slow"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("encoder")
    (path / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])
    )
    tokenizer = BertTokenizer(str(path / "vocab.txt"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=16,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def by_hand(folder, prediction, reference, *, layer=3):
    """F1, recall, precision: equations of section 3 of arXiv:1904.09675, token by token."""
    model = BertModel.from_pretrained(folder).eval()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]

    def embedded(text):
        ids = [2, *(vocabulary.index(word) for word in text.split()), 3]
        with torch.no_grad():
            states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[layer][0]
        return [state / state.norm() for state in states]

    got, want = embedded(prediction), embedded(reference)
    precisions = [max(float(x @ y) for y in want) for x in got[1:-1]]
    recalls = [max(float(x @ y) for x in got) for y in want[1:-1]]
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    return 2 * precision * recall / (precision + recall), recall, precision


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_they_are_means_over_matched_tokens(folder, batch_size):
    expected = [by_hand(folder, *pair) if pair[0] else (0.0, 0.0, 0.0) for pair in PAIRS]
    matcher = Matcher(folder, batch_size=batch_size)
    metrics = (bert_score, bert_score_recall, bert_score_precision)
    for metric, of_pairs in zip(metrics, zip(*expected, strict=True), strict=True):
        found = metric(*zip(*PAIRS, strict=True), matcher=matcher)
        assert found.value == pytest.approx(sum(of_pairs) / 4, rel=ROUNDING)
        error = stdev(of_pairs) / math.sqrt(4)
        assert found.standard_error == pytest.approx(error, rel=ROUNDING)
        assert found.count == 4
    assert expected[3] == pytest.approx((1.0, 1.0, 1.0), rel=ROUNDING)
    # So that one cannot pass for another.
    assert len({round(x, 4) for x in expected[1]}) == 3


def test_each_pair_passes_the_encoder_once(folder, monkeypatch):
    matcher = Matcher(folder, batch_size=3)
    passed: list[int] = []
    embed = matcher._encoder.embed

    def note(texts):
        passed.append(len(texts))
        return embed(texts)

    monkeypatch.setattr(matcher._encoder, "embed", note)
    predictions, references = zip(*PAIRS, *PAIRS, strict=True)
    for metric in (bert_score, bert_score_recall, bert_score_precision):
        metric(predictions, references, matcher=matcher)
    # Four pairs in batches of three; the two texts of one of them are the same.
    assert len(passed) == 2
    assert sum(passed) == 7
    bert_score(["a"], ["the"], matcher=matcher)
    assert passed[2:] == [2]


def test_the_layer_can_be_chosen(folder):
    for layer in (1, 2, 3):
        [found] = Matcher(folder, layer=layer).match(*map(list, zip(PAIRS[0], strict=True)))
        f1, recall, precision = by_hand(folder, *PAIRS[0], layer=layer)
        assert found == pytest.approx((precision, recall), rel=ROUNDING)
        assert found.f1 == pytest.approx(f1, rel=ROUNDING)


def test_a_layer_that_is_not_there_is_refused(folder):
    with pytest.raises(BadInputError, match="has no layer 4; it has layers 1 to 3"):
        Matcher(folder, layer=4)


def test_long_texts_are_cut_at_the_model_s_positions(folder):
    long = "the cat " * 40
    [found] = Matcher(folder).match([long], [long])
    assert found.f1 == pytest.approx(1.0, rel=ROUNDING)


def test_cosines_that_cancel_are_no_division_by_zero():
    assert Match(0.5, -0.5).f1 == 0.0


def test_a_folder_without_an_encoder_says_how_to_get_one(tmp_path):
    with pytest.raises(MissingError, match=r"has no config\.json; .* run: hf download"):
        Matcher(tmp_path)
