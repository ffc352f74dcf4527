"""Generated instructions: right answers, many skills, disjoint splits, and fast."""

import random

import pytest

from sweeper.data import EmbeddedDataSpec
from sweeper.data.embedded.instructions import SplitName, generate, split_of
from sweeper.data.embedded.lexicon import NAMES, NOUNS, OPPOSITES
from sweeper.data.embedded.skills import SKILLS, Exercise

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
BY_HAND = {
    "reverse": Exercise(operands=("cat", "dog", "sun"), result=("sun", "dog", "cat")),
    "sort": Exercise(operands=("7", "2", "9"), result=("2", "7", "9")),
    "addition": Exercise(operands=("17", "5"), result=("22",)),
    "subtraction": Exercise(operands=("17", "5"), result=("12",)),
    "lookup": Exercise(operands=("Ada cat", "Tom dog"), argument="Tom", result=("dog",)),
    "last": Exercise(operands=("cat", "dog", "sun"), result=("sun",)),
    "antonym": Exercise(operands=("hot", "small"), result=("cold", "big")),
    "capitals": Exercise(operands=("cat",), result=("CAT",)),
    "largest": Exercise(operands=("9", "51", "50"), result=("51",)),
}


def right_answer(name, task):
    """What a task's result must be, worked out in another way than the generator's."""
    operands = list(task.operands)
    if name == "lookup":
        return dict(row.split() for row in operands)[task.argument]
    answers = {
        "reverse": lambda: " ".join(reversed(operands)),
        "sort": lambda: " ".join(sorted(operands, key=int)),
        "addition": lambda: str(sum(map(int, operands))),
        "subtraction": lambda: str(int(operands[0]) - int(operands[1])),
        "last": lambda: operands.pop(),
        "antonym": lambda: " ".join(OPPOSITES[word] for word in operands),
        "capitals": lambda: operands[0].upper(),
        "largest": lambda: str(max(map(int, operands))),
    }
    return answers[name]()


def test_at_least_five_domains():
    assert len(SKILLS) >= 5
    assert {skill.name for skill in SKILLS} == set(BY_HAND)
    for split in SPLITS:
        domains = {row.domain for row in generate(split, rows=len(SKILLS), seed=0)}
        assert domains == set(BY_HAND)


@pytest.mark.parametrize("skill", SKILLS, ids=lambda skill: skill.name)
def test_results_are_right(skill):
    by_hand = BY_HAND[skill.name]
    assert " ".join(by_hand.result) == right_answer(skill.name, by_hand)
    rng = random.Random(1)
    for _ in range(200):
        task = skill.draw(rng)
        assert " ".join(task.result) == right_answer(skill.name, task)


def test_splits_are_disjoint_by_construction():
    seen = {
        split: {(row.domain, row.prompt) for row in generate(split, rows=1500, seed=0)}
        for split in SPLITS
    }
    assert not seen["train"] & seen["validation"]
    assert not seen["train"] & seen["test"]
    assert not seen["validation"] & seen["test"]


def test_the_split_of_a_task_depends_on_its_content_alone():
    rng = random.Random(2)
    counts = dict.fromkeys(SPLITS, 0)
    for _ in range(500):
        task = SKILLS[0].draw(rng)
        counts[split_of("reverse", task)] += 1
        assert split_of("reverse", task) == split_of("reverse", Exercise(task.operands, ()))
    # Of 500 tasks, 80, 10 and 10 percent; five standard deviations are about 34.
    assert abs(counts["validation"] - 50) < 34
    assert abs(counts["test"] - 50) < 34


def test_an_example():
    rows = generate("train", rows=90, seed=3)
    assert all(row.prompt.endswith("\nAnswer:") for row in rows)
    assert all(row.answer.startswith(" ") for row in rows)
    largest = next(row for row in rows if row.domain == "largest")
    assert largest.answer.strip() in largest.prompt


def test_the_seed_decides():
    assert generate("train", rows=50, seed=0) == generate("train", rows=50, seed=0)
    assert generate("train", rows=50, seed=0) != generate("train", rows=50, seed=1)


def test_spec():
    spec = EmbeddedDataSpec(train_rows=100, eval_rows=20)
    spec.require_available()
    splits = spec.load()
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [100, 20, 20]
    assert spec.fingerprint() == EmbeddedDataSpec(train_rows=100, eval_rows=20).fingerprint()
    assert spec.fingerprint() != EmbeddedDataSpec(train_rows=100, eval_rows=21).fingerprint()


def test_no_word_has_two_meanings():
    words = [*NAMES, *NOUNS, *OPPOSITES]
    assert len(words) == len(set(words))
    assert all(OPPOSITES[OPPOSITES[word]] == word != OPPOSITES[word] for word in OPPOSITES)
