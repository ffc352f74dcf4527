"""The papers' files: each is read and planned on each profile that it names, models unloaded."""

from __future__ import annotations

import statistics
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
from sweeper.preflight.plan import plan_of
from tests.places import SPACES

FILES = [path for path in sorted((SPACES / "papers").glob("*.yaml")) if "_params" not in path.stem]
# Profiles for a laptop; all others have the papers' models.
SMALL = {"embedded", "smollm2"}
ITEMS = {
    "MASA": {f"Table {number}" for number in range(1, 9)} | {"Figure 2", "Figure 3", "Figure 5"},
    "MoSA": {f"Table {number}" for number in range(2, 12)} | {"Figure 2", "Figure 3", "Figure 4"},
}

# Tables that print the parts of what they average, too.
AVERAGED = {
    "MASA": {"Table 1", "Table 7", "Table 8"},
    "MoSA": {f"Table {number}" for number in (2, 3, 5, 6, 7, 9, 10)},
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
    # What a bench times has settings of its own, and no profile of a paper's model.
    assert bool(set(paper.profiles) - SMALL) != paper.reads.startswith("bench")
    for profile in paper.profiles:
        # With one seed the design is read in a fifth of the time; its arms are the same.
        sweep = load_sweep(path, profile=profile, overrides=["design.seeds=1"])
        assert sweep.spec.profile == profile
        assert sweep.space.any_trial().model.shape().layers > 1
        assert sweep.design is not None
        # A cluster has the papers' GPUs, and this machine has none.
        is_small = profile in SMALL
        plan = plan_of(sweep, address=None if is_small else "auto", within_s=0).document()
        assert len(plan["trials"]) == len(sweep.design.configurations) > 1
        assert plan["memory"]
        assert is_small == (plan["costs"] is not None)
        assert plan["missing"] or is_small
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
            # Draws are of one method.
            is_drawn = paper.published is not None and not paper.published.has_directions
            has_many = document["design"]["kind"] == "replicate" and not is_drawn
            assert is_auto == has_many, (path.stem, profile)


def published_of_item(stem):
    table = paper_of(SPACES / "papers" / f"{stem}.yaml").published
    assert table is not None
    return table


def test_averages_of_eight_sets_have_a_direction_from_twice_their_spread_on():
    """By the tessellations of Table 7, whose averages are those files' own column."""
    draws = published_of_item("mosa_table7")
    assert not draws.has_directions
    spread = statistics.stdev(row.values[0] for row in draws.rows)
    assert spread == pytest.approx(0.14, abs=0.005)
    of_eight = {
        path.stem: paper.published
        for path in FILES
        if (paper := paper_of(path)).published is not None
        and paper.published.has_directions
        and "mosa-commonsense" in paper.profiles
    }
    assert len(of_eight) == 6
    for stem, table in of_eight.items():
        assert table.least == pytest.approx(2 * 2**0.5 * spread, abs=0.02), stem
    others = [paper_of(path) for path in FILES if path.stem not in of_eight]
    assert {x.published.least for x in others if x.published is not None} == {0}


def test_hydralora_and_mosa_are_not_said_to_differ():
    """Table 9 prints 87.60 and 87.63 and calls them comparable."""
    table = published_of_item("mosa_table9")
    assert not table.has_direction(round(87.63 - 87.60, 2))
    groups = published_of_item("mosa_table6")
    assert groups.has_direction(round(87.05 - 87.63, 2))


def test_averages_that_their_own_numbers_deny_are_printed_without_a_direction():
    """With the numbers that are printed QV and QKV are ahead of all layers, by averages behind."""
    table = published_of_item("mosa_table5")
    assert [(row.arm, row.values) for row in table.rows if not row.has_direction] == [
        ("targets=q_proj,v_proj", (86.81,)),
        ("targets=q_proj,k_proj,v_proj", (87.16,)),
    ]
    said = " ".join(paper_of(SPACES / "papers" / "mosa_table5.yaml").departures)
    for number in ("86.81", "87.16", "87.69", "87.91", "87.63"):
        assert number in said


def test_each_item_says_what_is_not_as_in_the_paper():
    for path in FILES:
        paper, text = paper_of(path), path.read_text(encoding="utf-8")
        said = " ".join(paper.departures)
        is_auto = "train.learning_rate: auto" in text
        assert is_auto <= ("is of SmolLM2" in said), path.stem
        has_prompts = is_auto and "name: p_tuning" in text
        assert has_prompts == ("mean of all methods' rates" in said), path.stem
        assert (paper.item in AVERAGED[paper.source]) == ("the average is here" in said), path.stem
        if paper.source == "MASA":
            assert "fp16" in said, path.stem
        elif not paper.reads.startswith("bench"):
            assert "the weights of the last step count" in said, path.stem
            assert ("mosa-commonsense" in paper.profiles) == ("146,100" in said), path.stem
            is_smaller = "method.rank: 8" in text or "methods.mosa.rank: 8" in text
            assert is_smaller == ("8 and not 32" in said), path.stem
