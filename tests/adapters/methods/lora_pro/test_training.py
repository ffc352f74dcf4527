"""LoRA-Pro: the paper's equations, and what they are for."""

from typing import Any

import pytest
import torch
from peft import get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn
from torch.testing import assert_close

from sweeper_adapters.methods import EngineFacts, LoraProSpec
from sweeper_adapters.methods.lora_pro.gradients import adjust_gradients
from sweeper_adapters.methods.lora_pro.training import LoraProTraining
from tests.adapters.direct import Direct

# All is float64; the formulas divide by eigenvalues of products, 1e-3 of the largest at the least.
EXACT: dict[str, Any] = {"rtol": 1e-8, "atol": 1e-9}
# So little that float64 hardly sees it.
DAMPING = 1e-12

SIZES = [(1, 7, 5), (3, 9, 11), (4, 16, 4)]


@pytest.fixture(params=SIZES, ids=str)
def problem(request):
    """A, B, the scale, the full gradient G, and LoRA's gradients."""
    return make_problem(*request.param)


def make_problem(rank, out_features, in_features, seed=0, scaling=1.7):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    a, b = normal(rank, in_features), normal(out_features, rank)
    full = normal(out_features, in_features)
    return a, b, scaling, full, scaling * b.T @ full, scaling * full @ a.T


def adjusted(problem, damping=DAMPING):
    a, b, scaling, _, grad_a, grad_b = problem
    return adjust_gradients(a, b, grad_a, grad_b, scaling=scaling, damping=damping)


def equivalent(problem, grad_a, grad_b):
    """The gradient of the weight that a step along these two is a step along."""
    a, b, scaling = problem[:3]
    return scaling * b @ grad_a + scaling * grad_b @ a


def sylvester_by_kronecker(left, right, constant):
    """X with L X + X M = C, as one system of R² equations."""
    rank = len(left)
    eye = torch.eye(rank, dtype=torch.float64)
    system = torch.kron(left, eye) + torch.kron(eye, right.T.contiguous())
    return torch.linalg.solve(system, constant.flatten()).view(rank, rank)


def test_the_formulas_of_the_paper(problem):
    a, b, s, _, grad_a, grad_b = problem
    inverse_b, inverse_a = torch.linalg.inv(b.T @ b), torch.linalg.inv(a @ a.T)
    x = sylvester_by_kronecker(b.T @ b, a @ a.T, -inverse_b @ grad_a @ a.T / s**2)
    residual = b.T @ b @ x + x @ a @ a.T + inverse_b @ grad_a @ a.T / s**2
    assert_close(residual, torch.zeros_like(x), **EXACT)
    eye = torch.eye(len(b), dtype=torch.float64)
    expected_a = inverse_b @ grad_a / s**2 + x @ a
    expected_b = (eye - b @ inverse_b @ b.T) @ grad_b @ inverse_a / s**2 - b @ x
    found_a, found_b = adjusted(problem)
    assert_close(found_a, expected_a, **EXACT)
    assert_close(found_b, expected_b, **EXACT)


def test_no_other_gradients_come_closer_to_the_full_one(problem):
    a, b, s, full, grad_a, grad_b = problem
    found = adjusted(problem)
    distance = (equivalent(problem, *found) - full).norm()
    # The least squares over all pairs, as one linear system in their numbers.
    eye_o = torch.eye(len(full), dtype=torch.float64)
    eye_i = torch.eye(full.shape[1], dtype=torch.float64)
    rows = (s * a.T).clone(memory_format=torch.contiguous_format)
    system = torch.cat([torch.kron(s * b, eye_i), torch.kron(eye_o, rows)], dim=1)
    solved = torch.linalg.lstsq(system, full.flatten(), driver="gelsd").solution
    assert_close(distance, (system @ solved - full.flatten()).norm(), **EXACT)
    generator = torch.Generator().manual_seed(1)
    for size in (1e-3, 1e-1, 1.0):
        for _ in range(20):
            other = [
                g + size * torch.randn(g.shape, generator=generator, dtype=g.dtype) for g in found
            ]
            assert (equivalent(problem, *other) - full).norm() >= distance - 1e-12
    # Plain LoRA's, even with the best step size there is.
    plain = equivalent(problem, grad_a, grad_b)
    best = (plain * full).sum() / plain.square().sum()
    assert (best * plain - full).norm() > distance + 1e-3 or len(a) == a.shape[1]


