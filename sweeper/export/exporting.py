"""From a trial to an export: written beside its place, compared, and only then put there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sweeper._files import put_whole
from sweeper._third_party import writing
from sweeper.analysis.lookup import FoundTrial
from sweeper.errors import BadInputError, ExportError
from sweeper.evaluation.adapter import TEMPLATE_FILE, kept_template
from sweeper.experiment.trial import TrialSpec
from sweeper.export.card import MARK, Card, is_export
from sweeper.export.conversion import Comparison, Conversion
from sweeper.export.formats import EXPORT_FORMATS, ExportFormat, possible_formats

__all__ = ["Export", "export_trial"]


@dataclass(frozen=True)
class Export:
    """What was written."""

    trial: str
    """Identity of the trial."""
    sweep: str
    """Name of its sweep."""
    method: str
    """Name of the method."""
    format: ExportFormat
    path: str
    """The folder, absolute."""
    files: tuple[str, ...]
    """Their names, sorted."""
    bytes: int
    """Of all files."""
    dtype: str
    """``fp32``, ``bf16`` or ``fp16``: of the base model that it was compared on."""
    largest_difference: float
    """Largest difference of a logit from the trial's adapter, on the prompts compared."""
    tolerance: float
    """Largest difference that rounding explains."""
    adapter_effect: float
    """Largest effect of the adapter itself on a logit, on these prompts."""
    notes: tuple[str, ...]
    """A sentence where a file that the trial's spec names has changed since the training."""

    def document(self) -> dict[str, Any]:
        """Returns it as plain JSON."""
        return asdict(self)


def export_trial(
    found: FoundTrial,
    form: ExportFormat,
    *,
    output: Path | None = None,
    dtype: str | None = None,
    is_overwriting: bool = False,
) -> Export:
    """Exports the adapter of a trial, and compares the export with the adapter.

    Args:
        found: the trial.
        form: what to write.
        output: the new folder; ``exports/<form>`` in the trial's where None.
        dtype: ``fp32``, ``bf16`` or ``fp16`` of a merged model; the trial's precision where None.
        is_overwriting: replace an earlier export in that folder.

    Raises:
        BadInputError: the method has no such form, the trial has no adapter, the folder is taken,
            or model or data is not there; nothing was written.
        ExportError: the export does not give the adapter's outputs; it was deleted.
    """
    trial = found.spec()
    _require_possible(trial, form, dtype)
    adapter = found.adapter()
    folder = (output or found.trial.path / "exports" / form).expanduser().absolute()
    _require_free(folder, is_overwriting=is_overwriting)
    trial.model.require_available()
    conversion = Conversion(
        trial=trial,
        splits=trial.data.load(),
        source=trial.model.source(),
        form=form,
        dtype=dtype or trial.engine.precision,
    )
    with _new_folder(folder) as unfinished:
        comparison = conversion.write(adapter, unfinished)
        if not comparison.is_equal:
            raise ExportError(_too_different(found, conversion, comparison))
        _add_template(adapter, unfinished)
        _card(found, conversion, comparison).write(unfinished)
        return _export(found, conversion, comparison, written=unfinished, folder=folder)


def _require_possible(trial: TrialSpec, form: ExportFormat, dtype: str | None) -> None:
    if dtype is not None and form != "merged":
        raise BadInputError(
            f"dtype: got {dtype} for format {form}; only a merged model has its own dtype; leave "
            "--dtype out"
        )
    reasons = possible_formats(trial)
    if reasons[form]:
        others = ", ".join(name for name in EXPORT_FORMATS if not reasons[name])
        advice = (
            f"use --format {others.partition(',')[0]}"
            if others
            else f"use the adapter in the trial's folder, with {trial.method.label}'s own code"
        )
        raise BadInputError(
            f"format: {trial.method.label} cannot be exported as {form}: {reasons[form]}; "
            f"possible for this trial: {others or 'none'}; {advice}"
        )


def _require_free(folder: Path, *, is_overwriting: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not is_overwriting:
        raise BadInputError(
            f"output: {folder} is not empty; an export needs a new or empty folder; choose another "
            "one with --output, or replace an earlier export with --overwrite"
        )
    # Whatever else a user may name by mistake stays.
    if not is_export(folder):
        raise BadInputError(
            f"output: {folder} is not an earlier export (its README.md lacks the tag {MARK}); "
            "--overwrite replaces exports only; remove the folder yourself, or choose another one"
        )


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Yields a new folder that takes the place of ``folder`` at the end, or is gone on an error."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(
            f"output: {folder} cannot be made ({error.strerror or error}); an export needs a "
            "folder that can be written; choose another one with --output"
        ) from error
    try:
        with put_whole(folder) as unfinished, writing():
            unfinished.mkdir()
            yield unfinished
    except OSError as error:
        raise ExportError(
            f"the export to {folder} failed: {error}; nothing was kept; the folder must be "
            "writable and have enough space; choose another one with --output"
        ) from error


def _too_different(found: FoundTrial, conversion: Conversion, comparison: Comparison) -> str:
    return (
        f"{found.title}: as {conversion.form} its logits on {comparison.prompts} validation "
        f"prompts differ by {comparison.largest_difference:.3g} from those of its adapter; "
        f"rounding to {conversion.dtype} explains at most {comparison.tolerance:.3g}; the export "
        "was deleted; report this with the trial's spec.json"
    )


def _add_template(adapter: Path, folder: Path) -> None:
    """Copies the chat template that a trial was trained with; a merged model's own is replaced."""
    kept = kept_template(adapter)
    if kept is not None:
        shutil.copyfile(kept, folder / TEMPLATE_FILE)


def _card(found: FoundTrial, conversion: Conversion, comparison: Comparison) -> Card:
    return Card(
        found=found,
        trial=conversion.trial,
        form=conversion.form,
        source=conversion.source,
        dtype=conversion.dtype,
        domains=conversion.splits.domains(),
        check=(
            "After writing, the export was loaded again and compared with the trial's adapter on "
            f"{comparison.prompts} validation prompts: no logit differed by more than "
            f"{comparison.largest_difference:.2g} (allowed: {comparison.tolerance:.2g}). The "
            f"adapter itself changes logits by up to {comparison.adapter_effect:.2g}."
        ),
    )


def _export(
    found: FoundTrial,
    conversion: Conversion,
    comparison: Comparison,
    *,
    written: Path,
    folder: Path,
) -> Export:
    files = sorted(written.iterdir())
    for path in files:
        # safetensors makes its files readable for their owner alone.
        path.chmod((written / "README.md").stat().st_mode)
    return Export(
        trial=found.trial.id,
        sweep=found.sweep.name,
        method=conversion.trial.method.label,
        format=conversion.form,
        path=str(folder),
        files=tuple(path.name for path in files),
        bytes=sum(path.stat().st_size for path in files),
        dtype=conversion.dtype,
        largest_difference=comparison.largest_difference,
        tolerance=comparison.tolerance,
        adapter_effect=comparison.adapter_effect,
        notes=found.notes(),
    )
