import pytest

from sweeper.analysis.inspection import KINDS, InspectionRequest, layer_numbers
from sweeper.errors import BadInputError


def test_numbers_and_ranges_of_layers_are_read():
    assert layer_numbers("") == ()
    assert layer_numbers("5-7, 0,2,6") == (0, 2, 5, 6, 7)


@pytest.mark.parametrize("text", ["a", "-1", "3-1", "1-", "1.5", "0;1", "99999"])
def test_what_is_no_list_of_layers_is_refused(text):
    with pytest.raises(BadInputError, match=r"layers: got .*numbers from 0.*give one such as"):
        layer_numbers(text)


def test_gradients_are_of_what_training_is_made_of():
    splits = {kind: InspectionRequest(kind).chosen_split for kind in KINDS}
    assert splits.pop("conflict") == "train"
    assert set(splits.values()) == {"validation"}
    assert InspectionRequest("conflict", split="test").chosen_split == "test"


def test_rows_are_as_asked_for():
    assert InspectionRequest("similarity").most_rows == 256
    assert InspectionRequest("conflict").most_rows == 2048
    assert InspectionRequest("conflict", rows=9).most_rows == 9
