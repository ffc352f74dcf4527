"""The difference of two models on the same examples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from sweeper.errors import BadInputError
from sweeper.estimates import Estimate, mean_estimate

__all__ = ["difference", "differences"]


def difference(first: Estimate, second: Estimate) -> Estimate:
    """Returns a metric of one model minus that of another, on the same examples in the same order.

    The standard error is that of the mean of the examples' differences: what makes an example hard
    for both cancels, so it is smaller than the two errors added as if the examples were not the
    same. Of an average over groups it is that of one sample of all their examples, which is a
    little too large where the difference is not the same in all groups. None where a metric does
    not know what its examples contribute, or a contribution is not finite.

    Args:
        first: of one model.
        second: of the other.

    Raises:
        BadInputError: they are not of equally many examples.
    """
    if first.count != second.count:
        raise BadInputError(
            f"metrics of {first.count} and of {second.count} examples have no paired difference; "
            "it needs the same examples; measure both on the same examples"
        )
    value = first.value - second.value
    if first.contributions is None or second.contributions is None:
        return Estimate(value, None, first.count)
    pairs = zip(first.contributions, second.contributions, strict=True)
    differences = [one - other for one, other in pairs]
    if not all(map(math.isfinite, differences)):
        return Estimate(value, None, first.count)
    return replace(mean_estimate(differences), value=value)


def differences(
    first: Mapping[str, Estimate], second: Mapping[str, Estimate]
) -> dict[str, Estimate]:
    """Returns the :func:`difference` of each metric that both have of equally many examples.

    Args:
        first: metrics of one model by name.
        second: of the other, on the same examples.
    """
    return {
        name: difference(found, second[name])
        for name, found in first.items()
        if name in second and second[name].count == found.count
    }
