"""The launches that are compiled ahead of time, and what each has to move and to compute.

Shapes are those of LLaMA3-8B: projections of 4096 and 14336 features, rank 32 (K = 32 (I + O)), and
8 sequences of 512 tokens, as in the MoSA paper's Table 11.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from sweeper_kernels import Tessellation
from sweeper_kernels._routing import Routing
from sweeper_kernels._triton import masa, mosa, segment_sum

__all__ = ["RANK", "TOKENS", "Case", "cases"]

TOKENS = 8 * 512
RANK = 32
# Where neighbouring weights have groups that have nothing in common.
_SHUFFLED = ("brt", "stored")


@dataclass(frozen=True)
class Case:
    """One launch at one shape."""

    name: str
    shape: str
    call: Callable[[], object]
    """Calls the launcher; run with the meta device as the default."""
    moved_bytes: int
    """Read from and written to memory at least, each operand once."""
    operations: int
    """Floating-point operations of its products."""
    unit: Literal["tensor", "float32"]
    """What does the products."""
    trips: int = 0
    """Turns of its loop that each program makes, or 0 where it has none or makes its scattered
    loads there, from which turns follow."""
    scattered: int = 0
    """Loads of 4 bytes or less by a thread in the loop, or in all of a kernel without one, that the
    algorithm cannot do without: each reads somewhere else, or there are too few."""
    accesses: int = 0
    """Of one number each, anywhere in an extent, by all threads: scattered loads, or adds."""
    extent_bytes: int = 0
    """Of which the accesses are a part."""
    is_adding: bool = False
    """Whether the accesses are adds."""


def cases(*, is_quick: bool = False) -> list[Case]:
    """Returns all cases, or one of each kernel."""
    found = [*_expansions(), *_gradients(), *_sums(), *_gates()]
    if not is_quick:
        return found
    first: dict[str, Case] = {}
    for case in found:
        first.setdefault(case.name.partition(",")[0], case)
    return list(first.values())


def _groups(O: int, I: int) -> int:
    return RANK * (O + I)


def _index(
    kind: str, O: int, I: int, *, groups: int | None = None
) -> Callable[[], Tensor | Tessellation]:
    if kind == "stored":
        return lambda: torch.empty(O, I, dtype=torch.int32)
    strategy: Literal["brt", "skewed", "row", "col"] = kind  # type: ignore[assignment]
    return lambda: Tessellation(O, I, groups or _groups(O, I), strategy)


def _expansions() -> Iterator[Case]:
    for O, I, dtype, has_weight, kind in (
        (4096, 4096, torch.bfloat16, False, "brt"),
        (4096, 4096, torch.bfloat16, False, "stored"),
        (4096, 4096, torch.bfloat16, True, "brt"),
        (4096, 4096, torch.float32, True, "brt"),
        (4096, 4096, torch.float32, True, "stored"),
        (4096, 4096, torch.bfloat16, False, "skewed"),
        (4096, 4096, torch.bfloat16, False, "row"),
        (4096, 4096, torch.bfloat16, False, "col"),
        (1024, 4096, torch.bfloat16, False, "brt"),
        (14336, 4096, torch.bfloat16, False, "brt"),
        (4096, 14336, torch.bfloat16, False, "brt"),
    ):
        index, groups = _index(kind, O, I), _groups(O, I)
        element = dtype.itemsize

        def call(
            O: int = O,
            I: int = I,
            dtype: torch.dtype = dtype,
            has_weight: bool = has_weight,
            index: Callable[[], Tensor | Tessellation] = index,
            groups: int = groups,
        ) -> object:
            weight = torch.empty(O, I, dtype=dtype) if has_weight else None
            return mosa.expand(torch.empty(groups), index(), weight=weight, dtype=dtype)

        each = element * (2 if has_weight else 1) + (4 if kind == "stored" else 0)
        name = f"expand, {_short(dtype)}{', W0 added' if has_weight else ''}, {_said(kind)}"
        yield Case(
            name,
            f"{O}x{I}",
            call,
            O * I * each + 4 * groups,
            0,
            "float32",
            scattered=_values_of_thread(kind, O, I),
            # Where groups are stripes or few, neighbours read the same λ, and no cache is asked.
            accesses=O * I if kind in _SHUFFLED else 0,
            extent_bytes=4 * groups,
        )


def _values_of_thread(kind: str, O: int, I: int) -> int:
    """Returns how many λ a thread reads, and before that of the table where groups end."""
    weights = mosa._EXPAND_O * mosa._EXPAND_I // (32 * mosa._EXPAND_WARPS)
    if kind != "skewed":
        return weights
    # A binary search for each weight, of which the first step is the same for all.
    steps = len(Tessellation(O, I, _groups(O, I), "skewed").ends).bit_length()
    return weights + 1 + weights * (steps - 1)


def _gradients() -> Iterator[Case]:
    for O, I, dtype, kind in (
        (4096, 4096, torch.bfloat16, "brt"),
        (4096, 4096, torch.bfloat16, "stored"),
        (4096, 4096, torch.float32, "brt"),
        (4096, 4096, torch.float32, "stored"),
        (4096, 4096, torch.bfloat16, "skewed"),
        (4096, 4096, torch.bfloat16, "row"),
        (4096, 4096, torch.bfloat16, "col"),
        (14336, 4096, torch.bfloat16, "brt"),
    ):
        index, groups = _index(kind, O, I), _groups(O, I)

        def call(
            O: int = O,
            I: int = I,
            dtype: torch.dtype = dtype,
            index: Callable[[], Tensor | Tessellation] = index,
            groups: int = groups,
        ) -> object:
            grad_y, x = torch.empty(TOKENS, O, dtype=dtype), torch.empty(TOKENS, I, dtype=dtype)
            return mosa.grad_values(grad_y, x, index(), groups=groups)

        is_short = dtype.itemsize == 2
        block_t = (mosa._TILE_16 if is_short else mosa._TILE_32)[2]
        moved = TOKENS * (O + I) * dtype.itemsize + 8 * groups
        yield Case(
            f"grad_values, {_short(dtype)}, {_said(kind)}",
            f"{O}x{I}, {TOKENS} tokens",
            call,
            moved + (4 * O * I if kind == "stored" else 0),
            2 * TOKENS * O * I,
            "tensor" if is_short else "float32",
            trips=TOKENS // block_t,
            accesses=O * I if kind in _SHUFFLED else 0,
            extent_bytes=4 * groups,
            is_adding=True,
        )


def _sums() -> Iterator[Case]:
    O = I = 4096
    for groups, dtype, kind in (
        (1, torch.float32, "brt"),
        (4096, torch.float32, "brt"),
        (262144, torch.float32, "brt"),
        (262144, torch.bfloat16, "brt"),
        (262144, torch.float32, "skewed"),
        (32, torch.float32, "stored"),
        (262144, torch.float32, "stored"),
    ):
        index, is_stored = _index(kind, O, I, groups=groups), kind == "stored"

        def call(
            groups: int = groups,
            dtype: torch.dtype = dtype,
            index: Callable[[], Tensor | Tessellation] = index,
        ) -> object:
            return segment_sum.segment_sum(torch.empty(O, I, dtype=dtype), index(), groups=groups)

        values_bytes, sums_bytes = O * I * dtype.itemsize, 4 * groups
        yield Case(
            f"segment_sum, {_short(dtype)}, {_said(kind)}",
            f"{O}x{I}, K = {groups}",
            call,
            values_bytes + sums_bytes + (O * I * 4 + sums_bytes if is_stored else 0),
            0,
            "float32",
            scattered=0 if is_stored else segment_sum._BLOCK_COMPUTED // (32 * segment_sum._WARPS),
            accesses=O * I,
            extent_bytes=sums_bytes if is_stored else values_bytes,
            is_adding=is_stored,
        )


def _gates() -> Iterator[Case]:
    for routing, name in (
        (Routing(5, 1, 8), "5A1B, r = 8"),
        (Routing(8, 3, 16), "8A3B, r = 16"),
    ):
        sizes = {
            "experts": routing.experts,
            "up_projections": routing.up_projections,
            "rank": routing.rank,
        }
        width = routing.up_projections * routing.rank

        def forward(
            routing: Routing = routing, sizes: Mapping[str, int] = MappingProxyType(sizes)
        ) -> object:
            h = torch.empty(TOKENS, routing.columns, dtype=torch.bfloat16)
            return masa.gate_forward(h, **sizes)

        def backward(
            routing: Routing = routing,
            sizes: Mapping[str, int] = MappingProxyType(sizes),
            width: int = width,
        ) -> object:
            h = torch.empty(TOKENS, routing.columns, dtype=torch.bfloat16)
            return masa.gate_backward(h, torch.empty(TOKENS, width, dtype=torch.bfloat16), **sizes)

        # A block's scores of one up-projection are a load in each loop, and may be so few that a
        # thread gets 4 bytes: still one line of 128 bytes for a warp, and next to others'.
        block = masa._constants(routing)
        is_small = block["BLOCK_T"] * block["WIDTH"] * 2 < 8 * 32 and routing.up_projections > 1
        for direction, call, passes in (("forward", forward, 1), ("backward", backward, 2)):
            yield Case(
                f"masa_gate_{direction}, bfloat16",
                f"{TOKENS} tokens, {name}",
                call,
                2 * TOKENS * passes * (routing.columns + width),
                0,
                "float32",
                trips=routing.up_projections,
                scattered=passes * is_small,
            )


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _said(kind: str) -> str:
    return kind if kind == "stored" else f"{kind} computed"
