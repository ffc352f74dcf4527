"""The columns of each inspection's table, by how much they tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from sweeper.analysis.inspection import Conflict, Diversity, Projection, Spectra
from sweeper.analysis.inspection.results import (
    LayerExperts,
    LayerSpectrum,
    MeanSimilarity,
    Measured,
    Separability,
    TaskPair,
)
from sweeper.estimates import Estimate
from sweeper.report.terminal.tables import Column

__all__ = [
    "conflict_columns",
    "diversity_columns",
    "measured_text",
    "projection_columns",
    "similarity_columns",
    "spectra_columns",
]

# Of pairs of tasks there are more than anybody reads; the file has all.
MOST_PAIRS = 24


def measured_text(found: Measured | None) -> str:
    """Returns ``0.474 ± 0.009``, ``–`` of what could not be told."""
    if found is None or found.value is None:
        return "–"
    return str(Estimate(found.value, found.se))


def similarity_columns(means: Sequence[MeanSimilarity], *, of: str) -> list[Column]:
    """Returns the columns of means of CKA."""

    def column(title: str, value: Callable[[MeanSimilarity], Measured | None]) -> Column:
        return Column(title, tuple(measured_text(value(x)) for x in means), is_number=True)

    columns = [Column(of, tuple(x.of for x in means), is_kept=True)]
    has_a = any(x.a is not None for x in means)
    if has_a:
        columns.append(column("outputs of A", lambda x: x.a))
    columns.append(column("ΔW·x", lambda x: x.increment))
    if has_a:
        columns.append(column("A − ΔW·x", lambda x: x.difference))
    columns.append(column("inputs", lambda x: x.input))
    pairs = Column("pairs", tuple(str(x.pairs) for x in means), is_number=True)
    return [*columns, pairs]


def projection_columns(found: Projection) -> list[Column]:
    """Returns the columns of separability."""
    scores = found.scores

    def column(title: str, text: Callable[[Separability], str]) -> Column:
        return Column(title, tuple(text(x) for x in scores), is_number=True)

    several = len(found.layers) * len(found.modules) > 1
    where = Column("layer", tuple(f"{x.layer} {x.module}" for x in scores), is_kept=several)
    return [
        *([where] if several else []),
        Column("features", tuple(x.features for x in scores), is_kept=True),
        column("silhouette", lambda x: measured_text(x.silhouette)),
        column("chance", lambda x: f"{x.silhouette_null:.3f}"),
        column("probe", lambda x: measured_text(x.probe)),
        column("chance", lambda x: f"{x.probe_null:.3f}"),
        column("p (Holm)", lambda x: "–" if x.p_holm is None else f"{x.p_holm:.3g}"),
        column("against input", lambda x: measured_text(x.versus_input)),
        *([] if several else [where]),
        column("size", lambda x: str(x.dimensions)),
    ]


def spectra_columns(found: Spectra) -> list[Column]:
    """Returns the columns of spectra, a row a module."""
    own = {
        module: [x for x in found.spectra if x.module == module]
        for module in dict.fromkeys(x.module for x in found.spectra)
    }

    def column(title: str, value: Callable[[LayerSpectrum], float]) -> Column:
        cells = tuple(_range_text([value(x) for x in layers]) for layers in own.values())
        return Column(title, cells, is_number=True)

    shapes = tuple(f"{x[0].shape[0]} × {x[0].shape[1]}" for x in own.values())
    return [
        Column("module", tuple(own), is_kept=True),
        column("effective rank", lambda x: x.effective_rank),
        column("stable rank", lambda x: x.stable_rank),
        column(f"σ > {found.threshold:g}", lambda x: x.rank_above),
        Column("ΔW", shapes, is_number=True),
        column("largest σ", lambda x: x.spectral),
        column("length", lambda x: x.frobenius),
        column("rank", lambda x: x.numerical_rank),
    ]


def _range_text(values: Sequence[float]) -> str:
    """Returns ``6.6 (5.9–7.1)``: the middle and both ends; one value where all are alike."""
    middle, low, high = (f"{x:.3g}" for x in (median(values), min(values), max(values)))
    return middle if low == high else f"{middle} ({low}–{high})"


def diversity_columns(found: Diversity) -> list[Column]:
    """Returns the columns of what experts have in common, a row a set of experts."""
    groups = found.groups

    def column(title: str, text: Callable[[LayerExperts], str]) -> Column:
        return Column(title, tuple(text(x) for x in groups), is_number=True)

    return [
        Column("module", tuple(x.module for x in groups), is_kept=True),
        Column("layers", tuple(_layers(x.layers) for x in groups), is_kept=True),
        column("cos²", lambda x: f"{x.shared:.4f}"),
        column(
            "random spaces", lambda x: f"{x.random:.4f} [{x.random_low:.4f}, {x.random_high:.4f}]"
        ),
        Column("", tuple(_verdict(x) for x in groups)),
        column("angle", lambda x: f"{x.smallest:.1f}°"),
        column("A", lambda x: str(len(x.experts))),
        column("rank", lambda x: "/".join(dict.fromkeys(map(str, x.ranks)))),
        column("of", lambda x: str(x.columns)),
    ]


def _layers(layers: Sequence[int]) -> str:
    return str(layers[0]) if len(layers) == 1 else f"{layers[0]}-{layers[-1]}"


def _verdict(group: LayerExperts) -> str:
    if group.shared > group.random_high:
        return "more"
    return "less" if group.shared < group.random_low else "as much"


def conflict_columns(found: Conflict) -> list[Column]:
    """Returns the columns of pairs of tasks, the lowest cosines and the highest of many."""
    told = [pair for pair in found.pairs if pair.cosine.value is not None]
    told.sort(key=lambda pair: pair.cosine.value or 0.0)
    pairs: list[TaskPair | None] = [*told]
    if len(told) > MOST_PAIRS:
        half = MOST_PAIRS // 2
        pairs = [*told[:half], None, *told[-half:]]
    rest = f"… {len(told) - MOST_PAIRS} more"

    def column(title: str, text: Callable[[TaskPair], str], *, gap: str = "") -> Column:
        cells = tuple(gap if pair is None else text(pair) for pair in pairs)
        return Column(title, cells, is_number=not gap, is_kept=True)

    return [
        column("tasks", lambda x: f"{x.first}, {x.second}", gap=rest),
        column("cosine", lambda x: measured_text(x.cosine)),
        column("p (Holm)", lambda x: "–" if x.p_holm is None else f"{x.p_holm:.2g}"),
    ]
