"""A trial looked into, and the file that keeps what was found."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sweeper._files import read_bytes, write_text
from sweeper._spec import reason_of
from sweeper.analysis.inspection.asked import KINDS, InspectionKind, InspectionRequest
from sweeper.analysis.inspection.conflict import conflict_of
from sweeper.analysis.inspection.diversity import diversity_of
from sweeper.analysis.inspection.model import OpenTrial, open_trial, require_trained_form
from sweeper.analysis.inspection.projection import projection_of
from sweeper.analysis.inspection.results import (
    Conflict,
    Diversity,
    Inspection,
    InspectionAbout,
    Projection,
    Similarity,
    Spectra,
)
from sweeper.analysis.inspection.similarity import similarity_of
from sweeper.analysis.inspection.spectra import spectra_of
from sweeper.analysis.lookup import FoundTrial
from sweeper.errors import BadInputError, DamagedFileError
from sweeper.tracking.trial_folder import TrialFolder

__all__ = ["INSPECTIONS_FOLDER", "inspect_trial", "read_inspections"]

logger = logging.getLogger(__name__)

INSPECTIONS_FOLDER = "inspections"
"""Name of the folder in a trial's that holds a file of each kind of inspection, the last one."""

_Inspect = Callable[[OpenTrial, InspectionRequest], dict[str, Any]]
_WAYS: Mapping[InspectionKind, tuple[type[InspectionAbout], _Inspect]] = {
    "similarity": (Similarity, similarity_of),
    "projection": (Projection, projection_of),
    "spectra": (Spectra, spectra_of),
    "diversity": (Diversity, diversity_of),
    "conflict": (Conflict, conflict_of),
}
# Those that are of the weights alone.
_WITHOUT_ROWS = {"spectra", "diversity"}
_READ: TypeAdapter[Inspection] = TypeAdapter(Inspection)


def inspect_trial(found: FoundTrial, asked: InspectionRequest) -> Inspection:
    """Looks into a trained trial and writes what it finds to a file, in the place of an older one.

    Args:
        found: the trial.
        asked: for what, on how much.

    Raises:
        BadInputError: the trial has no adapter; the method has nothing of the kind; the model, the
            data or the device is not there. Nothing was written.
        TrialError: what the adapter computes is not finite.
    """
    started_s = time.perf_counter()
    _require_sense(asked)
    if asked.kind == "conflict":
        require_trained_form(found.spec())
    reads_data = asked.kind not in _WITHOUT_ROWS
    with open_trial(found, asked, reads_data=reads_data) as opened:
        form, inspect = _WAYS[asked.kind]
        own = inspect(opened, asked)
        about = _about(found, opened, asked, reads_data=reads_data)
    path = found.results_folder(INSPECTIONS_FOLDER) / f"{asked.kind}.json"
    about["notes"] = [*found.notes(), *own.pop("notes", [])]
    written = form(
        **about | own,
        wall_time_s=time.perf_counter() - started_s,
        ended_at=datetime.now(UTC),
        path=str(path.absolute()),
    )
    write_text(path, written.model_dump_json(indent=2) + "\n")
    return _READ.validate_python(written)


def _about(
    found: FoundTrial, opened: OpenTrial, asked: InspectionRequest, *, reads_data: bool
) -> dict[str, Any]:
    return {
        "trial": found.trial.id,
        "sweep": found.sweep.name,
        "method": opened.trial.method.label,
        "split": asked.chosen_split if reads_data else "",
        "seed": asked.seed,
        "precision": opened.trial.engine.precision,
        "device": str(opened.base.device),
        "data_fingerprint": opened.base.data.fingerprint if reads_data else "",
    }


def _require_sense(asked: InspectionRequest) -> None:
    """Checks numbers that no option's own bounds can."""
    if not math.isfinite(asked.threshold) or asked.threshold < 0:
        raise BadInputError(
            f"threshold: got {asked.threshold}; singular values above it are counted, so it must "
            "be a finite number from 0 on; give one such as 0.01"
        )


def read_inspections(trial: TrialFolder) -> list[Inspection]:
    """Returns what inspections of a trial have found, in the order of their kinds.

    Files that cannot be read are left out: an inspection can be made again.
    """
    found = []
    for kind in KINDS:
        path = trial.path / INSPECTIONS_FOLDER / f"{kind}.json"
        try:
            content = read_bytes(path)
            if content is not None:
                found.append(_READ.validate_json(content))
        except (DamagedFileError, ValidationError) as error:
            why = reason_of(error.errors()[0]) if isinstance(error, ValidationError) else error.why
            logger.warning("%s is left out (%s); inspect the trial again", path, why)
    return found
