"""Real rows: what the papers' training sets hold of their test sets, and what is put into them."""

from dataclasses import replace

import pytest

from sweeper.data import TasksDataSpec
from sweeper.data.hygiene import HygieneSpec, require_clean
from sweeper.data.hygiene.overlap import find_overlaps
from sweeper.data.tasks import find_task
from sweeper.errors import DataError

# Found in the first 2,000 training rows (1,119 of ARC-c, 7,473 of GSM8K) and looked at one by one:
# a question of the same wording but for a name or a number, or the same question.
KNOWN = {
    "gsm8k": 1,
    "boolq": 3,
    "piqa": 5,
    "siqa": 0,
    "hellaswag": 0,
    "winogrande": 0,
    "arc_easy": 10,
    "arc_challenge": 2,
    "openbookqa": 0,
}


def load(shared, name, split):
    return find_task(name).load(split, shared).examples


def held(evaluation, training):
    return find_overlaps(evaluation, training, threshold=0.7)


@pytest.mark.parametrize("name", KNOWN)
def test_training_sets_hold_next_to_nothing_of_their_test_sets(name, shared):
    found = held(load(shared, name, "test"), load(shared, name, "train"))
    assert len(found) == KNOWN[name]


def test_test_rows_put_into_the_training_rows_are_found(shared):
    evaluation, training = load(shared, "gsm8k", "test"), [*load(shared, "gsm8k", "train")]
    # As in a published mixture: half of the questions, with solutions in other words.
    for row in range(0, len(evaluation), 2):
        question = evaluation[row].prompt.removeprefix("Question: ").removesuffix("\nAnswer:")
        text = f"Solve step by step.\n\n{question.lower()}\n\nSolution:"
        training[5 * row] = replace(training[5 * row], prompt=text, answer=" By another way.")
    found = {overlap.row: overlap for overlap in held(evaluation, training)}
    # The 560 and the one that GSM8K itself brings, where its row is still there.
    assert set(range(0, 1119, 2)) <= set(found)
    assert len(found) <= 561
    assert all(found[row].training_row == 5 * row for row in range(0, 1119, 2))
    assert all(found[row].is_question for row in range(0, 1119, 2))


@pytest.mark.parametrize(
    ("train", "test"), [("dolly", "mmlu_law"), ("openorca", "bbh"), ("gsm8k", "humaneval")]
)
def test_unrelated_tasks_hold_nothing_of_each_other(train, test, shared):
    test_rows = load(shared, test, "test")
    splits = TasksDataSpec(root=str(shared), train=(train,), evaluate=(test,)).load()
    assert len(splits.test) == len(test_rows) > 100
    assert held(splits.test, splits.train) == []


def test_the_same_questions_in_another_form_are_found(shared):
    """GSM8K with options: of 1,119 test rows almost all are the plain ones'."""
    found = held(load(shared, "gsm8k_choice", "test"), load(shared, "gsm8k", "test"))
    assert len(found) > 0.95 * 1119


@pytest.mark.whole
def test_the_mixture_of_eight_can_be_trained_on(shared):
    data = TasksDataSpec(root=str(shared), train=("commonsense",))
    require_clean(data, HygieneSpec(), fingerprint=data.fingerprint())


def test_fineval_holds_a_part_of_its_test_rows(shared):
    data = TasksDataSpec(root=str(shared), train=("fineval",))
    with pytest.raises(DataError, match=r"11 of 265 rows \(4.2%\) of test of fineval"):
        require_clean(data, HygieneSpec(), fingerprint=data.fingerprint())
