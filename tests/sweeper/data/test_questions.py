"""Examples as questions: candidates, the right one, and which of them are asked."""

import pytest

from sweeper.data import Example, TextFormat
from sweeper.data.questions import draw_examples, questions_of, rows_by_task, split_by_room, subset
from sweeper.data.row_order import row_order
from sweeper.errors import DataError
from tests.sweeper import tiny


def test_a_question_holds_every_candidate_with_the_same_prompt():
    (question,) = questions_of(
        [Example("1 ", "b", domain="letter", choices=("a", "b", "cab"))], tiny.tokenizer(), 16
    )
    assert question.gold == 1
    assert question.is_choice
    assert question.characters == (1, 1, 3)
    prompts = {tokens.ids[: tokens.answer_start] for tokens in question.candidates}
    assert len(prompts) == 1
    assert [len(tokens.ids) for tokens in question.candidates] == [4, 4, 6]


def test_without_choices_the_answer_is_the_only_candidate():
    questions = questions_of([Example("1+1=", "2"), Example("1", " ")], tiny.tokenizer(), 16)
    assert [len(question.candidates) for question in questions] == [1, 1]
    assert not questions[0].is_choice
    # Nothing is divided by the length of an answer that is all spaces.
    assert questions[1].characters == (1,)


def test_a_choice_that_is_there_twice_counts_once():
    (question,) = questions_of([Example("1", "b", choices=("a", "a", "b"))], tiny.tokenizer(), 16)
    assert len(question.candidates) == 2
    assert question.gold == 1


def test_the_subset_is_the_same_each_time_and_nested():
    assert subset(100, 10) == subset(100, 10)
    assert subset(100, 10) != list(range(10))
    assert set(subset(100, 10)) < set(subset(100, 40))
    assert subset(5, 10) == [0, 1, 2, 3, 4]


def test_without_several_tasks_the_subset_is_what_it_was():
    for tasks in ((), ["arc_easy"] * 100, [""] * 100):
        assert subset(100, 10, tasks=tasks) == subset(100, 10)


def test_a_small_subset_has_each_task_and_a_large_one_each_in_its_share():
    tasks = ["large"] * 900 + ["small"] * 90 + ["tiny"] * 10

    def counts(count):
        chosen = subset(1000, count, tasks=tasks)
        assert len(set(chosen)) == count
        return [
            sum(tasks[index] == name for index in chosen) for name in ("large", "small", "tiny")
        ]

    assert counts(3) == [1, 1, 1]
    assert counts(100) == [90, 9, 1]
    assert counts(1000) == [900, 90, 10]
    assert set(subset(1000, 20, tasks=tasks)) < set(subset(1000, 60, tasks=tasks))


def test_an_answer_without_room_leaves_its_question_out(caplog):
    examples = [Example("1+1=", "2"), Example("1", "1234567", choices=("1234567", "1"))]
    questions = questions_of(examples, tiny.tokenizer(), 6)
    assert questions[1].candidates == ()
    for generates in (False, True):
        assert split_by_room(questions, generates=generates) == ([questions[0]], [questions[1]])
    assert "1 of 2 evaluation examples have an answer that does not fit" in caplog.text
    with pytest.raises(
        DataError, match=r"none of the 1 evaluation examples .* raise train\.max_length"
    ):
        questions_of(examples[1:], tiny.tokenizer(), 6)


def test_an_answer_without_room_can_still_be_written():
    examples = [
        Example("1", "1234567", task="sums", metrics=("exact",)),
        Example("1", "2", task="sums", metrics=("exact",)),
        # Of no task: nothing would be generated.
        Example("1", "1234567"),
    ]
    long, short, plain = questions = questions_of(examples, tiny.tokenizer(), 6)
    assert (long.candidates, plain.candidates, len(short.candidates)) == ((), (), 1)
    assert split_by_room(questions, generates=True) == ([long, short], [plain])
    assert split_by_room(questions, generates=False) == ([short], [long, plain])
    assert rows_by_task(questions) == {"": 1, "sums": 2}
    assert questions_of(examples[:1], tiny.tokenizer(), 6) == (long,)
    with pytest.raises(DataError, match="none of the 1 evaluation examples"):
        questions_of(examples[:1], tiny.tokenizer(), 6, needs_loss=True)


def test_what_is_drawn_is_the_subset():
    examples = [Example(str(n), "1", task=task) for n in range(20) for task in ("a", "b")]
    places = subset(40, 6, tasks=[example.task for example in examples])
    assert draw_examples(examples, 6) == [examples[place] for place in places]
    assert draw_examples(examples, None) == examples


def test_the_parts_of_a_document_are_questions_of_one_unit():
    documents = [TextFormat().read({"text": text}, where="here") for text in ("1" * 20, "2" * 5)]
    questions = questions_of(documents, tiny.tokenizer(), 16, needs_loss=True)
    assert [question.example.answer[0] for question in questions] == ["1", "1", "2"]
    assert [question.candidates[0].loss_tokens for question in questions] == [15, 5, 5]
    assert row_order(questions, generates=False).clusters == (0, 0, 1)
