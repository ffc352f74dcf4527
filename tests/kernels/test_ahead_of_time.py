"""Kernels as they are compiled for GPUs: no spills, and no narrow loads in loops."""

import json
import os
import re
import subprocess
import sys
from collections import Counter

import pytest

from benchmarks._bench import RESULTS
from benchmarks._sass import parse
from tests.kernels.compiled import chosen

CLAIM = re.compile(r"(?<!not )\bmeasured", re.IGNORECASE)


@pytest.fixture(scope="module")
def compiled():
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


@pytest.fixture(scope="module")
def rows(compiled):
    return compiled["rows"]


@pytest.mark.slow
def test_no_kernel_spills_or_loads_narrowly_in_a_loop(rows):
    ours = [row for row in rows if row["shape"] != "bad"]
    assert len(ours) == 2 * len(chosen())
    assert [problem for row in ours for problem in row["problems"]] == []
    assert {row["kernel"] for row in ours} == {
        "_expand_kernel",
        "_grad_values_kernel",
        "_segment_sum_computed_kernel",
        "_segment_sum_stored_kernel",
        "_masa_gate_fwd_kernel",
        "_masa_gate_bwd_kernel",
    }


@pytest.mark.slow
def test_products_are_those_of_the_algorithm(rows):
    """What loops execute, by turns and sizes of instructions, is what the case declares."""
    products = [row for row in rows if row["kernel"] == "_grad_values_kernel"]
    assert len(products) == 2 * sum(case.name.startswith("grad_values") for case in chosen()) > 0
    for row in products:
        executed = row["executed_tensor_operations"]
        if "float32" in row["case"]:
            # Outside of the loop there are no multiplications of float32.
            assert executed == 0
            executed = 2 * row["executed"]["float"]
        # Sums of stripes and conversions, outside of the loop.
        assert row["operations"] <= executed <= 1.01 * row["operations"], row["case"]


@pytest.mark.slow
def test_no_time_is_below_what_any_resource_allows(rows):
    for row in rows:
        assert row["computed_us"] == max(row["computed_bounds_us"].values())
        assert 0 < row["resident_warps"] <= 64


@pytest.mark.slow
@pytest.mark.parametrize(("name", "message"), [("strided", "4 bytes or less"), ("greedy", "spill")])
def test_a_bad_kernel_is_caught(rows, name, message):
    bad = [row for row in rows if row["case"] == name]
    assert len(bad) == 2
    assert all(message in " ".join(row["problems"]) for row in bad)


def check_page(page):
    assert page.count("*Computed, not measured.*") == 1
    assert CLAIM.findall(page) == []
    titles = re.findall(r"^## (.*)$", page, re.MULTILINE)
    assert len(titles) == 3
    assert all("time" not in title or "Computed" in title for title in titles)


@pytest.mark.slow
def test_the_page_says_that_nothing_is_measured(compiled):
    check_page(compiled["page"])
    check_page((RESULTS / "kernels_report.md").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "claim", ["Measured on an A100.", "We measured 3 µs.", "## Time of a call"]
)
def test_a_page_that_claims_more_is_caught(compiled, claim):
    with pytest.raises(AssertionError):
        check_page(f"{compiled['page']}\n{claim}\n")


@pytest.mark.slow
@pytest.mark.parametrize("width", [80, 160])
def test_tables_fit_a_terminal(compiled, width):
    lines = compiled["tables"][str(width)].splitlines()
    assert len(lines) > 2 * len(chosen()) * 2
    assert max(map(len, lines)) <= width
    assert (
        sum(line.count(gpu) for line in lines for gpu in ("A100", "H100"))
        == 2 * 2 * len(chosen()) + 4
    )


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
        /*00a0*/                   NOP ;                                  /* 0xb */
"""
# A rare path behind the end is no loop; a conditional call that does not come back is a jump.
JUMPS = """
        /*0000*/               @P0 BRA 0x50 ;                             /* 0x1 */
        /*0010*/                   LDG.E R8, [R2.64] ;                    /* 0x2 */
        /*0020*/              @!P0 CALL.REL.NOINC 0x40 ;                  /* 0x3 */
        /*0030*/                   BRA {back} ;                           /* 0x4 */
        /*0040*/                   EXIT ;                                 /* 0x5 */
        /*0050*/                   LDG.E.64 R8, [R2.64] ;                 /* 0x6 */
        /*0060*/                   BRA 0x10 ;                             /* 0x7 */
        /*0070*/                   BRA 0x70 ;                             /* 0x8 */
"""
USAGE = "REG:40 STACK:0 SHARED:0 LOCAL:0"


def test_instructions_are_read():
    code = parse(SASS, "REG:40 STACK:8 SHARED:16 LOCAL:4")
    assert (code.registers, code.shared_bytes, code.local_bytes) == (40, 16, 12)
    assert code.inside == Counter(load=3, float=1, other=1)
    assert code.outside == Counter(load=1, spill=1, other=3)
    assert code.loads_inside == Counter({4: 1, 16: 1, 2: 1})
    assert code.loads_outside == Counter({16: 1})
    assert code.spills == 1
    assert code.narrow_loads() == 2


def test_only_what_can_come_back_is_a_loop():
    loop = parse(JUMPS.format(back="0x10"), USAGE)
    assert loop.loads_inside == Counter({4: 1})
    assert loop.loads_outside == Counter({8: 1})
    straight = parse(JUMPS.format(back="0x40"), USAGE)
    assert straight.loads_inside == Counter()
    # Without a loop all loads are of the one turn that there is.
    assert straight.narrow_loads() == 1


@pytest.mark.parametrize(
    ("name", "operations"),
    [
        ("HMMA.16816.F32.BF16", 2 * 16 * 8 * 16 // 32),
        ("HGMMA.64x128x16.F32.BF16", 2 * 64 * 128 * 16 // 128),
    ],
)
def test_tensor_instructions_are_as_large_as_they_say(name, operations):
    sass = f"/*0000*/ {name} R0, R1, R2, R3 ;\n/*0010*/ @P0 BRA 0x0 ;\n"
    assert parse(sass, USAGE).tensor_operations_inside == operations


def test_a_tensor_instruction_without_sizes_is_refused():
    with pytest.raises(ValueError, match=r"HMMA\.F32 names no sizes"):
        parse("/*0000*/ HMMA.F32 R0, R1 ;\n/*0010*/ @P0 BRA 0x0 ;\n", USAGE)


def test_another_form_of_output_is_refused():
    with pytest.raises(ValueError, match="cuobjdump printed 0 instructions and no line"):
        parse("nothing", "nothing")
