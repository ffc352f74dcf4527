"""Fields that are right by themselves and not together: told when a space is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sweeper.experiment.loading import load_sweep
from sweeper.search.draws import draw_all
from tests.sweeper.experiment.spaces import problems_of_loading


def load(folder: Path, method: dict[str, Any], **train: object) -> Any:
    space = {"name": "x", "methods": [method], "train": {"learning_rate": 1e-3, **train}}
    path = folder / "x.yaml"
    path.write_text(yaml.safe_dump(space, sort_keys=False))
    return load_sweep(path, profile="embedded")


def choice(*values: object) -> dict[str, list[object]]:
    return {"choice": list(values)}


@pytest.mark.parametrize(
    ("method", "train", "place", "where"),
    [
        (
            {"name": "vblora", "vector_length": 8, "vectors": choice(8, 2), "top_k": choice(2, 4)},
            {},
            "",
            "vectors 2, top_k 4",
        ),
        (
            {"name": "adalora", "initial_rank": choice(12, 6), "target_rank": choice(4, 8)},
            {},
            ".target_rank",
            "initial_rank 6, target_rank 8",
        ),
        (
            {"name": "adalora", "initial_rank": {"int": [4, 60]}, "target_rank": {"int": [1, 58]}},
            {},
            ".target_rank",
            None,
        ),
        (
            {
                "name": "adalora",
                "warmup_share": {"uniform": [0, 0.6]},
                "final_share": {"uniform": [0.1, 0.6]},
            },
            {},
            ".final_share",
            "warmup_share 0.6, final_share 0.6",
        ),
        (
            {
                "name": "cola",
                "collaboration": choice("full", "heuristic"),
                "down_projections": choice(2, 3),
                "up_projections": choice(3, 2),
            },
            {},
            "",
            "collaboration heuristic, down_projections 3, up_projections 2",
        ),
        (
            {
                "name": "bslora",
                "local_rank": choice(1, 0),
                "intra_rank": choice(1, 0),
                "inter_rank": choice(1, 0),
            },
            {},
            "",
            "local_rank 0, intra_rank 0, inter_rank 0",
        ),
        (
            {"name": "mosa", "rank": choice(None, 2), "groups": choice(8, None)},
            {},
            "",
            None,
        ),
        (
            {"name": "hd_pissa", "rank": choice(1, 64), "slices": choice(1, 8)},
            {},
            ".rank",
            "rank 64, slices 8",
        ),
        (
            {"name": "hd_pissa", "rank": 1, "slices": choice(1, 8)},
            {"batch_size": choice(8, 4)},
            ".slices",
            "slices 8, batch_size 4",
        ),
        # Both are right by themselves: of 2 steps none is final, and of 9 there are 4 that are not.
        (
            {"name": "adalora", "final_share": choice(0.3, 0.6)},
            {"steps": choice(9, 2), "evaluations": 1},
            ".final_share",
            "final_share 0.6, steps 2",
        ),
        (
            {"name": "lora"},
            {"steps": choice(9, 2), "evaluations": 4, "seed": choice(0, 1)},
            None,
            "",
        ),
    ],
)
def test_a_combination_that_cannot_be_run_is_refused(
    tmp_path: Path,
    method: dict[str, Any],
    train: dict[str, Any],
    place: str | None,
    where: str | None,
) -> None:
    found = problems_of_loading(load, tmp_path, method, **train)
    if place is None:
        assert set(found) == {"train"}
        return
    (path,) = found
    assert path == f"methods.{method['name']}{place}"
    # Where one field alone is at another value than its first, the message names the two itself.
    if where is not None:
        assert f"it is so at {where}, which the space holds" in found[path]
        assert "drop values that do not go together" in found[path]


@pytest.mark.parametrize(
    "method",
    [
        {"name": "adalora", "initial_rank": choice(12, 9), "target_rank": choice(4, 8)},
        {"name": "mosa", "rank": None, "groups": choice(8, {"q_proj": 3, "k_proj": 4})},
        {"name": "pissa", "iterations": choice(None, 16), "rank": choice(2, 4)},
        {"name": "lora", "targets": choice(["q_proj"], ["q_proj", "v_proj"]), "rank": choice(2, 4)},
    ],
)
def test_a_space_of_points_that_can_all_be_run_is_drawn(
    tmp_path: Path, method: dict[str, Any]
) -> None:
    if "groups" in method:
        method = {**method, "targets": ["q_proj", "k_proj"]}
    drawn = draw_all(load(tmp_path, method))
    searched = [key for key, value in method.items() if isinstance(value, dict)]
    assert searched
    # Each of its points once.
    assert len(drawn) == 2 ** len(searched)
    for key in searched:
        values = [list(x) if isinstance(x, tuple) else x for x in method[key]["choice"]]
        got = [getattr(trial.spec.method, key) for trial in drawn]
        got = [list(x) if isinstance(x, tuple) else x for x in got]
        assert [x for x in got if x not in values] == []


@pytest.mark.parametrize(
    ("method", "field", "message"),
    [
        ({"name": "lora", "rank": {"uniform": [4, 64]}}, "rank", "{int: [low, high]}"),
        ({"name": "lora", "rank": {"loguniform": [4, 64]}}, "rank", "{int: [low, high]}"),
        ({"name": "masa", "experts": {"uniform": [1, 3]}}, "experts", "{int: [low, high]}"),
        ({"name": "masa", "collapse": {"uniform": [0, 1]}}, "collapse", "true or false"),
        ({"name": "masa", "sharing": {"int": [0, 3]}}, "sharing", "allowed: a, b, both, none"),
        # Each second value is odd, and the experts are two halves.
        ({"name": "loramoe", "experts": {"int": [2, 256]}}, "experts", "multiple of 2"),
        ({"name": "lora", "rank": choice(4, None)}, "rank", "got null"),
        ({"name": "lora", "targets": choice(["q_proj"], ["x"])}, "targets", "'x' matches no"),
        ({"name": "lora", "alpha": choice([1], [2])}, "alpha", "got [2]"),
    ],
)
def test_a_distribution_of_another_type_is_refused(
    tmp_path: Path, method: dict[str, Any], field: str, message: str
) -> None:
    found = problems_of_loading(load, tmp_path, method)
    (path,) = found
    assert path.startswith(f"methods.{method['name']}.{field}")
    assert message in found[path]
