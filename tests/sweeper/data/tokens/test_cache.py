"""Token ids from the cache are those that would be encoded, whoever wrote the file and however."""

import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from sweeper._files import FileLock
from sweeper.data import Example, MessagesFormat
from sweeper.data.tokens import cache
from sweeper.data.tokens.cache import training_tokens
from sweeper.data.tokens.encoding import encode
from sweeper.data.tokens.table import TokenTable
from tests.sweeper import scenarios, tiny
from tests.sweeper.data.tokens.chat_templates import tokenizer_of
from tests.sweeper.full_disk import small_files

EXAMPLES = (*tiny.examples(0, 40), Example("1" * 30, "2"), Example("1", "2" * 30), Example("", ""))
DOMAINS = ("letter", "sum")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path))
    return tmp_path / "tokens"


def tokens(examples=EXAMPLES, length=16, *, domains=DOMAINS, tokenizer=None):
    return training_tokens(examples, tokenizer or tiny.tokenizer(), length, domains=domains)


def files(folder):
    return sorted(folder.glob("*.safetensors"))


def assert_same(found, wanted):
    assert (found.prompts_cut, found.answers_cut) == (wanted.prompts_cut, wanted.answers_cut)
    assert found.arrays.keys() == wanted.arrays.keys()
    for name, array in wanted.arrays.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)


def refuse(*args, **kwargs):
    raise AssertionError("it is tokenised again")


def test_what_is_read_is_what_was_encoded(folder, monkeypatch):
    encoded = encode(EXAMPLES, tiny.tokenizer(), 16, domains=DOMAINS, long_answers="cut")
    missed = tokens()
    monkeypatch.setattr(cache, "encode", refuse)
    hit = tokens()
    assert_same(hit, missed)
    assert tuple(hit) == tuple(missed) == encoded.tokens
    assert (hit.prompts_cut, hit.answers_cut) == (1, 1)
    assert hit.lengths == [len(row.ids) for row in encoded.tokens]
    assert len(files(folder)) == 1


def test_a_table_is_a_sequence(folder):
    table, rows = tokens(), list(tokens())
    assert len(table) == len(EXAMPLES)
    assert table[-1] == rows[-1]
    assert table[3:9:2] == tuple(rows[3:9:2])
    assert table[5] in table
    with pytest.raises(IndexError):
        table[len(rows)]


def test_a_table_of_nothing(folder):
    assert len(tokens(())) == len(tokens(())) == 0
    assert tokens(()).lengths == []


def test_whatever_decides_the_ids_decides_the_file(folder):
    other = tiny.tokenizer()
    other.add_tokens(["new"])
    changed = replace(EXAMPLES[0], prompt=EXAMPLES[0].prompt + "0")
    ways: list[dict[str, Any]] = [
        {},
        {"length": 17},
        {"domains": ("sum", "letter")},
        {"tokenizer": other},
        {"examples": EXAMPLES[:-1]},
        {"examples": EXAMPLES[::-1]},
        {"examples": (changed, *EXAMPLES[1:])},
        # The same characters, but parted otherwise.
        {"examples": (Example("12", "3"),)},
        {"examples": (Example("1", "23"),)},
    ]
    found = [tokens(**way) for way in ways]
    assert len(files(folder)) == len(ways)
    for table, way in zip(found, ways, strict=True):
        assert_same(tokens(**way), table)


def cut(content):
    return content[: len(content) // 2]


def flipped(content):
    return content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]


def emptied(content):
    return b""


@pytest.mark.parametrize("damage", [cut, flipped, emptied])
def test_a_damaged_file_is_made_again(folder, damage, caplog):
    made = tokens()
    (path,) = files(folder)
    whole = path.read_bytes()
    # As another file: the first one is mapped.
    path.unlink()
    path.write_bytes(damage(whole))
    assert_same(tokens(), made)
    assert "is damaged; its examples are tokenised again" in caplog.text
    assert path.read_bytes() == whole


def test_numbers_that_do_not_belong_together_are_not_read(folder):
    """A file that is sound in itself, but of another make."""
    from safetensors.torch import load_file, save_file

    made = tokens()
    (path,) = files(folder)
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    path.unlink()
    save_file(tensors, path)
    assert_same(tokens(), made)


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, monkeypatch, caplog):
    # Also root cannot make a folder in a file.
    (tmp_path / "file").touch()
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "file"))
    found = tokens()
    assert tuple(found) == tuple(TokenTable.of(encoded()))
    assert "cannot be cached" in caplog.text


