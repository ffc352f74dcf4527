"""Kernels as they are compiled for GPUs: no spills, and no narrow loads in loops."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from benchmarks._sass import parse


@pytest.fixture(scope="module")
def rows():
    # Triton is an interpreter in the processes of the other tests.
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    result = subprocess.run(
        [sys.executable, "-m", "tests.kernels.compiled"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_no_kernel_spills_or_loads_narrowly_in_a_loop(rows):
    ours = [row for row in rows if row["shape"] != "bad"]
    assert len(ours) == 2 * 23
    assert [problem for row in ours for problem in row["problems"]] == []
    assert {row["kernel"] for row in ours} == {
        "_expand_kernel",
        "_grad_values_kernel",
        "_segment_sum_computed_kernel",
        "_segment_sum_stored_kernel",
        "_masa_gate_fwd_kernel",
        "_masa_gate_bwd_kernel",
    }


def test_products_run_on_tensor_cores(rows):
    for row in rows:
        if row["kernel"] == "_grad_values_kernel":
            inside = row["instructions"]["inside"]
            assert inside.get("tensor" if "bfloat16" in row["case"] else "float", 0) >= 2


@pytest.mark.parametrize(("name", "message"), [("strided", "4 bytes or less"), ("greedy", "spill")])
def test_a_bad_kernel_is_caught(rows, name, message):
    bad = [row for row in rows if row["case"] == name]
    assert len(bad) == 2
    assert all(message in " ".join(row["problems"]) for row in bad)


SASS = """
        /*0000*/                   MOV R1, c[0x0][0x28] ;                 /* 0x1 */
        /*0010*/                   LDG.E.128 R4, [R2.64] ;                /* 0x2 */
.L_1:
        /*0020*/              @!P0 LDG.E R8, [R2.64+0x10] ;               /* 0x3 */
        /*0030*/                   LDGSTS.E.BYPASS.128 [R9], [R2.64] ;    /* 0x4 */
        /*0040*/                   LDG.E.U16 R8, [R2.64+0x10] ;           /* 0x5 */
        /*0050*/                   FFMA R1, R2, R3, R4 ;                  /* 0x6 */
        /*0060*/               @P1 BRA 0x20 ;                             /* 0x7 */
        /*0070*/                   STL [R1], R2 ;                         /* 0x8 */
        /*0080*/                   EXIT ;                                 /* 0x9 */
        /*0090*/                   BRA 0x90 ;                             /* 0xa */
"""


def test_instructions_are_read():
    code = parse(SASS, "REG:40 STACK:8 SHARED:16 LOCAL:4")
    assert (code.registers, code.shared_bytes, code.local_bytes) == (40, 16, 12)
    assert code.inside == Counter(load=3, float=1, other=1)
    assert code.outside == Counter(load=1, spill=1, other=3)
    assert code.loads_inside == Counter({4: 1, 16: 1, 2: 1})
    assert code.loads_outside == Counter({16: 1})
    assert code.spills == 1
    assert code.narrow_loads() == 2


def test_another_form_of_output_is_refused():
    with pytest.raises(ValueError, match="cuobjdump printed 0 instructions and no line"):
        parse("nothing", "nothing")
