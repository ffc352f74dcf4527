"""The command `compare`: what it would run, and what it refuses before anything starts."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from sweeper.cli import app
from tests.places import SPACES

MASA = SPACES / "masa.yaml"


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["compare", *(str(argument) for argument in arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_the_plan_is_of_one_size_and_one_scale(tmp_path):
    options = ("--methods", "masa,masa_control,lora", "--seeds", 2, "--delta", 0.05)
    said = call(MASA, *options, "--rates", "1e-3,1e-2", "--plan", "--json", "--home", tmp_path)
    plan = json.loads(said[said.index("{") :])
    assert plan["design"]["delta"] == 0.05
    assert plan["budget"]["alpha_per_rank"] == 2
    assert len(plan["trials"]) == 3 * 4 * 2
    scales = {x["params"]["alpha"] / x["params"]["rank"] for x in plan["trials"]}
    assert scales == {2}
    assert list(tmp_path.iterdir()) == []


def test_bad_input_starts_nothing(tmp_path):
    for options, message in (
        (("--methods", "msaa,lora"), "did you mean 'masa'"),
        (("--methods", "lora"), "has no two methods to compare"),
        (("--rates", "1"), "--rates is LOW,HIGH"),
        (("--seeds", "0"), "1 to 1000"),
        (("--set", "train.stepz=3"), "did you mean 'steps'"),
    ):
        assert message in call(MASA, *options, "--home", tmp_path / "home", code=2)
    assert not (tmp_path / "home").exists()
