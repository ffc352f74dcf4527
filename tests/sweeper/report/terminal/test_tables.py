"""Tables whose lines are put together here are those that rich would print."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from rich.console import Console, RenderableType

from sweeper.report.terminal import tables
from sweeper.report.terminal.tables import Column, fitted_table, fitting, width_of

COLUMNS = (
    Column("trial", ("0", "17", "3"), is_number=True, is_kept=True),
    Column("method", ("masa", "lora", "")),
    Column("a title that is cut", ("é", "1.235 ± 0.021", "数")),
    Column("learning_rate", ("0.003", "", "1e-05"), is_number=True),
)


def printed(shown: RenderableType, width: int, *, is_terminal: bool = False) -> str:
    console = Console(
        file=io.StringIO(), width=width, markup=False, highlight=False, force_terminal=is_terminal
    )
    console.print(shown, crop=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def by_rich(columns: Sequence[Column], width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    with monkeypatch.context() as patch:
        patch.setattr(tables, "_Lines", tables._table)
        return printed(fitted_table(columns, width, bold=1), width)


@pytest.mark.parametrize("columns", [COLUMNS, COLUMNS[:1], COLUMNS[::-1]])
@pytest.mark.parametrize("width", [34, 40, 44, 60, 120])
def test_lines_are_those_of_rich(
    columns: Sequence[Column], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = printed(fitted_table(columns, width, bold=1), width)
    assert text == by_rich(columns, width, monkeypatch)
    if width_of(columns) <= width:
        assert len(text.splitlines()) == 4


def test_the_header_and_one_row_are_bold() -> None:
    lines = printed(fitted_table(COLUMNS, 80, bold=1), 80, is_terminal=True).splitlines()
    assert ["\x1b[1m" in line for line in lines] == [True, False, True, False]


def test_a_cell_of_two_lines_stays_in_its_column(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = (Column("name", ("one\ntwo", "three")), Column("value", ("1", "2")))
    text = printed(fitted_table(columns, 40), 40)
    assert [line.split() for line in text.splitlines()[1:3]] == [["one", "1"], ["two"]]
    assert text == by_rich(columns, 40, monkeypatch)


def test_a_title_that_must_be_whole_is_left_out_and_never_cut() -> None:
    columns = [
        Column("module", ("q_proj",), is_kept=True),
        Column("p (Holm)", ("0.1",), is_titled=True),
    ]
    assert fitting(columns, 16) == (columns, [])
    kept, left_out = fitting(columns, 15)
    assert (kept, left_out) == (columns[:1], columns[1:])
