"""The filter as the kernel runs it, run here; test_jail.py tries it on the kernel."""

import platform
import re
import struct
import sys
from pathlib import Path

import pytest

from sweeper.evaluation.sandbox import system_calls
from sweeper.evaluation.sandbox.system_calls import REFUSED, make_filter

ALLOW, REFUSE = 0x7FFF0000, 0x00050001
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def answer(program: bytes, architecture: int, number: int) -> int:
    """Returns what the BPF machine answers to one system call."""
    data = struct.pack("II", number, architecture)
    instructions = list(struct.iter_unpack("HBBI", program))
    place, loaded = 0, 0
    while True:
        code, if_true, if_false, value = instructions[place]
        if code == 0x20:
            [loaded] = struct.unpack_from("I", data, value)
            place += 1
        elif code == 0x06:
            return value
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value}[code]
            place += 1 + (if_true if holds else if_false)


@pytest.mark.parametrize("machine", REFUSED)
def test_each_call_is_answered(machine, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(sys, "platform", "linux")
    program = make_filter()
    refused = {*REFUSED[machine].values(), *system_calls._REFUSED_EVERYWHERE.values()}
    for number in range(600):
        expected = REFUSE if number in refused else ALLOW
        assert answer(program, ARCHITECTURES[machine], number) == expected
        other = next(value for name, value in ARCHITECTURES.items() if name != machine)
        assert answer(program, other, number) == REFUSE
    if machine == "x86_64":
        assert answer(program, ARCHITECTURES[machine], 0x40000000) == REFUSE


def test_other_machines_have_none(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert make_filter() == b""


@pytest.mark.parametrize(
    ("machine", "header"),
    [
        ("x86_64", "x86_64-linux-gnu/asm/unistd_64.h"),
        ("aarch64", "asm-generic/unistd.h"),
    ],
)
def test_numbers_are_those_of_the_kernel(machine, header):
    path = Path("/usr/include") / header
    if not path.exists():
        pytest.skip("the kernel's headers are not installed")
    pairs = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text())
    numbers = {name: int(number) for name, number in pairs}
    for name, number in {**REFUSED[machine], **system_calls._REFUSED_EVERYWHERE}.items():
        # Old headers lack some.
        assert numbers.get(name, number) == number, name
