"""The mathematics of the inspections: tensors in, numbers and their errors out."""

from __future__ import annotations

from sweeper.analysis.inspection.measures.angles import (
    Overlap,
    overlap_of,
    random_overlaps,
)
from sweeper.analysis.inspection.measures.conflict import (
    GradientCosines,
    GradientProducts,
    GradientStream,
    cosines_of,
)
from sweeper.analysis.inspection.measures.jackknife import jackknife
from sweeper.analysis.inspection.measures.separability import (
    Separation,
    probe_separation,
    silhouette_difference,
    silhouette_separation,
)
from sweeper.analysis.inspection.measures.similarity import (
    SimilarityStream,
    debiased_cka,
    unbiased_hsic,
)
from sweeper.analysis.inspection.measures.spectra import Spectrum, spectrum_of, spectrum_of_product

__all__ = [
    "GradientCosines",
    "GradientProducts",
    "GradientStream",
    "Overlap",
    "Separation",
    "SimilarityStream",
    "Spectrum",
    "cosines_of",
    "debiased_cka",
    "jackknife",
    "overlap_of",
    "probe_separation",
    "random_overlaps",
    "silhouette_difference",
    "silhouette_separation",
    "spectrum_of",
    "spectrum_of_product",
    "unbiased_hsic",
]
