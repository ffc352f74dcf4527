"""What a program gives to the sweeper, as the command line takes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from sweeper.cli.arguments import comparison_asked, fields_of, space_file
from sweeper.errors import BadInputError
from sweeper.experiment.comparing import Comparison


def test_a_text_of_an_override_stays_a_text():
    assert fields_of({"data.format.prompt": "{a}: 1", "fresh": True, "x": None}) == [
        'data.format.prompt="{a}: 1"',
        "fresh=true",
        "x=null",
    ]


def test_what_yaml_does_not_have_is_made_plain_or_refused():
    numbers = {"train.learning_rate": np.float32(0.5), "x": np.arange(2), "y": np.int64(3)}
    given = {"data.path": Path("a/b"), **numbers}
    assert fields_of(given) == [
        'data.path="a/b"',
        "train.learning_rate=0.5",
        "x=[0, 1]",
        "y=3",
    ]
    with space_file({"data": {"path": Path("a/b")}, "n": (np.int64(3),)}) as path:
        assert yaml.safe_load(path.read_text()) == {"data": {"path": "a/b"}, "n": [3]}
    with pytest.raises(BadInputError, match=r"train\.steps: is \{1\}, a set"):
        fields_of({"train.steps": {1}})


def asked(**given):
    return comparison_asked(
        **({"methods": None, "seeds": None, "delta": None, "rates": None} | given)
    )


def test_a_comparison_is_asked_as_the_command_asks():
    assert asked() == Comparison((), "3")
    given = {"methods": ["masa", "lora"], "seeds": 5, "delta": 0.1, "rates": (1e-5, 3e-2, 8)}
    read = Comparison.read(methods="masa,lora", seeds="5", delta=0.1, rates="1e-05,0.03,8")
    assert asked(**given) == read
    numbers = {"seeds": np.int64(5), "delta": np.float64(0.1), "rates": np.array([1e-4, 1e-2])}
    assert asked(**numbers) == Comparison((), "5", 0.1, "0.0001,0.01")
    assert asked(seeds="3/5/10").seeds == "3/5/10"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        # A text is a sequence of letters.
        ({"methods": "masa,lora"}, r"methods: got 'masa,lora'; it is a list of names"),
        ({"methods": []}, r"methods: got \[\]; .* or None for the methods of the file"),
        ({"methods": ["masa", 3]}, r"methods: got \['masa', 3\]"),
        ({"methods": ["masa", " "]}, r"methods: got"),
        ({"seeds": 2.5}, r"seeds: got 2\.5; it is a whole number, or a text of looks"),
        ({"seeds": True}, r"seeds: got True"),
        ({"delta": "small"}, r"delta: got 'small'; it is a number in units of the metric"),
        ({"rates": 1e-3}, r"rates: got 0\.001; they are the lowest learning rate, the highest"),
        ({"rates": [1e-3]}, r"rates: got \[0\.001\]"),
    ],
)
def test_what_no_comparison_asks_is_refused(given, message):
    with pytest.raises(BadInputError, match=message):
        asked(**given)
