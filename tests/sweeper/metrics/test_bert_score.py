"""BERTScore with a tiny encoder against its equations, and what it says of a wrong folder."""

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from sweeper.errors import BadInputError, MissingError
from sweeper.metrics.bert_score import bert_score

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


def f1_by_hand(folder, prediction, reference, *, layer=3):
    """Equations of section 3 of arXiv:1904.09675, token by token."""
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
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_it_is_the_mean_f1_of_matched_tokens(folder, batch_size):
    by_hand = [f1_by_hand(folder, *pair) if pair[0] else 0.0 for pair in PAIRS]
    found = bert_score(*zip(*PAIRS, strict=True), model=folder, batch_size=batch_size)
    assert found.value == pytest.approx(sum(by_hand) / 4, rel=ROUNDING)
    assert found.count == 4
    assert by_hand[3] == pytest.approx(1.0, rel=ROUNDING)
    assert by_hand[0] < 0.999


def test_the_layer_can_be_chosen(folder):
    for layer in (1, 2, 3):
        found = bert_score(*map(list, zip(PAIRS[0], strict=True)), model=folder, layer=layer)
        expected = f1_by_hand(folder, *PAIRS[0], layer=layer)
        assert found.value == pytest.approx(expected, rel=ROUNDING)


def test_a_layer_that_is_not_there_is_refused(folder):
    with pytest.raises(BadInputError, match="has no layer 4; it has layers 1 to 3"):
        bert_score(["a"], ["a"], model=folder, layer=4)


def test_long_texts_are_cut_at_the_model_s_positions(folder):
    long = "the cat " * 40
    assert bert_score([long], [long], model=folder).value == pytest.approx(1.0, rel=ROUNDING)


def test_a_folder_without_an_encoder_says_how_to_get_one(tmp_path):
    with pytest.raises(MissingError, match=r"has no config\.json; .* run: hf download"):
        bert_score(["a"], ["a"], model=tmp_path)
