import os

import pytest
import torch


@pytest.fixture
def device():
    """The CPU where kernels are interpreted, else a GPU."""
    if os.environ["TRITON_INTERPRET"] == "1":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        pytest.skip("compiled kernels need a CUDA device")
    return torch.device("cuda")


@pytest.fixture(autouse=True)
def _poisoned(monkeypatch):
    """Fills new memory with NaN, so that what a kernel does not write shows."""
    empty = torch.empty

    def poisoned(*arguments, **options):
        tensor = empty(*arguments, **options)
        return tensor.fill_(torch.nan) if tensor.is_floating_point() else tensor

    monkeypatch.setattr(torch, "empty", poisoned)
