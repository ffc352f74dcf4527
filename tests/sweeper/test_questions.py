"""Examples as questions: candidates, the right one, and which of them are asked."""

from sweeper.data import Example
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
