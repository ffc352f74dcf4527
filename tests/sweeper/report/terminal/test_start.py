"""What `init` shows: the tokens that the loss counts are told apart, with colour and without."""

from __future__ import annotations

import io
from typing import Any, Literal

from rich.console import Console

from sweeper.report.terminal.start import MaskedRow, start_view

TOKENS = [("<s>", False), ("What", False), (" is\n", False), (" 2", True), ("</s>", True)]
DOCUMENT: dict[str, Any] = {
    "look": {
        "family": "llama",
        "parameters": 900_000,
        "layers": 4,
        "width": 128,
        "positions": 512,
        "told_by": "question/answer: fields question and answer",
        "rows": {"train": 48, "validation": 6, "test": 6},
        "longer_ones": "are longer and are cut",
        "warnings": ["one file is not read"],
        "tokens": {"rows": 48, "median": 12, "p95": 14, "longest": 15},
        "example": {"tokens": 5, "learnt": 2, "shown": TOKENS},
    },
    "proposed": {
        "targets": ["q_proj", "v_proj"],
        "max_length": 16,
        "cut": 0.01,
        "batch_size": 8,
        "gradient_accumulation": 2,
        "needs": "about 40 MB by formula",
        "steps": 40,
        "passes": 13.3,
        "learning_rate": [4e-4, 4e-2],
        "rates_from": "a rule",
    },
}


def printed(view, *, colour: bool = False) -> str:
    stream = io.StringIO()
    system: Literal["truecolor"] | None = "truecolor" if colour else None
    Console(file=stream, width=100, color_system=system, force_terminal=colour).print(view)
    return stream.getvalue()


def test_without_colour_the_loss_is_between_marks():
    assert printed(MaskedRow(TOKENS, [])) == "<s>|What| is⏎⟦ 2|</s>⟧\n"
    assert printed(MaskedRow(TOKENS[:2], TOKENS[3:])) == "<s>|What … ⟦ 2|</s>⟧\n"


def test_with_colour_it_is_in_colour():
    shown = printed(MaskedRow(TOKENS, []), colour=True)
    assert "⟦" not in shown
    before, _, after = shown.partition("\x1b[1;32m")
    assert "What" in before
    assert after.startswith(" 2|</s>")


def test_all_that_was_seen_and_is_proposed_is_shown():
    text = " ".join(printed(start_view(DOCUMENT)).split())
    for part in (
        "llama, 900,000 parameters, 4 layers of width 128, 512 positions",
        "48 train, 6 validation, 6 test",
        "median 12, 95 % at most 14, longest 15 (48 training rows)",
        "one file is not read",
        "5 tokens, 2 of them with loss",
        "16 tokens; 1.0% of the rows are longer and are cut",
        "8, 2 of them a step; about 40 MB by formula",
        "40, 13 passes over the training rows",
        "0.0004 to 0.04; a rule",
    ):
        assert part in text
