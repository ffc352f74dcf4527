"""Forms of an export: the method's own adapter, a plain LoRA, or the merged model."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from sweeper._third_party import load_deepspeed
from sweeper.errors import ExportError
from sweeper.evaluation.adapter.checking import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from sweeper.experiment.trial import TrialSpec
from sweeper.models import LoadedModel, ModelSource
from sweeper_adapters.methods import AnyMethodSpec, is_own

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from sweeper_adapters import LoraFactors

__all__ = [
    "EXPORT_FORMATS",
    "ExportFormat",
    "merged_model",
    "possible_formats",
    "write_lora",
    "write_merged",
    "write_peft",
]

ExportFormat = Literal["peft", "lora", "merged"]
EXPORT_FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
"""The names of the formats."""


def possible_formats(trial: TrialSpec) -> dict[ExportFormat, str]:
    """Returns why a trial's method has no export in each format; an empty text if it has one."""
    method = trial.method
    no_lora = (
        ""
        if method.exports_lora
        else "it does not train a fixed product B A and nothing else, as a LoRA does"
    )
    no_merge = (
        ""
        if method.is_mergeable
        else "its update depends on the input, so it cannot be merged into the weights"
    )
    return {"peft": _reason_against_peft(trial), "lora": no_lora, "merged": no_merge}


def _reason_against_peft(trial: TrialSpec) -> str:
    """Returns why the adapter could not be loaded by others; an empty text where it could."""
    method = trial.method
    if not is_own(type(method)):
        return ""
    if type(method).prepare_base is not AnyMethodSpec.prepare_base:
        return "the code of your own file makes its base, which other programs do not have"
    if type(method.peft_config()).__module__.split(".")[0] != "peft":
        return "its tuner is in your own file, which other programs do not have"
    return ""


def write_peft(adapter: Path, folder: Path, *, source: ModelSource) -> None:
    """Writes a copy of the trial's adapter that names its base model.

    Args:
        adapter: as PEFT saved it.
        folder: an empty one.
        source: of the base model.
    """
    for path in sorted(adapter.iterdir()):
        # PEFT's own card is a form with blanks.
        if path.name not in {"README.md", ADAPTER_CONFIG}:
            shutil.copy2(path, folder / path.name)
    config = json.loads((adapter / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    config |= {"base_model_name_or_path": source.name, "revision": source.revision}
    text = json.dumps(config, indent=2, sort_keys=True)
    (folder / ADAPTER_CONFIG).write_text(text + "\n", encoding="utf-8")


def write_lora(model: PeftModel, folder: Path, *, source: ModelSource) -> None:
    """Writes the adapter as a plain LoRA of scale 1, in float32, which PEFT alone loads.

    Args:
        model: with the adapter, not merged.
        folder: an empty one.
        source: of the base model.

    Raises:
        ExportError: the update of a layer is no LoRA.
    """
    from peft import LoraConfig
    from safetensors.torch import save_file

    from sweeper_adapters import lora_factors

    try:
        factors = lora_factors(model)
    except ValueError as error:
        raise ExportError(str(error)) from error
    # AdaLoRA may have taken all that a layer had.
    factors = {name: found for name, found in factors.items() if found.rank}
    if not factors:
        raise ExportError(
            "the adapter has rank 0 in every layer, so it changes nothing; the rank of a LoRA is "
            "at least 1; use --format peft"
        )
    ranks = {name: found.rank for name, found in factors.items()}
    usual = Counter(ranks.values()).most_common(1)[0][0]
    unusual = {name: rank for name, rank in ranks.items() if rank != usual}
    config = LoraConfig(
        r=usual,
        # Divided by the rank: the scale is 1, and the factors have what the method's scale was.
        lora_alpha=usual,
        rank_pattern=unusual,
        alpha_pattern=unusual,
        target_modules=_targets(model, factors),
        fan_in_fan_out=any(found.is_transposed for found in factors.values()),
        base_model_name_or_path=source.name,
        revision=source.revision,
        task_type="CAUSAL_LM",
        inference_mode=True,
    )
    tensors = {}
    for name, found in factors.items():
        tensors[f"base_model.model.{name}.lora_A.weight"] = found.a
        tensors[f"base_model.model.{name}.lora_B.weight"] = found.b
    save_file(tensors, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    config.save_pretrained(str(folder))


def _targets(model: PeftModel, factors: Mapping[str, LoraFactors]) -> list[str]:
    """Returns the targets by the last part of their names, where that means them alone."""
    last = {name.rpartition(".")[2] for name in factors}
    # A layer that is wrapped goes by its name; what is inside it is not a module of the base.
    meant = {
        name
        for name, _ in model.get_base_model().named_modules()
        if name.rpartition(".")[2] in last
    }
    return sorted(last) if meant == set(factors) else sorted(factors)


def merged_model(model: PeftModel) -> PreTrainedModel:
    """Returns the base of ``model`` with the adapter merged into it; ``model`` is used up.

    Raises:
        ExportError: a merged weight would be NaN or infinite.
    """
    try:
        merged: PreTrainedModel = model.merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise ExportError(f"the adapter cannot be merged: {error}") from error
    return merged


def write_merged(model: PeftModel, base: LoadedModel, folder: Path, *, uses_cache: bool) -> None:
    """Merges the adapter into its base, and writes model and tokenizer.

    Args:
        model: with the adapter; it is used up.
        base: that ``model`` was made of.
        folder: an empty one.
        uses_cache: what the base's own configuration says of ``use_cache``; it is loaded without.

    Raises:
        ExportError: a merged weight would be NaN or infinite.
    """
    merged = merged_model(model)
    merged.config.use_cache = uses_cache
    # transformers imports it when it saves; it shall find it imported as it has to be.
    load_deepspeed()
    merged.save_pretrained(str(folder))
    base.tokenizer.save_pretrained(str(folder))
