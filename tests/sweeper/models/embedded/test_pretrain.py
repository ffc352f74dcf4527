"""The shipped model knows the language it was pretrained on, and can be built again."""

from itertools import islice

import pytest

from sweeper.data.embedded.corpus import documents
from sweeper.data.embedded.instructions import generate
from sweeper.models import EmbeddedModelSpec
from sweeper.models.embedded import MODEL_FOLDER
from sweeper.models.embedded.pretrain import Recipe, build, build_model, build_tokenizer, pretrain

MOST_BYTES = 3_000_000
UNSEEN_SEED = 10**6


@pytest.fixture(scope="module")
def loaded():
    return EmbeddedModelSpec().load("fp32")


def test_size():
    weights = (MODEL_FOLDER / "model.safetensors").stat().st_size
    assert weights < MOST_BYTES
    files = list(MODEL_FOLDER.rglob("*"))
    assert len(files) >= 4
    assert sum(path.stat().st_size for path in files) < 1.1 * MOST_BYTES


def test_tokenizer_round_trip(loaded):
    texts = [row.prompt + row.answer for row in generate("test", rows=100, seed=0)]
    texts += ["A line\n\n  and\tanother.", "naïve — 東京 🙂", "x=3.14; f(y)", ""]
    for text in texts:
        ids = loaded.tokenizer(text)["input_ids"]
        assert ids[0] == loaded.tokenizer.bos_token_id
        assert loaded.tokenizer.decode(ids, skip_special_tokens=True) == text
    assert max(len(loaded.tokenizer(text)["input_ids"]) for text in texts[:100]) <= 64


def test_it_solves_tasks_in_the_notation_it_was_taught(loaded):
    import torch

    right = []
    lines = [line for document in islice(documents(UNSEEN_SEED), 60) for line in document]
    for line in lines:
        # What these begin with is random, so no model can know all of it.
        if line.given.startswith(("pairs", "table")):
            continue
        given = loaded.tokenizer(line.given)["input_ids"]
        result = loaded.tokenizer(f" {line.result}", add_special_tokens=False)["input_ids"]
        logits = loaded.model(input_ids=torch.tensor([given + result])).logits[0]
        right.append(logits[len(given) - 1 : -1].argmax(-1).tolist() == result)
    assert len(right) > 100
    assert sum(right) / len(right) > 0.8


def test_it_beats_a_uniform_guess_on_all_tokens(loaded):
    import torch

    texts = [
        "\n".join(f"{line.given} {line.result}" for line in document)
        for document in islice(documents(UNSEEN_SEED), 20)
    ]
    losses = []
    for text in texts:
        ids = torch.tensor([loaded.tokenizer(text)["input_ids"]])
        losses.append(loaded.model(input_ids=ids, labels=ids).loss.item())
    uniform = torch.tensor(float(loaded.model.config.vocab_size)).log().item()
    assert sum(losses) / len(losses) < uniform / 2


@pytest.fixture(scope="module")
def rebuilt_tokenizer():
    return build_tokenizer(Recipe.seed)


def test_pretraining_depends_on_the_seed_alone(rebuilt_tokenizer):
    import torch

    def weights(seed):
        torch.rand(1)
        model = build_model(rebuilt_tokenizer, seed=seed)
        losses = pretrain(model, rebuilt_tokenizer, Recipe(steps=3, batch_size=4, seed=seed))
        return losses, model.state_dict()

    first, again, other = weights(0), weights(0), weights(1)
    assert first[0] == again[0] != other[0]
    assert all(torch.equal(first[1][name], again[1][name]) for name in first[1])


def test_the_shipped_tokenizer_is_the_one_of_the_script(loaded, rebuilt_tokenizer):
    assert rebuilt_tokenizer.get_vocab() == loaded.tokenizer.get_vocab()


def test_build_writes_a_model_folder(tmp_path):
    from sweeper.models import FolderModelSpec

    build(tmp_path, Recipe(steps=2, batch_size=2))
    spec = FolderModelSpec(path=str(tmp_path))
    spec.require_available()
    assert spec.shape() == EmbeddedModelSpec().shape()
