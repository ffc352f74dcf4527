"""Principal angles between the row spaces of the experts A_i of each layer."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sweeper._text import count
from sweeper.analysis.inspection.asked import InspectionRequest
from sweeper.analysis.inspection.measures import overlap_of, random_overlaps
from sweeper.analysis.inspection.model import OpenTrial, key_of_a
from sweeper.analysis.inspection.results import ExpertPair, LayerExperts
from sweeper.errors import BadInputError

if TYPE_CHECKING:
    from torch import Tensor

    from sweeper_adapters import AdaptedLayer

__all__ = ["diversity_of"]

# Pairs of random spaces: means over the pairs of a layer are made of them.
MOST_DRAWS = 400
# Means that the quantiles are of.
MEANS = 2000


def diversity_of(opened: OpenTrial, asked: InspectionRequest) -> dict[str, Any]:
    """Returns the fields of a :class:`Diversity` that are its own.

    Raises:
        BadInputError: the method adapts no layers, or has one A or none in each.
    """
    layers = [layer for layer in opened.layers(asked) if len(layer.downs()) > 1]
    if not layers:
        raise BadInputError(_why_not(opened, asked))
    # Layers that share experts are one group, and are told apart by nothing.
    groups: dict[object, list[AdaptedLayer]] = {}
    for layer in layers:
        groups.setdefault((layer.kind, key_of_a(layer)), []).append(layer)
    draws = min(asked.draws, MOST_DRAWS)
    drawn = functools.cache(
        lambda rows, columns: random_overlaps(rows, columns, draws=draws, seed=asked.seed)
    )
    return {
        "layers": sorted({layer.number for layer in layers}),
        "modules": list(dict.fromkeys(layer.module for layer in layers)),
        "draws": draws,
        "groups": (found := [_group(own, drawn, asked.seed) for own in groups.values()]),
        "statements": [_said(found)],
    }


def _said(groups: Sequence[LayerExperts]) -> str:
    more = sum(group.shared > group.random_high for group in groups)
    less = sum(group.shared < group.random_low for group in groups)
    return (
        f"Of {count(len(groups), 'set')} of experts {more} have more in common than random spaces "
        f"of their size, {less} have less, and {len(groups) - more - less} as much (95 % each by "
        "itself: of 20 random ones one is outside). Weights are no sample: they have no error."
    )


def _why_not(opened: OpenTrial, asked: InspectionRequest) -> str:
    has_one = any(layer.downs() for layer in opened.layers(asked))
    label = opened.trial.method.label
    what = "one matrix A in each layer" if has_one else "no matrix A"
    return (
        f"diversity: {label} has {what}, so there are no experts to compare; it must be a method "
        "with several A, such as masa, mae, moelora, multilora, cola or bslora; take a trial of "
        "one, or --spectra"
    )


def _group(
    layers: list[AdaptedLayer],
    drawn: functools._lru_cache_wrapper[NDArray[np.float64]],
    seed: int,
) -> LayerExperts:
    downs = {name: down for name, down in layers[0].downs().items() if bool(down.any())}
    if len(downs) < 2:
        raise BadInputError(
            f"diversity: {layers[0].name} has fewer than two experts that are not zero, and zero "
            "has no row space; leave the layer out with --layers or --modules"
        )
    pairs = [_pair(*pair, downs) for pair in itertools.combinations(downs, 2)]
    columns = next(iter(downs.values())).shape[1]
    sizes = [(len(downs[pair.first]), len(downs[pair.second])) for pair in pairs]
    random = _random_means([drawn(rows, columns) for rows in sizes], seed)
    low, high = np.quantile(random, [0.025, 0.975])
    return LayerExperts(
        module=layers[0].module,
        layers=[layer.number for layer in layers],
        experts=list(downs),
        ranks=[len(down) for down in downs.values()],
        columns=columns,
        shared=float(np.mean([pair.shared for pair in pairs])),
        smallest=min(pair.smallest for pair in pairs),
        random=float(random.mean()),
        random_low=float(low),
        random_high=float(high),
        pairs=pairs,
    )


def _pair(first: str, second: str, downs: dict[str, Tensor]) -> ExpertPair:
    found = overlap_of(downs[first], downs[second])
    return ExpertPair(
        first=first,
        second=second,
        smallest=found.smallest,
        mean=found.mean,
        shared=found.shared,
    )


def _random_means(of_pairs: list[NDArray[np.float64]], seed: int) -> NDArray[np.float64]:
    """Returns means over as many pairs of random spaces, float64 [MEANS].

    Two pairs that have a space in common are independent all the same: a random space lies to any
    given one as to any other.
    """
    drawn = np.random.default_rng(seed)
    chosen = [drawn.choice(own, MEANS) for own in of_pairs]
    return np.asarray(np.mean(chosen, axis=0), dtype=np.float64)
