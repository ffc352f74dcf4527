"""What the README says of the methods is what their specs say."""

from collections import defaultdict
from pathlib import Path
from typing import get_args

import pytest

from sweeper.experiment.loading import load_sweep
from sweeper.search.draws import draw_all
from sweeper_adapters.methods import Method

ROOT = Path(__file__).resolve().parent.parent
SPACES = ROOT / "search_spaces" / "papers"
HEADER = "| method | source | mergeable | exports to LoRA | needs task ids | counts as published |"
SPECS = {spec.model_fields["name"].default: spec for spec in get_args(get_args(Method)[0])}


def rows():
    """The README's table of methods: cells by name."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    start = lines.index(HEADER) + 2
    found = {}
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        found[name.strip("`")] = cells
    return found


def agreement():
    """How many of a method's published figures its count meets, over both papers."""
    met = defaultdict(list)
    for path in sorted(SPACES.glob("*_params.yaml")):
        for drawn in draw_all(load_sweep(path)):
            listed = drawn.space.listed
            assert listed is not None
            if listed.published is not None:
                shape = drawn.spec.model.shape()
                trained = drawn.spec.method.count(shape)
                percent = 100 * trained / (shape.total_parameters + trained)
                met[drawn.spec.method.name].append(listed.published.is_met_by(percent))
    assert sum(len(found) for found in met.values()) > 50
    return met


def test_the_table_has_every_method():
    assert set(rows()) == set(SPECS)


@pytest.mark.parametrize("name", SPECS)
def test_a_row_says_what_the_spec_says(name):
    spec = SPECS[name]()
    source, mergeable, exports, needs, _ = rows()[name]
    assert source == spec.source
    # A footnote tells of the settings for which it is otherwise.
    assert mergeable.rstrip("¹²³⁴") == ("yes" if spec.is_mergeable else "no")
    assert exports.rstrip("¹²³⁴") == ("yes" if spec.exports_lora else "no")
    assert needs.rstrip("¹²³⁴") == ("yes" if spec.needs_task_ids else "no")


def test_a_row_says_how_many_published_counts_are_met():
    met = agreement()
    for name, cells in rows().items():
        found = met.get(name)
        assert cells[-1] == (f"{sum(found)} of {len(found)}" if found else "–"), name
    every = [is_met for found in met.values() for is_met in found]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{sum(every)} of {len(every)} in all" in text
