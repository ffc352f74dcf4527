"""The bench's section of the page of steps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks._bench import wrapped

__all__ = ["HEADING", "PAGE", "section", "with_section"]

PAGE = Path(__file__).parent.parent.parent / "docs" / "measurements" / "steps.md"
HEADING = "## Against a plain loop and transformers' Trainer"
_TITLES = {
    "sweeper": "the sweeper's trainer",
    "loop": "a plain loop with PEFT",
    "trainer": "transformers' Trainer",
}


def section(result: Mapping[str, Any]) -> str:
    """Returns the section of a result of the bench, as Markdown."""
    return "\n".join(_lines(result)) + "\n"


def with_section(page: str, text: str) -> str:
    """Returns a page with the section in the place of its former one, or at its end.

    Args:
        page: in Markdown.
        text: what :func:`section` returned.
    """
    former = re.compile(rf"^{re.escape(HEADING)}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
    if former.search(page):
        return former.sub(lambda _: f"{text}\n", page).rstrip("\n") + "\n"
    return f"{page.rstrip()}\n\n{text}"


def _lines(result: Mapping[str, Any]) -> Iterator[str]:
    machine, settings = result["machine"], result["settings"]
    yield HEADING
    yield ""
    yield wrapped(
        "`make bench-step` also trains LoRA of rank 8 on seven targets by three programs: the "
        "sweeper's trainer, as a replica runs it; a plain loop with PEFT; and transformers' "
        "Trainer. They train the same rows in the same order, in one process and by one thread, "
        f"and take turns step by step. A batch has {settings['batch_size']} rows of at most "
        f"{settings['max_length']} tokens. A ratio is the sweeper's time to the other's: the "
        "median over rounds, with quartiles."
    )
    yield ""
    yield "| base | program | CPU s of a step | ratio of CPU s | ratio of wall s | rounds |"
    yield "|---|---|--:|--:|--:|--:|"
    for row in result["rows"]:
        cpu, wall = _ratio(row["cpu_ratio"]), _ratio(row["time_ratio"])
        yield (
            f"| {row['base']} | {_TITLES[row['name']]} | {row['step_cpu_s']:.4f} | {cpu} | {wall} "
            f"| {row['cpu_ratio']['rounds']} |"
        )
    yield ""
    yield wrapped(
        f"{machine['cpu']} with {machine['instructions']}, {result['threads']} thread; load before "
        f"{machine['load_before']:.1f}. The losses of the three differ by at most "
        f"{max(row['loss_difference'] for row in result['rows']):.1g} of their size."
    )


def _ratio(found: Mapping[str, float]) -> str:
    return f"{found['median']:.2f} ({found['low']:.2f}–{found['high']:.2f})"
