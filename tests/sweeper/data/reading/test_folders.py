"""Folders in the layouts that people keep data in."""

import json

import pytest

from sweeper.data.reading.folders import layout_of, split_rows
from sweeper.errors import DataError, MissingError


def write(folder, **files):
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def layout(folder, **settings):
    return layout_of(folder, remedy="mend it", **settings)


@pytest.mark.parametrize("name", ["val", "valid", "dev", "validation"])
def test_names_of_splits(tmp_path, name):
    found = layout(write(tmp_path, train_csv="a\n1\n", **{f"{name}_csv": "a\n2\n"}))
    assert found.is_text
    assert split_rows("validation", found.files) == [(f"{tmp_path}/{name}.csv:2", {"a": "2"})]
    assert found.unread == ()


def test_sub_folders_and_shards(tmp_path):
    files = {"train__one_jsonl": '{"a": 1}\n', "train__two_jsonl": '{"b": 2}\n'}
    found = layout(write(tmp_path, **files, test__x_jsonl='{"a": 3}\n'))
    rows = [row for _, row in split_rows("train", found.files)]
    assert rows == [{"a": 1, "b": None}, {"a": None, "b": 2}]
    assert [row for _, row in split_rows("test", found.files)] == [{"a": 3}]


def test_what_is_not_read_is_named(tmp_path):
    found = layout(write(tmp_path, train_csv="a\n1\n", more_csv="a\n2\n", notes_txt="x"))
    assert [path.name for path in found.unread] == ["more.csv", "notes.txt"]


def test_what_the_card_says_of_reading_is_left_to_datasets(tmp_path):
    write(tmp_path, train_csv="a|b\n1|2\n")
    card = {"configs": [{"config_name": "default", "data_files": "train.csv", "sep": "|"}]}
    (tmp_path / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n")
    assert not layout(tmp_path).is_text


def test_a_bad_row_is_an_error(tmp_path):
    found = layout(write(tmp_path, train_jsonl='{"a": 1}\n{"a": \n'))
    with pytest.raises(DataError, match=r"train\.jsonl:2: not JSON"):
        split_rows("train", found.files)


def test_a_folder_without_data(tmp_path):
    with pytest.raises(MissingError, match=r"cannot be loaded: .*; mend it"):
        layout(tmp_path)


def test_a_card_that_cannot_be_read(tmp_path):
    write(tmp_path, train_csv="a\n1\n")
    (tmp_path / "README.md").write_text("---\nconfigs: [\n---\n")
    with pytest.raises((DataError, MissingError), match="mend it"):
        layout(tmp_path)
