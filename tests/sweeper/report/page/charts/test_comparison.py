"""Long names of a design stand whole beside their rows and in legends."""

from __future__ import annotations

import itertools
import json
import xml.etree.ElementTree as ET

import vl_convert

from sweeper.report.page.charts import columns_of
from sweeper.report.page.charts.base import colours
from sweeper.report.page.charts.comparison import _rows_of, _spec

NAMES = [
    f"group_size={size}, sharing=both, experts={experts}, learning_rate=0.00{rate}"
    for size, experts, rate in itertools.product((1, 2), (3, 5), (1, 3))
]
SHORT = ["group_size=1", "group_size=2", "masa_control"]


def texts(names: list[str]) -> list[list[str]]:
    """The lines of each label of the rows' axis, as they are drawn."""
    rows = {"values": [{"name": name, "x": 0.0} for name in names]}
    layer = {"data": rows, "mark": "point", "encoding": {"y": _rows_of(names)}}
    spec = {**_spec([layer], "", names), "width": 400}
    svg = ET.fromstring(vl_convert.vegalite_to_svg(json.dumps(spec), allowed_base_urls=[]))
    marks = [mark for mark in svg.iter() if "role-axis-label" in mark.get("class", "")]
    found = [text for mark in marks for text in mark if text.tag.endswith("text")]
    return [["".join(part.itertext()) for part in text] or [text.text or ""] for text in found]


def test_each_part_of_a_long_name_is_a_line():
    drawn = texts([*NAMES, "masa_control"])
    assert len(drawn) == 9
    assert [", ".join(lines) for lines in drawn[:-1]] == NAMES
    # A name of one part stands in the middle of as many lines.
    assert [line for line in drawn[-1] if line.strip()] == ["masa_control"]
    assert len(drawn[-1]) in {1, 2}


def test_short_names_stand_in_one_line():
    assert texts(SHORT) == [[name] for name in SHORT]
    # Of many names one may be long.
    assert texts([*SHORT, NAMES[0]])[:3] == [[name] for name in SHORT]


def test_a_legend_has_as_many_columns_as_its_names_have_room_for():
    short, long = ({"layer": [{"encoding": {"color": colours(x)}}]} for x in (SHORT, NAMES))
    assert [columns_of(short, width) for width in (1000, 400, 90)] == [4, 3, 1]
    assert [columns_of(long, width) for width in (1000, 400)] == [2, 1]
    assert columns_of({"mark": "point"}, 1000) == 4
