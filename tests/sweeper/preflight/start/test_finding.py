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
    ("name", "text"),
    [
        ("rows.jsonl", "rows.jsonl"),
        ("data/train.jsonl", "data"),
        ("data/train.csv", "data"),
        ("anything.json", "anything.json"),
        ("table.csv", "table.csv"),
    ],
)
def test_data_is_a_file_or_a_folder(tmp_path, name, text):
    path = write_lines(tmp_path / name, ROWS)
    write_lines(tmp_path / "data" / "test.jsonl", ROWS[:1])
    if name.endswith(".json"):
        path.write_text(json.dumps(ROWS))
    if name.endswith(".csv"):
        path.write_text("question,answer\n" + "".join(f"{x['question']},1\n" for x in ROWS))
    found = find_data(text)
    assert (found.path, found.hub) == (text, "")
    assert len(found.first_rows()) == len(ROWS)
    assert set(found.first_rows()[0]) == {"question", "answer"}


def test_a_path_that_the_user_sees_is_meant_also_with_a_root_of_data(tmp_path, monkeypatch):
    write_lines(tmp_path / "rows.jsonl", ROWS)
    write_lines(tmp_path / "root" / "others.jsonl", ROWS[:3])
    monkeypatch.setenv("SWEEPER_DATA", str(tmp_path / "root"))
    assert find_data("rows.jsonl").path == str(tmp_path / "rows.jsonl")
    assert find_data("others.jsonl").path == "others.jsonl"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("./row.jsonl", r"there is nothing; data is a file with rows.*did you mean 'rows\.jsonl'"),
        ("row.jsonl", r"no such file or folder, and on the Hub: .*did you mean 'rows\.jsonl'"),
    ],
)
def test_data_that_is_nowhere_is_told(tmp_path, text, message):
    write_lines(tmp_path / "rows.jsonl", ROWS)
    with pytest.raises(BadInputError, match=message):
        find_data(text)
