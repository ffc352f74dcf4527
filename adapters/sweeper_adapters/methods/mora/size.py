"""How large MoRA's square matrix is."""

from __future__ import annotations

import math

__all__ = ["compute_matrix_size"]


def compute_matrix_size(in_features: int, out_features: int, *, rank: int, mora_type: int) -> int:
    """Returns the rows and columns of MoRA's square matrix, which has a LoRA's parameters.

    Rounded to the nearest, then for type 6, which turns pairs of features, down to an even number
    (at least 2), as in the authors' code; so are the published counts.
    """
    nearest = int(math.sqrt((in_features + out_features) * rank) + 0.5)
    return max(nearest - nearest % 2, 2) if mora_type == 6 else nearest
