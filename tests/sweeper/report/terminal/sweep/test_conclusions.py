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


def test_of_a_long_sentence_the_further_lines_stand_further_to_the_right():
    text = "Nothing is compared: " + "word " * 10
    parity = (ParityLine("size", "Trainable parameters: 10 to 20", holds=True),)
    lines = shown(width=30, parity=parity, why_none=text, facts=(text,))
    assert lines == [
        "Parity",
        "  ok  Trainable",
        "      parameters: 10 to 20.",
        "",
        "Verdicts",
        "  Nothing is compared: word",
        "    word word word word word",
        "    word word word word",
        "",
        "Nothing is compared: word",
        "  word word word word word",
        "  word word word word",
        "",
    ]


def test_a_head_is_bold_and_no_name_is_markup():
    found = SweepConclusions(
        "m", 1, PLAIN, None, statements=(Silence("missing", ("[red]x[/red]",)),)
    )
    view = list(conclusions_view(found))
    (verdict,) = [x.text for x in view if hasattr(x, "text")]
    assert isinstance(verdict, Text)
    assert str(verdict.style) == "bold"
    assert "[red]x[/red]" in printed(Group(*view), width=80)


def test_no_line_ends_within_a_number():
    for width in range(20, 60):
        facts = ("Sizes of trials differ by up to 72.6 %, with a loss of 1.10 ± 0.14 there.",)
        lines = shown(width=width, facts=facts)
        assert any("72.6 %" in line for line in lines)
        assert any("1.10 ± 0.14" in line for line in lines)
