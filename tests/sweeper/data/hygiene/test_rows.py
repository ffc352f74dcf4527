"""Duplicates, and rows that are wrong by themselves."""

from dataclasses import replace
from typing import Any

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from sweeper.data import Example, Splits
from sweeper.data.hygiene.duplicates import near_duplicates, repeated_rows
from sweeper.data.hygiene.rows import bad_rows, long_rows, row_findings
from sweeper.data.questions import questions_of
from sweeper.data.tokens.encoding import encode
from sweeper.models.embedded import MODEL_FOLDER
from tests.sweeper import tiny


def test_repeats_name_the_first_of_their_kind(examples):
    rows = examples(20)
    rows[7] = rows[15] = rows[2]
    rows[9] = replace(rows[3], answer=" another")
    found = [(repeat.row, repeat.earlier) for repeat in repeated_rows(rows)]
    assert found == [(7, 2), (15, 2)]


def test_near_duplicates_are_found_and_no_others(examples, sentence):
    rows = examples(5000, words=60)
    rows[4900] = replace(rows[2], prompt=rows[2].prompt.upper())
    words = rows[3].prompt.split()
    rows[4901] = replace(rows[3], prompt=" ".join([*words[:30], "other", *words[31:]]))
    # Three quarters of it are not nearly all of it.
    rows[4902] = replace(rows[4], prompt=" ".join([*rows[4].prompt.split()[:45], sentence(15)]))
    # And this one is no near duplicate but the same.
    rows[4903] = rows[5]
    found = {repeat.row: repeat for repeat in near_duplicates(rows)}
    assert {row: repeat.earlier for row, repeat in found.items()} == {4900: 2, 4901: 3}
    assert found[4900].similarity == 1
    # One word of 72 is in five of 68 n-grams, and they are so many again in the other row.
    assert found[4901].similarity == pytest.approx(63 / 73, abs=0.03)


def test_short_rows_are_near_duplicates_where_case_alone_differs(examples):
    rows = [Example("a b", " c"), Example("A, b.", " C"), Example("a b", " d"), *examples(20)]
    assert [(r.row, r.earlier) for r in near_duplicates(rows)] == [(1, 0)]


def test_the_template_makes_no_near_duplicates(examples):
    head = "Below is an instruction that describes a task, write a response that completes it: "
    assert near_duplicates(examples(100, words=6, head=head * 3)) == []


def test_few_rows_have_no_duplicates(examples):
    assert near_duplicates([]) == near_duplicates(examples(1)) == []
    assert near_duplicates([Example("a", "b"), Example("c", "d")]) == []


def splits(*train):
    good = (Example("question", " yes", choices=(" yes", " no")),)
    return Splits(train=(*good, *train), validation=good, test=good)


@pytest.mark.parametrize(
    ("example", "kind", "remark"),
    [
        (Example(" \n", " yes"), "empty prompt", "' yes'"),
        (Example("question", " "), "empty answer", "' '"),
        (
            Example("question", " maybe", choices=(" yes", " no")),
            "answer not a choice",
            "' maybe', the choices are  yes, no",
        ),
        (Example("question", " a", choices=(" a", "b", "a")), "repeated choice", "once: a"),
    ],
)
def test_each_kind_of_bad_row_is_told_with_its_place(example, kind, remark):
    [finding] = row_findings(splits(example))
    assert (finding.kind, finding.where, finding.count, finding.rows) == (kind, "train", 1, 2)
    assert finding.shown[0].place == "train row 1"
    assert " ".join(remark.split()) in finding.shown[0].remark
    assert finding.share == 0.5
    assert not finding.is_refused


def test_good_rows_give_no_finding():
    assert list(row_findings(splits())) == []
    assert list(bad_rows((), rows=3)) == []


def test_rows_that_the_loader_left_out_are_counted():
    [finding] = bad_rows(["a.jsonl:3: no field 'x'; its fields are y", "b"], rows=2)
    assert (finding.kind, finding.count, finding.rows) == ("bad row", 2, 4)
    assert finding.shown[0].place == "a.jsonl:3"
    assert finding.shown[0].remark.startswith("no field 'x'")


def long_in(tokenizer, **rows):
    """How many rows of each kind each split has, and the finding of each."""
    found = list(long_rows(Splits(**{**NO_ROWS, **rows}), tokenizer, max_length=32))
    return {(f.kind, f.where): f.count for f in found}, {f.kind: f for f in found}


