"""What is constant in a sweep, and who ran it, are tags."""

from __future__ import annotations

from sweeper.tracking.mlflow_view.content import Varied, constant_tags, said_note, sweep_tags
from sweeper.tracking.stored import Said
from sweeper.tracking.sweep_folder import SweepFolder


def test_what_varies_is_no_tag():
    spec = {
        "method": {"name": "mosa", "rank": 8, "groups": {"q": 1, "v": 2}, "ranks": [1]},
        "train": {"learning_rate": 1e-3, "steps": 8},
        "evaluation": {"stop": None},
    }
    varied = Varied((("method", "groups"), ("method", "rank"), ("train", "learning_rate")))
    assert constant_tags(spec, varied) == {
        "method.name": "mosa",
        "method.ranks": "[1]",
        "train.steps": "8",
    }


def test_whence_a_sweep_is(tmp_path):
    document = {"name": "masa", "profile": {"name": "mine"}}
    folder = SweepFolder.create(tmp_path, "masa-1", document=document)
    tags = sweep_tags(folder)
    assert tags["mlflow.user"] == tmp_path.owner()
    assert (tags["mlflow.source.name"], tags["profile"]) == ("sweeper run masa", "mine")


def test_the_description_is_ours_until_a_user_writes_one():
    said = Said(verdicts=("A is better than B.",))
    (text,) = said_note(said, now="").values()
    assert text.splitlines()[2] == "- A is better than B."
    assert said_note(Said(), now=text) != {}
    assert said_note(said, now="My sweep.") == {}
