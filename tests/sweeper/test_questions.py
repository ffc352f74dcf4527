"""Examples as questions: candidates, the right one, and which of them are asked."""

import pytest

from sweeper.data import Example
from sweeper.errors import DataError
from sweeper.questions import questions_of, subset
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
    (question,) = questions_of(examples, tiny.tokenizer(), 6)
    assert question.example == examples[0]
    assert "left out 1 of 2 examples" in caplog.text
    with pytest.raises(DataError, match=r"each of the 1 examples .* raise train\.max_length"):
        questions_of(examples[1:], tiny.tokenizer(), 6)
