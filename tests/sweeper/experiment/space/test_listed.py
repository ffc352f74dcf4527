"""Listed trials: what an entry may say.

`sections/test_trials.py` checks how a list is read.
"""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sweeper.errors import MissingError
from sweeper.experiment.space.listed import ListedTrial, Published
from sweeper.models import ArchitectureModelSpec


def test_an_architecture_has_no_weights():
    model = ArchitectureModelSpec(name="llama3-8b")
    for call in (model.require_available, model.source, lambda: model.load("fp32")):
        with pytest.raises(MissingError, match="use a profile whose model has weights"):
            call()


@pytest.mark.parametrize(
    ("printed", "percent", "is_met"),
    [
        ("0.5220", 0.52204, True),
        ("0.5220", 0.52206, False),
        ("0.52", 0.5249, True),
        ("1", 1.4, True),
        ("1", 1.6, False),
    ],
)
def test_a_published_share_is_met_in_the_digits_that_are_printed(
    printed: str, percent: float, is_met: bool
) -> None:
    assert Published(params=printed, source="a table").is_met_by(percent) is is_met


def test_an_architecture_has_to_be_packaged() -> None:
    entry = {"name": "x", "method": {"name": "lora"}, "architecture": "llama3-8b"}
    assert ListedTrial.model_validate(entry).architecture == "llama3-8b"
    with pytest.raises(ValidationError, match="no packaged architecture 'llama9'"):
        ListedTrial.model_validate({**entry, "architecture": "llama9"})
