"""All items, and which sweeps of a folder have asked them."""

from __future__ import annotations

import pytest

from sweeper.errors import SpecError
from sweeper.report.papers import find_paper, listing_document, paper_files, runs_of
from tests.sweeper.analysis.published.test_comparing import GROUPS, SIZES, paper
from tests.sweeper.designs import MASA, DesignSweep, sweep_of

FILES = paper_files()


def test_tables_come_before_figures_and_masa_before_mosa():
    names = [file.name for file in FILES]
    assert (names[0], names[8], names[11], names[-1]) == (
        *("masa_table1", "masa_figure2", "mosa_table2", "mosa_figure4"),
    )
    assert names.index("mosa_table10") == names.index("mosa_table9") + 1


def test_a_name_finds_its_file_and_another_one_the_nearest():
    assert find_paper("masa_table6", FILES).paper.item == "Table 6"
    with pytest.raises(SpecError, match=r"no item 'masa_table66'; known: .*did you mean"):
        find_paper("masa_table66", FILES)


def test_a_sweep_is_found_by_the_item_that_it_asks(tmp_path):
    DesignSweep(tmp_path, sweep_of(GROUPS, [MASA], paper=paper(SIZES)))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sweep.json").write_text("{")
    runs = runs_of(FILES, tmp_path)
    assert runs["masa_table6"] == ("design-1 (running)",)
    assert not any(found for name, found in runs.items() if name != "masa_table6")
    document = {one["name"]: one for one in listing_document(FILES, runs)}
    assert document["masa_table6"]["sweeps"] == ["design-1 (running)"]
    assert document["masa_table6"]["paper"] == "MASA, Table 6"
    assert document["masa_table6"]["description"] == "how many layers share"
    assert document["mosa_table11"]["reads"] == "bench-step"
