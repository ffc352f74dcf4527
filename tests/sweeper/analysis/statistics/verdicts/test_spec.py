"""What is asked, and what is assumed where it is not."""

import pytest

from sweeper.analysis.statistics.questions import LOOKS
from sweeper.analysis.statistics.verdicts import Best, ConclusionSpec, default_delta


def test_delta_has_a_default():
    assert default_delta(is_fraction=True, control_mean=0.6) == 0.01
    assert default_delta(is_fraction=False, control_mean=-2.5) == pytest.approx(0.05)


def test_a_family_has_five_percent_or_what_the_look_spends():
    assert ConclusionSpec((Best(),), delta=0.01).alpha == 0.05
    assert ConclusionSpec((Best(),), delta=0.01, look=LOOKS[1]).alpha == 0.015
