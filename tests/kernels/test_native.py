import logging
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sweeper_kernels import Tessellation, backend, choose, group_index_reference, native, using
from sweeper_kernels.native import _calls
from tests.kernels.drawn import tessellations

# Sizes of a run of tests, in any order, and long enough for several strips of a row.
LONG = [(3, 5000), (64, 4100), (70, 65), (1, 3000), (3000, 1), (128, 70_000)]


@given(tessellations())
def test_groups_are_those_of_the_reference(tessellation):
    assert torch.equal(native.native_group_index(tessellation), group_index_reference(tessellation))


@pytest.mark.parametrize("shape", LONG)
@pytest.mark.parametrize("strategy", ["brt", "row", "col", "skewed"])
def test_groups_are_those_of_the_reference_on_long_rows(shape, strategy):
    groups = shape[0] * shape[1] // 19
    tessellation = Tessellation(shape[0], shape[1], groups, strategy, seed=3)
    assert torch.equal(native.native_group_index(tessellation), group_index_reference(tessellation))


@given(st.integers(1, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_division_is_exact(divisor, number):
    made = _calls._find_divisor(divisor)
    for candidate in (number, number // divisor * divisor, max(0, number // divisor * divisor - 1)):
        assert candidate * made.factor >> made.shift == candidate // divisor
        assert candidate * made.factor < 2**64


def test_a_tile_is_written_to_its_last_weight():
    tessellation = Tessellation(100, 4100, 77, seed=1)
    values, weight = torch.randn(77), torch.randn(100, 4100)
    expected = weight + values[group_index_reference(tessellation).long()]
    for tile in ((0, 100, 0, 4100), (7, 9, 63, 4099), (99, 100, 4099, 4100)):
        out = torch.full((tile[1] - tile[0], tile[3] - tile[2]), torch.nan)
        native.expand(values, tessellation, tile, weight=weight, out=out)
        assert torch.equal(out, expected[tile[0] : tile[1], tile[2] : tile[3]])


def test_float64_and_what_is_asked_for():
    single = torch.ones(1)
    assert choose(single) == "native"
    assert choose(single.double()) == "torch"
    with using("torch"):
        assert choose(single) == "torch"
    assert choose(single) == "native"


def test_a_gpu_has_triton_unless_results_must_repeat():
    on_gpu: Any = SimpleNamespace(device=torch.device("cuda"), dtype=torch.float32)
    assert choose(on_gpu) == "triton"
    with using("native"):
        assert choose(on_gpu) == "triton"
    torch.use_deterministic_algorithms(True)
    try:
        assert choose(on_gpu) == "torch"
    finally:
        torch.use_deterministic_algorithms(False)


def run(code, **environment):
    """Runs code in a process of its own, where nothing is loaded yet."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


CHOOSE = """
import logging, torch
logging.basicConfig(format="%(message)s", level=logging.INFO)
from sweeper_kernels import choose
print(choose(torch.ones(1)))
"""


def test_without_a_compiler_torch_takes_over_and_says_so(tmp_path):
    found = run(CHOOSE, CC="no-such-compiler", XDG_CACHE_HOME=str(tmp_path))
    assert found.stdout == "torch\n"
    assert "could not be compiled" in found.stderr
    assert "no-such-compiler" in found.stderr
    assert "kernels on cpu: torch" in found.stderr
    found = run(
        CHOOSE, CC="no-such-compiler", XDG_CACHE_HOME=str(tmp_path), SWEEPER_KERNELS="native"
    )
    assert "SWEEPER_KERNELS is 'native', but the kernels for CPUs could not be" in found.stderr


def test_a_backend_is_named_by_the_environment():
    assert run(CHOOSE, SWEEPER_KERNELS="torch").stdout == "torch\n"
    wrong = run(CHOOSE, SWEEPER_KERNELS="fast")
    assert "SWEEPER_KERNELS is 'fast'; allowed is one of triton, native, torch" in wrong.stderr


def test_processes_that_compile_at_once_leave_one_library(tmp_path):
    code = "from sweeper_kernels import native; assert native.is_available()"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    running = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    assert [path.suffix for path in (tmp_path / "sweeper_kernels").iterdir()] == [".so"]


def test_threads_are_those_of_torch():
    before = torch.get_num_threads()
    tessellation = Tessellation(512, 512, 100)
    values = torch.randn(512, 512)
    sums = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            adding = native.NativeSums(tessellation, groups=100)
            adding.add(values, (0, 512, 0, 512))
            sums.append(adding.total())
    finally:
        torch.set_num_threads(before)
    for found in sums[1:]:
        torch.testing.assert_close(found, sums[0])


def test_what_runs_is_said_once(caplog):
    backend._tell.cache_clear()
    with caplog.at_level(logging.INFO, logger="sweeper_kernels.backend"):
        for _ in range(3):
            choose(torch.ones(1))
    assert [record.message for record in caplog.records] == ["kernels on cpu: native"]


def test_threads_that_come_between_do_no_harm():
    before = torch.get_num_threads()
    values = torch.ones(512, 512)
    try:
        torch.set_num_threads(1)
        sums = native.NativeSums(Tessellation(512, 512, 7), groups=7)
        torch.set_num_threads(4)
        sums.add(values, (0, 512, 0, 512))
    finally:
        torch.set_num_threads(before)
    assert sums.total().sum() == 512 * 512


def test_a_tile_at_the_end_of_the_largest_matrix():
    tessellation = Tessellation(46_340, 46_340, 46_341, seed=2)
    tile = (46_330, 46_340, 46_300, 46_340)
    rows, columns = torch.arange(*tile[:2])[:, None], torch.arange(*tile[2:])
    expected = tessellation.group(tessellation.position(rows * 46_340 + columns))
    out = torch.full((10, 40), torch.nan)
    native.expand(torch.arange(46_341.0), tessellation, tile, weight=None, out=out)
    assert torch.equal(out.long(), expected)


def test_a_tensor_of_another_device_is_refused():
    out = torch.empty(3, 4, device="meta")
    with pytest.raises(ValueError, match="given a tensor on meta; allowed is the CPU"):
        native.expand(torch.ones(2), Tessellation(3, 4, 2), (0, 3, 0, 4), weight=None, out=out)
