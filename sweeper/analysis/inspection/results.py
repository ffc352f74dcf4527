"""What an inspection has found, as it is written to a file in the trial's folder."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from sweeper.estimates import Estimate
from sweeper.tracking.stored import STORED

__all__ = [
    "Conflict",
    "Diversity",
    "ExpertPair",
    "Inspection",
    "InspectionAbout",
    "LayerExperts",
    "LayerPair",
    "LayerSpectrum",
    "MeanSimilarity",
    "Measured",
    "Point",
    "Projection",
    "Separability",
    "Similarity",
    "Spectra",
    "TaskGradient",
    "TaskPair",
]


class Measured(BaseModel):
    """A value with its standard error."""

    model_config = STORED

    value: float | None
    """None where it could not be told: what it is divided by is not above zero."""
    se: float | None = None
    """Standard error; None where one block alone could be had."""

    @classmethod
    def of(cls, estimate: Estimate) -> Measured:
        """Returns an estimate as it is written; what is no finite number is None."""
        error = estimate.standard_error
        is_told = math.isfinite(estimate.value)
        has_error = is_told and error is not None and math.isfinite(error)
        return cls(value=estimate.value if is_told else None, se=error if has_error else None)


class InspectionAbout(BaseModel):
    """What was looked into, how, and when."""

    model_config = STORED

    trial: str
    """Identity of the trial."""
    sweep: str
    """Name of its sweep."""
    method: str
    """Name of the method."""
    split: str = ""
    """Where the rows are from; empty where none were needed."""
    rows: int = Field(default=0, ge=0)
    """Rows of the data that were looked at."""
    seed: int
    """What rows, tokens, permutations and random matrices were drawn with."""
    layers: list[int]
    """Numbers of the decoder layers, from 0."""
    modules: list[str]
    """Last parts of the names of the adapted layers."""
    precision: str
    """``fp32``, ``bf16`` or ``fp16``: of the base's weights."""
    device: str
    """Where it ran."""
    data_fingerprint: str = ""
    """Hash of the data as it is now; empty where none was needed."""
    notes: list[str] = []
    """Sentences on what was left out, and why."""
    statements: list[str] = []
    """What follows, a sentence each."""
    wall_time_s: float = Field(ge=0)
    """Seconds that it took, loading included."""
    ended_at: datetime
    """When it was done, UTC."""
    path: str
    """File that holds it, absolute."""

    def document(self) -> dict[str, Any]:
        """Returns it as plain JSON."""
        document: dict[str, Any] = json.loads(self.model_dump_json())
        return document


class LayerPair(BaseModel):
    """Linear CKA of two adjacent layers."""

    model_config = STORED

    module: str
    """``q_proj``."""
    part: Literal["input", "A", "increment"]
    """What is compared: inputs of the layers, outputs of A, or ΔW·x."""
    first: int
    """Number of the lower layer."""
    second: int
    """Number of the upper one."""
    shares_a: bool
    """Whether both layers have the same A."""
    cka: Measured
    """1: the same up to a rotation and a factor; 0: nothing in common."""


class MeanSimilarity(BaseModel):
    """Mean CKA of several pairs of layers."""

    model_config = STORED

    of: str
    """A module, ``q_proj``; two layers, ``0-1``; or ``all``."""
    pairs: int
    """Pairs of layers that it is a mean of."""
    input: Measured
    """Of the layers' inputs: what any method finds there."""
    a: Measured | None = None
    """Of the outputs of A; None without a matrix A."""
    increment: Measured
    """Of ΔW·x."""
    difference: Measured | None = None
    """A minus increment, with the error of the same rows."""


class Similarity(InspectionAbout):
    """CKA of adjacent layers (MASA, Figure 3)."""

    kind: Literal["similarity"] = "similarity"
    tokens: int
    """Tokens of each row."""
    block_rows: int
    """Rows of a block; the error is a jackknife over blocks."""
    blocks: int
    """Blocks of rows."""
    pairs: list[LayerPair]
    by_module: list[MeanSimilarity]
    by_layers: list[MeanSimilarity]
    overall: MeanSimilarity


