"""What a compiled kernel is made of: its resources, and its instructions in and out of loops."""

from __future__ import annotations

import math
import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import triton

__all__ = ["Disassembly", "disassemble", "parse"]

_TOOL = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
_INSTRUCTION = re.compile(
    r"^\s*/\*(?P<address>[0-9a-f]{4,})\*/\s+(?P<condition>@!?U?P\w+\s+)?"
    r"(?P<name>[A-Z][A-Za-z0-9_.]*)(?P<operands>[^;]*);"
)
_TARGET = re.compile(r"0x([0-9a-f]+)")
_RESOURCES = re.compile(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")
# Kinds of instruction, by the first part of their names; what is in none is "other". Comparisons
# of float32 are work of the integer unit, integer multiplications of float32's.
_KINDS = {
    "tensor": ("HMMA", "HGMMA", "WGMMA", "IMMA"),
    "float": ("FFMA", "FADD", "FMUL", "HADD2", "HFMA2", "HMUL2"),
    "multiply": ("IMAD", "IMUL", "IDP"),
    "integer": (
        *("IADD3", "LOP3", "SHF", "IMNMX", "VIMNMX", "ISETP", "LEA", "SEL", "PRMT", "IABS", "IADD"),
        *("VIADD", "VIADDMNMX", "VIMNMX3", "SHL", "SHR", "LOP", "PLOP3", "FSEL", "FSETP", "FMNMX"),
    ),
    "load": ("LDG", "LDGSTS"),
    "store": ("STG",),
    "atomic": ("RED", "REDG", "ATOM", "ATOMG"),
    "shared": ("LDS", "STS", "LDSM", "STSM", "SHFL"),
    "spill": ("LDL", "STL"),
}
_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names}


@dataclass(frozen=True)
class Disassembly:
    """A kernel for one GPU, read statically."""

    registers: int
    """Of a thread."""
    shared_bytes: int
    """Static, of a block of threads; what is asked for at launch is Triton's to say."""
    local_bytes: int
    """Of a thread: local memory and stack, which is where spilled registers go."""
    outside: Counter[str]
    """Instructions outside of loops, by kind."""
    inside: Counter[str]
    """Instructions inside of loops, by kind."""
    loads_outside: Counter[int]
    """Loads from global memory outside of loops, by their bytes for each thread."""
    loads_inside: Counter[int]
    """Loads from global memory inside of loops, by their bytes for each thread."""
    tensor_operations_inside: int
    """Operations of a thread's share of the tensor instructions inside of loops, one turn each."""

    @property
    def spills(self) -> int:
        """Instructions that load or store a spilled register."""
        return self.outside["spill"] + self.inside["spill"]

    def narrow_loads(self, *, below_bytes: int = 8) -> int:
        """Returns how many loads inside of loops move fewer bytes for each thread.

        Of a kernel without a loop all loads count: a program does its work in one turn.

        Args:
            below_bytes: bytes from which on a load is wide.
        """
        loads = self.loads_inside if self.inside.total() else self.loads_outside
        return sum(n for size, n in loads.items() if size < below_bytes)


def disassemble(cubin: bytes, folder: Path) -> Disassembly:
    """Returns what a compiled kernel is made of.

    Args:
        cubin: as Triton makes it.
        folder: where the tools may read it from.

    Raises:
        subprocess.CalledProcessError: the tool of the triton wheel fails.
    """
    path = folder / "kernel.cubin"
    path.write_bytes(cubin)
    texts = [
        subprocess.run(
            [str(_TOOL), option, str(path)], check=True, capture_output=True, text=True
        ).stdout
        for option in ("-sass", "-res-usage")
    ]
    return parse(*texts)


