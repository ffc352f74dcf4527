"""A trained trial looked into: what its layers compute, and what training made of the adapter."""

from __future__ import annotations

from sweeper.analysis.inspection.asked import (
    KINDS,
    InspectionKind,
    InspectionRequest,
    layer_numbers,
)
from sweeper.analysis.inspection.inspecting import (
    INSPECTIONS_FOLDER,
    inspect_trial,
    read_inspections,
)
from sweeper.analysis.inspection.results import (
    Conflict,
    Diversity,
    Inspection,
    Projection,
    Similarity,
    Spectra,
)

__all__ = [
    "INSPECTIONS_FOLDER",
    "KINDS",
    "Conflict",
    "Diversity",
    "Inspection",
    "InspectionKind",
    "InspectionRequest",
    "Projection",
    "Similarity",
    "Spectra",
    "inspect_trial",
    "layer_numbers",
    "read_inspections",
]