def test_x_changes_nothing_in_the_weight_and_is_nearest_to_plain_lora(problem):
    a, b, _, _, grad_a, grad_b = problem
    found_a, found_b = adjusted(problem)
    weight = equivalent(problem, found_a, found_b)
    distance = (found_a - grad_a).square().sum() + (found_b - grad_b).square().sum()
    generator = torch.Generator().manual_seed(2)
    for size in (1e-3, 1e-1, 1.0):
        for _ in range(20):
            x = size * torch.randn((len(a), len(a)), generator=generator, dtype=a.dtype)
            other_a, other_b = found_a + x @ a, found_b - b @ x
            assert_close(equivalent(problem, other_a, other_b), weight, **EXACT)
            other = (other_a - grad_a).square().sum() + (other_b - grad_b).square().sum()
            assert other > distance


def test_a_step_moves_the_weight_along_the_full_gradients_best_approximation(problem):
    a, b, s, full, *_ = problem
    found_a, found_b = adjusted(problem)
    rate = 1e-6
    moved = s * (b - rate * found_b) @ (a - rate * found_a) - s * b @ a
    # What the columns of B reach of G, and what the rows of A reach of the rest.
    inside_b, inside_a = b @ torch.linalg.pinv(b), torch.linalg.pinv(a) @ a
    reached = inside_b @ full + (full - inside_b @ full) @ inside_a
    assert_close(moved / -rate, reached, rtol=1e-4, atol=1e-4)


def test_the_first_step():
    a, b, s, full, _, _ = make_problem(3, 9, 11)
    b = torch.zeros_like(b)
    grad_a, grad_b = s * b.T @ full, s * full @ a.T
    found_a, found_b = adjust_gradients(a, b, grad_a, grad_b, scaling=s, damping=DAMPING)
    assert torch.equal(found_a, grad_a)
    assert_close(found_b, grad_b @ torch.linalg.inv(a @ a.T) / s**2, **EXACT)


@pytest.mark.parametrize("damping", [1e-12, 1e-8, 1e-2])
def test_a_singular_factor_gives_bounded_gradients(damping):
    a, b, s, full, _, _ = make_problem(3, 9, 11)
    # Two columns alike, and one nearly nothing.
    b[:, 1] = b[:, 0]
    b[:, 2] *= 1e-9
    grad_a, grad_b = s * b.T @ full, s * full @ a.T
    # Noise where exact gradients have nothing, as rounding to 16 bit leaves it.
    grad_a = grad_a + 1e-3 * torch.randn(grad_a.shape, dtype=grad_a.dtype)
    found_a, found_b = adjust_gradients(a, b, grad_a, grad_b, scaling=s, damping=damping)
    assert torch.isfinite(found_a).all()
    assert torch.isfinite(found_b).all()
    largest = torch.linalg.eigvalsh(b.T @ b)[-1]
    smallest = torch.linalg.eigvalsh(a @ a.T)[0]
    first = grad_a.norm() / s**2 / (damping * largest)
    # X is a quotient of that by sums of eigenvalues of B'B and AA'.
    bound = first * (1 + a.norm() ** 2 / smallest)
    assert found_a.norm() <= bound


def test_damping_takes_the_share_it_says():
    problem = make_problem(3, 9, 11)
    a, b, s, _, grad_a, grad_b = problem
    eye = torch.eye(3, dtype=torch.float64)
    gram_b = b.T @ b + 0.01 * torch.linalg.eigvalsh(b.T @ b)[-1] * eye
    gram_a = a @ a.T + 0.01 * torch.linalg.eigvalsh(a @ a.T)[-1] * eye
    first = torch.linalg.solve(gram_b, grad_a) / s**2
    x = sylvester_by_kronecker(gram_b, gram_a, -first @ a.T)
    outside = grad_b - b @ torch.linalg.solve(gram_b, b.T @ grad_b)
    found_a, found_b = adjusted(problem, damping=0.01)
    assert_close(found_a, first + x @ a, **EXACT)
    assert_close(found_b, torch.linalg.solve(gram_a, outside.T).T / s**2 - b @ x, **EXACT)


def test_damping_can_be_a_number_of_its_own():
    a, b, s, _, grad_a, grad_b = make_problem(3, 9, 11)
    eye = torch.eye(3, dtype=torch.float64)
    gram_b, gram_a = b.T @ b + 0.01 * eye, a @ a.T + 0.01 * eye
    first = torch.linalg.solve(gram_b, grad_a) / s**2
    x = sylvester_by_kronecker(gram_b, gram_a, -first @ a.T)
    found_a, _ = adjust_gradients(a, b, grad_a, grad_b, scaling=s, damping=0.01, is_absolute=True)
    assert_close(found_a, first + x @ a, **EXACT)


