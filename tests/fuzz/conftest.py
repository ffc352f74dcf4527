"""How many damaged inputs are tried: a tenth of them by default, all with ``make fuzz``."""

from collections.abc import Callable

import pytest

from tests.whole import IS_WHOLE

SHARE = 1.0 if IS_WHOLE else 0.1


@pytest.fixture
def share_of() -> Callable[[int], int]:
    """Returns how many inputs to try of a whole run's number, at least 1."""
    return lambda whole: max(1, round(whole * SHARE))
