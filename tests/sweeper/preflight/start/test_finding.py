"""What a user names as model and as data: found, or told with what is near."""

from __future__ import annotations

import json

import pytest

from sweeper.errors import BadInputError
from sweeper.preflight.start.finding import find_data, find_model
from tests.sweeper.preflight.start.made import ROWS, make_model, write_lines


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("SWEEPER_DATA", raising=False)


def test_a_model_is_a_folder(tmp_path):
    make_model(tmp_path)
    assert find_model("model").model_dump()["path"] == "model"
    with pytest.raises(
        BadInputError, match=r"--model is model/config.json, which is a file; a mod"
    ):
        find_model("model/config.json")


@pytest.mark.parametrize("text", ["modell", "./modell", "owner/no model", "/nowhere/at/all"])
def test_a_model_that_is_nowhere_is_told(tmp_path, text):
    make_model(tmp_path)
    with pytest.raises(BadInputError, match=f"--model is {text}, but there is no model: ") as told:
        find_model(text)
    assert "a model is a folder with config.json, weights and tokenizer" in str(told.value)
    assert ("did you mean 'model'?" in str(told.value)) == text.endswith("modell")


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("rows.jsonl", "rows.jsonl", "jsonl"),
        ("data/train.jsonl", "data", "jsonl"),
        ("data/train.json", "data", "hub"),
        ("data/train.csv", "data", "hub"),
        # Alone in its folder a table needs no other name.
        ("data/anything.json", "data/anything.json", "hub"),
    ],
)
def test_data_is_a_file_or_a_folder(tmp_path, name, text, kind):
    path = write_lines(tmp_path / name, ROWS)
    if name.endswith(".json"):
        path.write_text(json.dumps(ROWS))
    if name.endswith(".csv"):
        path.write_text("question,answer\n" + "".join(f"{x['question']},1\n" for x in ROWS))
    found = find_data(text)
    assert found.spec.model_fields["kind"].default == kind
    assert len(found.rows) == len(ROWS)
    assert set(found.rows[0]) == {"question", "answer"}


def test_a_path_that_the_user_sees_is_meant_also_with_a_root_of_data(tmp_path, monkeypatch):
    write_lines(tmp_path / "rows.jsonl", ROWS)
    write_lines(tmp_path / "root" / "others.jsonl", ROWS[:3])
    monkeypatch.setenv("SWEEPER_DATA", str(tmp_path / "root"))
    assert find_data("rows.jsonl").place == str(tmp_path / "rows.jsonl")
    assert find_data("others.jsonl").place == "others.jsonl"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("./row.jsonl", r"there is nothing; data is a \.jsonl file.*did you mean 'rows\.jsonl'"),
        ("row.jsonl", r"no such file or folder, and on the Hub: .*did you mean 'rows\.jsonl'"),
        ("mixed/a.csv", r"other data files beside it; .*put it alone into a folder"),
        ("empty", r"no data|cannot be|doesn't contain any data files"),
    ],
)
def test_data_that_is_nowhere_is_told(tmp_path, text, message):
    write_lines(tmp_path / "rows.jsonl", ROWS)
    (tmp_path / "empty").mkdir()
    write_lines(tmp_path / "mixed" / "b.csv", []).with_name("a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadInputError, match=message):
        find_data(text)


def test_a_row_that_cannot_be_read_is_told_with_its_place(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"question": 1}\n{"question"\n')
    with pytest.raises(BadInputError, match=r"rows\.jsonl:2"):
        find_data("rows.jsonl")
