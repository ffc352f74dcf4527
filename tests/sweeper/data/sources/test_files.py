"""Rows of whatever files: which of them are read, how, and under which name."""

import csv
import gzip
import hashlib
import io
import json

import pyarrow as pa
import pyarrow.parquet
import pytest
from pydantic import ValidationError

from sweeper.data import FieldsFormat, HubDataSpec, JsonlDataSpec, RowsDataSpec, recognise
from sweeper.errors import DataError, MissingError


def rows(name, count):
    return [{"prompt": f"{name} {number}", "answer": f"0{number}"} for number in range(count)]


def as_table(found, separator):
    text = io.StringIO()
    writer = csv.DictWriter(text, ["prompt", "answer"], delimiter=separator, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue().encode()


def as_parquet(found):
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pa.Table.from_pylist(found), sink)
    return sink.getvalue()


def as_arrow(found):
    sink = io.BytesIO()
    table = pa.Table.from_pylist(found)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


WRITERS = {
    "jsonl": lambda found: "".join(json.dumps(row) + "\n" for row in found).encode(),
    "json": lambda found: json.dumps(found).encode(),
    "csv": lambda found: as_table(found, ","),
    "tsv": lambda found: as_table(found, "\t"),
    "parquet": as_parquet,
    "arrow": as_arrow,
}


def test_a_field_that_only_a_later_row_has_is_empty_before(tmp_path):
    found = [*rows("a", 30), {"prompt": "b", "answer": "c", "input": "d"}]
    (tmp_path / "a.jsonl").write_bytes(WRITERS["jsonl"](found))
    data = RowsDataSpec(
        path=str(tmp_path / "a.jsonl"), format=FieldsFormat(prompt="{prompt}\n{input}")
    )
    data.require_available()
    assert len(data.load().train) > 20
    other = data.model_copy(update={"format": FieldsFormat(prompt="{prompt}\n{inputs}")})
    with pytest.raises(DataError, match="no field 'inputs'"):
        other.require_available()


def write(path, count, name=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = path.suffix == ".gz"
    suffix = path.suffixes[-2 if packed else -1][1:]
    content = WRITERS[suffix](rows(name or path.name.partition(".")[0], count))
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


def spec_of(path, **fields):
    return RowsDataSpec.model_validate({"path": str(path), **fields})


def counts(splits):
    return [len(splits.train), len(splits.validation), len(splits.test)]


@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("suffix", WRITERS)
def test_every_type_of_file_gives_the_same_examples(tmp_path, suffix, is_packed):
    ending = suffix + ".gz" * is_packed
    for split, count in (("train", 12), ("dev", 3), ("test", 2)):
        write(tmp_path / f"{split}.{ending}", count)
    spec = RowsDataSpec(path=str(tmp_path))
    spec.require_available()
    splits = spec.load()
    assert counts(splits) == [12, 3, 2]
    assert [e.prompt for e in splits.validation] == ["dev 0", "dev 1", "dev 2"]
    # A number with a zero before it is text.
    assert splits.test[1].answer == "01"
    one = RowsDataSpec(path=str(tmp_path / f"train.{ending}"))
    assert counts(one.load()) == [9, 1, 2]


def test_files_of_several_types_in_one_folder(tmp_path):
    write(tmp_path / "train.parquet", 12)
    write(tmp_path / "val.csv", 3)
    write(tmp_path / "test.json.gz", 2)
    assert counts(RowsDataSpec(path=str(tmp_path)).load()) == [12, 3, 2]


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (("train", "validation", "valid", "val", "dev"), "validation"),
        (("train", "dev", "val", "valid"), "valid"),
        (("train", "dev", "val"), "val"),
        (("train", "squad-dev-v2"), "squad-dev-v2"),
    ],
)
def test_names_of_the_validation_split_by_preference(tmp_path, names, wanted):
    for name in names:
        write(tmp_path / f"{name}.csv", 3)
    read = RowsDataSpec(path=str(tmp_path)).read()
    assert [e.prompt for e in read.splits.validation] == [f"{wanted} {n}" for n in range(3)]
    others = [name for name in names if name not in (wanted, "train")]
    assert len(read.warnings) == bool(others)
    assert all(f"{name}.csv" in read.warnings[0] for name in others)


def test_shards_and_folders(tmp_path):
    write(tmp_path / "data" / "train-00000-of-00002.parquet", 5)
    write(tmp_path / "data" / "train-00001-of-00002.parquet", 6)
    write(tmp_path / "test" / "a.csv", 2)
    splits = RowsDataSpec(path=str(tmp_path), validation_fraction=0.2).load()
    assert counts(splits) == [8, 3, 2]


