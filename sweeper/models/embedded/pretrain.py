"""Builds the embedded model: tokenizer, pretraining, and the files that are shipped.

Run ``python -m sweeper.models.embedded.pretrain`` to build it again. The result depends on the seed
and the number of steps alone (on one machine and one version of torch: sums may be taken in another
order elsewhere).
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from sweeper.data.embedded.corpus import documents
from sweeper.models.embedded import MODEL_FOLDER

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

__all__ = ["Recipe", "build", "build_model", "build_tokenizer", "main", "pretrain"]

logger = logging.getLogger(__name__)

_PAD, _BOS, _EOS = "<pad>", "<s>", "</s>"
# A number is split into its digits and a word in capitals into its letters, so that the model sees
# what arithmetic and spelling are about; any other word may become one token.
_PIECES = r" ?[0-9]| ?[A-Z](?![a-z])| ?[A-Za-z]+| ?[^\sA-Za-z0-9]|\s+"
_TOKENIZER_DOCUMENTS = 20000
_MOST_TOKENS = 1024
_CONTEXT = 256
# transformers' 0.02 suits widths of thousands. At this width it leaves the embeddings so small that
# copying a word, which all else needs, is learnt many times later.
_INITIAL_STD = 0.08
_LOG_EVERY_STEPS = 100
_RANDOM_TOKEN_WEIGHT = 0.1


@dataclass(frozen=True)
class Recipe:
    """How the embedded model is pretrained."""

    steps: int = 3600
    """Optimiser steps."""
    batch_size: int = 16
    """Rows of one step."""
    row_tokens: int = 64
    """Tokens of a row: documents one after another, the last one cut."""
    learning_rate: float = 2e-3
    """Peak learning rate of AdamW."""
    seed: int = 0
    """Seed of the initial weights and of the text."""


def build_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """Returns a byte-level BPE tokenizer trained on generated text."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_MOST_TOKENS,
        special_tokens=[_PAD, _BOS, _EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    lines = (
        line for document in islice(documents(seed), _TOKENIZER_DOCUMENTS) for line in document
    )
    bpe.train_from_iterator((f"{line.given} {line.result}" for line in lines), trainer)
    bpe.post_processor = processors.TemplateProcessing(
        single=f"{_BOS} $A", special_tokens=[(_BOS, bpe.token_to_id(_BOS))]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe,
        pad_token=_PAD,
        bos_token=_BOS,
        eos_token=_EOS,
        model_max_length=_CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def build_model(tokenizer: PreTrainedTokenizerFast, *, seed: int) -> LlamaForCausalLM:
    """Returns the model with random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=344,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=_CONTEXT,
        initializer_range=_INITIAL_STD,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                # As in GPT-2: each layer adds twice to the residual stream.
                weight.div_((2 * config.num_hidden_layers) ** 0.5)
    return model


def pretrain(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, recipe: Recipe
) -> list[float]:
    """Trains ``model`` on generated text, in place.

    Returns:
        The mean loss of each step, in nats a token.
    """
    import torch

    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    vectors = [weight for weight in model.parameters() if weight.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
        lr=recipe.learning_rate,
        betas=(0.9, 0.98),
    )
    batches = _batches(tokenizer, recipe)
    losses: list[float] = []
    started = time.perf_counter()
    model.train()
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * _schedule(step, recipe.steps)
        ids, weights = next(batches)
        logits = model(input_ids=ids, use_cache=False).logits
        loss = _loss(logits[:, :-1], ids[:, 1:], weights=weights[:, 1:])
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if (step + 1) % _LOG_EVERY_STEPS == 0:
            recent = losses[-_LOG_EVERY_STEPS:]
            logger.info(
                "step %d of %d: loss %.4f, %.0f s",
                step + 1,
                recipe.steps,
                sum(recent) / len(recent),
                time.perf_counter() - started,
            )
    model.train(mode=False)
    return losses


def _loss(logits: torch.Tensor, labels: torch.Tensor, *, weights: torch.Tensor) -> torch.Tensor:
    from torch.nn.functional import cross_entropy

    losses = cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    return (losses * weights.flatten()).sum() / weights.sum()


def _schedule(step: int, steps: int) -> float:
    """Returns the share of the peak learning rate: a short rise, then a cosine to a tenth."""
    warmup = max(1, steps // 30)
    if step < warmup:
        return (step + 1) / warmup
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def _batches(
    tokenizer: PreTrainedTokenizerFast, recipe: Recipe
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yields batches of rows: token ids, int64 [B, T], and their weights, float32 [B, T]."""
    import torch

    rows = _rows(tokenizer, recipe)
    while True:
        batch = list(islice(rows, recipe.batch_size))
        ids = torch.tensor([[token for token, _ in row] for row in batch])
        yield ids, torch.tensor([[weight for _, weight in row] for row in batch])


def _rows(tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> Iterator[list[tuple[int, float]]]:
    """Yields rows of (token, weight in the loss): documents one after another, the last one cut."""

    def encode(text: str, weight: float) -> list[tuple[int, float]]:
        ids = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        return [(token, weight) for token in ids]

    row: list[tuple[int, float]] = []
    for document in documents(recipe.seed + 1):
        row.append((tokenizer.bos_token_id, 0.0))
        for number, line in enumerate(document):
            row += encode("\n" * (number > 0) + line.given, _RANDOM_TOKEN_WEIGHT)
            row += encode(f" {line.result}", 1.0)
        row.append((tokenizer.eos_token_id, 1.0))
        if len(row) >= recipe.row_tokens:
            yield row[: recipe.row_tokens]
            row = []


def build(folder: Path, recipe: Recipe) -> None:
    """Pretrains the model and writes config, tokenizer and weights (float16) to ``folder``."""
    tokenizer = build_tokenizer(recipe.seed)
    model = build_model(tokenizer, seed=recipe.seed)
    logger.info("%d parameters, %d tokens", model.num_parameters(), len(tokenizer))
    pretrain(model, tokenizer, recipe)
    tokenizer.save_pretrained(folder)
    model.half()  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)


def main() -> None:
    """Builds the embedded model; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=MODEL_FOLDER, help="where the files go")
    parser.add_argument("--steps", type=int, default=Recipe.steps, help="optimiser steps")
    parser.add_argument("--seed", type=int, default=Recipe.seed, help="seed of weights and text")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    build(arguments.folder, Recipe(steps=arguments.steps, seed=arguments.seed))


if __name__ == "__main__":
    main()
