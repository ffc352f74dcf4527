"""Tables whose cells are text, and every way they can be broken."""

import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.data.reading.files import read_rows
from sweeper.errors import DataError

CELLS = ["NA", "None", "00012", "1e5", "1.0", "", "true", "2020-01-01", "NaN", "-0", " x ", "é"]


def rows(path):
    return [row for _, row in read_rows(path)]


def read(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return rows(path)


@pytest.mark.parametrize(("suffix", "separator"), [("csv", ","), ("tsv", "\t")])
def test_cells_are_text(tmp_path, suffix, separator):
    lines = ["question,value,answer", *(f"why,{cell},yes" for cell in CELLS)]
    content = "\n".join(lines).replace(",", separator)
    found = read(tmp_path / f"a.{suffix}", content)
    assert [row["value"] for row in found] == CELLS


@settings(max_examples=50)
@given(cells=st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), min_size=1))
def test_what_is_written_is_read(tmp_path_factory, cells):
    path = tmp_path_factory.mktemp("t") / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["a"])
        writer.writerows([cell] for cell in cells)
    assert [row["a"] for row in rows(path)] == cells


def test_a_cell_of_megabytes(tmp_path):
    [row] = read(tmp_path / "a.csv", "a,b\n" + "x" * 5_000_000 + ",y\n")
    assert len(row["a"]) == 5_000_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n3\n", r"a\.csv:3: 1 cells but 2 columns \(a, b\)"),
        ("a,b\n1,2\n3,4,5\n", r"a\.csv:3: 3 cells but 2 columns"),
        ('a,b\n1,2\n3,"4\n5,6\n7,8\n', r"a\.csv:3: a quote is opened and never closed"),
        ("a,b,a\n1,2,3\n", r"a\.csv:1: the column 'a' is there twice"),
        ("a,b\n1,2\nné,x\n".encode("latin-1"), r"a\.csv:3: not UTF-8 text \(byte 0xe9 at byte 2"),
        ("a,b\n1,2\n".encode("utf-16"), "iconv -f UTF-16 -t UTF-8"),
        (
            'a,b\n1,2\n"3" inches,4\n5,6\n',
            r"a\.csv:3: not a table .*or a newline stands in",
        ),
        ('"a,b\n1,2\n', r"a\.csv:1: a quote is opened and never closed"),
        (b"\x1f\x8b\x08\xff\xff", "a packed file; data files are text; unpack it"),
        (b"\x28\xb5\x2f\xfd\xff\xff", "a packed file; data files are text; unpack it"),
        (b"PAR1\x15\xff\xff", "not UTF-8 text but a file of Parquet; .*rename it"),
    ],
)
def test_a_broken_table(tmp_path, content, message):
    def first_error():
        for row in read(tmp_path / "a.csv", content):
            if isinstance(row, DataError):
                raise row

    with pytest.raises(DataError, match=message):
        first_error()
