"""Parity, verdicts and facts in the terminal, in this order and without colour."""

from __future__ import annotations

from rich.console import Group
from rich.text import Text

from sweeper.analysis.conclusions import ParityLine, SweepConclusions
from sweeper.analysis.statistics.verdicts import PLAIN, Silence
from sweeper.report.terminal.sweep.conclusions import conclusions_view
from tests.sweeper.report.terminal.sweep.test_leaderboard import printed

PARITY = (
    ParityLine("size", "Trainable parameters: 10", holds=True),
    ParityLine("trials", "Trials: 1 to 2", holds=False, names=("a",), caveat="Trials differ"),
)


def shown(width=60, **fields):
    found = SweepConclusions("eval_loss", -1, PLAIN, None, **fields)
    text = printed(Group(*conclusions_view(found)), width=width)
    return [line.rstrip() for line in text.splitlines()]


def test_parity_stands_before_verdicts_and_facts_come_last():
    lines = shown(
        parity=PARITY,
        statements=(Silence("too_few", ("a",)),),
        facts=("Best by validation: trial 0.",),
    )
    assert lines == [
        "Parity",
        "  ok  Trainable parameters: 10.",
        "  no  Trials: 1 to 2.",
        "",
        "Verdicts",
        "  Nothing is compared: it takes two; only a is left.",
        "",
        "Best by validation: trial 0.",
        "",
    ]


def test_why_there_are_no_verdicts_stands_in_their_place():
    assert shown(why_none="Nothing is compared: no rows.") == [
        "Verdicts",
        "  Nothing is compared: no rows.",
        "",
    ]


def test_without_anything_nothing_is_shown():
    assert shown() == []


def test_long_sentences_are_broken_and_stay_indented():
    lines = shown(width=30, why_none="Nothing is compared: " + "word " * 10)
    assert all(len(line) <= 30 for line in lines)
    assert all(line.startswith("  ") for line in lines[1:-1])


def test_a_head_is_bold_and_no_name_is_markup():
    found = SweepConclusions(
        "m", 1, PLAIN, None, statements=(Silence("missing", ("[red]x[/red]",)),)
    )
    view = list(conclusions_view(found))
    (verdict,) = [x.renderable for x in view if hasattr(x, "renderable")]
    assert isinstance(verdict, Text)
    assert str(verdict.style) == "bold"
    assert "[red]x[/red]" in printed(Group(*view), width=80)
