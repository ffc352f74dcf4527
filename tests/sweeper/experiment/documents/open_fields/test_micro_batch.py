"""A micro-batch that a file leaves open."""

import pytest

from sweeper.errors import SpecError
from sweeper.experiment.documents.open_fields import has_open_batch, with_single_rows


def document(**train):
    return {"train": train, "resources": {"workers": 2}, "engine": {"precision": "bf16"}}


def test_it_has_one_row_until_it_is_chosen():
    given = document(batch_size="auto", global_batch_size=16, steps=4)
    assert has_open_batch(given)
    found = with_single_rows(given, source="file")
    assert found["train"] == {"batch_size": 1, "steps": 4}
    assert found["engine"] == {"precision": "bf16", "gradient_accumulation": 8}


def test_a_number_stays():
    given = document(batch_size=4)
    assert with_single_rows(given, source="file") == given


@pytest.mark.parametrize("whole", [None, 0, 3, 1.5, True, "16", 100_000])
def test_the_global_batch_must_be_one(whole):
    given = document(batch_size="auto", global_batch_size=whole)
    with pytest.raises(SpecError, match=r"train.global_batch_size: is .*multiple of the 2 worker"):
        with_single_rows(given, source="file")


def test_both_are_too_many():
    given = document(batch_size=4, global_batch_size=16)
    with pytest.raises(SpecError, match=r"train.global_batch_size: is 16, but train.batch_size is"):
        with_single_rows(given, source="file")
