"""What the operations give on a GPU, by the kernels that are chosen there."""

import pytest
import torch

from sweeper_kernels import choose, mosa_linear, mosa_linear_reference
from tests.kernels.test_mosa_linear import (
    BFLOAT16_TOLERANCE,
    FLOAT32_TOLERANCE,
    assert_all_close,
    results,
    tensors,
)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gpu_gives_the_same(dtype):
    given, index = tensors((9, 100), 63, 200, dtype=dtype)
    on_gpu = {name: t.detach().cuda().requires_grad_() for name, t in given.items()}
    assert choose(on_gpu["x"]) == "triton"
    found = results(mosa_linear, on_gpu, index)
    expected = results(mosa_linear_reference, given, index)
    tolerance = FLOAT32_TOLERANCE if dtype == torch.float32 else BFLOAT16_TOLERANCE
    assert_all_close({name: t.cpu() for name, t in found.items()}, expected, **tolerance)
