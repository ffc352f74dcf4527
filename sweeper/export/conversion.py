"""An adapter written in another form, loaded again, and compared with the original.

The comparison is made in float32 arithmetic, on the base's weights as the trial had them: in 16 bit
the rounding of activations alone changes logits by as much as a small adapter does, and what is
wrong with an export would not show.

How much rounding may change a logit depends on the model. A rounded product is the exact one of
slightly other weights, so each model is asked how much its logits change when its weights do.
"""

from __future__ import annotations

import gc
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sweeper.data import Splits
from sweeper.errors import ExportError
from sweeper.evaluation.adapter import load_adapter
from sweeper.experiment.trial import TrialSpec
from sweeper.export.formats import (
    ExportFormat,
    merged_model,
    write_lora,
    write_merged,
    write_peft,
)
from sweeper.export.probe import Probe, largest_difference
from sweeper.models import FolderModelSpec, ModelSource

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

    from sweeper.models import LoadedModel

__all__ = ["Comparison", "Conversion"]

# A relative change of all weights that float32 arithmetic may amount to: 64 roundings. Measured
# with examples of all methods on models of 4 to 30 layers, 32 to 576 wide: up to 12.
ARITHMETIC = 64 * 2**-24
# The same for weights that are rounded to a dtype: 16 roundings. Measured as above, up to 3, and 4
# where one value is added to all of a column, whose roundings are alike.
WEIGHTS = {"fp32": 0.0, "bf16": 16 * 2**-9, "fp16": 16 * 2**-12}
# Relative change of each weight that a model is tried with: far above the rounding of its
# arithmetic, and small enough for the answer to be proportional.
TRIED_CHANGE = 2**-12


@dataclass(frozen=True)
class Comparison:
    """How far the export is from the trial's adapter, on a few validation prompts."""

    largest_difference: float
    """Largest difference of a logit."""
    tolerance: float
    """Largest difference that rounding explains."""
    adapter_effect: float
    """Largest effect of the adapter itself on a logit."""
    prompts: int
    """Prompts compared."""

    @property
    def is_equal(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.largest_difference <= self.tolerance


@dataclass(frozen=True)
class _Expected:
    """What a model with the trial's adapter answers."""

    logits: list[Tensor]
    effect: float
    """Largest difference of a logit that the adapter makes."""
    sensitivity: float
    """Largest change of a logit by a relative change of all weights, divided by that."""


@dataclass(frozen=True)
class Conversion:
    """What is written, from what."""

    trial: TrialSpec
    splits: Splits
    """Of the trial's data."""
    source: ModelSource
    """Of the base model."""
    form: ExportFormat
    dtype: str
    """``fp32``, ``bf16`` or ``fp16``: of the base's weights, and of merged ones."""

    def write(self, adapter: Path, folder: Path) -> Comparison:
        """Writes the export, loads it again, and compares the two.

        Needs memory for the base model in float32, once.

        Args:
            adapter: of the trial.
            folder: an empty one.

        Raises:
            AdapterError: the files of the adapter are damaged, or of another one.
            ExportError: the adapter has no such form.
        """
        expected = self._expected(adapter, folder)
        if self.form == "merged":
            # The model above is in float32, and out of memory before the next one comes.
            gc.collect()
            self._write_merged(adapter, folder)
        gc.collect()
        found = self._found(folder)
        rounding = WEIGHTS[self.dtype] if self.form == "merged" else 0.0
        return Comparison(
            largest_difference=largest_difference(found, expected.logits),
            tolerance=expected.sensitivity * (ARITHMETIC + rounding),
            adapter_effect=expected.effect,
            prompts=len(found),
        )

    def _write_adapter(self, model: PeftModel, adapter: Path, folder: Path) -> None:
        if self.form == "lora":
            write_lora(model, folder, source=self.source)
        else:
            write_peft(adapter, folder, source=self.source)

    def _write_merged(self, adapter: Path, folder: Path) -> None:
        uses_cache = self.trial.model.config().get("use_cache", True)
        write_merged(*self._adapted(adapter), folder, uses_cache=uses_cache)

    def _expected(self, adapter: Path, folder: Path) -> _Expected:
        """Asks the model with the trial's adapter; writes the export where it is an adapter."""
        adapted, base = self._adapted(adapter)
        adapted.float()
        probe = self._probe(base.tokenizer)
        logits = probe.logits(adapted)
        with adapted.disable_adapter():
            effect = largest_difference(logits, probe.logits(adapted))
        if not math.isfinite(effect):
            raise ExportError(
                "the model with the trial's adapter has logits that are NaN or infinite; an "
                "export can be compared only with finite logits; export another trial"
            )
        if self.form == "merged":
            # Before the weights are rounded, which may hide that a method merges wrongly.
            merged = merged_model(adapted)
            difference = largest_difference(logits, probe.logits(merged))
            sensitivity = _sensitivity(merged, probe, logits)
            _require_exact(difference, tolerance=sensitivity * ARITHMETIC)
        else:
            self._write_adapter(adapted, adapter, folder)
            sensitivity = _sensitivity(adapted, probe, logits)
        return _Expected(logits, effect, sensitivity)

    def _found(self, folder: Path) -> list[Tensor]:
        """Returns the logits of what is in the folder."""
        if self.form == "merged":
            merged = FolderModelSpec(path=str(folder)).load(self.dtype)
            model: nn.Module = merged.model
            tokenizer = merged.tokenizer
        else:
            model, base = self._with_lora(folder) if self.form == "lora" else self._adapted(folder)
            tokenizer = base.tokenizer
        return self._probe(tokenizer).logits(model.float())

    def _probe(self, tokenizer: PreTrainedTokenizerBase) -> Probe:
        return Probe(self.trial, self.splits, tokenizer)

    def _adapted(self, adapter: Path) -> tuple[PeftModel, LoadedModel]:
        base = self.trial.model.load(self.dtype)
        return load_adapter(self.trial, base.model, adapter, is_widened=True), base

    def _with_lora(self, folder: Path) -> tuple[PeftModel, LoadedModel]:
        """Returns a base with the plain LoRA that was written, which no trial has trained."""
        from peft import PeftModel

        base = self.trial.model.load(self.dtype)
        return PeftModel.from_pretrained(base.model, str(folder)), base


def _require_exact(difference: float, *, tolerance: float) -> None:
    if not difference <= tolerance:
        raise ExportError(
            f"merged in float32 the adapter's logits differ by {difference:.3g} from those of the "
            f"adapter; rounding explains at most {tolerance:.3g}; report this with the trial's "
            "spec.json; use another format"
        )


def _sensitivity(model: nn.Module, probe: Probe, logits: list[Tensor]) -> float:
    """Returns the largest change of a logit by a relative change of all weights, divided by that.

    Each weight is changed at random, by up to ``TRIED_CHANGE`` of its value; the model is used up.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point():
                random = torch.rand(parameter.shape, generator=generator).to(parameter.device)
                parameter.mul_(1 + TRIED_CHANGE * (2 * random - 1))
    return largest_difference(logits, probe.logits(model)) / TRIED_CHANGE
