"""Several examples in one row of a batch, none of which sees another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sweeper.data.tokens.encoding import IGNORED_LABEL, Tokens, labels_of
from sweeper.errors import DataError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

__all__ = ["pack", "packed_rows", "require_packable"]

# Length of a row in which attention costs a token about as much as all the rest of its layer: six
# widths of the model by operations, less by time, and 4,096 is that of a small model. It only
# decides between few long rows and more short ones.
ATTENTION_LENGTH = 4096
# Far above rounding of the dtype and far below what seeing another example does to a logit.
TOLERANCES = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.02}


def packed_rows(lengths: Sequence[int], max_length: int) -> list[list[int]]:
    """Returns which examples go into each row of a batch.

    For each number of rows the examples are dealt out from the longest to the shortest, each to the
    row that is then the shortest. Of these layouts the cheapest is taken: positions, padding
    included, and each the dearer the longer its row, for the attention.

    Args:
        lengths: tokens of each example, none more than ``max_length``.
        max_length: most tokens of a row.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    best: list[list[int]] = []
    least = float("inf")
    for count in range(len(lengths), 0, -1):
        rows: list[list[int]] = [[] for _ in range(count)]
        sizes = [0] * count
        for index in order:
            row = sizes.index(min(sizes))
            rows[row].append(index)
            sizes[row] += lengths[index]
        longest = max(sizes)
        if longest > max_length:
            break
        cost = count * longest * (1 + longest / ATTENTION_LENGTH)
        if cost < least:
            best, least = rows, cost
    return best


def pack(batch: Sequence[Tokens], pad_id: int, *, max_length: int) -> dict[str, torch.Tensor]:
    """Returns a packed batch: input_ids, position_ids and labels, each int64 [B, T].

    And ``domains``, [B], of the first example of each row. There is no attention mask. Positions
    begin at 0 with each example, which is how transformers tells the examples of a row apart where
    there is neither a mask nor a cache. Padding at the end of a row is an example of its own.

    Args:
        batch: examples of at most ``max_length`` tokens.
        pad_id: token that fills up shorter rows.
        max_length: most tokens of a row.
    """
    import torch

    rows = packed_rows([len(tokens.ids) for tokens in batch], max_length)
    longest = max(sum(len(batch[index].ids) for index in row) for row in rows)
    input_ids = torch.full((len(rows), longest), pad_id, dtype=torch.int64)
    position_ids = torch.zeros_like(input_ids)
    labels = torch.full_like(input_ids, IGNORED_LABEL)
    for number, row in enumerate(rows):
        start = 0
        for index in row:
            tokens = batch[index]
            end = start + len(tokens.ids)
            ids = torch.tensor(tokens.ids, dtype=torch.int64)
            input_ids[number, start:end] = ids
            position_ids[number, start:end] = torch.arange(len(ids))
            # The first token of an example is predicted by none of its own.
            labels[number, start + 1 : end] = labels_of(tokens)[1:]
            start = end
        position_ids[number, start:] = torch.arange(longest - start)
    return {
        "input_ids": input_ids,
        "position_ids": position_ids,
        "labels": labels,
        "domains": torch.tensor([batch[row[0]].domain for row in rows]),
    }


def require_packable(model: PreTrainedModel) -> None:
    """Looks whether a model keeps the examples of a row apart, by asking it.

    Most of transformers' models do, with most of its kinds of attention; but one that knows nothing
    of ``position_ids``, or that mixes tokens otherwise than by attention, would silently train on
    something else.

    Args:
        model: a causal language model in evaluation mode.

    Raises:
        DataError: it does not.
    """
    import torch

    device = model.device
    vocabulary = int(model.config.get_text_config().vocab_size)
    ids = torch.arange(7, 7 + 24, device=device) * 7919 % vocabulary
    positions = torch.cat([torch.arange(14), torch.arange(10)]).to(device)[None]
    alone = torch.arange(10, device=device)[None]
    try:
        with torch.no_grad():
            packed = model(input_ids=ids[None], position_ids=positions, use_cache=False).logits
            wanted = model(input_ids=ids[None, 14:], position_ids=alone, use_cache=False).logits
    except (TypeError, ValueError) as error:
        raise _unpacked(model, f"it does not take position_ids ({error})") from error
    difference = float((packed[:, 14:].float() - wanted.float()).abs().max())
    scale = float(wanted.float().abs().max())
    if difference > TOLERANCES[str(wanted.dtype).removeprefix("torch.")] * scale:
        raise _unpacked(model, f"its outputs are off by {difference:.2g} of {scale:.2g}")


def _unpacked(model: PreTrainedModel, reason: str) -> DataError:
    attention = getattr(model.config, "_attn_implementation", None)
    return DataError(
        f"train.packing is true, but {type(model).__name__} with {attention} attention does not "
        f"keep several examples in a row apart: {reason}; packing needs a model that does; set "
        "train.packing to false"
    )