def parse(sass: str, resources: str) -> Disassembly:
    """Returns what the outputs of ``cuobjdump -sass`` and ``-res-usage`` say.

    Raises:
        ValueError: there is no instruction, or no line of resources.
    """
    instructions = [_read(match) for match in map(_INSTRUCTION.match, sass.splitlines()) if match]
    usage = _RESOURCES.search(resources)
    if not instructions or usage is None:
        raise ValueError(
            f"cuobjdump printed {len(instructions)} instructions and "
            f"{'a' if usage else 'no'} line of resources; both are needed; "
            "look at its output, whose form may have changed"
        )
    in_loop = _addresses_in_loops(instructions)
    kinds = {True: Counter[str](), False: Counter[str]()}
    loads = {True: Counter[int](), False: Counter[int]()}
    tensor_operations = 0
    for instruction in instructions:
        is_inside, name = instruction.address in in_loop, instruction.name
        kind = _KIND_OF.get(name.partition(".")[0], "other")
        # NOP fills up the end of a kernel.
        kinds[is_inside][kind] += name != "NOP"
        if kind == "load":
            loads[is_inside][_load_bytes(name)] += 1
        if kind == "tensor" and is_inside:
            tensor_operations += _tensor_operations(name)
    registers, stack, shared, local = map(int, usage.groups())
    return Disassembly(
        registers=registers,
        shared_bytes=shared,
        local_bytes=stack + local,
        outside=kinds[False],
        inside=kinds[True],
        loads_outside=loads[False],
        loads_inside=loads[True],
        tensor_operations_inside=tensor_operations,
    )


@dataclass(frozen=True)
class _Instruction:
    address: int
    name: str
    target: int | None
    """Where it may jump to."""
    is_end: bool
    """Whether the next instruction never follows it."""


def _read(match: re.Match[str]) -> _Instruction:
    address, name, operands = int(match["address"], 16), match["name"], match["operands"]
    target = _TARGET.search(operands) if name.startswith(("BRA", "CALL", "JMP")) else None
    # A condition is also among the operands (`BRA P0, 0x80`, `BRA.DIV UR4, 0x80`), before the
    # address. Calls come back.
    is_certain = match["condition"] is None and "," not in operands
    return _Instruction(
        address,
        name,
        None if target is None else int(target[1], 16),
        is_certain and name.startswith(("BRA", "JMP", "EXIT", "RET")),
    )


def _addresses_in_loops(instructions: Sequence[_Instruction]) -> set[int]:
    """Returns the addresses that the flow of control can come back to.

    A backward branch alone is no loop: rare paths are moved behind the end of a kernel, from where
    they jump back.
    """
    after: dict[int, set[int]] = {x.address: set() for x in instructions}
    before: dict[int, set[int]] = {x.address: set() for x in instructions}
    for number, x in enumerate(instructions):
        following = [] if x.is_end else [y.address for y in instructions[number + 1 : number + 2]]
        # One that jumps to itself only fills up the end of a kernel.
        jumps = [] if x.target in (None, x.address) else [x.target]
        for address in (*following, *jumps):
            if address in after:
                after[x.address].add(address)
                before[address].add(x.address)
    inside: set[int] = set()
    for address, targets in after.items():
        for start in targets:
            if start < address:
                inside |= _reached(start, after) & _reached(address, before)
    return inside


def _reached(start: int, steps: Mapping[int, set[int]]) -> set[int]:
    seen, waiting = {start}, [start]
    while waiting:
        new = steps[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


def _tensor_operations(name: str) -> int:
    """Returns a thread's share of the operations of HMMA.16816 (a warp) or HGMMA.64x128x16 (4)."""
    short, long = re.search(r"\.(16)(8)(8|16)\b", name), re.search(r"\.(\d+)x(\d+)x(\d+)", name)
    sizes = short or long
    if sizes is None:
        raise ValueError(
            f"the tensor instruction {name} names no sizes; known are HMMA.16816 and "
            "HGMMA.64x128x16; add its form here"
        )
    return 2 * math.prod(map(int, sizes.groups())) // (32 if short else 128)


def _load_bytes(name: str) -> int:
    """Returns the bytes for each thread of a load, from the parts of its name: LDG.E.128."""
    parts = name.split(".")
    if "128" in parts:
        return 16
    if "64" in parts:
        return 8
    if parts and any(part in ("U16", "S16") for part in parts):
        return 2
    return 1 if any(part in ("U8", "S8") for part in parts) else 4
