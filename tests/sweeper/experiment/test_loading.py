"""Reading search spaces: what is accepted, and every problem at once with its path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweeper.errors import SpecError
from sweeper.experiment.loading import build_sweep, load_sweep
from sweeper.experiment.space.space import Point
from sweeper.experiment.sweep import Sweep
from sweeper_adapters.methods.qlora import spec as qlora

CONFIG = {
    "model_type": "llama",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}

SPACE = """
name: tiny
profile: tiny
methods:
  - name: masa
    experts: {int: [2, 6]}
    group_size: {choice: [1, 2, 4]}
  - name: lora
    rank: {choice: [4, 8]}
train:
  learning_rate: {loguniform: [1e-4, 1e-2]}
baselines:
  - method: {name: masa, experts: 5, group_size: 2}
  - {method: {name: lora, rank: 8}, train: {learning_rate: 1e-3}}
search: {trials: 6}
"""

PROFILE = """
name: tiny
model: {kind: folder, path: %s}
data: {kind: embedded}
train: {steps: 8, batch_size: 2}
"""


@pytest.fixture
def space(tmp_path: Path) -> Path:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(CONFIG))
    # Reading a space looks whether these are there, and does not open them.
    for name in ("model.safetensors", "tokenizer.json"):
        (model / name).touch()
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "tiny.yaml").write_text(PROFILE % model)
    path = tmp_path / "tiny.yaml"
    path.write_text(SPACE)
    return path


def problems(path: Path, *overrides: str, text: str | None = None) -> dict[str, str]:
    if text is not None:
        path.write_text(text)
    with pytest.raises(SpecError) as caught:
        load_sweep(path, overrides=overrides)
    return {problem.path: problem.message for problem in caught.value.problems}


def test_a_space_is_read_and_its_points_become_trials(space: Path) -> None:
    sweep = load_sweep(space)
    assert [axis.name for axis in sweep.space.method("masa").axes] == [
        "masa.experts",
        "masa.group_size",
        "train.learning_rate",
    ]
    point: Point = {
        "method": "masa",
        "masa.experts": 3,
        "masa.group_size": 4,
        "train.learning_rate": 1e-3,
    }
    trial = sweep.space.trial(point)
    assert trial.train.learning_rate == 1e-3
    assert trial.train.steps == 8
    assert trial.method.model_dump()["experts"] == 3


def test_baselines_are_points(space: Path) -> None:
    assert load_sweep(space).space.baselines == (
        {"method": "masa", "masa.experts": 5, "masa.group_size": 2},
        {"method": "lora", "lora.rank": 8, "train.learning_rate": 1e-3},
    )


def test_the_resolved_document_makes_the_same_sweep(space: Path) -> None:
    sweep = load_sweep(space, overrides=["search.trials=4", "methods.masa.experts=3"])
    document = json.loads(json.dumps(sweep.document))
    again = build_sweep(document, source="sweep.json")
    assert isinstance(again, Sweep)
    assert (again.spec, again.space) == (sweep.spec, sweep.space)


def test_overrides_come_last_and_win_over_baselines(space: Path) -> None:
    sweep = load_sweep(space, overrides=["search.trials=3", "methods.masa.experts=2"])
    assert sweep.spec.search.trials == 3
    assert sweep.space.baselines[0] == {"method": "masa", "masa.group_size": 2}


def test_1e_minus_4_is_a_number_in_files_and_overrides(space: Path) -> None:
    sweep = load_sweep(space, overrides=["train.weight_decay=1e-2"])
    assert sweep.space.trial(next(p for _, p in sweep.space.corners())).train.weight_decay == 0.01


def test_all_problems_come_at_once(space: Path) -> None:
    found = problems(
        space,
        "methods.masa.experts={int: [0, 3]}",
        "methods.lora.rnak=4",
        "train.step=5",
        "search.trails=5",
        "resources.workers=0",
    )
    assert "got 0" in found["methods.masa.experts"]
    assert "did you mean 'rank'?" in found["methods.lora.rnak"]
    assert "did you mean 'steps'?" in found["train.step"]
    assert "did you mean 'trials'?" in found["search.trails"]
    assert "got 0" in found["resources.workers"]


@pytest.mark.parametrize(
    ("override", "path", "message"),
    [
        ("methods.0.name=massa", "methods.massa", "did you mean 'masa'"),
        ("methods.masa.experts=0", "methods.masa.experts", "greater than or equal to 1"),
        ("methods.masa.group_size=5", "methods.masa.group_size", "4 layers"),
        ("methods.masa.group_size={choice: [1, 9]}", "methods.masa.group_size", "9"),
        ("train.learning_rate={uniform: [2, 1]}", "train.learning_rate", "low below high"),
        ("train.learning_rate={loguniform: [0, 1]}", "train.learning_rate", "above 0"),
        ("train.learning_rate={unifrom: [0, 1]}", "train.learning_rate", "'uniform'"),
        ("train.learning_rate={choice: ['1e-3']}", "train.learning_rate", "without quotes"),
        ("train.max_length={choice: [32, 64]}", "train.max_length", "one value for all"),
        ("methods.masa.experts={choice: [2, 2]}", "methods.masa.experts", "twice"),
        ("train.evaluations=9", "train", "at most one evaluation a step"),
        ("engine.offload=cpu", "engine", "offload needs zero_stage"),
        ("engine.zero_stage=4", "engine.zero_stage", "4"),
        ("model.kind=gufg", "model", "did you mean 'gguf'"),
        ("data.kind=jsonlines", "data", "jsonl"),
        ("baselines=[{method: {name: dora}}]", "baselines.0.method.name", "'lora'"),
        (
            "baselines=[{method: {name: lora, rank: 16}}]",
            "baselines.0.method.rank",
            "widen the space",
        ),
        ("baselines=[{method: {name: lora, experts: 2}}]", "baselines.0.method.experts", "search"),
    ],
)
def test_a_bad_value_is_named_with_its_place(
    space: Path, override: str, path: str, message: str
) -> None:
    found = problems(space, override)
    assert path in found, found
    assert message in found[path]


def test_k_over_the_weight_count_is_refused(space: Path) -> None:
    text = SPACE.replace("name: masa", "name: mosa").replace(
        "experts: {int: [2, 6]}", "groups: 10000000"
    )
    text = text.replace("    group_size: {choice: [1, 2, 4]}\n", "").split("baselines")[0]
    found = problems(space, text=text)
    assert "10000000" in found["methods.mosa.groups"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [a\n", "not valid YAML"),
        ("name: a\nname: b\n", "given twice"),
        ("- a\n- b\n", "not a mapping"),
        ("", "not a mapping"),
    ],
)
def test_what_is_not_a_mapping_in_yaml_is_refused(space: Path, text: str, message: str) -> None:
    space.write_text(text)
    with pytest.raises(SpecError, match=message):
        load_sweep(space)


def test_a_syntax_error_has_line_and_column(space: Path) -> None:
    space.write_text("name: tiny\nmethods: [\n  {name: masa\n")
    with pytest.raises(SpecError, match=r"line \d+, column \d+"):
        load_sweep(space)


def test_a_missing_file_and_an_unknown_profile_name_the_nearest(space: Path) -> None:
    with pytest.raises(SpecError, match=r"did you mean 'tiny\.yaml'"):
        load_sweep(space.with_name("tinny.yaml"))
    with pytest.raises(SpecError, match="did you mean 'tiny'"):
        load_sweep(space, profile="tini")


def test_a_method_that_stands_twice_is_refused(space: Path) -> None:
    text = SPACE.split("train:")[0] + "  - name: lora\n" + "train: {learning_rate: 1e-3}\n"
    assert "stands twice" in problems(space, text=text)["methods.2.name"]


def test_what_an_engine_cannot_train_is_refused(
    space: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SPACE.split("train:")[0] + "  - name: qlora\n" + "train: {learning_rate: 1e-3}\n"
    monkeypatch.setattr(qlora, "find_spec", lambda name: None)
    found = problems(space, text=text)
    assert list(found) == ["methods.qlora.name"]
    assert "install masa-mosa-sweeper[quantization]" in found["methods.qlora.name"]


def test_model_and_data_belong_to_profiles(space: Path) -> None:
    found = problems(space, text=SPACE + "engine: {zero_stage: 1}\n")
    assert "belongs to a profile" in found["engine"]


def test_an_override_without_a_value_is_refused(space: Path) -> None:
    with pytest.raises(SpecError, match="write path=value"):
        load_sweep(space, overrides=["search.trials"])
    with pytest.raises(SpecError, match="no method 'dora'"):
        load_sweep(space, overrides=["methods.dora.rank=2"])


def test_how_trials_are_evaluated_reaches_each_of_them(space: Path) -> None:
    overrides = ("evaluation.generates=true", "evaluation.stop=[END]", "final.trials=2")
    sweep = load_sweep(space, overrides=overrides)
    assert sweep.spec.final.trials == 2
    for _, point in sweep.space.corners():
        evaluation = sweep.space.trial(point).evaluation
        assert (evaluation.generates, evaluation.stop) == (True, ("END",))


@pytest.mark.parametrize(
    ("override", "path"),
    [
        ("evaluation.max_new_tokens=0", "evaluation.max_new_tokens"),
        ("final.split=train", "final.split"),
        ("final.trials=-1", "final.trials"),
    ],
)
def test_a_bad_value_of_the_evaluation_is_told_once(space: Path, override: str, path: str) -> None:
    assert list(problems(space, override)) == [path]
