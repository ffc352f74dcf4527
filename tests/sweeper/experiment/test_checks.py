"""What keeps points from being trials, and trials from being run on the profile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweeper.errors import Problem
from sweeper.experiment.checks import check_fit, check_trials
from sweeper.experiment.documents.tree import Document
from sweeper.experiment.space.distributions import Choice
from sweeper.experiment.space.space import Axis, MethodSpace, Space
from sweeper.search.draws import draw_all
from sweeper_adapters.methods import PromptTuningSpec
from sweeper_adapters.methods.qlora import spec as qlora
from tests.sweeper.experiment.spaces import SPACE, problems_of_loading, problems_of_space


def test_k_over_the_weight_count_is_refused(space: Path) -> None:
    text = SPACE.replace("name: masa", "name: mosa").replace(
        "experts: {int: [2, 6]}", "groups: 10000000"
    )
    text = text.replace("    group_size: {choice: [1, 2, 4]}\n", "").split("baselines")[0]
    found = problems_of_space(space, text=text)
    assert "10000000" in found["methods.mosa.groups"]


def test_what_an_engine_cannot_train_is_refused(
    space: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SPACE.split("train:")[0] + "  - name: qlora\n" + "train: {learning_rate: 1e-3}\n"
    monkeypatch.setattr(qlora, "find_spec", lambda name: None)
    found = problems_of_space(space, text=text)
    assert list(found) == ["methods.qlora.name"]
    assert "install masa-mosa-sweeper[quantization]" in found["methods.qlora.name"]


def test_a_method_without_layers_needs_the_budgets_own(sized):
    methods = [{"name": "prompt_tuning"}]
    assert (
        "give the budget the layers"
        in problems_of_loading(sized, methods=methods, baselines=[])["budget.targets"]
    )
    sweep = sized(
        methods=methods, baselines=[], budget={"match": "lora", "rank": 1, "targets": ["q_proj"]}
    )
    method = draw_all(sweep)[0].spec.method
    assert isinstance(method, PromptTuningSpec)
    # 30 layers of 576 -> 576, and vectors of 576.
    assert method.virtual_tokens == 60


def space_of_lora(*ranks: int) -> Space:
    tree: Document = {
        "method": {"name": "lora"},
        "train": {"steps": 8, "learning_rate": 1e-3},
        "model": {"kind": "architecture", "name": "smollm2-135m"},
        "data": {"kind": "embedded"},
    }
    axis = Axis("lora.rank", ("method", "rank"), Choice(choice=ranks))
    return Space((MethodSpace("lora", tree, (axis,)),))


def test_every_value_of_an_axis_is_tried() -> None:
    assert check_trials(space_of_lora(1, 2), known=[]) == []
    (problem,) = check_trials(space_of_lora(1, 0), known=[])
    assert problem.path == "methods.lora.rank"
    assert "got 0" in problem.message


def test_what_is_known_already_is_not_told_again() -> None:
    known = [Problem("methods.lora.rank", "is no distribution")]
    assert check_trials(space_of_lora(1, 0), known=known) == []


def test_what_the_header_tells_is_not_told_again() -> None:
    space = space_of_lora(1)
    tree: Document = {**space.methods[0].tree, "data": {"kind": "nothing"}, "workers": 0}
    broken = Space((MethodSpace("lora", tree, space.methods[0].axes),))
    assert check_trials(broken, known=[]) == []


def test_the_model_has_to_have_what_a_method_adapts() -> None:
    assert check_fit(space_of_lora(1, 2), has_gpu=False) == []
    found = check_fit(space_of_lora(1, 10**6), has_gpu=False)
    assert {problem.path for problem in found} == {"methods.lora.rank"}


MIXTURE = {
    "model_type": "qwen2_moe",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def test_each_method_whose_targets_mean_stacked_experts_is_named_once(space: Path) -> None:
    (space.parent / "model" / "config.json").write_text(json.dumps(MIXTURE))
    text = SPACE.split("baselines")[0] + "  evaluations: 4\n"
    found = problems_of_space(space, text=text)
    assert list(found) == ["methods.masa.targets", "methods.lora.targets"]
    assert all("'up_proj', 'down_proj' speaks of more" in message for message in found.values())
    attention = text.replace("- name: masa", "- name: masa\n    targets: attention")
    assert list(problems_of_space(space, text=attention)) == ["methods.lora.targets"]