def test_a_single_file_of_any_name_is_the_training_rows(tmp_path):
    write(tmp_path / "alpaca_data.json", 20)
    assert counts(RowsDataSpec(path=str(tmp_path)).load()) == [16, 2, 2]


def test_saved_by_datasets(tmp_path):
    from datasets import Dataset, DatasetDict

    parts = {name: Dataset.from_list(rows(name, n)) for name, n in (("train_sft", 12), ("dev", 2))}
    DatasetDict({**parts, "gen": parts["dev"]}).save_to_disk(tmp_path / "both")
    read = RowsDataSpec(path=str(tmp_path / "both"), test_fraction=0.2).read()
    assert counts(read.splits) == [9, 2, 3]
    assert len(read.warnings) == 1
    assert "gen" in read.warnings[0]
    assert "dataset_dict" not in read.warnings[0]
    parts["train_sft"].save_to_disk(tmp_path / "one")
    assert counts(RowsDataSpec(path=str(tmp_path / "one")).load()) == [9, 1, 2]
    named = spec_of(tmp_path / "both", train="gen", test="train_sft").load()
    assert counts(named) == [2, 2, 12]


def test_several_files_with_shares(tmp_path):
    write(tmp_path / "a.csv", 30)
    write(tmp_path / "b.parquet", 30)
    write(tmp_path / "held.jsonl", 4)
    chosen = {"validation": "held", "test": ["held.jsonl"]}
    spec = spec_of(tmp_path, train={"a.csv": 3, "b": 1}, **chosen)
    found = [example.prompt[0] for example in spec.load().train]
    assert (found.count("a"), found.count("b")) == (30, 10)
    spec = spec_of(tmp_path, train=["*.csv", "b"], **chosen)
    assert counts(spec.load()) == [60, 4, 4]
    assert spec.read().warnings == ()


def test_the_first_rows_tell_the_format(tmp_path):
    write(tmp_path / "train-1.csv", 2)
    write(tmp_path / "train-2.jsonl", 3)
    spec = RowsDataSpec(path=str(tmp_path))
    assert [row["answer"] for row in spec.first_rows()] == ["00", "01", "00", "01", "02"]
    assert len(spec.first_rows(3)) == 3
    assert recognise(spec.first_rows()).kind == "prompt/completion"


def test_a_field_that_a_row_lacks_is_empty(tmp_path):
    lines = [{"instruction": f"say {n}", "output": "a"} for n in range(9)]
    lines[3]["input"] = "b"
    (tmp_path / "train.jsonl").write_bytes(WRITERS["jsonl"](lines))
    form = {"name": "fields", "prompt": "{instruction}\n{input}\nA:", "answer": " {output}"}
    spec = spec_of(tmp_path, format=form, eval_rows=1)
    spec.require_available()
    prompts = [e.prompt for part in vars(spec.load()).values() for e in part]
    assert "say 3\nb\nA:" in prompts
    assert "say 4\nA:" in prompts


def test_text_files(tmp_path):
    (tmp_path / "train.txt").write_text("One.\nTwo.\n\n\nThree.\n")
    (tmp_path / "dev.txt").write_text("Four.\n")
    (tmp_path / "test.txt").write_text("Five.")
    texts = {
        "line": ["One.", "Two.", "Three."],
        "paragraph": ["One.\nTwo.", "Three."],
        "file": ["One.\nTwo.\n\n\nThree.\n"],
    }
    for parted_by, wanted in texts.items():
        form = {"name": "text", "parted_by": parted_by}
        splits = spec_of(tmp_path, format=form).load()
        assert [example.answer for example in splits.train] == wanted
        assert [example.prompt for example in splits.train] == [""] * len(wanted)
        assert splits.test[0].answer == "Five."


def test_the_fingerprint_is_of_the_files_that_are_read(tmp_path):
    write(tmp_path / "train.csv", 12)
    template = tmp_path / "t.jinja"
    template.write_text("{{ messages }}")
    spec = RowsDataSpec(path=str(tmp_path))
    before = spec.fingerprint()
    write(tmp_path / "notes.csv", 1)
    assert spec.fingerprint() == before
    write(tmp_path / "train.csv", 13)
    assert spec.fingerprint() != before
    asked = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    (tmp_path / "train.csv").unlink()
    (tmp_path / "train.jsonl").write_bytes(WRITERS["jsonl"]([{"messages": asked}]))
    form = {"name": "messages", "template": str(template)}
    spec = spec_of(tmp_path, format=form)
    before = spec.fingerprint()
    template.write_text("{{ messages[0] }}")
    assert spec.fingerprint() != before


