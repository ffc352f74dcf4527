"""Each expert's features by task: a picture by t-SNE, and scores of how separable they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtr

from sweeper.analysis.inspection.asked import InspectionRequest
from sweeper.analysis.inspection.measures import (
    Separation,
    probe_separation,
    silhouette_difference,
    silhouette_separation,
)
from sweeper.analysis.inspection.model import (
    LayerInput,
    OpenTrial,
    Row,
    layer_inputs,
    rows_by_task,
    rows_of,
)
from sweeper.analysis.inspection.results import Measured, Point, Separability
from sweeper.analysis.statistics.multiplicity import holm_adjusted
from sweeper.errors import BadInputError

if TYPE_CHECKING:
    from torch import Tensor

    from sweeper_adapters import AdaptedLayer

__all__ = ["is_expert", "projection_of"]

# Of a task: below that neither score has an error that could be believed.
LEAST_ROWS = 8
# MASA's Figure 2 is of it.
FIRST_CHOICE = "v_proj"
# Random directions are drawn so often, and the middle one is shown.
RANDOM_DRAWS = 9
# Of each family of statements.
ALPHA = 0.05
# Of t-SNE; sklearn's own, where there are rows enough for it.
PERPLEXITY = 30.0


def is_expert(features: str) -> bool:
    """Whether features are those of an A, and not only there to compare with."""
    return features not in {"input", "random"}


@dataclass(frozen=True, eq=False)
class _Features:
    """What an expert makes of the rows."""

    layer: AdaptedLayer
    name: str
    values: Tensor
    """[N, P], float32, on the CPU; of random directions [D, N, P], a draw each."""


def projection_of(opened: OpenTrial, asked: InspectionRequest) -> dict[str, Any]:
    """Returns the fields of a :class:`Projection` that are its own.

    Raises:
        BadInputError: the method has no matrix A; or there are no two tasks with rows enough.
    """
    import torch

    layers = _chosen(opened, asked)
    tasks = rows_by_task(
        rows_of(opened, asked, least=2 * LEAST_ROWS), kind="projection", least=LEAST_ROWS
    )
    rows = [row for own in tasks.values() for row in own]
    labels = torch.tensor([number for number, own in enumerate(tasks.values()) for _ in own])
    features = list(_features(opened, layers, rows, asked.seed))
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    scores = _with_holm([_scored(x, features, labels, asked) for x in features])
    return {
        "layers": sorted({layer.number for layer in layers}),
        "modules": list(dict.fromkeys(layer.module for layer in layers)),
        "rows": len(rows),
        "tasks": {task: len(own) for task, own in tasks.items()},
        "draws": asked.draws,
        "perplexity": perplexity,
        "scores": scores,
        "points": [
            point
            for x in features
            for point in _points(x, rows, perplexity=perplexity, seed=asked.seed)
        ],
        "statements": _said(scores, len(rows)),
    }


def _chosen(opened: OpenTrial, asked: InspectionRequest) -> list[AdaptedLayer]:
    """Returns the layers with an A: of the middle one v_proj, else its first, if none is named."""
    layers = [layer for layer in opened.layers(asked) if layer.downs()]
    if not layers:
        raise BadInputError(
            f"projection: {opened.trial.method.label} has no matrix A, so there are no features of "
            "experts; it must be a method with down-projections; take a trial of one, or --spectra"
        )
    if not asked.layers:
        numbers = sorted({layer.number for layer in layers})
        layers = [layer for layer in layers if layer.number == numbers[len(numbers) // 2]]
    if not asked.modules:
        names = [layer.module for layer in layers]
        name = FIRST_CHOICE if FIRST_CHOICE in names else names[0]
        layers = [layer for layer in layers if layer.module == name]
    return layers


def _features(
    opened: OpenTrial, layers: Sequence[AdaptedLayer], rows: Sequence[Row], seed: int
) -> Iterator[_Features]:
    """Yields the mean over a row's tokens of A_i x, and of what it is compared with."""
    import torch

    means: dict[str, list[Tensor]] = {layer.name: [] for layer in layers}

    def take(seen: LayerInput) -> None:
        # A is linear: the mean of A x is A of the mean.
        weights = seen.mask / seen.mask.sum(dim=1, keepdim=True)
        mean = torch.einsum("bt,bti->bi", weights.float(), seen.x.float())
        means[seen.layer.name].append(mean.cpu())

    for _ in layer_inputs(opened, layers, rows, take):
        pass
    generator = torch.Generator().manual_seed(seed)
    for layer in layers:
        x = torch.cat(means[layer.name])
        downs = {name: down.cpu().to(x.dtype) for name, down in layer.downs().items()}
        yield _Features(layer, "input", x)
        rank = min(len(down) for down in downs.values())
        directions = torch.randn(RANDOM_DRAWS, rank, x.shape[1], generator=generator)
        yield _Features(layer, "random", torch.einsum("dri,ni->dnr", directions, x))
        for name, down in downs.items():
            yield _Features(layer, name, x @ down.T)


