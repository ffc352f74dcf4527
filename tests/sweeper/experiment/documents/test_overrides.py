"""`--set path=value`: where a value goes, and what it wins over."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import SpecError
from sweeper.experiment.documents.overrides import apply_overrides
from sweeper.experiment.documents.tree import Document
from sweeper.experiment.loading import load_sweep
from sweeper.search.draws import draw_all
from tests.sweeper.experiment.spaces import TRIALS


def test_overrides_come_last_and_win_over_baselines(space: Path) -> None:
    sweep = load_sweep(space, overrides=["search.trials=3", "methods.masa.experts=2"])
    assert sweep.spec.search.trials == 3
    assert sweep.space.baselines[0] == {"method": "masa", "masa.group_size": 2}


def test_an_override_without_a_value_is_refused(space: Path) -> None:
    with pytest.raises(SpecError, match="write path=value"):
        load_sweep(space, overrides=["search.trials"])
    with pytest.raises(SpecError, match="no method 'dora'"):
        load_sweep(space, overrides=["methods.dora.rank=2"])


def test_a_trial_is_set_by_its_name(list_of):
    sweep = list_of(TRIALS, "trials.large.method.rank=11", "trials.0.method.rank=3")
    small, large, *_ = draw_all(sweep)
    assert (small.spec.method.sizes(), large.spec.method.sizes()) == ({"rank": 3}, {"rank": 11})
    with pytest.raises(SpecError, match=r"no trial 'larg' in this space; .* mean 'large'"):
        list_of(TRIALS, "trials.larg.method.rank=11")


BASELINES: Document = {
    "methods": [{"name": "masa"}, {"name": "lora"}],
    "baselines": [
        {"method": {"name": "masa", "rank": 2}, "train": {"learning_rate": 1e-3}},
        {"method": {"name": "lora", "rank": 4}},
        "no mapping",
    ],
}


@pytest.mark.parametrize(
    ("override", "baselines"),
    [
        (
            "train.learning_rate=1",
            [
                {"method": {"name": "masa", "rank": 2}, "train": {}},
                {"method": {"name": "lora", "rank": 4}},
                "no mapping",
            ],
        ),
        (
            "methods.lora.rank=8",
            [
                {"method": {"name": "masa", "rank": 2}, "train": {"learning_rate": 1e-3}},
                {"method": {"name": "lora"}},
                "no mapping",
            ],
        ),
        ("methods.1.name=dora", BASELINES["baselines"]),
        ("search.rank=8", BASELINES["baselines"]),
    ],
)
def test_baselines_lose_what_is_overridden(override: str, baselines: object) -> None:
    assert apply_overrides(BASELINES, [override])["baselines"] == baselines


def test_the_document_stays_as_it_was_and_branches_are_made() -> None:
    document: Document = {"search": {"trials": 2}}
    changed = apply_overrides(document, ["search.asha.grace=3", "hygiene.near = [a, 1e-1]"])
    assert changed == {
        "search": {"trials": 2, "asha": {"grace": 3}},
        "hygiene": {"near": ["a", 0.1]},
    }
    assert document == {"search": {"trials": 2}}


def test_a_value_that_is_no_yaml_is_refused() -> None:
    with pytest.raises(SpecError, match=r"--set search\.trials: 1 problem"):
        apply_overrides({}, ["search.trials=[3"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{instruction}", "{instruction}"),
        ("{instruction} {input}", "{instruction} {input}"),
        ("Q: {question}", "Q: {question}"),
        ("'{instruction}'", "{instruction}"),
        ('"{instruction}\\n"', "{instruction}\n"),
        ("Say {it}", "Say {it}"),
        # What is no template is YAML, as everywhere.
        ("{choice: [1, 2]}", {"choice": [1, 2]}),
        ("{instruction: null}", {"instruction": None}),
        ("[a, '{b}']", ["a", "{b}"]),
        ("{}", {}),
    ],
)
def test_a_template_needs_no_quotes_of_its_own(text: str, value: object) -> None:
    found = apply_overrides({}, [f"data.format.prompt={text}"])
    assert found == {"data": {"format": {"prompt": value}}}
