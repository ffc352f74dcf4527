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
    "peft": "adapter in PEFT's format",
    "lora": "plain LoRA adapter of scale 1",
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
        f"logits on validation prompts differ by {difference:.2g} at most from those of the "
        f"trial's adapter (rounding may make {export['tolerance']:.2g}; the adapter itself makes "
        f"{effect:.2g})",
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
                f"Rounding to {export['dtype']} takes a good part of what the adapter does; "
                "--dtype fp32 keeps it, and so does an adapter that is not merged."
            )
        )
    path = export["path"]
    parts += [
        "",
        Text(f"  {path}", no_wrap=True, overflow="ignore"),
        Text("Its README.md has the code that loads it."),
    ]
    return Group(*parts)