def _scored(
    own: _Features, others: Sequence[_Features], labels: Tensor, asked: InspectionRequest
) -> Separability:
    silhouette, probe = _separations(own, labels, asked)
    inputs = next(x for x in others if x.layer is own.layer and x.name == "input")
    difference = (
        silhouette_difference(own.values, inputs.values, labels) if is_expert(own.name) else None
    )
    return Separability(
        module=own.layer.module,
        layer=own.layer.number,
        features=own.name,
        dimensions=own.values.shape[-1],
        silhouette=Measured.of(silhouette.score),
        silhouette_null=float(np.quantile(silhouette.null, 0.95)),
        silhouette_p=silhouette.p_value,
        probe=Measured.of(probe.score),
        probe_null=float(np.quantile(probe.null, 0.95)),
        probe_p=probe.p_value,
        versus_input=None if difference is None else Measured.of(difference),
    )


def _separations(
    own: _Features, labels: Tensor, asked: InspectionRequest
) -> tuple[Separation, Separation]:
    """Returns silhouette and probe; of several draws those of the draw in the middle."""
    if own.values.dim() == 2:
        return (
            silhouette_separation(own.values, labels, draws=asked.draws, seed=asked.seed),
            probe_separation(own.values, labels, draws=asked.draws, seed=asked.seed),
        )
    # The nulls are of the draw in the middle alone: each takes as long as an expert's.
    silhouettes = [silhouette_separation(x, labels, draws=1, seed=0) for x in own.values]
    probes = [probe_separation(x, labels, draws=1, seed=0) for x in own.values]
    by_silhouette, by_probe = own.values[_middle(silhouettes)], own.values[_middle(probes)]
    return (
        silhouette_separation(by_silhouette, labels, draws=asked.draws, seed=asked.seed),
        probe_separation(by_probe, labels, draws=asked.draws, seed=asked.seed),
    )


def _middle(found: Sequence[Separation]) -> int:
    """Returns the place of the score in the middle."""
    return sorted(range(len(found)), key=lambda place: found[place].score.value)[len(found) // 2]


def _with_holm(scores: Sequence[Separability]) -> list[Separability]:
    """Returns the scores with the p of the experts adjusted for their number."""
    # Both scores must be above chance.
    p = np.array([max(x.silhouette_p, x.probe_p) for x in scores if is_expert(x.features)])
    adjusted = iter(holm_adjusted(p).tolist())
    return [
        x.model_copy(update={"p_holm": next(adjusted) if is_expert(x.features) else None})
        for x in scores
    ]


def _said(scores: Sequence[Separability], rows: int) -> list[str]:
    experts = [x for x in scores if is_expert(x.features)]
    told = sum(x.p_holm is not None and x.p_holm < ALPHA for x in experts)
    ratios = [_ratio(x.versus_input) for x in experts]
    p = holm_adjusted(np.array([2 * stdtr(rows - 1, -abs(ratio)) for ratio in ratios]))
    better = sum(x < ALPHA and ratio > 0 for x, ratio in zip(p, ratios, strict=True))
    worse = sum(x < ALPHA and ratio < 0 for x, ratio in zip(p, ratios, strict=True))
    return [
        f"The features of {told} of {len(experts)} A tell the tasks apart better than chance does, "
        f"by silhouette and by linear probe (permuted labels, {rows:,} rows, Holm at 95 %).",
        f"By silhouette {better} of them separate them more than what the layer is given already "
        f"does, and {worse} less (paired by row, Holm at 95 %).",
        "The picture of t-SNE proves nothing: it shows clusters of noise, too.",
    ]


def _ratio(found: Measured | None) -> float:
    """Returns a difference in units of its error; 0 where nothing is told."""
    if found is None or found.value is None or not found.se:
        return 0.0
    return found.value / found.se


def _points(
    own: _Features, rows: Sequence[Row], *, perplexity: float, seed: int
) -> Iterator[Point]:
    """Yields the rows as t-SNE places them (van der Maaten and Hinton 2008)."""
    from sklearn.manifold import TSNE

    # Random directions are one of the draws: a picture has no middle.
    values = own.values if own.values.dim() == 2 else own.values[0]
    made = TSNE(2, perplexity=perplexity, init="pca", random_state=seed, n_jobs=1)
    spread = values.std(dim=0)
    scaled = (values - values.mean(dim=0)) / spread.where(spread > 0, spread.new_ones(()))
    for row, (x, y) in zip(rows, made.fit_transform(scaled.double().numpy()), strict=True):
        yield Point(
            module=own.layer.module,
            layer=own.layer.number,
            features=own.name,
            task=row.task,
            x=round(float(x), 3),
            y=round(float(y), 3),
        )
