"""Local files: splits, limits, and every way they can be wrong."""

import json

import pytest

from sweeper.data import JsonlDataSpec
from sweeper.errors import DataError, MissingError
from tests.places import SHARED


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def rows(start, stop):
    return [
        {"prompt": f"{number} + 1 =", "answer": f" {number + 1}"} for number in range(start, stop)
    ]


def prompts(examples):
    return {example.prompt for example in examples}


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "train.jsonl", rows(0, 50))
    return tmp_path


def test_missing_splits_are_split_off_the_training_rows(folder):
    splits = JsonlDataSpec(path=str(folder), validation_fraction=0.1, test_fraction=0.2).load()
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [36, 4, 10]
    assert not prompts(splits.train) & prompts(splits.validation)
    assert not prompts(splits.train) & prompts(splits.test)
    assert not prompts(splits.validation) & prompts(splits.test)


def test_files_are_used_where_there_are(folder):
    write(folder / "validation.jsonl", rows(50, 53))
    write(folder / "test.jsonl", rows(53, 55))
    splits = JsonlDataSpec(path=str(folder)).load()
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [50, 3, 2]
    assert splits.train[3].prompt == "3 + 1 ="


def test_repeated_prompts_stay_in_one_split(folder):
    write(folder / "train.jsonl", rows(0, 20) * 3)
    splits = JsonlDataSpec(path=str(folder), validation_fraction=0.3).load()
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 60
    assert not prompts(splits.train) & prompts(splits.validation)


def test_the_seed_decides_what_is_split_off(folder):
    first, again, other = (JsonlDataSpec(path=str(folder), seed=s).load() for s in (1, 1, 2))
    assert first == again
    assert prompts(first.validation) != prompts(other.validation)


def test_limits(folder):
    splits = JsonlDataSpec(path=str(folder), train_rows=7, eval_rows=2).load()
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [7, 2, 2]
    numbers = [int(example.prompt.split()[0]) for example in splits.train]
    assert numbers == sorted(numbers)


def test_one_file(folder):
    splits = JsonlDataSpec(path=str(folder / "train.jsonl")).load()
    assert splits == JsonlDataSpec(path=str(folder)).load()


def test_a_relative_path_starts_from_the_data_root(folder, monkeypatch):
    monkeypatch.setenv("SWEEPER_DATA", str(folder.parent))
    spec = JsonlDataSpec(path=folder.name)
    spec.require_available()
    assert len(spec.load().train) > 0


def test_the_fingerprint_follows_the_content(folder):
    spec = JsonlDataSpec(path=str(folder))
    before = spec.fingerprint()
    assert before == spec.fingerprint()
    write(folder / "train.jsonl", rows(1, 51))
    assert spec.fingerprint() != before


def test_missing_data_names_the_setting(tmp_path, monkeypatch):
    with pytest.raises(MissingError, match="export SWEEPER_DATA="):
        JsonlDataSpec(path="commonsense/nowhere").require_available()
    monkeypatch.setenv("SWEEPER_DATA", str(tmp_path))
    with pytest.raises(MissingError, match=f"SWEEPER_DATA is {tmp_path}"):
        JsonlDataSpec(path="commonsense/nowhere").require_available()
    with pytest.raises(MissingError, match=r"has no train\.jsonl.*--set data\.path=FOLDER"):
        JsonlDataSpec(path=str(tmp_path)).require_available()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the train split is empty"),
        ("\n\n", "the train split is empty"),
        ('{"prompt": "a"', r"train\.jsonl:1: not JSON"),
        ("[1, 2]\n", r"train\.jsonl:1: a JSON list"),
        ('{"question": "a", "target": "b"}\n', r"no field 'answer'; its fields are question, tar"),
    ],
)
def test_bad_data_is_found_before_anything_starts(folder, content, message):
    (folder / "train.jsonl").write_text(content)
    spec = JsonlDataSpec(path=str(folder))
    with pytest.raises(DataError, match=message):
        spec.require_available()
    with pytest.raises(DataError, match=message):
        spec.load()


def test_an_empty_split_file(folder):
    (folder / "test.jsonl").write_text("")
    with pytest.raises(DataError, match=r"the test split is empty: .*test\.jsonl"):
        JsonlDataSpec(path=str(folder)).require_available()


def test_too_few_rows_to_split(folder):
    write(folder / "train.jsonl", rows(0, 2))
    with pytest.raises(DataError, match="the train split is empty"):
        JsonlDataSpec(path=str(folder)).load()


def test_text_in_another_encoding(folder):
    (folder / "train.jsonl").write_bytes('{"prompt": "é"}'.encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        JsonlDataSpec(path=str(folder)).require_available()


def test_arc_easy():
    root = SHARED
    folder = root / "commonsense" / "ARC-Easy"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    for reading in ("cloze", "generate"):
        spec = JsonlDataSpec.model_validate(
            {"path": str(folder), "format": {"name": "llm_adapters", "reading": reading}}
        )
        spec.require_available()
        splits = spec.load()
        assert len(splits.train) + len(splits.validation) == 2000
        assert len(splits.test) == 2376
        assert all(row.answer in row.choices for row in (*splits.train, *splits.test))
        assert {len(row.choices) for row in splits.test} == {3, 4, 5}
