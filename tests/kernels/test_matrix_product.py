"""Products by oneDNN are torch's own but for rounding, and can be had back."""

import pytest
import torch

from sweeper_kernels import matrix_product
from sweeper_kernels.matrix_product import is_taken, take_onednn, torch_products

# Of float32, as a share of the largest value of a product.
ROUNDING = 1e-5


@pytest.fixture
def taken(monkeypatch):
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    monkeypatch.delenv("SWEEPER_KERNELS", raising=False)
    monkeypatch.setattr(matrix_product, "_is_faster", lambda: True)
    with torch_products():
        assert take_onednn()
        yield
        matrix_product._taken.clear()


def called(run):
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        found = run()
    return found, {event.key for event in profile.key_averages()}


def drawn(*shapes, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]


def test_a_linear_layer_has_the_output_and_gradients_of_torch(taken):
    x, weight, wanted = drawn((4, 64, 96), (128, 96), (4, 64, 128))

    def run():
        inputs = [x.clone().requires_grad_(), weight.clone().requires_grad_()]
        output = torch.nn.functional.linear(*inputs)
        return [output.detach(), *torch.autograd.grad(output, inputs, wanted)]

    found, operations = called(run)
    assert "mkldnn::_linear_pointwise" in operations
    with torch_products():
        expected, operations = called(run)
    assert "mkldnn::_linear_pointwise" not in operations
    for own, other in zip(found, expected, strict=True):
        assert (own - other).abs().max() <= ROUNDING * other.abs().max()


@pytest.mark.parametrize(
    ("shapes", "dtype"),
    [
        # Few multiplications; next to a vector; in another dtype; none at all.
        (((16, 16), (16, 16)), torch.float32),
        (((4, 512), (512, 512)), torch.float32),
        (((128, 128), (128, 128)), torch.float64),
        (((128, 128), (128, 128)), torch.int64),
        (((0, 128), (128, 128)), torch.float32),
    ],
)
def test_other_products_are_torchs_own_to_the_bit(shapes, dtype, taken):
    matrices = drawn(*shapes, dtype=dtype)
    found, operations = called(lambda: torch.mm(*matrices))
    assert "mkldnn::_linear_pointwise" not in operations
    with torch_products():
        assert torch.equal(found, torch.mm(*matrices))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_matrices_that_do_not_fit_are_refused_as_by_torch(dtype, taken):
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        torch.mm(*drawn((128, 96), (128, 96), dtype=dtype))
    with pytest.raises(RuntimeError, match="dtype"):
        torch.mm(torch.zeros(128, 128), torch.zeros(128, 128, dtype=torch.float64))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((3,), (3, 3)), "self must be a matrix"),
        (((2, 3, 4), (4, 5)), "self must be a matrix"),
        (((3, 4), (4,)), "mat2 must be a matrix"),
    ],
)
def test_what_is_no_matrix_is_refused_as_by_torch(shapes, message, taken):
    with pytest.raises(RuntimeError, match=message):
        torch.mm(*drawn(*shapes))


def test_a_product_is_the_same_each_time(taken):
    first, second = drawn((200, 300), (300, 400))
    expected = first @ second
    assert all(torch.equal(first @ second, expected) for _ in range(3))


def test_the_environment_keeps_torchs_own(monkeypatch):
    monkeypatch.setattr(matrix_product, "_is_faster", lambda: True)
    monkeypatch.setenv("SWEEPER_KERNELS", "torch")
    with torch_products():
        assert not take_onednn()
        assert not is_taken()


def test_what_was_taken_is_taken_again(taken):
    with torch_products():
        assert not is_taken()
    assert is_taken()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("vendor_id\t: AuthenticAMD\n", True), ("vendor_id\t: GenuineIntel\n", False), (None, False)],
)
def test_the_cpu_is_asked(text, expected, monkeypatch, tmp_path):
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text, encoding="ascii")
    monkeypatch.setattr(matrix_product, "_CPUS", tmp_path / "cpuinfo")
    assert matrix_product._is_amd() is expected
