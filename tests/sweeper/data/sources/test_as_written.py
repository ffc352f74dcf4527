"""Rows come out as they stand in their files, and a fingerprint changes where they did not."""

import json
import os

import pytest

from sweeper.data import HubDataSpec, JsonlDataSpec, TasksDataSpec
from sweeper.errors import DataError, MissingError

FORMAT = {"name": "fields", "prompt": "{question}\nCode: {code}\nAnswer:", "answer": " {answer}"}
PLAIN = {"name": "fields", "prompt": "{question}", "answer": " {answer}"}
CODES = ["NA", "None", "00012", "1e5", "", "7", "null", "1.0"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    import datasets

    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)


def table(folder, values, *, name="train.csv", separator=","):
    lines = ["question,code,answer", *(f"why {n},{v},a{n}" for n, v in enumerate(values))]
    (folder / name).write_text("".join(f"{line}\n" for line in lines).replace(",", separator))
    return folder


def hub(folder, **settings):
    return HubDataSpec.model_validate({"name": str(folder), "format": FORMAT, **settings})


def jsonl(folder, rows, chosen=PLAIN):
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    (folder / "train.jsonl").write_text(text)
    return JsonlDataSpec.model_validate({"path": str(folder), "format": chosen})


def all_of(splits):
    return [*splits.train, *splits.validation, *splits.test]


def codes_of(examples):
    found = {e.answer: e.prompt.split("\n")[1:-1] for e in examples}
    lines = [found[f" a{n}"] for n in range(len(found))]
    return [line[0].removeprefix("Code: ") if line else "" for line in lines]


@pytest.mark.parametrize(("name", "separator"), [("train.csv", ","), ("train.tsv", "\t")])
def test_tables(tmp_path, name, separator):
    spec = hub(table(tmp_path, CODES, name=name, separator=separator))
    assert codes_of(all_of(spec.load())) == CODES


