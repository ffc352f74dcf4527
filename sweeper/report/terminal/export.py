"""What an export has written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from sweeper._text import bytes_text
from sweeper.report.terminal.tables import pair_table

__all__ = ["export_view"]

_WHAT = {
    "peft": "adapter in PEFT format",
    "lora": "plain LoRA adapter with scale 1",
    "merged": "model with the adapter merged into its weights",
}


def export_view(export: Mapping[str, Any], *, chosen: str = "") -> RenderableType:
    """Returns what an export's document (``export --json``) says, for people.

    Print it with ``crop=False``: the folder stays in one line, however long.

    Args:
        export: the document.
        chosen: why it is this trial, where a sweep was named.
    """
    difference, effect = export["largest_difference"], export["adapter_effect"]
    table = pair_table()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("  as", _WHAT[export["format"]])
    table.add_row("  files", f"{', '.join(export['files'])} ({bytes_text(export['bytes'])})")
    table.add_row(
        "  checked",
        f"largest difference of logits on validation prompts: {difference:.2g} (allowed for "
        f"rounding: {export['tolerance']:.2g}; effect of the adapter: {effect:.2g})",
    )
    parts: list[RenderableType] = [Text(chosen)] if chosen else []
    parts += [
        Text.assemble(
            (f"Exported trial {export['trial']}", "bold"),
            f" ({export['method']}) of sweep {export['sweep']}",
        ),
        table,
    ]
    if difference > effect / 4 and export["format"] == "merged":
        parts.append(
            Text(
                f"Rounding to {export['dtype']} loses much of the adapter's effect; --dtype fp32 "
                "keeps it, and so does an adapter that is not merged."
            )
        )
    parts += [Text(note) for note in export["notes"]]
    path = export["path"]
    parts += [
        "",
        Text(f"  {path}", no_wrap=True, overflow="ignore"),
        Text("Its README.md contains the code that loads it."),
    ]
    return Group(*parts)
