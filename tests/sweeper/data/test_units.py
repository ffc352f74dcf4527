"""What belongs together, and the splits that follow from it."""

import json
import random

import pytest

from sweeper.data import Example, JsonlDataSpec, MessagesFormat
from sweeper.data.hygiene import HygieneSpec, check_data
from sweeper.data.units import row_unit, with_units
from sweeper.errors import DataError

SPLITS = ("train", "validation", "test")

pytestmark = pytest.mark.usefixtures("cache")


def sentences(count, words=12):
    draw = random.Random(0)
    return [" ".join(f"w{draw.randrange(5000)}" for _ in range(words)) for _ in range(count)]


def spec(folder, rows, **settings):
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return JsonlDataSpec(path=str(folder), **settings)


def sizes(splits):
    return [len(getattr(splits, name)) for name in SPLITS]


def check(data):
    return check_data(data, HygieneSpec(), max_length=64, tokenizer=None, no_tokenizer="none")


def stories(count, *, prompts=1):
    return [
        {"prompt": f"Write story kind {n % prompts}.", "answer": text}
        for n, text in enumerate(sentences(count))
    ]


@pytest.mark.parametrize("prompts", [1, 2, 3])
def test_few_prompts_are_instructions_and_their_rows_are_parted(tmp_path, prompts):
    data = spec(tmp_path, stories(300, prompts=prompts))
    read = data.read()
    found = sizes(read.splits)
    assert sum(found) == 300
    assert found[0] in range(235, 246)
    assert found[1] in range(24, 31)
    assert read.warnings == ()
    assert "by row where a prompt stands in a quarter" in read.shares[0]
    answers = [{e.answer for e in getattr(read.splits, name)} for name in SPLITS]
    assert not answers[0] & answers[1] | answers[0] & answers[2] | answers[1] & answers[2]
    assert not check(data).is_refused


def test_a_limit_draws_among_the_rows_of_one_prompt(tmp_path):
    data = spec(tmp_path, stories(100), train_rows=10)
    first = [example.answer for example in data.load().train]
    assert first != [row["answer"] for row in stories(100)][:10]
    assert first == [example.answer for example in data.load().train]


def test_rows_of_one_prompt_in_files_of_their_own_are_not_contaminated(tmp_path):
    rows = stories(120)
    data = spec(tmp_path, rows[:100])
    for name, part in (("validation", rows[100:110]), ("test", rows[110:])):
        text = "".join(json.dumps(row) + "\n" for row in part)
        (tmp_path / f"{name}.jsonl").write_text(text)
    assert not check(data).is_refused
    # The very same rows still are.
    text = "".join(json.dumps(row) + "\n" for row in rows[:10])
    (tmp_path / "test.jsonl").write_text(text)
    found = {f.where: f.count for f in check(data).findings if f.kind == "contamination"}
    assert found == {"validation": 0, "test": 10}


def chats(count):
    """Chats, each saved after its first answer and once more after its second."""
    rows = []
    for question, answer in zip(sentences(count), sentences(count, words=5), strict=True):
        system = [{"role": "system", "content": "Be brief."}]
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        more = [{"role": "user", "content": "and?"}, {"role": "assistant", "content": "no"}]
        rows += [{"messages": [*system, *turns]}, {"messages": [*system, *turns, *more]}]
    return rows


def test_chats_that_continue_one_another_are_one_unit(tmp_path):
    data = spec(tmp_path, chats(60), format={"name": "messages"})
    read = data.read()
    opened = [
        {json.loads(e.conversation.messages)[1]["content"] for e in getattr(read.splits, name)}
        for name in SPLITS
    ]
    assert [len(found) for found in opened] == [48, 6, 6]
    assert not opened[0] & opened[1] | opened[0] & opened[2] | opened[1] & opened[2]
    assert "by the turns up to the first of the user" in read.shares[0]
    assert read.is_anew
    # Chats of which none continues another are parted as ever.
    alone = spec(tmp_path, chats(60)[1::2], format={"name": "messages"}).read()
    assert not alone.is_anew
    assert "by prompt" in alone.shares[0]
    assert (
        "by data.unit"
        in spec(
            tmp_path,
            [{**x, "id": n} for n, x in enumerate(chats(60))],
            format={"name": "messages"},
            unit="{id}",
        )
        .read()
        .shares[0]
    )


def test_a_greeting_opens_no_unit():
    greeting = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    found = [
        MessagesFormat().read({"messages": [*greeting, *row["messages"][1:]]}, where="f")
        for row in chats(10)[::2]
    ]
    assert {example.unit for example in with_units(found).examples} == {""}


def documents(count, questions, *, fields=False):
    rows = []
    for n, text in enumerate(sentences(count, words=40)):
        for q in range(questions):
            asked = {"context": text, "question": f"what is fact {q} of {n}?"}
            rows.append(asked if fields else {"prompt": f"{text}\n{asked['question']}"})
            rows[-1]["answer"] = f"fact {q} {n}"
    return rows


def test_questions_on_one_passage_are_one_unit(tmp_path):
    data = spec(tmp_path, documents(40, 5))
    read = data.read()
    assert sizes(read.splits) == [160, 20, 20]
    passages = [{e.prompt.split("\n")[0] for e in getattr(read.splits, name)} for name in SPLITS]
    assert [len(found) for found in passages] == [32, 4, 4]
    assert len(set.union(*passages)) == 40
    assert not check(data).is_refused


def test_a_unit_that_is_named(tmp_path):
    # Twelve questions on each of ten: more than the rows themselves would tell.
    rows = documents(10, 12, fields=True)
    chosen = {"name": "fields", "prompt": "{context}\n{question}", "answer": " {answer}"}
    data = spec(tmp_path, rows, format=chosen, unit="{context}")
    read = data.read()
    assert sizes(read.splits) == [96, 12, 12]
    assert len({e.unit for e in read.splits.test}) == 1
    assert "by data.unit '{context}'" in read.shares[0]
    assert not check(data).is_refused


def test_units_of_very_different_sizes_are_told_of(tmp_path):
    rows = [{"prompt": f"{n}?", "answer": "a", "topic": min(n, 200) // 100} for n in range(300)]
    rows += [{"prompt": f"{n}?", "answer": "a", "topic": 3} for n in range(300, 303)]
    data = spec(tmp_path, rows, unit="{topic}")
    read = data.read()
    assert sum(sizes(read.splits)) == 303
    assert any("are 4 units (told by data.unit '{topic}')" in text for text in read.warnings)
    document = check(data).document()
    assert document["warnings"] == list(read.warnings)
    assert document["shares"] == list(read.shares)


def test_too_few_units_are_told_as_that(tmp_path):
    rows = [{"prompt": f"{n}?", "answer": "a", "topic": "x"} for n in range(300)]
    message = r"the train split is empty: the 300 rows of .*are 1 units \(told by data.unit"
    with pytest.raises(DataError, match=message):
        spec(tmp_path, rows, unit="{topic}").load()


def test_where_nothing_repeats_each_prompt_is_its_own_unit():
    examples = tuple(Example(f"{text}?", "yes") for text in sentences(40))
    units = with_units(examples)
    assert units.examples == examples
    assert not units.is_anew


def test_several_answers_to_a_question_stay_together():
    examples = [Example(f"{n // 4}?", f"{n}") for n in range(80)]
    assert not with_units(examples).is_anew


def test_the_row_is_the_unit_of_an_instruction():
    examples = [Example("Write.", f"{n}") for n in range(9)]
    assert [e.unit for e in with_units(examples).examples] == [row_unit(e) for e in examples]