@pytest.mark.parametrize(
    ("files", "settings", "error", "message"),
    [
        ((), {}, MissingError, "has no file with rows; a folder needs files"),
        (("a.csv", "b.csv"), {}, DataError, "none of a.csv, b.csv is the training split"),
        (("train.csv", "train.json"), {}, DataError, "train.csv and train.json could each be"),
        (("a.csv",), {"train": "c.csv"}, MissingError, "'c.csv' is no file .*did you mean 'a.csv'"),
    ],
)
def test_folders_that_do_not_say_what_is_what(tmp_path, files, settings, error, message):
    for name in files:
        write(tmp_path / name, 3)
    with pytest.raises(error, match=message):
        spec_of(tmp_path, **settings).require_available()


def test_places_that_are_none(tmp_path):
    with pytest.raises(MissingError, match=r"b does not exist.*on the Hub is data\.hub: a/b"):
        RowsDataSpec(path="a/b").require_available()
    path = write(tmp_path / "a.csv", 3)
    with pytest.raises(DataError, match=r"data\.path is the file .* and data\.test names others"):
        spec_of(path, test="b.csv").require_available()
    (tmp_path / "empty.csv").write_text("prompt,answer\n")
    with pytest.raises(DataError, match="the train split is empty"):
        RowsDataSpec(path=str(tmp_path / "empty.csv")).require_available()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "neither path nor hub is given"),
        ({"path": "a", "hub": "b/c"}, "rows come from one place"),
        ({"path": "a", "subset": "b"}, "revision and subset are of data sets on the Hub"),
        ({"path": "a", "train": {"b": 0}}, "the share of 'b' is 0.0; it must be a number above 0"),
    ],
)
def test_specs_that_are_none(fields, message):
    with pytest.raises(ValidationError, match=message):
        RowsDataSpec.model_validate(fields)


def test_the_hub_is_asked_as_by_the_kind_hub(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    spec = RowsDataSpec(hub="acme/tiny", revision="v2")
    with pytest.raises(MissingError, match=r"hf download .*--revision v2 acme/tiny"):
        spec.require_available()
    assert spec.fingerprint() == HubDataSpec(name="acme/tiny", revision="v2").fingerprint()


def test_splits_of_the_hub_by_their_names(tmp_path, monkeypatch):
    from datasets import Dataset, DatasetDict

    parts = {name: Dataset.from_list(rows(name, 12)) for name in ("train_sft", "valid", "test_gen")}
    monkeypatch.setattr(HubDataSpec, "_dataset", lambda self: DatasetDict(parts))
    with pytest.raises(DataError, match="acme/tiny has no split train; its splits are train_sft"):
        RowsDataSpec(hub="acme/tiny").load()
    read = RowsDataSpec.model_validate(
        {"hub": "acme/tiny", "train": "train_sft", "test": "test_gen", "eval_rows": 3}
    ).read()
    assert counts(read.splits) == [12, 3, 3]
    assert read.splits.validation[0].prompt.startswith("valid")
    assert read.warnings == ()
    first = RowsDataSpec.model_validate({"hub": "acme/tiny", "train": "train_sft"}).first_rows(2)
    assert first == rows("train_sft", 2)


def test_earlier_kinds_read_the_same(tmp_path):
    for split, count in (("train", 12), ("test", 2)):
        write(tmp_path / f"{split}.jsonl", count)
    splits = RowsDataSpec(path=str(tmp_path)).load()
    assert JsonlDataSpec(path=str(tmp_path)).load() == splits
    assert HubDataSpec(name=str(tmp_path)).load() == splits


def test_earlier_kinds_name_their_trials_as_before(tmp_path):
    # Written by the version before the kind `rows`: a sweep that began then goes on.
    for split, count in (("train", 12), ("test", 2)):
        write(tmp_path / f"{split}.jsonl", count)
    lines, folder = JsonlDataSpec(path="p"), HubDataSpec(name="p")
    found = [
        *(digest(spec.model_dump(mode="json")) for spec in (lines, folder)),
        lines.model_copy(update={"path": str(tmp_path)}).fingerprint()[:16],
        folder.model_copy(update={"name": str(tmp_path)}).fingerprint()[:16],
        HubDataSpec(name="owner/chats", revision="v1", subset="all").fingerprint()[:16],
    ]
    assert found == [
        "39485e091b94cf58",
        "eb8e1bfa6bb11b90",
        "232271ae5ebbbd2f",
        "f1d3d83d65b2aec0",
        "937150c452b80cfc",
    ]


def digest(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