class Separability(BaseModel):
    """How well features tell tasks apart."""

    model_config = STORED

    module: str
    layer: int
    features: str
    """``A1`` …, ``A``, ``input``: what the layer is given, or ``random``: as many random
    directions of it as an A has, the median of several draws."""
    dimensions: int
    silhouette: Measured
    """Mean silhouette of the tasks, −1 to 1."""
    silhouette_null: float
    """Its 95 % quantile with permuted labels."""
    silhouette_p: float
    """One-sided, of the permutation test."""
    probe: Measured
    """Balanced accuracy of a linear probe on unseen rows, 0 to 1."""
    probe_null: float
    """Its 95 % quantile with permuted labels."""
    probe_p: float
    """One-sided, of the permutation test."""
    p_holm: float | None = None
    """The larger of the two p, adjusted for all experts of this inspection (Holm 1979); None for
    what is only there to compare with."""
    versus_input: Measured | None = None
    """Silhouette minus that of the input, with the error of the same rows."""


class Point(BaseModel):
    """A row in a picture of t-SNE, whose axes have no unit."""

    model_config = STORED

    module: str
    layer: int
    features: str
    task: str
    x: float
    y: float


class Projection(InspectionAbout):
    """t-SNE of each expert's features by task, and how separable they are (MASA, Figures 2, 5)."""

    kind: Literal["projection"] = "projection"
    tasks: dict[str, int]
    """Rows of each task."""
    draws: int
    """Permutations of the labels."""
    perplexity: float
    """Of t-SNE."""
    scores: list[Separability]
    points: list[Point]


class LayerSpectrum(BaseModel):
    """Singular values of one layer's ΔW."""

    model_config = STORED

    module: str
    layer: int
    shape: tuple[int, int]
    """[O, I]."""
    frobenius: float
    spectral: float
    """The largest singular value."""
    stable_rank: float
    effective_rank: float
    rank_above: int
    """Singular values above the threshold."""
    numerical_rank: int
    """Singular values that are not rounding."""
    places: list[int]
    """Places of the values below, from 0; all where there are few."""
    values: list[float]
    """Singular values, the largest first."""


class Spectra(InspectionAbout):
    """Spectra of ΔW (MoSA, Figure 4)."""

    kind: Literal["spectra"] = "spectra"
    threshold: float
    spectra: list[LayerSpectrum]


class ExpertPair(BaseModel):
    """Two experts of one layer."""

    model_config = STORED

    first: str
    second: str
    smallest: float
    """Smallest principal angle, degrees."""
    mean: float
    """Mean principal angle, degrees."""
    shared: float
    """Mean cos² of the angles, 0 to 1."""


class LayerExperts(BaseModel):
    """The experts of one layer, or of a group that shares them."""

    model_config = STORED

    module: str
    layers: list[int]
    """Layers that have these experts."""
    experts: list[str]
    ranks: list[int]
    """Rows of each A."""
    columns: int
    """I: dimensions of the space."""
    shared: float
    """Mean over pairs of the mean cos²."""
    smallest: float
    """Smallest angle of any pair, degrees."""
    random: float
    """Mean cos² of random spaces: what experts have that know nothing of each other."""
    random_low: float
    """2.5 % quantile of the mean over as many pairs of random spaces."""
    random_high: float
    """97.5 % quantile."""
    pairs: list[ExpertPair]


class Diversity(InspectionAbout):
    """Principal angles between the row spaces of experts."""

    kind: Literal["diversity"] = "diversity"
    draws: int
    """Random draws of the comparison."""
    groups: list[LayerExperts]


class TaskGradient(BaseModel):
    """The gradient of one task."""

    model_config = STORED

    task: str
    rows: int
    norm: float
    """Its length without the part that is noise of the batches; 0 where nothing is left."""
    is_told: bool
    """Whether it is told from noise: its square is two standard errors above 0."""


class TaskPair(BaseModel):
    """The gradients of two tasks."""

    model_config = STORED

    first: str
    second: str
    cosine: Measured
    """Debiased; −1 opposite, 1 the same; noise can take it beyond. None where the gradient of one
    of them is not told from noise."""
    p_holm: float | None = None
    """Two-sided p that it is 0, adjusted for all pairs (Holm 1979)."""


class Conflict(InspectionAbout):
    """Cosines between gradients of tasks."""

    kind: Literal["conflict"] = "conflict"
    batches: int
    """Batches of each task; the error is a jackknife over them."""
    parameters: int
    """Numbers in a gradient: the trained parameters."""
    tasks: list[TaskGradient]
    pairs: list[TaskPair]


Inspection = Annotated[
    Similarity | Projection | Spectra | Diversity | Conflict, Field(discriminator="kind")
]
"""What any kind of inspection has found."""
