"""What a compiled kernel is made of: its resources, and its instructions in and out of loops."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import triton

__all__ = ["Disassembly", "disassemble", "parse"]

_TOOL = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
_INSTRUCTION = re.compile(r"^\s*/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)([^;]*);")
_TARGET = re.compile(r"0x([0-9a-f]+)")
_RESOURCES = re.compile(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")
# Kinds of instruction, by the first part of their names; what is in none is "other".
_KINDS = {
    "tensor": ("HMMA", "HGMMA", "WGMMA", "IMMA"),
    "float": ("FFMA", "FADD", "FMUL", "FSEL", "FSETP", "FMNMX", "HADD2", "HFMA2", "HMUL2", "MUFU"),
    "integer": (
        *("IMAD", "IADD3", "LOP3", "SHF", "IMNMX", "VIMNMX", "ISETP", "LEA", "SEL", "PRMT", "IABS"),
        *("VIADD", "VIADDMNMX", "VIMNMX3", "SHL", "SHR", "LOP", "PLOP3", "IADD"),
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

    @property
    def spills(self) -> int:
        """Instructions that load or store a spilled register."""
        return self.outside["spill"] + self.inside["spill"]

    def narrow_loads(self, *, below_bytes: int = 8) -> int:
        """Returns how many loads inside of loops move fewer bytes for each thread.

        Args:
            below_bytes: bytes from which on a load is wide.
        """
        return sum(n for size, n in self.loads_inside.items() if size < below_bytes)


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
    found = [match.groups() for match in map(_INSTRUCTION.match, sass.splitlines()) if match]
    usage = _RESOURCES.search(resources)
    if not found or usage is None:
        raise ValueError(
            f"cuobjdump printed {len(found)} instructions and "
            f"{'a' if usage else 'no'} line of resources; both are needed; "
            "look at its output, whose form may have changed"
        )
    instructions = [(int(at, 16), name, rest) for at, name, rest in found]
    in_loop = _addresses_in_loops(instructions)
    kinds = {True: Counter[str](), False: Counter[str]()}
    loads = {True: Counter[int](), False: Counter[int]()}
    for address, name, _ in instructions:
        kind = _KIND_OF.get(name.partition(".")[0], "other")
        kinds[address in in_loop][kind] += 1
        if kind == "load":
            loads[address in in_loop][_load_bytes(name)] += 1
    registers, stack, shared, local = map(int, usage.groups())
    return Disassembly(
        registers, shared, stack + local, kinds[False], kinds[True], loads[False], loads[True]
    )


def _addresses_in_loops(instructions: Sequence[tuple[int, str, str]]) -> set[int]:
    """Returns the addresses between a backward branch and its target.

    A branch to itself only fills up the end of a kernel.
    """
    inside: set[int] = set()
    for address, name, rest in instructions:
        target = _TARGET.search(rest)
        if name.startswith("BRA") and target and int(target[1], 16) < address:
            start = int(target[1], 16)
            inside.update(at for at, _, _ in instructions if start <= at <= address)
    return inside


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
