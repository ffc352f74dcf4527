"""Files of every form, whole and cut."""

import bz2
import gzip
import json
import lzma

import pytest

from sweeper.data.reading.files import read_rows
from sweeper.data.tasks import TASKS
from sweeper.data.tasks.lettered import lettered, split_options
from sweeper.errors import DataError


def rows(path, **settings):
    return [row for _, row in read_rows(path, **settings)]


def test_csv_with_and_without_header(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffquestion,A\n"two\nlines, and a ""quote""",1\n\n'.encode())
    assert rows(path) == [{"question": 'two\nlines, and a "quote"', "A": "1"}]
    path.write_text("what,1\n")
    assert rows(path, columns=("question", "A")) == [{"question": "what", "A": "1"}]


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip), ("bz2", bz2), ("xz", lzma)])
def test_packed_files(tmp_path, suffix, pack):
    path = tmp_path / f"a.csv.{suffix}"
    whole = pack.compress('\ufeffa,b\n007,"x\n"\n'.encode())
    path.write_bytes(whole)
    assert rows(path) == [{"a": "007", "b": "x\n"}]
    path.write_bytes(pack.compress("a,b\n1,é\n".encode("latin-1")))
    with pytest.raises(DataError, match=rf"a\.csv\.{suffix}:2: not UTF-8 text \(byte 0xe9"):
        rows(path)
    path.write_bytes(whole[:-9])
    with pytest.raises(DataError, match=rf"a\.csv\.{suffix} cannot be (read|unpacked) \("):
        rows(path)


def test_json(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"canary": "x", "examples": [{"input": "a"}, {"input": "b"}]}))
    assert rows(path) == [{"input": "a"}, {"input": "b"}]
    path.write_text('[{"input": "a"}]')
    assert rows(path) == [{"input": "a"}]
    path.write_text('{"canary": "x"}')
    with pytest.raises(DataError, match="holds a JSON dict without rows"):
        rows(path)


def test_dialogues_with_candidates(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(
        "1 your persona: i ski.\n2 hello\thi\t\tno|yes|hi\n3 bye\tsee you\n"
        "1 your persona: i cook.\n2 what ?\tsoup\n"
    )
    assert rows(path) == [
        {"persona": ["i ski."], "turns": [["hello", "hi"], ["bye", "see you"]]},
        {"persona": ["i cook."], "turns": [["what ?", "soup"]]},
    ]
    path.write_text("1 your persona: i ski.\n2 hello\n")
    with pytest.raises(DataError, match=r"a\.txt:2: neither a persona nor a turn: '2 hello'"):
        rows(path)


def test_of_convai2s_two_files_one_is_read(tmp_path):
    (tmp_path / "convai2").mkdir()
    head = "1 your persona: i ski.\n2 hello\thi"
    with_candidates = tmp_path / "convai2" / "train_self_original.txt"
    with_candidates.write_text(f"{head} you\t\tno|hi you\n")
    assert [e.answer for e in TASKS["convai2"].load("train", tmp_path).examples] == [" hi you"]
    without = tmp_path / "convai2" / "train_self_original_no_cands.txt"
    without.write_text(f"{head}\n")
    assert [e.answer for e in TASKS["convai2"].load("train", tmp_path).examples] == [" hi"]


def test_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text("<a/>")
    with pytest.raises(DataError, match=r"type '\.xml' cannot be read; known: \.jsonl, \."):
        rows(path)
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"a": "é"}'.encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        rows(path)


def write_gsm8k(root, lines):
    (root / "gsm8k").mkdir()
    (root / "gsm8k" / "test.jsonl").write_text("\n".join(lines))


GOOD = json.dumps({"question": "1 + 1?", "answer": "Two.\n#### 2"})


def test_a_cut_file_loses_its_last_row_alone(tmp_path):
    write_gsm8k(tmp_path, [*[GOOD] * 20, GOOD[:30]])
    loaded = TASKS["gsm8k"].load("test", tmp_path)
    assert len(loaded.examples) == 20
    [refused] = loaded.refused
    assert "test.jsonl:21: not JSON" in refused


def test_a_cut_csv_row(tmp_path):
    (tmp_path / "bbh_mc").mkdir()
    lines = ["id,question,A,B,answer", *["0,what,x,y,B"] * 20, "21,what,x"]
    (tmp_path / "bbh_mc" / "snarks.csv").write_text("\n".join(lines))
    loaded = TASKS["bbh"].load("test", tmp_path)
    assert len(loaded.examples) == 20
    assert "3 cells but 5 columns" in loaded.refused[0]


def test_rows_of_another_form_are_an_error(tmp_path):
    write_gsm8k(tmp_path, [GOOD, json.dumps({"query": "a", "response": "b"})])
    with pytest.raises(
        DataError, match=r"1 of 2 rows of the task gsm8k cannot be read; .* no field 'answer'"
    ):
        TASKS["gsm8k"].load("test", tmp_path)


def test_an_answer_without_a_number(tmp_path):
    write_gsm8k(tmp_path, [*[GOOD] * 20, json.dumps({"question": "a", "answer": "b"})])
    [refused] = TASKS["gsm8k"].load("test", tmp_path).refused
    assert "the answer 'b' has no number after '####'" in refused


def test_an_unknown_subject(tmp_path):
    (tmp_path / "mmlu" / "test").mkdir(parents=True)
    (tmp_path / "mmlu" / "test" / "alchemy_test.csv").write_text("what,a,b,c,d,A\n")
    with pytest.raises(DataError, match="unknown subject 'alchemy'"):
        TASKS["mmlu"].load("test", tmp_path)


def test_options_in_a_text():
    text = "Company A. buys what?A. one B. two. C. the U.S. D. none"
    assert split_options(text) == (
        "Company A. buys what?",
        {"A": "one", "B": "two.", "C": "the U.S.", "D": "none"},
    )
    assert split_options("What? A. one B. two") == ("What? A. one B. two", {})


def test_lettered():
    example = lettered("What? ", {"A": "one", "C": "two"}, "C", head="Choose.", where="here")
    assert example.prompt == "Choose.\n\nWhat?\nA. one\nC. two\nAnswer:"
    assert (example.answer, example.choices) == (" C", (" A", " C"))
    with pytest.raises(DataError, match="here: the answer is 'B' but the options are A, C"):
        lettered("What?", {"A": "one", "C": "two"}, "B", head="", where="here")
    with pytest.raises(DataError, match="at least two options"):
        lettered("What?", {"A": "one"}, "A", head="", where="here")
