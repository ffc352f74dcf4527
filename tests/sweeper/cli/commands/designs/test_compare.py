"""The command `compare`: what it would run, and what it refuses before anything starts."""

from __future__ import annotations

import re

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
    said = call(MASA, *options, "--rates", "1e-3,1e-2", "--plan", "--home", tmp_path)
    text = " ".join(said.split())
    assert "at the default: masa.experts, masa.group_size, masa.sharing, masa.router" in text
    assert "Plan of masa-compare on embedded 24 trials" in text
    assert "12 configurations × 2 seeds = 24" in text
    assert "4 learning rates from 0.001 to 0.01" in text
    assert "Smallest difference of interest: 0.05 eval_loss" in text
    scales = re.findall(r"(\w+) 78,080 \S+ \S+ (\S+) rank=", text)
    assert dict(scales) == {"masa": "2", "masa_control": "2", "lora": "2"}
    assert list(tmp_path.iterdir()) == []


def test_bad_input_starts_nothing(tmp_path):
    for options, message in (
        (("--methods", "lroa,masa"), "did you mean 'lora'"),
        (("--methods", "lora"), "has no two methods to compare"),
        (("--rates", "1"), "--rates is LOW,HIGH"),
        (("--seeds", "0"), "1 to 1000"),
        (("--set", "train.stepz=3"), "did you mean 'steps'"),
    ):
        assert message in call(MASA, *options, "--home", tmp_path / "home", code=2)
    assert not (tmp_path / "home").exists()
