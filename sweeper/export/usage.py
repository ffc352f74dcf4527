"""The Python code that loads an export."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sweeper.evaluation.adapter.checking import ADAPTER_CONFIG
from sweeper.experiment.trial import TrialSpec
from sweeper.models import DTYPES, ModelSource
from sweeper_adapters import TUNERS
from sweeper_adapters.methods import AnyMethodSpec

__all__ = ["Usage"]


@dataclass(frozen=True)
class Usage:
    """How an export is loaded, by code that is run in its folder."""

    trial: TrialSpec
    source: ModelSource
    """Of the base model."""
    dtype: str
    """``fp32``, ``bf16`` or ``fp16``."""
    domains: tuple[str, ...]
    """Of the data; a method may treat each as a task."""
    peft_type: str | None
    """PEFT's name of the adapter's kind; None for a merged model."""

    @classmethod
    def of(
        cls,
        folder: Path,
        *,
        trial: TrialSpec,
        source: ModelSource,
        dtype: str,
        domains: tuple[str, ...],
    ) -> Usage:
        """Returns the usage of the export in ``folder``; the rest as the fields."""
        config = folder / ADAPTER_CONFIG
        is_adapter = config.is_file()
        kind = json.loads(config.read_text(encoding="utf-8"))["peft_type"] if is_adapter else None
        return cls(trial=trial, source=source, dtype=dtype, domains=domains, peft_type=kind)

    @property
    def is_adapter(self) -> bool:
        """Whether it is an adapter and not a model."""
        return self.peft_type is not None

    @property
    def is_ours(self) -> bool:
        """Whether PEFT knows the adapter's kind only from us."""
        return self.peft_type in TUNERS

    @property
    def is_prepared(self) -> bool:
        """Whether the base has to be made something else before the adapter is loaded."""
        prepare = type(self.trial.method).prepare_base
        return self.is_adapter and prepare is not AnyMethodSpec.prepare_base

    @property
    def has_tasks(self) -> bool:
        """Whether the adapter has to be told the task of each sample."""
        return self.is_ours and self.trial.method.needs_task_ids

    def packages(self) -> list[str]:
        """Returns the packages that must be installed."""
        found = ["transformers"]
        found += ["peft"] if self.is_adapter else []
        found += ["masa-mosa-sweeper"] if self.is_ours or self.is_prepared else []
        return found

    def code(self) -> str:
        """Returns the code; it leaves ``model`` and ``tokenizer``."""
        lines = [*self._imports(), "", *self._base(), *self._adapter()]
        return "\n".join(lines) + "\n"

    def _imports(self) -> list[str]:
        name = type(self.trial.method).__name__
        wanted = {
            "import torch": self.has_tasks,
            "import sweeper_adapters": self.is_ours,
            "from peft import PeftModel": self.is_adapter,
            f"from sweeper_adapters.methods import {name}": self.is_prepared,
            "from transformers import AutoModelForCausalLM, AutoTokenizer": True,
        }
        return [line for line, is_wanted in wanted.items() if is_wanted]

    def _base(self) -> list[str]:
        name = self.source.name if self.is_adapter else "."
        options = f', dtype="{DTYPES[self.dtype]}"'
        revision = ""
        if self.is_adapter and self.source.revision is not None:
            revision = f", revision={json.dumps(self.source.revision)}"
        return [
            f"base = {json.dumps(name)}",
            f"tokenizer = AutoTokenizer.from_pretrained(base{revision})",
            f"model = AutoModelForCausalLM.from_pretrained(base{options}{revision})",
        ]

    def _adapter(self) -> list[str]:
        lines = []
        if self.is_prepared:
            fields = self.trial.method.model_dump(exclude_defaults=True)
            given = ", ".join(f"{name}={value!r}" for name, value in fields.items())
            lines += [f"{type(self.trial.method).__name__}({given}).prepare_base(model)"]
        lines += ["sweeper_adapters.register()"] if self.is_ours else []
        lines += ['model = PeftModel.from_pretrained(model, ".")'] if self.is_adapter else []
        if self.has_tasks:
            ids = self.trial.method.task_ids(self.domains)
            tasks = zip(self.domains, ids, strict=True)
            lines += [
                "# The task of each sample of the batch that follows; they are "
                + ", ".join(f"{number} ({name})" for name, number in tasks),
                f"sweeper_adapters.set_task_ids(model, torch.tensor([{ids[0]}]))",
            ]
        return lines
