"""A cache of a test's own, and questions that nobody has asked before."""

import random

import pytest

from sweeper.data import Example

WORDS = [f"{head}{tail}" for head in "bdfgklmnprst" for tail in ("a", "ero", "ilo", "unda", "ovi")]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("SWEEPER_CACHE", str(folder))
    return folder


@pytest.fixture
def sentence():
    """A function that returns so many random words."""
    drawn = random.Random(0)
    return lambda words: " ".join(drawn.choice(WORDS) for _ in range(words))


@pytest.fixture
def examples(sentence):
    """A function that returns so many examples whose questions have so many words."""

    def make(count, words=30, *, head="Question: ", tail="\nAnswer:", **fields):
        return [
            Example(prompt=f"{head}{sentence(words)}{tail}", answer=f" {sentence(12)}", **fields)
            for _ in range(count)
        ]

    return make
