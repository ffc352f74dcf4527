"""Kernels compiled for GPUs that are not there, exactly as their launches would.

The launchers run on tensors without data, under a driver that knows a target and no device. So what
is compiled has the arguments, the alignment and the sizes of blocks of a real call.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver
from triton.runtime.jit import JITFunction

from benchmarks._sass import Disassembly, disassemble

__all__ = ["Compiled", "compile_launches", "require_compiler"]


@dataclass(frozen=True)
class Compiled:
    """One launch of a kernel, compiled for one target."""

    kernel: str
    target: int
    """80 or 90: the compute capability, without its point."""
    programs: int
    threads: int
    """Of a program."""
    launch_shared_bytes: int
    """Shared memory of a program, as the launch asks for it."""
    code: Disassembly


class _NoDevice:
    """The part of a driver that compiling asks."""

    def __init__(self, target: int) -> None:
        self._target = target

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self._target, 32)

    def get_current_device(self) -> int:
        # Keeps the compiled kernels of two targets apart.
        return self._target

    def get_current_stream(self, device: int) -> int:
        del device
        return 0


def require_compiler() -> None:
    """Checks that kernels can be compiled in this process.

    Raises:
        RuntimeError: Triton has been imported as an interpreter.
    """
    from sweeper_kernels._triton import mosa

    if not isinstance(mosa._expand_kernel, JITFunction):
        raise RuntimeError(
            "TRITON_INTERPRET is set, so kernels are interpreted; to compile them it must not be; "
            "unset it and start again"
        )


def compile_launches(call: Callable[[], object], *, target: int) -> list[Compiled]:
    """Returns every kernel that a call launches, compiled and not run.

    Args:
        call: calls launchers; its tensors are made on the meta device.
        target: 80 or 90.
    """
    found: list[Compiled] = []
    with _recording(found, target), torch.device("meta"), torch.no_grad():
        call()
    return found


@contextmanager
def _recording(found: list[Compiled], target: int) -> Iterator[None]:
    run = JITFunction.run

    # In the place of Triton's method, so with its arguments.
    def compile_only(
        self: JITFunction[Any],
        *args: object,
        grid: tuple[int, ...],
        warmup: bool,
        **options: object,
    ) -> object:
        del warmup
        made = run(self, *args, grid=grid, warmup=True, **options)
        programs = 1
        for count in grid:
            programs *= count
        with tempfile.TemporaryDirectory() as folder:
            code = disassemble(made.asm["cubin"], Path(folder))
        found.append(
            Compiled(
                kernel=self.fn.__name__,
                target=target,
                programs=programs,
                threads=32 * made.metadata.num_warps,
                launch_shared_bytes=made.metadata.shared,
                code=code,
            )
        )
        return made

    before = driver._active
    JITFunction.run = compile_only
    driver.set_active(_NoDevice(target))
    try:
        yield
    finally:
        JITFunction.run = run
        driver._active = before