def encoded():
    return encode(EXAMPLES, tiny.tokenizer(), 16, domains=DOMAINS, long_answers="cut")


def test_a_disk_that_is_full_is_no_error(folder, caplog):
    folder.mkdir(parents=True)
    with small_files(300):
        assert tuple(tokens()) == encoded().tokens
    assert "cannot be cached in" in caplog.text
    assert "File too large" in caplog.text
    assert list(folder.glob(".*.unfinished")) == []
    assert files(folder) == []


def test_a_tokenizer_in_python_is_not_cached(folder):
    class Python:
        is_fast = False
        eos_token_id = 2
        bos_token_id = None
        added_tokens_decoder: ClassVar[dict[int, Any]] = {}

        def __call__(self, texts, **kwargs):
            return {"input_ids": [[5] for _ in texts]}

        def convert_ids_to_tokens(self, ids):
            return ["a"]

    found = tokens((Example("1", "2"),), tokenizer=Python())
    assert found[0].ids == (5, 5, 2)
    assert not folder.exists()


def encode_slowly(folder):
    """Tokenises on one of several workers, and says how often it had to."""
    os.environ["SWEEPER_CACHE"] = folder
    calls = []

    def slow(*args, **kwargs):
        calls.append(1)
        time.sleep(0.5)
        return encode(*args, **kwargs)

    vars(cache)["encode"] = slow
    return len(calls), tuple(tokens()), len(calls)


def test_of_many_processes_one_tokenises(folder):
    found = scenarios.run(encode_slowly, 4, str(folder.parent))
    assert sum(calls for _, _, calls in found) == 1
    assert {rows for _, rows, _ in found} == {encoded().tokens}
    assert len(files(folder)) == 1


def test_many_writers_without_a_lock_leave_one_whole_file(folder, monkeypatch):
    monkeypatch.setattr(FileLock, "acquire", lambda self, wait_s=0.0: False)
    found = []
    threads = [threading.Thread(target=lambda: found.append(tokens())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert {tuple(table) for table in found} == {encoded().tokens}
    assert [path.suffix for path in files(folder)] == [".safetensors"]
    assert list(folder.glob(".*.unfinished")) == []


def test_what_nobody_reads_any_more_goes_when_something_is_written(folder):
    tokens()
    (old,) = files(folder)
    month_ago_s = time.time() - 31 * 24 * 3600
    os.utime(old, (month_ago_s, month_ago_s))
    # Reading it says that it is in use.
    tokens()
    tokens(length=20)
    assert len(files(folder)) == 2
    os.utime(old, (month_ago_s, month_ago_s))
    kept = tokens(length=20)
    tokens(length=24)
    assert not old.exists()
    assert len(files(folder)) == 2
    assert tuple(kept)


def test_the_cache_is_where_the_environment_says(folder):
    tokens()
    assert [Path(path).parent for path in files(folder)] == [folder]


def test_chats_are_kept_with_their_masks(folder, monkeypatch):
    tokenizer = tokenizer_of("chatml")
    turns = [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    row = {"messages": [{"role": role, "content": said} for role, said in turns]}
    chats = [MessagesFormat().read(row, where="here"), Example("a", "b")]
    last = [MessagesFormat(turns="last").read(row, where="here"), Example("a", "b")]
    encoded = encode(chats, tokenizer, 200, long_answers="cut").tokens
    assert encoded[0].mask
    assert not encoded[1].mask
    assert tuple(tokens(chats, 200, tokenizer=tokenizer)) == encoded
    # Another template, or another turn to learn, gives other tokens.
    assert tuple(tokens(last, 200, tokenizer=tokenizer)) != encoded
    tokenizer.chat_template = "!" + tokenizer.chat_template
    assert tuple(tokens(chats, 200, tokenizer=tokenizer)) != encoded
    assert len(files(folder)) == 3
    monkeypatch.setattr(cache, "encode", refuse)
    tokenizer.chat_template = tokenizer.chat_template.removeprefix("!")
    assert tuple(tokens(chats, 200, tokenizer=tokenizer)) == encoded
