"""CKA of adjacent layers: of their inputs, of the outputs of A, and of ΔW·x (MASA, Figure 3)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sweeper._text import count
from sweeper.analysis.inspection.asked import InspectionRequest
from sweeper.analysis.inspection.measures import SimilarityStream, debiased_cka, jackknife
from sweeper.analysis.inspection.model import (
    LayerInput,
    OpenTrial,
    Row,
    key_of_a,
    layer_inputs,
    rows_of,
)
from sweeper.analysis.inspection.results import LayerPair, MeanSimilarity, Measured
from sweeper.analysis.statistics.multiplicity import t_value
from sweeper.errors import BadInputError
from sweeper.estimates import Estimate

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from sweeper_adapters import AdaptedLayer

__all__ = ["similarity_of"]

# Rows of a block: HSIC compares each with each other one.
BLOCK = 16
# Below two blocks there is no error.
LEAST_BLOCKS = 2
_PARTS: tuple[Literal["input", "A", "increment"], ...] = ("input", "A", "increment")

# By module and part what each pair of layers has of HSIC in each block, [blocks, pairs, 3].
_Blocks = dict[tuple[str, str], NDArray[np.float64]]


def similarity_of(opened: OpenTrial, asked: InspectionRequest) -> dict[str, Any]:
    """Returns the fields of a :class:`Similarity` that are its own.

    Raises:
        BadInputError: the method adapts no layers, or no two of a kind; or rows are too few.
    """
    layers = opened.layers(asked)
    chains = {
        kind: [layer for layer in layers if layer.kind == kind]
        for kind in dict.fromkeys(layer.kind for layer in layers)
    }
    chains = {kind: own for kind, own in chains.items() if len(own) > 1}
    if not chains:
        raise BadInputError(
            "similarity: it compares adjacent layers, and the adapter is in one layer of each "
            f"module ({', '.join(layer.name for layer in layers[:3])}); two are needed; give more "
            "with --layers, or take another trial"
        )
    compared = [layer for own in chains.values() for layer in own]
    has_a = all(layer.downs() for layer in compared)
    rows = rows_of(opened, asked, least=LEAST_BLOCKS * BLOCK)
    # Blocks of one size: each counts alike.
    rows = rows[: len(rows) // BLOCK * BLOCK]
    blocks = _gathered(opened, asked, compared, rows, has_a=has_a)
    means = _means(chains, blocks)
    none = f"{opened.trial.method.label} has no matrix A: only inputs and increments are compared."
    return {
        "layers": sorted({layer.number for layer in compared}),
        "modules": list(dict.fromkeys(layer.module for layer in compared)),
        "rows": len(rows),
        "notes": [] if has_a else [none],
        "tokens": asked.tokens,
        "block_rows": BLOCK,
        "blocks": len(rows) // BLOCK,
        "pairs": list(_pairs(chains, blocks)),
        **means,
        "statements": _said(
            means["overall"], len(rows) // BLOCK, are_adjacent=_are_adjacent(chains)
        ),
    }


def _gathered(
    opened: OpenTrial,
    asked: InspectionRequest,
    layers: Sequence[AdaptedLayer],
    rows: Sequence[Row],
    *,
    has_a: bool,
) -> _Blocks:
    import torch

    stream = SimilarityStream()
    generator = torch.Generator().manual_seed(asked.seed)
    places: list[Tensor] = []

    def take(seen: LayerInput) -> None:
        if not places:
            places.append(_drawn(seen.mask.cpu(), asked.tokens, generator).to(seen.x.device))
        _add(stream, seen, places[0], has_a=has_a)

    for _ in layer_inputs(opened, layers, rows, take, batch=BLOCK):
        stream.end_batch()
        places.clear()
    found = stream.blocks()
    return {_key(chain): own for chain, own in found.items()}


def _key(chain: str) -> tuple[str, str]:
    kind, _, part = chain.rpartition("/")
    return kind, part


def _drawn(mask: Tensor, tokens: int, generator: torch.Generator) -> Tensor:
    """Returns places of tokens, [B, S]: of a short row some come again, none of its padding."""
    import torch

    drawn = []
    for row in mask:
        own = torch.nonzero(row)[:, 0]
        shuffled = own[torch.randperm(len(own), generator=generator)]
        drawn.append(shuffled.repeat(-(-tokens // len(own)))[:tokens])
    return torch.stack(drawn)


def _add(stream: SimilarityStream, seen: LayerInput, places: Tensor, *, has_a: bool) -> None:
    """Adds what a layer makes of the drawn tokens: sample s has the s-th token of each row."""

    def chosen(values: Tensor) -> Tensor:
        index = places[..., None].expand(-1, -1, values.shape[-1])
        return values.gather(1, index).transpose(0, 1)

    layer, x = seen.layer, chosen(seen.x)
    stream.add(f"{layer.kind}/input", x)
    features = layer.features(x) if has_a else None
    if features is not None:
        stream.add(f"{layer.kind}/A", features)
    stream.add(f"{layer.kind}/increment", chosen(layer.increment(seen.x)))


def _cka(mean: NDArray[np.float64]) -> float:
    return debiased_cka(float(mean[0]), float(mean[1]), float(mean[2]))


def _pairs(chains: Mapping[str, Sequence[AdaptedLayer]], blocks: _Blocks) -> Iterator[LayerPair]:
    for kind, layers in chains.items():
        for place, (first, second) in enumerate(itertools.pairwise(layers)):
            shares = bool(key_of_a(first)) and key_of_a(first) == key_of_a(second)
            for part in _PARTS:
                if (kind, part) in blocks:
                    own = blocks[kind, part][:, place]
                    yield LayerPair(
                        module=first.module,
                        part=part,
                        first=first.number,
                        second=second.number,
                        shares_a=shares,
                        cka=Measured.of(jackknife(own, _cka)),
                    )


def _means(chains: Mapping[str, Sequence[AdaptedLayer]], blocks: _Blocks) -> dict[str, Any]:
    """Returns the means by module, by two layers, and of all pairs."""
    everything = [(kind, place) for kind, own in chains.items() for place in range(len(own) - 1)]
    by_layers: dict[str, list[tuple[str, int]]] = {}
    for kind, place in everything:
        first, second = chains[kind][place : place + 2]
        by_layers.setdefault(f"{first.number}-{second.number}", []).append((kind, place))
    return {
        "by_module": [
            _mean(own[0].module, [pair for pair in everything if pair[0] == kind], blocks)
            for kind, own in chains.items()
        ],
        "by_layers": [_mean(name, own, blocks) for name, own in by_layers.items()],
        "overall": _mean("all", everything, blocks),
    }


def _mean(of: str, pairs: Sequence[tuple[str, int]], blocks: _Blocks) -> MeanSimilarity:
    """Returns the mean over some pairs of layers; its error knows that rows are the same."""

    def joined(part: str) -> NDArray[np.float64] | None:
        own = [blocks[kind, part][:, place] for kind, place in pairs if (kind, part) in blocks]
        return np.stack(own, axis=1) if own else None

    found: dict[str, NDArray[np.float64] | None] = {part: joined(part) for part in _PARTS}
    inputs, increments, a = found["input"], found["increment"], found["A"]
    assert inputs is not None
    assert increments is not None
    return MeanSimilarity(
        of=of,
        pairs=inputs.shape[1],
        input=Measured.of(jackknife(inputs, _mean_cka)),
        a=None if a is None else Measured.of(jackknife(a, _mean_cka)),
        increment=Measured.of(jackknife(increments, _mean_cka)),
        difference=None if a is None else Measured.of(_difference(a, increments)),
    )


def _mean_cka(mean: NDArray[np.float64]) -> float:
    return float(np.mean([_cka(pair) for pair in mean]))


def _difference(a: NDArray[np.float64], increments: NDArray[np.float64]) -> Estimate:
    def statistic(mean: NDArray[np.float64]) -> float:
        return _mean_cka(mean[0]) - _mean_cka(mean[1])

    return jackknife(np.stack([a, increments], axis=1), statistic)


def _are_adjacent(chains: Mapping[str, Sequence[AdaptedLayer]]) -> bool:
    """Whether no layer was left out, or has no adapter, between any two that are compared."""
    pairs = (pair for own in chains.values() for pair in itertools.pairwise(own))
    return all(first.number + 1 == second.number for first, second in pairs)


def _said(overall: MeanSimilarity, blocks: int, *, are_adjacent: bool) -> list[str]:
    """Returns what follows of A against ΔW·x; nothing without an A."""
    found = overall.difference
    if found is None:
        return []
    layers = "adjacent layers" if are_adjacent else "layers next to each other in this choice"
    basis = (
        f"95 %, {blocks} blocks of {BLOCK} rows, mean of {count(overall.pairs, 'pair')}, this "
        "adapter alone"
    )
    if found.value is None or found.se is None:
        return [f"Outputs of A and ΔW·x are not compared: one of them does not vary ({basis})."]
    reach = t_value(blocks - 1, 0.025) * found.se
    low, high = found.value - reach, found.value + reach
    by = f"{abs(found.value):.3f} [{min(abs(low), abs(high)):.3f}, {max(abs(low), abs(high)):.3f}]"
    begun = f"{layers[0].upper()}{layers[1:]}"
    if low > 0:
        return [f"{begun} are more alike in outputs of A than in ΔW·x, by {by} ({basis})."]
    if high < 0:
        return [f"{begun} are less alike in outputs of A than in ΔW·x, by {by} ({basis})."]
    return [
        f"Not distinguishable yet: {layers} in outputs of A and in ΔW·x; they differ by "
        f"{found.value:.3f} [{low:.3f}, {high:.3f}] ({basis})."
    ]
