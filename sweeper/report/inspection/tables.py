"""An inspection as tables of texts, and in words what it rests on."""

from __future__ import annotations

from sweeper._text import count
from sweeper.analysis.inspection import (
    Conflict,
    Diversity,
    Inspection,
    Projection,
    Similarity,
    Spectra,
)
from sweeper.report.inspection.columns import (
    conflict_columns,
    diversity_columns,
    projection_columns,
    similarity_columns,
    spectra_columns,
)
from sweeper.report.terminal.tables import Column

__all__ = ["basis_text", "inspection_tables"]


def basis_text(found: Inspection) -> str:
    """Returns what an inspection rests on: rows, split, layers."""
    rows = f"{found.rows:,} rows of the {found.split} split"
    layers = f"layer{'s' if len(found.layers) > 1 else ''} {_layers_text(found.layers)}"
    match found:
        case Similarity():
            return f"{rows} × {count(found.tokens, 'token')}, {layers}"
        case Projection():
            return f"{rows}, {count(len(found.tasks), 'task')}, {layers}"
        case Spectra():
            return f"singular values of ΔW, {layers}"
        case Diversity():
            return f"principal angles of the A of each layer, {layers}"
        case Conflict():
            tasks = count(len(found.tasks), "task")
            return f"{rows}, {tasks}, {found.batches} batches each, {found.parameters:,} parameters"


def _layers_text(layers: list[int]) -> str:
    """Returns numbers of layers, ``0-3, 7``."""
    runs: list[list[int]] = []
    for number in layers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def inspection_tables(found: Inspection) -> list[tuple[str, list[Column]]]:
    """Returns the tables of an inspection, each with its title; the most telling columns first."""
    match found:
        case Similarity():
            by_module = "Mean CKA of adjacent layers, by module"
            return [
                (by_module, similarity_columns([*found.by_module, found.overall], of="module")),
                ("By pair of layers", similarity_columns(found.by_layers, of="pair")),
            ]
        case Projection():
            return [("How well features tell the tasks apart", projection_columns(found))]
        case Spectra():
            return [("By module: middle of the layers, and range", spectra_columns(found))]
        case Diversity():
            return [
                (
                    "What experts have in common: mean cos² of angles, smallest angle",
                    diversity_columns(found),
                )
            ]
        case Conflict():
            return [("Cosines of gradients, the lowest first", conflict_columns(found))]
