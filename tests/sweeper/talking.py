"""A sweep whose trials were trained on chats, fields, texts and more, to be talked to."""

import functools
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from sweeper.data import EmbeddedDataSpec, FieldsFormat, MessagesFormat, RowsDataSpec, TextFormat
from sweeper.experiment.trial import EvaluationSpec, TrialSpec
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper_adapters.methods import LoraSpec, Method, MtlLoraSpec, PissaSpec, PromptTuningSpec
from tests.sweeper import exported
from tests.sweeper.data.tokens.chat_templates import CHATML, tokenizer_of

CHATS, FIELD, FIELDS, TEXT, EMBEDDED, BY_DOMAIN, UNTRAINED = (f"{n:012x}" for n in range(7))
POSITIONS = 4096
LENGTH = 128
NEW_TOKENS = 6


@functools.cache
def tokenizer():
    """Of bytes, in the manner of ChatML."""
    return tokenizer_of("chatml")


def model() -> LlamaForCausalLM:
    """One that writes letters, and never ends by itself."""
    config = LlamaConfig(
        vocab_size=len(tokenizer()),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=POSITIONS,
    )
    torch.manual_seed(5)
    made = LlamaForCausalLM(config)
    letters = [i for i in range(len(tokenizer())) if tokenizer().decode([i]).isalpha()]
    with torch.no_grad():
        for parameter in made.model.layers.parameters():
            parameter.normal_(std=0.4)
        others = torch.ones(len(tokenizer()), dtype=torch.bool)
        others[letters] = False
        made.lm_head.weight[others] = 0
        made.lm_head.weight[letters] *= 40
    return made


def trial(root: Path, method: Method | None = None, *, data=None, **evaluation) -> TrialSpec:
    """A trial on the model in ``root``; its data need not be there."""
    spec = exported.trial(method or LoraSpec(rank=2), root)
    longer = spec.train.model_copy(update={"max_length": LENGTH})
    settings = {"max_new_tokens": NEW_TOKENS} | evaluation
    update = {"train": longer, "evaluation": EvaluationSpec(**settings)}
    return spec.model_copy(update=update | ({"data": data} if data is not None else {}))


def rows(chosen) -> RowsDataSpec:
    """Data that is not there, in a format."""
    return RowsDataSpec(path="nowhere", format=chosen)


def make_world(root: Path) -> SweepFolder:
    """Writes the model, data with two domains, and a sweep of a trial for each kind of data."""
    exported.write_model(root / "model", model())
    tokenizer().save_pretrained(root / "model")
    exported.write_data(root / "data")
    (root / "chatml.jinja").write_text(CHATML)
    sweep = SweepFolder.create(root / "sweeps", "talks", document=exported.DOCUMENT)
    chats = MessagesFormat(template=str(root / "chatml.jinja"))
    several = FieldsFormat(prompt="{question}\n{context}\nAnswer:")
    specs = {
        CHATS: trial(root, data=rows(chats)),
        FIELD: trial(root, PissaSpec(rank=2), data=rows(FieldsFormat(prompt="Q: {question}\nA:"))),
        FIELDS: trial(root, data=rows(several)),
        TEXT: trial(root, PromptTuningSpec(virtual_tokens=4), data=rows(TextFormat())),
        EMBEDDED: trial(root, data=EmbeddedDataSpec()),
        BY_DOMAIN: trial(root, MtlLoraSpec(rank=2, tasks=2)),
    }
    for number, spec in enumerate(specs.values()):
        exported.made(sweep, spec, number=number, loss=1.0 + number)
    exported.add(sweep, specs[CHATS], number=6)
    return sweep
