"""The papers' files: each is read and planned on each profile that it names, models unloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeper.analysis.conclusions.questions import questions_of
from sweeper.analysis.published import arm_names
from sweeper.analysis.statistics.questions import all_pairs
from sweeper.analysis.statistics.verdicts import AgainstControl, AllPairs
from sweeper.experiment.documents import read_yaml
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.paper import PaperSpec
from tests.places import SPACES

FILES = [path for path in sorted((SPACES / "papers").glob("*.yaml")) if "_params" not in path.stem]
# Profiles for a laptop; all others have the papers' models.
SMALL = {"embedded", "smollm2"}
ITEMS = {
    "MASA": {f"Table {number}" for number in range(1, 9)} | {"Figure 2", "Figure 3", "Figure 5"},
    "MoSA": {f"Table {number}" for number in range(2, 12)} | {"Figure 2", "Figure 3", "Figure 4"},
}


def read(path: Path) -> dict[str, Any]:
    return dict(read_yaml(path))


def paper_of(path: Path) -> PaperSpec:
    return PaperSpec.model_validate(read(path)["paper"])


def test_every_table_and_figure_that_can_be_run_is_there():
    papers = {path.stem: paper_of(path) for path in FILES}
    found = {source: {x.item for x in papers.values() if x.source == source} for source in ITEMS}
    assert found == ITEMS
    assert len(FILES) == 24
    for stem, paper in papers.items():
        assert stem == f"{paper.source.lower()}_{paper.item.lower().replace(' ', '')}"


def asked_pairs(plan):
    """The pairs on which the report has a verdict."""
    names, found = arm_names(plan), set()
    for question in questions_of(plan):
        if isinstance(question, AllPairs):
            found |= {frozenset((names[a], names[b])) for a, b in all_pairs(len(names))}
        elif isinstance(question, AgainstControl):
            found |= {frozenset((name, question.control)) for name in names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_asked_on_each_of_its_profiles(path):
    document = read(path)
    paper = paper_of(path)
    first = next(iter(paper.profiles))
    assert document["profile"] == first == "embedded"
    assert "smollm2" in paper.profiles or paper.reads.startswith("bench")
    assert set(paper.profiles) - SMALL
    for profile in paper.profiles:
        # With one seed the design is read in a fifth of the time; its arms are the same.
        sweep = load_sweep(path, profile=profile, overrides=["design.seeds=1"])
        assert sweep.spec.profile == profile
        assert sweep.space.any_trial().model.shape().layers > 1
        assert sweep.design is not None
        arms = arm_names(sweep.design)
        if profile == first:
            assert document["design"]["seeds"] == 5
            assert 5 * len(arms) <= 60
            assert sweep.spec.compared_by == "eval_loss"
        if paper.published is None or paper.reads.startswith("bench"):
            continue
        own = sweep.spec.paper.on(profile)
        pairs = asked_pairs(sweep.design)
        base = own.arms.get(paper.published.baseline, paper.published.baseline)
        for row in paper.published.rows:
            here = own.arms.get(row.arm, row.arm)
            is_run = here in arms
            if profile not in SMALL:
                # A row of the paper is a configuration, or says why it is none.
                assert is_run != bool(row.not_run), (profile, row.arm)
            if is_run and here != base:
                assert frozenset((here, base)) in pairs, (profile, row.arm)


def test_one_rate_is_given_where_one_method_is_varied_and_auto_where_methods_are_compared():
    for path in FILES:
        document, paper = read(path), paper_of(path)
        if paper.reads.startswith("bench"):
            continue
        for profile in SMALL & paper.profiles.keys():
            rate = paper.profiles[profile].set.get("train.learning_rate")
            is_auto = rate == "auto"
            assert is_auto == (document["design"]["kind"] == "replicate"), (path.stem, profile)