def test_the_damping_of_the_spec_hardly_changes_a_well_conditioned_step():
    problem = make_problem(4, 30, 20)
    exact, damped = adjusted(problem), adjusted(problem, damping=LoraProSpec().damping)
    for found, expected in zip(damped, exact, strict=True):
        assert (found - expected).norm() < 1e-6 * expected.norm()


def test_many_layers_at_once_are_each_layer_alone():
    problems = [make_problem(3, 9, 11, seed=seed, scaling=0.5 + seed) for seed in range(4)]
    # One of them in its first step.
    problems[2][1].zero_()
    problems[2][4].zero_()
    stacked = [torch.stack([p[i] for p in problems]) for i in (0, 1, 4, 5)]
    scaling = torch.tensor([p[2] for p in problems], dtype=torch.float64)[:, None, None]
    together = adjust_gradients(*stacked, scaling=scaling, damping=DAMPING)
    for index, problem in enumerate(problems):
        for found, expected in zip(together, adjusted(problem), strict=True):
            assert_close(found[index], expected, **EXACT)


def test_float32_stays_float32_and_is_computed_in_float64():
    problem = make_problem(4, 16, 12)
    a, b, s, _, grad_a, grad_b = (x.float() if torch.is_tensor(x) else x for x in problem)
    found = adjust_gradients(a, b, grad_a, grad_b, scaling=s, damping=DAMPING)
    for value, expected in zip(found, adjusted(problem), strict=True):
        assert value.dtype == torch.float32
        assert_close(value.double(), expected, rtol=1e-4, atol=1e-5)


def test_training_adjusts_the_gradients_of_each_layer():
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module("wide", nn.Linear(7, 12))
    model.add_module("same", nn.Linear(12, 12, bias=False))
    model.add_module("twin", nn.Linear(12, 12))
    config = LoraProSpec(rank=3, alpha=5, targets=("wide", "same", "twin")).peft_config()
    changes = {"task_type": None, "rank_pattern": {"twin": 2}, "init_lora_weights": False}
    for name, value in changes.items():
        setattr(config, name, value)
    adapted = get_peft_model(model, config)
    adapted(torch.randn(4, 7)).square().sum().backward()
    layers: list[Any] = [module for module in adapted.modules() if isinstance(module, LoraLayer)]
    assert len(layers) == 3
    expected = {}
    for layer in layers:
        a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        found = adjust_gradients(
            a.detach(), b.detach(), a.grad, b.grad, scaling=layer.scaling["default"], damping=1e-6
        )
        expected[a], expected[b] = found
    assert {layer.scaling["default"] for layer in layers} == {5 / 3, 5 / 2}
    LoraProTraining(adapted, damping=1e-6).before_step(Direct())
    for parameter, gradient in expected.items():
        assert_close(parameter.grad, gradient)
    assert len(expected) == len([p for p in adapted.parameters() if p.requires_grad])


def test_descent_is_as_fast_as_with_the_full_weight():
    """On a least squares that rank 2 can solve, each step takes the same share of the distance."""
    rate, steps = 0.05, 100
    left = {}
    for name in ("plain", "pro"):
        torch.manual_seed(3)
        goal = 0.01 * torch.randn(12, 2).double() @ torch.randn(2, 10).double()
        a = torch.randn(2, 10).double() * 0.1
        b = torch.zeros(12, 2).double()
        for _ in range(steps):
            full = b @ a - goal
            grads = b.T @ full, full @ a.T
            if name == "pro":
                grads = adjust_gradients(a, b, *grads, scaling=1.0, damping=DAMPING)
            a, b = a - rate * grads[0], b - rate * grads[1]
        left[name] = float((b @ a - goal).norm() / goal.norm())
    full_weight = (1 - rate) ** steps
    assert left["pro"] < 2 * full_weight
    assert left["plain"] > 50 * full_weight


def test_fp16_is_refused():
    spec = LoraProSpec()
    for precision in ("fp32", "bf16"):
        assert spec.engine_problems(EngineFacts(0, 1, precision, has_gpu=True, batch_size=2)) == []
    [(field, message)] = spec.engine_problems(EngineFacts(0, 1, "fp16", has_gpu=True, batch_size=2))
    assert field == "engine.precision"
    assert "allowed are 'fp32' and 'bf16'" in message


@pytest.mark.parametrize("damping", [0.0, -1.0, 0.5])
def test_damping_has_a_range(damping):
    with pytest.raises(ValueError, match="damping"):
        LoraProSpec(damping=damping)
