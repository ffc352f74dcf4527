"""Singular values and ranks of each layer's ΔW (MoSA, Figure 4)."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from sweeper._text import count
from sweeper.analysis.inspection.asked import InspectionRequest
from sweeper.analysis.inspection.measures import Spectrum, spectrum_of, spectrum_of_product
from sweeper.analysis.inspection.model import OpenTrial
from sweeper.analysis.inspection.results import LayerSpectrum
from sweeper.errors import BadInputError

if TYPE_CHECKING:
    from sweeper_adapters import AdaptedLayer

__all__ = ["spectra_of"]

# Of more singular values a curve shows no more.
MOST_VALUES = 128


def spectra_of(opened: OpenTrial, asked: InspectionRequest) -> dict[str, Any]:
    """Returns the fields of a :class:`Spectra` that are its own.

    One ΔW at a time is there, and none where it is a product of small factors.

    Raises:
        BadInputError: the method adapts no layers, or its update is no matrix.
    """
    layers = opened.layers(asked)
    spectra = [_described(layer, opened, asked) for layer in layers]
    return {
        "layers": sorted({layer.number for layer in layers}),
        "modules": list(dict.fromkeys(layer.module for layer in layers)),
        "threshold": asked.threshold,
        "spectra": spectra,
        "statements": [_said(spectra, asked.threshold)],
    }


def _said(spectra: Sequence[LayerSpectrum], threshold: float) -> str:
    full = sum(x.rank_above == min(x.shape) for x in spectra)
    ranks = [x.rank_above for x in spectra]
    effective = median(x.effective_rank for x in spectra)
    above = f"{min(ranks)} to {max(ranks)}" if len(set(ranks)) > 1 else str(ranks[0])
    return (
        f"{above} singular values of each ΔW are above {threshold:g}, all of them in {full} of "
        f"{count(len(spectra), 'module')}. The effective rank is {effective:.1f} in the middle. "
        "Weights are no sample: these numbers have no error."
    )


def _described(layer: AdaptedLayer, opened: OpenTrial, asked: InspectionRequest) -> LayerSpectrum:
    try:
        spectrum, shape = _spectrum(layer)
    except ValueError as error:
        raise BadInputError(
            f"spectra: {opened.trial.method.label} has no ΔW of {layer.name}: {error}; "
            "--similarity and --conflict work for it"
        ) from error
    return LayerSpectrum(
        module=layer.module,
        layer=layer.number,
        shape=shape,
        frobenius=spectrum.frobenius,
        spectral=spectrum.spectral,
        stable_rank=spectrum.stable_rank,
        effective_rank=spectrum.effective_rank,
        rank_above=spectrum.rank_above(asked.threshold),
        numerical_rank=spectrum.numerical_rank,
        places=(places := _places(len(spectrum.values))),
        values=[spectrum.values[place] for place in places],
    )


def _spectrum(layer: AdaptedLayer) -> tuple[Spectrum, tuple[int, int]]:
    factors = layer.factors()
    if factors is not None:
        a, b = factors
        return spectrum_of_product(b, a), (b.shape[0], a.shape[1])
    delta = layer.delta()
    return spectrum_of(delta), (delta.shape[0], delta.shape[1])


def _places(count: int) -> list[int]:
    """Returns which of so many values are kept: all of few, else more of the first ones."""
    if count <= MOST_VALUES:
        return list(range(count))
    return sorted({round(x) - 1 for x in np.geomspace(1, count, MOST_VALUES)})