def test_a_packed_table_and_one_that_its_card_describes(tmp_path):
    import gzip

    packed = tmp_path / "packed"
    packed.mkdir()
    text = table(tmp_path, CODES).joinpath("train.csv").read_bytes()
    (packed / "train.csv.gz").write_bytes(gzip.compress(text))
    assert codes_of(all_of(hub(packed).load())) == CODES
    described = tmp_path / "described"
    described.mkdir()
    table(described, CODES, separator="|")
    card = {"configs": [{"config_name": "default", "data_files": "train.csv", "sep": "|"}]}
    (described / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n")
    assert codes_of(all_of(hub(described).load())) == CODES


def test_packed_lines_of_json(tmp_path):
    import gzip

    rows = [
        f'{{"question": "why {n}", "code": {code}, "answer": "a{n}"}}'
        for n, code in enumerate(["1.0", "7", "1e5", '"2020-01-01"', "null"] * 4)
    ]
    (tmp_path / "train.jsonl.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    spec = hub(tmp_path)
    assert codes_of(all_of(spec.load())) == ["1.0", "7", "1e5", "2020-01-01", ""] * 4
    # Arrow read 7 as 7.0.
    assert spec.read().is_anew


def test_columns(tmp_path):
    from datasets import Dataset

    columns = {
        "question": [f"why {n}" for n in range(20)],
        "code": [None, *range(1, 20)],
        "answer": [f"a{n}" for n in range(20)],
    }
    Dataset.from_dict(columns).to_parquet(tmp_path / "train.parquet")
    assert codes_of(all_of(hub(tmp_path).load())) == ["", *map(str, range(1, 20))]


@pytest.mark.parametrize("name", ["val", "valid", "dev", "VAL", "validation"])
def test_other_names_of_the_validation_file(tmp_path, name):
    spec = jsonl(tmp_path, [{"question": f"{n}", "answer": "a"} for n in range(20)])
    (tmp_path / f"{name}.jsonl").write_text('{"question": "x", "answer": "y"}\n')
    read = spec.read()
    assert [e.prompt for e in read.splits.validation] == ["x"]
    assert read.warnings == ()


def test_files_that_are_not_read_are_named(tmp_path):
    spec = jsonl(tmp_path, [{"question": f"{n}", "answer": "a"} for n in range(20)])
    (tmp_path / "more").mkdir()
    for name in ("eval.jsonl", "val.csv", "more/a.jsonl"):
        (tmp_path / name).write_text("x")
    [warning] = spec.read().warnings
    assert "not read: eval.jsonl, more/a.jsonl, val.csv; " in warning
    assert spec.examined()[1] == (warning,)
    (tmp_path / "dev.jsonl").write_text("")
    (tmp_path / "val.jsonl").write_text("")
    with pytest.raises(DataError, match=r"dev\.jsonl and val\.jsonl could each be the validation"):
        spec.read()
    (tmp_path / "train.jsonl").unlink()
    (tmp_path / "dev.jsonl").unlink()
    with pytest.raises(MissingError, match=r"no train\.jsonl, only eval\.jsonl, more/a\.jsonl"):
        spec.require_available()


def test_splits_beside_a_single_file_are_named(tmp_path):
    jsonl(tmp_path, [{"question": f"{n}", "answer": "a"} for n in range(40)])
    (tmp_path / "other.jsonl").write_text("x")
    spec = JsonlDataSpec.model_validate({"path": str(tmp_path / "train.jsonl"), "format": PLAIN})
    assert spec.read().warnings == ()
    for name in ("dev.jsonl", "test.jsonl"):
        (tmp_path / name).write_text("x")
    [warning] = spec.read().warnings
    assert f"{tmp_path}: not read: dev.jsonl, test.jsonl; data.path is a single file" in warning


def test_files_and_splits_of_a_folder_that_are_not_read_are_named(tmp_path):
    table(tmp_path, CODES * 4)
    table(tmp_path, CODES, name="other.csv")
    table(tmp_path, CODES, name="test.csv")
    warnings = hub(tmp_path, test_split="exam").read().warnings
    assert "the splits test are not read; name one of them in data.validation_split" in warnings[0]
    assert "not read: other.csv; files of a split have its name in theirs" in warnings[1]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train.csv": "question,code,answer\n1,2\n"}, r"train\.csv:2: 2 cells but 3 columns"),
        ({"train.csv": b"question,code,answer\n\xe9,2,3\n"}, r"train\.csv:2: not UTF-8 text"),
        ({"train.jsonl": '{"question": 1}\n{"question": '}, r"train\.jsonl:2: not JSON"),
        ({"train.jsonl": '{"a": 1}\n{"a": 2, "a": 3}\n'}, r"train\.jsonl:2: the field 'a' is the"),
        (
            {"train.jsonl": '{"question": "\\ud83d", "code": 1, "answer": 2}\n'},
            r"train\.jsonl:1: field 'question' has half of a character",
        ),
        (
            {"train.jsonl": '{"a": 1, "b": 1}\n', "test.jsonl": '{"a": 1, "b": 1, "c": 1}\n'},
            r"test\.jsonl: its rows have the field 'c', which those of .*train\.jsonl do not",
        ),
        ({"train.parquet": b"PAR1 cut"}, "the data set .* cannot be "),
        ({"train.csv.gz": b"\x1f\x8b cut"}, r"train\.csv\.gz cannot be unpacked"),
        ({"train.json.xz": b"no xz"}, r"train\.json\.xz cannot be unpacked"),
        (
            {"train.csv": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"},
            r"train\.csv is a Git LFS pointer.*lfs pull",
        ),
        (
            {"train.parquet": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"},
            r"train\.parquet is a Git LFS pointer.*lfs pull",
        ),
        ({"README.md": "no data"}, "the data set .* cannot be loaded"),
    ],
)
def test_a_folder_that_cannot_be_read_is_a_message(tmp_path, files, message):
    for name, content in files.items():
        content = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(content)
    with pytest.raises((DataError, MissingError), match=message):
        hub(tmp_path).load()


@pytest.mark.parametrize("name", ["/dev/zero", "~nobody-of-this-name/x", "/" + "n" * 300, "/gone"])
def test_what_is_no_folder(name):
    for spec in (HubDataSpec(name=name), JsonlDataSpec(path=name)):
        with pytest.raises((DataError, MissingError)):
            spec.require_available()


def test_a_file_in_the_place_of_a_folder(tmp_path):
    path = table(tmp_path, CODES) / "train.csv"
    with pytest.raises(DataError, match=r"train\.csv is a file; data of kind hub is a folder"):
        hub(path).require_available()


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_table_in_the_place_of_lines(tmp_path, name):
    (tmp_path / name).write_bytes(b"PAR1\xff")
    with pytest.raises(DataError, match=r"is a table by its name; .*use data\.kind: hub with data"):
        JsonlDataSpec(path=str(tmp_path / name)).require_available()


def test_tasks_whose_files_are_none(tmp_path, monkeypatch):
    (tmp_path / "gsm8k").mkdir()
    for split in ("train", "test"):
        os.mkfifo(tmp_path / "gsm8k" / f"{split}.jsonl")
    for look in (TasksDataSpec.fingerprint, TasksDataSpec.load):
        with pytest.raises(DataError, match=r"jsonl is a FIFO"):
            look(TasksDataSpec(train=("gsm8k",), root=str(tmp_path)))
    with pytest.raises(DataError, match="cannot be a path of data"):
        TasksDataSpec(train=("gsm8k",), root="~nobody-of-this-name").load()
    monkeypatch.setenv("SWEEPER_DATA", "~nobody-of-this-name")
    with pytest.raises(MissingError, match=r"SWEEPER_DATA is ~nobody-of-this-name"):
        JsonlDataSpec(path="p").load()


@pytest.mark.parametrize(
    ("rows", "is_anew"),
    [
        (['{"question": "%d", "answer": "a"}'], False),
        (['{"question": %d, "answer": 0.5}'], False),
        (['{"question": "%d", "answer": "a", "other": true}'], False),
        (['{"question": "%d", "answer": true}'], True),
        (['{"question": "%d", "answer": 1e5}'], True),
        (['{"question": "%d</s>", "answer": "a"}'], True),
        (['{"question": "the same", "answer": "%d"}'], True),
    ],
)
def test_the_fingerprint_is_that_of_the_bytes_where_nothing_is_read_otherwise(
    tmp_path, rows, is_anew
):
    import hashlib

    spec = jsonl(tmp_path, [rows[0] % n for n in range(20)])
    content = (tmp_path / "train.jsonl").read_bytes()
    earlier = hashlib.sha256(b"train\0%d\0" % len(content) + content).hexdigest()
    assert (spec.fingerprint() != earlier) == is_anew


@pytest.mark.parametrize(
    ("values", "is_anew"),
    [
        (["a", "b", "", "7"], False),
        (["1", "2", "-3"], False),
        (["1", "2", ""], True),
        (["1", "002"], True),
        (["1.50", "2"], True),
        (["a", "NA"], True),
    ],
)
def test_the_fingerprint_of_a_table_changes_where_its_cells_were_guessed(tmp_path, values, is_anew):
    spec = hub(table(tmp_path, values * 8))
    assert spec.read().is_anew == is_anew


def test_the_fingerprint_of_a_template_that_was_read_otherwise(tmp_path):
    rows = [{"my question": f"{n}", "question": f"{n}", "answer": "a"} for n in range(20)]
    prompts = {"{question}": False, "{my question} {question}": True, "{{{question}}}": True}
    for prompt, is_anew in prompts.items():
        assert jsonl(tmp_path, rows, {**PLAIN, "prompt": prompt}).read().is_anew == is_anew


def test_an_unused_unit_is_no_part_of_a_spec():
    assert "unit" not in JsonlDataSpec(path="p").model_dump(mode="json")
    spec = JsonlDataSpec(path="p", unit="{a}")
    assert JsonlDataSpec.model_validate(spec.model_dump(mode="json")) == spec