NO_ROWS: dict[str, tuple[Example, ...]] = {"train": (), "validation": (), "test": ()}


def test_long_rows_are_those_that_are_cut_in_training():
    tokenizer = AutoTokenizer.from_pretrained(MODEL_FOLDER)
    short, asked, told = Example("a", " b"), Example("cat " * 40, " b"), Example("a", " cat" * 40)
    # The answer alone would fit, but both are longer than half of the room.
    both = Example("cat " * 25, " cat" * 25)
    rows = (short, asked, told, both)
    counts, found = long_in(tokenizer, train=rows)
    assert counts == {("cut prompt", "train"): 2, ("cut answer", "train"): 2}
    trained = encode(rows, tokenizer, 32, long_answers="cut")
    for kind, cut in (("cut prompt", trained.prompts_cut), ("cut answer", trained.answers_cut)):
        assert [shown.place for shown in found[kind].shown] == [f"train row {row}" for row in cut]
    size = len(encode([told], tokenizer, 1000).tokens[0].ids)
    assert found["cut answer"].shown[0].remark == f"{size} tokens; train.max_length is 32"


@pytest.mark.parametrize("split", ["validation", "test"])
def test_an_evaluation_leaves_long_answers_out_and_cuts_none(split):
    tokenizer = AutoTokenizer.from_pretrained(MODEL_FOLDER)
    long = " cat" * 40
    rows = (
        Example("a", " b"),
        Example("cat " * 40, " b"),
        Example("cat " * 25, " cat" * 25),
        Example("a", long),
        Example("a", " b", choices=(" b", long)),
        Example("a", long, task="tales", metrics=("exact",)),
    )
    counts, found = long_in(tokenizer, **{split: rows})
    assert counts == {("cut prompt", split): 2, ("left out", split): 2, ("no loss", split): 1}
    questions = questions_of(rows, tokenizer, 32)
    assert [len(question.candidates) for question in questions] == [1, 1, 1, 0, 0, 0]
    places = [f"{split} row {row}" for row in (3, 4)]
    assert [shown.place for shown in found["left out"].shown] == places
    # What has no room is another choice than the right one.
    assert found["left out"].shown[1].remark == found["left out"].shown[0].remark
    assert found["no loss"].shown[0].place == f"{split} row 5 (tales)"


def test_of_many_rows_an_even_sample_is_measured(monkeypatch):
    monkeypatch.setattr("sweeper.data.hygiene.rows._MEASURED", 10)
    tokenizer = AutoTokenizer.from_pretrained(MODEL_FOLDER)
    rows = splits(*[Example("cat " * 40, " b")] * 94)
    [finding] = long_rows(rows, tokenizer, max_length=32)
    assert finding.where == "train, 1 row in 10"
    assert (finding.count, finding.rows) == (9, 10)


def test_megabytes_are_told_from_their_ends():
    """What is cut of a row does not depend on how much there is of it."""
    counted: list[int] = []

    class Counting(PreTrainedTokenizerFast):
        def __call__(self, text: Any = None, *args: Any, **settings: Any) -> Any:
            counted.extend(map(len, [text] if isinstance(text, str) else text))
            return super().__call__(text, *args, **settings)

    tokenizer = Counting(
        tokenizer_object=tiny.tokenizer().backend_tokenizer, bos_token="<s>", eos_token="</s>"
    )
    rows = [Example("1" * size, "2") for size in (3, 40, 100_000)]
    rows += [Example("1", "2" * size) for size in (40, 100_000)]
    rows += [Example("1" * 100_000, "2" * 100_000)]
    splits = Splits(tuple(rows), tuple(rows), ())
    found = {
        (finding.kind, finding.where): finding
        for finding in long_rows(splits, tokenizer, max_length=16)
    }
    counts = {key: finding.count for key, finding in found.items()}
    assert counts == {
        ("cut prompt", "train"): 3,
        ("cut answer", "train"): 3,
        ("cut prompt", "validation"): 2,
        ("left out", "validation"): 3,
    }
    assert max(counted) <= 16 * 64
    remarks = [shown.remark for shown in found["cut answer", "train"].shown]
    assert remarks[1].startswith("more than 1,0")
