"""What a training step costs besides time: operations of its matrix products, and memory."""

from __future__ import annotations

import gc
import math
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from sweeper_adapters.methods import ModelShape

__all__ = ["Counted", "Live", "count_step", "linear_flops", "live", "peak_bytes"]

_INTEGERS = (torch.int32, torch.int64)
# torch's own are counted where they are products. These are not its own and make none: they add up,
# weigh some features of a token, or convert.
_WITHOUT_PRODUCTS = (
    "sweeper::segment_sum",
    "sweeper::masa_gate",
    "bitsandbytes::quantize",
    "bitsandbytes::dequantize",
)
_OWN = ("aten", "prim", "prims", "profiler")


@dataclass(frozen=True)
class Counted:
    """Operations of one step."""

    flops: int
    """Of all matrix products, two for each multiplication and addition."""
    attention_flops: int
    """Those of attention among them."""
    uncounted: tuple[str, ...]
    """Operators that may hold matrix products and have no formula."""


def count_step(step: Callable[[], object]) -> Counted:
    """Returns the operations of a step, which is run for it.

    Counted are matrix products, by torch's counter: not what goes element by element, and not the
    decompositions of small matrices that some methods take in each step.
    """
    attention, seen = _attention(), _Operators()
    counter = FlopCounterMode(display=False, custom_mapping={**attention, **_four_bit()})
    with seen, counter:
        step()
    by_operator = counter.get_flop_counts().get("Global", {})
    uncounted = (
        name
        for name, operator in seen.found.items()
        if operator not in counter.flop_registry and not name.startswith(_WITHOUT_PRODUCTS)
    )
    return Counted(
        flops=counter.get_total_flops(),
        attention_flops=sum(by_operator.get(operator, 0) for operator in attention),
        uncounted=tuple(sorted(uncounted)),
    )


def linear_flops(
    shape: ModelShape, *, tokens: int, adapted: Collection[str], method: str, rank: int, head: int
) -> int:
    """Returns the operations of all linear layers in a step, in closed form.

    A frozen layer takes two products of full size, y = W0 x and the gradient of x. MoSA's takes one
    more, that of the weight gradient. LoRA's instead takes three with A and three with B.

    Args:
        shape: of the model.
        tokens: in the batch.
        adapted: names of the layers with an adapter.
        method: ``mosa``, ``lora`` or ``none``.
        rank: R, of LoRA.
        head: tokens of the vocabulary, the output's width.
    """
    products = 2 * shape.hidden_size * head
    for linear in shape.linears:
        is_adapted = linear.name in adapted
        full = 3 if is_adapted and method == "mosa" else 2
        low = 3 * rank if is_adapted and method == "lora" else 0
        sides = linear.in_features + linear.out_features
        products += shape.layers * (full * linear.weights + low * sides)
    return 2 * tokens * products


@dataclass(frozen=True)
class Live:
    """The memory of all tensors that are."""

    size_bytes: int
    index_bytes: int
    """Of integers of 32 and 64 bit among them, where indices are kept."""

    def __sub__(self, other: Live) -> Live:
        return Live(self.size_bytes - other.size_bytes, self.index_bytes - other.index_bytes)


def live(device: str = "cpu") -> Live:
    """Returns the memory of all tensors that Python knows of, shared memory once.

    But for those that were there when ``gc.freeze`` was called: it is for differences.

    Args:
        device: ``cpu`` or ``cuda``, where the tensors are.
    """
    gc.collect()
    sizes: dict[int, int] = {}
    indices: set[int] = set()
    for found in gc.get_objects():
        # Its type and not isinstance: some modules' lazy objects import things when asked.
        if not issubclass(type(found), Tensor) or found.device.type != device:
            continue
        # torch.compile keeps some, which have no memory.
        if issubclass(type(found), FakeTensor):
            continue
        storage = found.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        if found.dtype in _INTEGERS:
            indices.add(storage.data_ptr())
    return Live(sum(sizes.values()), sum(sizes[pointer] for pointer in indices))


def peak_bytes(step: Callable[[], object], *, device: str = "cpu") -> int:
    """Returns the most bytes that a step has allocated at once, exactly, besides what was there.

    On a CPU from the profiler's record of each allocation of a tensor's memory, on a card from its
    allocator. Memory that libraries allocate for themselves in a product is not seen.

    Args:
        step: what is run.
        device: ``cpu`` or ``cuda``, where it allocates.
    """
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    # Else it tells standard error that it starts and stops.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    results: Any = profiled.profiler.kineto_results  # type: ignore[union-attr]
    events = [event for event in results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


class _Operators(TorchDispatchMode):
    """Notes which operators run that are not torch's own."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, Any] = {}

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - here and below: as torch calls it
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        del types
        if func.namespace not in _OWN:
            self.found[func._schema.name] = func._overloadpacket
        return func(*args, **(kwargs or {}))


def _attention() -> dict[Any, Callable[..., int]]:
    """Returns formulas of attention on the CPU: torch 2.13 counts it on GPUs alone."""

    def forward(query: Any, key: Any, *_: Any, **__: Any) -> int:  # noqa: ANN401
        # Queries with keys, and weights with values.
        return 4 * math.prod(query) * int(key[-2])

    def backward(_: Any, query: Any, key: Any, *__: Any, **___: Any) -> int:  # noqa: ANN401
        # The weights again, and four gradients.
        return 10 * math.prod(query) * int(key[-2])

    return {
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: forward,
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: backward,
    }


def _four_bit() -> dict[Any, Callable[..., int]]:
    """Returns the formula of bitsandbytes' product with 4-bit weights, where it is loaded."""

    def forward(x: Any, _: Any, shape: Sequence[int], *__: Any, **___: Any) -> int:  # noqa: ANN401
        return 2 * math.prod(x) * shape[0]

    operators = torch.ops.bitsandbytes
    return {operators.gemm_4bit: forward} if hasattr(operators, "gemm_4bit") else {}
