"""Parquet and Arrow files, and folders that `save_to_disk` writes, give the rows put into them."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet
import pytest

from sweeper.data.reading import read_rows
from sweeper.data.reading.columnar import saved_files, saved_splits
from sweeper.errors import DataError

ROWS = [
    {"prompt": "NA", "answer": 7, "messages": [{"role": "user", "content": "hi"}]},
    {"prompt": "00012", "answer": None, "messages": []},
]


def rows_of(path):
    return list(read_rows(path))


def write_parquet(path):
    pyarrow.parquet.write_table(pa.Table.from_pylist(ROWS), path)
    return path


def write_arrow(path, *, is_stream):
    table = pa.Table.from_pylist(ROWS)
    new = pa.ipc.new_stream if is_stream else pa.ipc.new_file
    with new(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=1)
    return path


@pytest.mark.parametrize("kind", ["parquet", "stream", "file"])
@pytest.mark.parametrize("is_packed", [False, True])
def test_rows(tmp_path, kind, is_packed):
    path = tmp_path / f"rows.{'parquet' if kind == 'parquet' else 'arrow'}"
    if kind == "parquet":
        write_parquet(path)
    else:
        write_arrow(path, is_stream=kind == "stream")
    if is_packed:
        packed = path.with_name(f"{path.name}.gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))
        path = packed
    assert rows_of(path) == [(f"{path}, row {number}", row) for number, row in enumerate(ROWS)]


@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow"])
@pytest.mark.parametrize("content", [b"", b"no rows at all", b"PAR1", b"ARROW1"])
def test_what_is_none(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{name} cannot be read as (Parquet|Arrow)"):
        rows_of(path)


def test_a_damaged_file(tmp_path):
    path = write_parquet(tmp_path / "rows.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"rows\.parquet cannot be read as Parquet"):
        rows_of(path)


def test_what_save_to_disk_writes(tmp_path):
    from datasets import Dataset, DatasetDict

    one = Dataset.from_list(ROWS)
    one.save_to_disk(tmp_path / "one", num_shards=2)
    files = saved_files(tmp_path / "one")
    assert [row for path in files for _, row in rows_of(path)] == ROWS
    assert saved_splits(tmp_path / "one") == ()
    DatasetDict({"train": one, "dev": one}).save_to_disk(tmp_path / "both")
    assert saved_splits(tmp_path / "both") == ("train", "dev")
    assert len(saved_files(tmp_path / "both" / "dev")) == 1
    assert saved_files(tmp_path) == ()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("state.json", "{", "state.json cannot be read"),
        ("state.json", json.dumps({"a": 1}), "it lists no '_data_files'"),
        ("dataset_dict.json", json.dumps({"a": 1}), "it lists no 'splits'"),
    ],
)
def test_what_it_says_of_itself_is_damaged(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        (saved_files if name == "state.json" else saved_splits)(tmp_path)
