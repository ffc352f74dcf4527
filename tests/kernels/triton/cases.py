"""What the tests of the kernels for GPUs share: tessellations, inputs among NaN, expected sums."""

from typing import get_args

import torch

from sweeper_kernels import Strategy, Tessellation, group_index_reference
from tests.whole import IS_WHOLE

# Tiles that are not full and that are lines, and those that are full; (1, 63) and (7, 5) have a
# network that is larger than the matrix.
SHAPES: tuple[tuple[int, int], ...] = ((100, 70), (1, 63))
if IS_WHOLE:
    SHAPES += ((64, 100), (63, 1), (7, 5))

# Of a sum of float32, relative to the sum of the absolute terms: float32 has 6e-8, and it is the
# most that adding in another order makes of it for the sizes here.
TOLERANCE = 2e-6


def tessellations(shapes=SHAPES):
    """One to three tessellations of each shape and strategy, with each number of groups in turn."""
    found = []
    for rows, columns in shapes:
        weights = rows * columns
        numbers = sorted({1, 7, max(weights // 20, 1), weights})
        for position, strategy in enumerate(get_args(Strategy)):
            # Neither every strategy with every number, which takes minutes, nor the same each time.
            chosen = numbers[position % 2 :: 2] if weights > 100 else numbers
            for groups in chosen:
                seed = 2**62 + groups if position % 2 else groups
                found.append(Tessellation(rows, columns, groups, strategy, seed=seed))
    return found


def name_of(case):
    if isinstance(case, Tessellation):
        return f"{case.strategy}-{case.out_features}x{case.in_features}-{case.groups}"
    return str(case).removeprefix("torch.")


def among_nan(tensor):
    """The same tensor with NaN on all sides, so that reading past its edge shows."""
    rows, columns = tensor.shape
    wide = torch.full((rows + 128, columns + 48), torch.nan, dtype=tensor.dtype)
    # Rows begin at a multiple of 16 values, or a GPU would have no wide loads to test.
    inside = wide.to(tensor.device)[64 : rows + 64, 16 : columns + 16]
    return inside.copy_(tensor)


def followed_by(tensor, filler):
    """The same tensor, contiguous, with something else behind it that shows when it is read."""
    flat = torch.full((tensor.numel() + 8192,), filler, dtype=tensor.dtype, device=tensor.device)
    return flat[: tensor.numel()].view(tensor.shape).copy_(tensor)


def assert_sums(found, terms, index, groups, *, scale=None):
    """Checks sums over the groups against float64.

    Args:
        found: the sums, [K], float32.
        terms: what is summed, [O, I].
        index: Γ, [O, I].
        groups: K.
        scale: how much the numbers that each term was made of amount to, if there are several.
    """
    assert found.shape == (groups,)
    assert found.dtype == torch.float32
    scale = terms.abs() if scale is None else scale
    terms, scale = (each.double().cpu().flatten() for each in (terms, scale))
    index = index.long().cpu().flatten()
    zeros = torch.zeros(groups, dtype=torch.float64)
    expected = zeros.index_add(0, index, terms)
    allowed = TOLERANCE * zeros.index_add(0, index, scale)
    error = (found.cpu().double() - expected).abs()
    worst = int((error - allowed).nan_to_num(nan=torch.inf).argmax())
    assert (error <= allowed).all(), (
        f"group {worst} of {groups}: {found[worst]}, not {expected[worst]}"
    )


def index_of(tessellation, device):
    return group_index_reference(tessellation).to(device)
