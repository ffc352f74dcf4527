"""Which evaluation rows count as held by training rows, and which do not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.data import Example
from sweeper.data.hygiene.ngrams import Coder, CodeSet, windows
from sweeper.data.hygiene.overlap import find_overlaps
from sweeper.data.hygiene.texts import short_key, shortened, words_of

TEMPLATE = (
    "Below is an instruction that describes a task. Write a response that completes it well. "
    "Please choose the correct answer to the question: "
)
FORMAT = "\n\nAnswer format: answer1/answer2/answer3/answer4\n\n"


def held(evaluation, training, threshold=0.7):
    found = find_overlaps(evaluation, training, threshold=threshold)
    return {overlap.row: overlap for overlap in found}


def test_rows_that_have_nothing_in_common_are_not_held(examples):
    assert held(examples(50), examples(200)) == {}


def test_a_row_is_found_wherever_it_stands(examples):
    evaluation, training = examples(20), examples(9000)
    # In the first chunk of the training rows, and in the third.
    training[5], training[8999] = evaluation[3], evaluation[7]
    found = held(evaluation, training)
    assert {row: overlap.training_row for row, overlap in found.items()} == {3: 5, 7: 8999}
    assert all(overlap.share == 1 and overlap.is_question for overlap in found.values())


def test_case_and_punctuation_hide_nothing(examples):
    evaluation, training = examples(20), examples(50)
    shouted = evaluation[4].prompt.upper().replace(" ", ",\n  ").replace("A", "Ä") + "?!"
    training[9] = replace(evaluation[4], prompt=shouted.replace("Ä", "a"))
    assert held(evaluation, training)[4].training_row == 9


def test_another_answer_hides_nothing(examples):
    evaluation, training = examples(20), examples(50)
    training[9] = replace(training[9], prompt=evaluation[4].prompt)
    assert held(evaluation, training)[4].is_question


def test_another_beginning_hides_nothing_where_most_words_are_held(examples, sentence):
    evaluation, training = examples(20, words=40), examples(50)
    kept = " ".join(evaluation[4].prompt.split()[9:])
    training[9] = replace(training[9], prompt=f"Question: {sentence(10)} {kept}")
    found = held(evaluation, training)
    assert set(found) == {4}
    # 32 of 40 words, and of the two of the template perhaps one at each end.
    assert found[4].share == pytest.approx(0.8, abs=0.05)
    less = " ".join(evaluation[4].prompt.split()[20:])
    training[9] = replace(training[9], prompt=f"Question: {sentence(20)} {less}")
    assert held(evaluation, training) == {}
    assert set(held(evaluation, training, threshold=0.4)) == {4}


def test_one_changed_word_costs_one_word(examples):
    evaluation, training = examples(20, words=60), examples(50)
    words = evaluation[4].prompt.split()
    training[9] = replace(training[9], prompt=" ".join([*words[:30], "other", *words[31:]]))
    assert held(evaluation, training)[4].share > 0.95


def test_a_long_answer_is_found_behind_another_question(examples, sentence):
    evaluation, training = examples(20, words=15), examples(50)
    evaluation[4] = replace(evaluation[4], answer=" " + sentence(80))
    training[9] = replace(training[9], answer=evaluation[4].answer)
    found = held(evaluation, training)
    assert set(found) == {4}
    assert not found[4].is_question


def test_a_template_alone_is_no_overlap(examples):
    form = {"head": TEMPLATE, "tail": FORMAT, "task": "arc"}
    assert held(examples(50, words=10, **form), examples(200, words=10, **form)) == {}
    # Without the other rows nobody could tell what the template is.
    one, other = examples(1, words=10, **form), examples(1, words=10, **form)
    assert set(held(one, other, threshold=0.4)) == {0}


def test_the_template_of_one_of_several_tasks_is_one_too(examples):
    form = {"head": TEMPLATE, "tail": FORMAT, "task": "arc"}
    others = examples(400, task="other")
    evaluation = [*others, *examples(20, words=10, **form)]
    assert held(evaluation, examples(200, words=10, **form)) == {}


TEMPLATED = {"head": TEMPLATE, "tail": FORMAT, "task": "arc"}


@pytest.mark.parametrize(("form", "other"), [({}, TEMPLATED), (TEMPLATED, {})])
def test_a_row_is_found_in_the_template_of_another_task(form, other, examples):
    evaluation, training = examples(50, words=20, **form), examples(50, words=20, **other)
    question = evaluation[4].prompt.removeprefix(form.get("head", "Question: "))
    question = question.removesuffix(form.get("tail", "\nAnswer:"))
    head, tail = other.get("head", "Question: "), other.get("tail", "\nAnswer:")
    training[9] = replace(training[9], prompt=f"{head}{question}{tail}")
    assert set(held(evaluation, training)) == {4}


def test_what_many_evaluation_rows_share_tells_none_apart(examples, sentence):
    evaluation, training = examples(200), examples(200)
    passage = sentence(150)
    for row in range(40):
        evaluation[row] = replace(evaluation[row], prompt=passage + evaluation[row].prompt)
    training[9] = replace(training[9], prompt=passage)
    assert held(evaluation, training) == {}


def test_repeats_of_one_evaluation_row_are_not_many_rows(examples):
    evaluation, training = examples(30), examples(50)
    evaluation += [evaluation[4]] * 60
    training[9] = evaluation[4]
    assert len(held(evaluation, training)) == 61


@pytest.mark.parametrize(
    ("question", "other", "is_held"),
    [
        ("What is dolly?", "what is Dolly", True),
        ("What is dolly?", "What is dolly made of?", False),
        ("5 - 8 =", "5 + 8 =", False),
        ("((", "((", True),
        # From eight words on a short question may stand inside a longer text.
        (
            "who wrote the first song about seven rivers",
            "Tell me: who wrote the first song about seven rivers, and when?",
            True,
        ),
    ],
)
def test_short_questions_are_compared_whole(question, other, is_held, examples):
    evaluation = [Example(question, " a"), *examples(30)]
    training = [*examples(30), Example(other, " b")]
    assert (0 in held(evaluation, training)) is is_held


def test_short_questions_with_other_choices_are_other_questions():
    asked = Example("clothing", " a", choices=(" a", " b"))
    assert held([asked], [replace(asked, choices=(" a", " c"))]) == {}
    assert set(held([asked], [replace(asked, choices=(" b", " a"))])) == {0}


def test_a_row_that_several_training_rows_hold_is_found_once(examples):
    evaluation, training = examples(20), examples(50)
    training[9] = training[19] = training[29] = evaluation[4]
    assert [found.training_row for found in find_overlaps(evaluation, training, threshold=0.7)] == [
        9
    ]


def test_nothing_is_held_where_there_are_no_rows(examples):
    assert find_overlaps([], examples(5), threshold=0.7) == []
    assert find_overlaps(examples(5), [], threshold=0.7) == []


def test_words_are_what_is_between_punctuation():
    assert words_of("Don't panic: 3,5 €!") == ["don", "t", "panic", "3", "5"]
    assert words_of("Don\u2019t panic: 3,5 €!") == ["don", "t", "panic", "3", "5"]
    # Chinese has no spaces; full-width letters are letters.
    assert words_of("中文 \uff21\uff22c ß") == ["中", "文", "abc", "ss"]
    assert words_of("(!") == []
    assert short_key("It's  \u201cHERE\u201d.") == short_key("its here")


@given(st.text())
def test_shortened_texts_are_short_and_of_one_line(text):
    line = shortened(text, most=20)
    assert len(line) <= 20
    assert "\n" not in line


@given(st.lists(st.text(alphabet="ab ", max_size=30), max_size=6), st.sampled_from([1, 3, 8]))
def test_equal_ngrams_have_equal_codes_and_others_not(texts, size):
    coded = Coder().learn(texts)
    wanted = [
        tuple(words[i : i + size])
        for words in map(words_of, texts)
        for i in range(len(words) - size + 1)
    ]
    codes = [code for _, _, found in windows(coded, (size,)) for code in found.tolist()]
    assert len(codes) == len(wanted)
    assert len(set(zip(codes, wanted, strict=True))) == len(set(wanted)) == len(set(codes))


def test_a_set_of_codes_finds_its_own_alone():
    drawn = np.random.default_rng(0).integers(0, 2**64, 5000, dtype=np.uint64)
    known = CodeSet(drawn[:1000])
    at, numbers = known.find(drawn)
    assert at.tolist() == list(range(1000))
    assert (known.codes[numbers] == drawn[:1000]).all()
    assert CodeSet(drawn[:0]).find(drawn)[0].size == 0
