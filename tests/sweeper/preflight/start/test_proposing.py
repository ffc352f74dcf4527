"""What is proposed: a length that cuts few rows, a batch that has room, rates for the model."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sweeper.data import TextFormat
from sweeper.models import FolderModelSpec
from sweeper.models.shapes import facts_of, injection_problem
from sweeper.preflight.start import proposing
from sweeper.preflight.start.looking import Lengths, Look, look_at
from sweeper.preflight.start.proposing import propose
from sweeper_adapters.methods import LoraSpec, MasaSpec
from tests.sweeper.preflight.start.made import ROWS, make_model, write_lines


@pytest.fixture(scope="module")
def look(tmp_path_factory) -> Look:
    folder = tmp_path_factory.mktemp("start")
    data = write_lines(folder / "rows.jsonl", ROWS)
    return look_at(str(make_model(folder)), str(data))


@pytest.mark.parametrize(
    ("lengths", "positions", "length", "cut"),
    [
        ([20] * 99 + [31], 512, 32, 0.0),
        # An outlier is cut, and not all pay for it.
        ([20] * 199 + [500], 512, 32, 0.005),
        ([600] * 100, 512, 512, 1.0),
        ([3], None, 16, 0.0),
    ],
)
def test_the_length_is_that_of_the_longest_row_but_for_outliers(
    look, lengths, positions, length, cut
):
    changed = replace(look, lengths=Lengths.of(lengths), positions=positions)
    proposed = propose(changed)
    assert (proposed.max_length, proposed.cut) == (length, cut)


def test_the_batch_has_room_in_half_of_the_memory(look, monkeypatch):
    assert (propose(look).batch_size, propose(look).accumulation) == (16, 1)
    monkeypatch.setattr(proposing, "memory_there", lambda **_: 12_000_000)
    small = propose(look)
    assert small.batch_size < 16
    assert small.batch_size * small.accumulation == 16
    assert "12 MB" in small.needs


def test_steps_are_passes_over_the_rows_with_bounds(look):
    # Of 60 rows 48 are left to train on.
    assert propose(look).steps == 40
    rows = {**look.rows, "train": 1000}
    assert propose(replace(look, rows=rows)).steps == 189
    assert propose(replace(look, rows={**rows, "train": 10**6})).steps == 500


def test_passes_over_plain_text_are_over_its_parts(look):
    data = look.data.model_copy(update={"format": TextFormat(field="question")})
    texts = replace(look, data=data, lengths=Lengths.of([2 * 255 + 1, 3 * 255 + 1, 1, 2]))
    proposed = propose(replace(texts, rows={**look.rows, "train": 1600}))
    assert proposed.max_length == 256
    # 1600 rows are 2800 parts of at most 256 tokens.
    assert (proposed.steps, proposed.passes) == (500, 500 * 16 / 2800)


def test_rates_are_around_what_is_usual_and_published(look):
    small = propose(look)
    assert "nothing is published" in small.rates_from
    assert small.rates[1] / small.rates[0] == pytest.approx(100, rel=0.1)
    shape = replace(look.facts.shape, total_parameters=8 * 10**9)
    facts = replace(look.facts, shape=shape, width=4096)
    large = propose(replace(look, facts=facts))
    assert large.rates == (5e-6, 1e-3)
    assert "5 to 20 billion" in large.rates_from


def test_all_linear_layers_get_an_adapter(look):
    assert propose(look).targets == tuple(x.name for x in look.facts.shape.linears)
    # It is what --json prints.
    document = json.loads(
        json.dumps({"look": look.document(), "proposed": propose(look).document()})
    )
    assert document["proposed"]["targets"][0] == "q_proj"
    assert document["look"]["tokens"]["rows"] == look.rows["train"]


# The experts' weights are stacked in some layers, and the others are dense.
MIXTURE = {
    "model_type": "qwen2_moe",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@pytest.mark.parametrize("dense", [[], [0, 2]], ids=["alike", "mixed"])
def test_what_names_stacked_experts_gets_no_adapter(look, tmp_path, dense):
    config = MIXTURE | {"mlp_only_layers": dense}
    (tmp_path / "config.json").write_text(json.dumps(config))
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).touch()
    model, facts = FolderModelSpec(path=str(tmp_path)), facts_of(config)
    found = propose(replace(look, model=model, facts=facts))
    assert {"q_proj", "k_proj", "v_proj", "o_proj"} <= set(found.targets)
    # Under a name of its own, or not at all.
    assert not {"gate_proj", "up_proj", "down_proj"} & set(found.targets)
    for method in (LoraSpec(targets=found.targets), MasaSpec(targets=found.targets)):
        assert method.problems(facts.shape) == []
        assert injection_problem(config, method) == ""
    assert len(found.targets) + len(found.left_out) == len(facts.shape.linears)
