"""The README of an export: what it is, how good it was, how to load it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sweeper.analysis.lookup import FoundTrial
from sweeper.estimates import estimate_of
from sweeper.evaluation.adapter import TEMPLATE_FILE, kept_template
from sweeper.experiment.trial import TrialSpec
from sweeper.export.formats import ExportFormat
from sweeper.export.usage import Usage
from sweeper.models import ModelSource
from sweeper.tracking.final_result import read_final
from sweeper.tracking.owner.clones import parent_of

__all__ = ["MARK", "Card", "is_export"]

MARK = "masa-mosa-sweeper"
"""Tag that only the README of an export has."""

_WHAT = {
    "peft": "A trained adapter in PEFT format.",
    "lora": "A trained adapter as a plain LoRA of scale 1, with the outputs of the original.",
    "merged": "A model with a trained adapter merged into its weights.",
}


@dataclass(frozen=True)
class Card:
    """What the README of an export says."""

    found: FoundTrial
    trial: TrialSpec
    form: ExportFormat
    source: ModelSource
    dtype: str
    """``fp32``, ``bf16`` or ``fp16``: in what it was checked."""
    domains: tuple[str, ...]
    """Of the data; their positions are task ids where the method has such."""
    check: str
    """A sentence on the comparison with the adapter of the trial."""

    def write(self, folder: Path) -> None:
        """Writes ``README.md`` into the folder of an export that is otherwise whole."""
        method = self.trial.method
        usage = Usage.of(
            folder,
            trial=self.trial,
            source=self.source,
            dtype=self.dtype,
            domains=self.domains,
        )
        parts = [
            self._front_matter(),
            f"# {self.found.sweep.name}, trial {self.found.record.number}: {method.label}",
            _WHAT[self.form],
            self._facts(),
            "## Scores",
            self._scores(),
            "## Load it",
            f"In this folder, with {', '.join(usage.packages())} installed:",
            f"```python\n{usage.code()}```",
            self.check,
            "## How it was trained",
            f"```yaml\n{self._configuration()}```",
            self._data(),
            f"Versions: {_versions(self.found)}.",
        ]
        (folder / "README.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")

    def _front_matter(self) -> str:
        matter: dict[str, Any] = {
            "library_name": "transformers" if self.form == "merged" else "peft",
            "pipeline_tag": "text-generation",
            "tags": [MARK, self.trial.method.label],
        }
        if self.source.is_on_hub:
            matter = {"base_model": self.source.name, **matter}
        return f"---\n{yaml.safe_dump(matter, sort_keys=False)}---"

    def _facts(self) -> str:
        record = self.found.record
        revision = f", revision `{self.source.revision}`" if self.source.revision else ""
        rows = {
            "base model": f"`{self.source.name}`{revision}",
            "method": f"`{self.trial.method.label}` ({self.trial.method.source})",
            "parameters": f"{record.trainable:,} trained, {record.percent:.4g} % of all",
            "training": f"{record.steps} of {record.steps_total} steps, {record.status_text}",
            "precision": self.trial.engine.precision,
            "trial": f"{record.number} (`{record.id}`) of sweep `{self.found.sweep.name}`",
        }
        if (parent := parent_of(self.found.trial)) is not None:
            changed = f", with {', '.join(f'`{x}`' for x in parent.asked)}" if parent.asked else ""
            rows["cloned from"] = f"{parent.name}, after {parent.steps} steps{changed}"
        return _table(["", ""], [[name, text] for name, text in rows.items()])

    def _scores(self) -> str:
        metrics, base = self.found.record.metrics, self.found.sweep.base_scores()
        table = self._compared(metrics, base)
        if not table:
            return "The trial was never evaluated."
        examples = self.trial.train.eval_examples
        note = (
            f"On at most {examples} validation examples; ± is the standard error over them. The "
            "sweep selected among its trials by these examples, so the scores of a selected trial "
            "are optimistic."
        )
        return "\n\n".join([*self._test_scores(), table, note])

    def _test_scores(self) -> list[str]:
        """Returns the table of the evaluation after the search, and what its rows are."""
        found = read_final(self.found.trial.path)
        if found is None or found.error:
            return []
        base = read_final(self.found.sweep.path)
        note = f"On {found.rows} of {found.rows_in_split} {found.split} examples, after the search"
        note += "; no trial was selected by them." if found.split == "test" else "."
        return [self._compared(found.metrics, {} if base is None else base.metrics), note]

    def _compared(self, metrics: Mapping[str, float], base: Mapping[str, float]) -> str:
        """Returns the table of the metrics beside those of the base; empty without a metric."""
        objective, scored = self.found.sweep.objective(), ("eval_loss", "accuracy")
        names = [n for n in metrics if n.startswith(scored) and not n.endswith("_se")]
        rows = [
            [name, str(value), str(estimate_of(base, name) or "not scored")]
            for name in dict.fromkeys([objective.metric, *names])
            if (value := estimate_of(metrics, name)) is not None
        ]
        return _table(["metric", "trained", "frozen base"], rows) if rows else ""

    def _data(self) -> str:
        """Returns the data, with the templates of its prompts, and what names its rows."""
        content = self.trial.model_dump(mode="json", include={"data"})
        has_template = kept_template(self.found.trial.adapter) is not None
        if has_template:
            content["data"]["format"]["template"] = TEMPLATE_FILE
        final = read_final(self.found.trial.path)
        named = "" if final is None else final.data_fingerprint
        rows = f"\n\nFingerprint of its rows: `{named}`." if named else ""
        template = (
            f"\n\n`{TEMPLATE_FILE}` in this folder is the chat template that it was trained with."
        )
        text = f"On this data:\n\n```yaml\n{yaml.safe_dump(content, sort_keys=False)}```"
        return f"{text}{template if has_template else ''}{rows}"

    def _configuration(self) -> str:
        content = self.trial.model_dump(mode="json", include={"method", "train", "engine"})
        return yaml.safe_dump(content, sort_keys=False)


def is_export(folder: Path) -> bool:
    """Whether all there is in the folder is an export: flat, with a README of :class:`Card`."""
    card = folder / "README.md"
    if not card.is_file() or any(path.is_dir() for path in folder.iterdir()):
        return False
    _, _, rest = card.read_text(encoding="utf-8").partition("---\n")
    try:
        matter = yaml.safe_load(rest.partition("---\n")[0])
    except yaml.YAMLError:
        return False
    return isinstance(matter, dict) and MARK in (matter.get("tags") or ())


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _versions(found: FoundTrial) -> str:
    versions = found.sweep.about().versions
    return ", ".join(f"{name} {version}" for name, version in versions.items())
