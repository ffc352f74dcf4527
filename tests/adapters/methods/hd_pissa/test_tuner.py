"""HD-PiSSA: the paper's algorithm on simulated GPUs, and what stays of it in an adapter."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import nn
from torch.testing import assert_close
from transformers.pytorch_utils import Conv1D

from sweeper_adapters import HdPissaConfig, HdPissaLinear
from sweeper_adapters.methods import HdPissaSpec
from sweeper_adapters.methods.hd_pissa.training import HdPissaTraining
from tests.adapters.direct import Direct

# float64 through ten steps of Adam.
EXACT: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-11}
# The singular vectors are float32.
SINGULAR: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}

SIZES = {"first": (13, 24), "second": (24, 17)}
SLICES, RANK = 3, 2


class Net(nn.Module):
    """Two layers, so that the gradient of one depends on the weight of the other."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(*SIZES["first"])
        self.second = nn.Linear(*SIZES["second"], bias=False)

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))


def net(seed=0):
    torch.manual_seed(seed)
    return Net().requires_grad_(False)


def config(**settings):
    return HdPissaConfig(
        **{"r": RANK, "slices": SLICES, "target_modules": ["first", "second"], **settings}
    )


def adapted(dtype=torch.float64, **settings):
    return get_peft_model(net(), config(**settings)).to(dtype)


def layers(model):
    return {name: model.base_model.model.get_submodule(name) for name in SIZES}


def slices_of(model, name="default"):
    return {key: layer.slices(name) for key, layer in layers(model).items()}


def move(model, seed=5):
    """Gives the moves values that show, as nothing but a step in progress does."""
    generator = torch.Generator().manual_seed(seed)
    for slices in slices_of(model).values():
        for parameter in (slices.move_a, slices.move_b):
            drawn = torch.randn(parameter.shape, generator=generator) * 0.1
            parameter.data.copy_(drawn)
    return model


def batch(samples, seed=1, tokens=()):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, *tokens, SIZES["first"][0], generator=generator)
    goal = torch.randn(samples, *tokens, SIZES["second"][1], generator=generator)
    return x.double(), goal.double()


def test_each_slice_is_the_next_part_of_the_weight():
    for name, layer in layers(adapted(torch.float32)).items():
        slices = layer.slices("default")
        left, values, right = torch.linalg.svd(layer.weight.double(), full_matrices=False)
        assert slices.a.shape == (SLICES, RANK, SIZES[name][0])
        assert slices.b.shape == (SLICES, SIZES[name][1], RANK)
        for index in range(SLICES):
            part = slice(index * RANK, (index + 1) * RANK)
            expected = left[:, part] * values[part] @ right[part]
            a, b = slices.a[index].double(), slices.b[index].double()
            assert_close(b @ a, expected, **SINGULAR)
            # Each factor has the root of the singular values.
            assert_close(a @ a.T, torch.diag(values[part]), **SINGULAR)
            assert_close(b.T @ b, torch.diag(values[part]), **SINGULAR)


@pytest.mark.parametrize("is_training", [False, True])
@pytest.mark.parametrize("tokens", [(), (4,), (2, 5)], ids=str)
def test_it_begins_as_the_base_to_the_bit(is_training, tokens):
    model = adapted(torch.float32).train(is_training)
    HdPissaTraining(model, slices=SLICES).set_task_ids(torch.zeros(6))
    x = batch(6, tokens=tokens)[0].float()
    assert torch.equal(model(x), net()(x))


def test_the_gradients_are_those_of_each_slice_s_factors_for_its_samples():
    model = adapted().train()
    HdPissaTraining(model, slices=SLICES).set_task_ids(torch.zeros(7 * SLICES))
    x, goal = batch(7 * SLICES, tokens=(4,))
    F.mse_loss(model(x), goal, reduction="sum").backward()
    plain = layers(model)
    for index in range(SLICES):
        factors = {
            name: tuple(getattr(s, side)[index].clone().requires_grad_() for side in "ab")
            for name, s in slices_of(model).items()
        }
        # W with one slice cut out and put in again, so that its factors have gradients.
        weights = {
            name: plain[name].weight + b @ a - (b @ a).detach() for name, (a, b) in factors.items()
        }
        hidden = torch.tanh(F.linear(x[index::SLICES], weights["first"], plain["first"].bias))
        F.mse_loss(
            F.linear(hidden, weights["second"]), goal[index::SLICES], reduction="sum"
        ).backward()
        for name, slices in slices_of(model).items():
            a, b = factors[name]
            assert_close(slices.move_a.grad[index], a.grad, **EXACT)
            assert_close(slices.move_b.grad[index], b.grad, **EXACT)


class Paper:
    """The paper's algorithm: K GPUs, each with a slice and the whole weight, in explicit loops."""

    def __init__(self, model):
        plain = layers(model)
        self.bias = plain["first"].bias.clone()
        self.weights = {name: layer.weight.clone() for name, layer in plain.items()}
        self.factors = [
            {name: (s.a[i].clone(), s.b[i].clone()) for name, s in slices_of(model).items()}
            for i in range(SLICES)
        ]
        self.moments: list[dict[tuple[str, int], list[Any]]] = [
            {(n, k): [0.0, 0.0] for n in SIZES for k in (0, 1)} for _ in range(SLICES)
        ]
        self.steps = 0

    def gradients(self, gpu, x, goal):
        """Of the mean loss over this GPU's samples."""
        factors = {
            name: tuple(factor.clone().requires_grad_() for factor in pair)
            for name, pair in self.factors[gpu].items()
        }
        weights = {
            name: self.weights[name] + b @ a - (b @ a).detach() for name, (a, b) in factors.items()
        }
        hidden = torch.tanh(F.linear(x, weights["first"], self.bias))
        F.mse_loss(F.linear(hidden, weights["second"]), goal).backward()
        return {(name, k): pair[k].grad for name, pair in factors.items() for k in (0, 1)}

    def step(self, batches, rate):
        """Adam on each GPU for itself; then all take all steps."""
        self.steps += 1
        moved = []
        for gpu, (x, goal) in enumerate(batches):
            steps = {}
            for key, gradient in self.gradients(gpu, x, goal).items():
                moments = self.moments[gpu][key]
                moments[0] = 0.9 * moments[0] + 0.1 * gradient
                moments[1] = 0.999 * moments[1] + 0.001 * gradient**2
                mean = moments[0] / (1 - 0.9**self.steps)
                square = moments[1] / (1 - 0.999**self.steps)
                steps[key] = rate * mean / (square.sqrt() + 1e-8)
            moved.append(steps)
        for name in SIZES:
            for gpu, steps in enumerate(moved):
                a, b = self.factors[gpu][name]
                step_a, step_b = steps[name, 0], steps[name, 1]
                self.weights[name] -= step_b @ a + b @ step_a - step_b @ step_a


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_it_is_the_paper_s_algorithm(micro_batches):
    model = adapted().train()
    paper = Paper(model)
    training = HdPissaTraining(model, slices=SLICES)
    [group] = training.groups()
    assert group.weight_decay == 0
    optimizer = torch.optim.AdamW(group.parameters, eps=1e-8 * group.eps, weight_decay=0.0)
    samples = 2 * SLICES * micro_batches
    for step, rate in enumerate([1e-2, 3e-2, 2e-2, 1e-2, 5e-3]):
        x, goal = batch(samples, seed=step // 2)
        optimizer.zero_grad()
        for part in torch.arange(samples).chunk(micro_batches):
            training.set_task_ids(torch.zeros(len(part)))
            loss = F.mse_loss(model(x[part]), goal[part]) / micro_batches
            loss.backward()
        training.before_step(Direct())
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        training.after_step(Direct(), learning_rate=rate, weight_decay=0.1)
        paper.step([(x[gpu::SLICES], goal[gpu::SLICES]) for gpu in range(SLICES)], rate)
        for name, layer in layers(model).items():
            found = layer.weight + layer.slices("default").change
            assert_close(found, paper.weights[name], **EXACT)
            # It moved, by far more than that.
            assert layer.slices("default").change.abs().mean() > 1e-3
        for slices in slices_of(model).values():
            assert not slices.move_a.any()
            assert not slices.move_b.any()


def test_a_step_has_twice_the_rank_of_all_slices():
    model = adapted().train()
    training = HdPissaTraining(model, slices=SLICES)
    training.set_task_ids(torch.zeros(60))
    x, goal = batch(60)
    F.mse_loss(model(x), goal).backward()
    torch.optim.AdamW(training.groups()[0].parameters, lr=1e-2).step()
    training.after_step(Direct(), learning_rate=1e-2, weight_decay=0.0)
    for slices in slices_of(model).values():
        assert torch.linalg.matrix_rank(slices.change) == 2 * SLICES * RANK


def test_where_no_slice_is_told_a_sample_is_of_all():
    model = move(adapted()).train()
    x, _ = batch(5, tokens=(3,))
    weights = {}
    for name, layer in layers(model).items():
        s = layer.slices("default")
        moved = sum(
            (s.b[i] + s.move_b[i]) @ (s.a[i] + s.move_a[i]) - s.b[i] @ s.a[i] for i in range(SLICES)
        )
        assert_close(layer.get_delta_weight("default"), moved.detach(), **EXACT)
        weights[name] = layer.weight + moved
    hidden = torch.tanh(F.linear(x, weights["first"], layers(model)["first"].bias))
    assert_close(model(x), F.linear(hidden, weights["second"]), **EXACT)


def test_evaluation_forgets_the_slices_of_training():
    model = move(adapted())
    training = HdPissaTraining(model, slices=SLICES)
    x, _ = batch(6)
    model.eval()
    expected = model(x)
    model.train()
    training.set_task_ids(torch.zeros(6))
    assert not torch.allclose(model(x), expected)
    model.eval()
    assert torch.equal(model(x), expected)
    # Not a multiple of the slices, as the last batch of an evaluation may be.
    training.set_task_ids(torch.zeros(4))
    assert torch.equal(model(x[:4]), model(x)[:4])


def test_samples_that_cannot_be_dealt_out_are_refused():
    model = adapted().train()
    training = HdPissaTraining(model, slices=SLICES)
    with pytest.raises(
        ValueError, match=r"1 workers with 4 sequences .*a multiple of the 3 slices"
    ):
        training.set_task_ids(torch.zeros(4))


def test_activations_that_do_not_begin_with_the_batch_are_refused():
    model = adapted().train()
    HdPissaTraining(model, slices=SLICES).set_task_ids(torch.zeros(6))
    x, _ = batch(12)
    with pytest.raises(
        ValueError, match=r"of 6 samples but .* of 12; .* whose inputs do not begin"
    ):
        model(x)


def test_more_triplets_than_there_are_are_refused():
    with pytest.raises(ValueError, match=r"7 slices of r 2 are 14 .* layer 13 -> 24 has 13; "):
        adapted(slices=7)


def test_a_quantised_weight_is_refused():
    model = net()
    model.first.weight = nn.Parameter(model.first.weight.to(torch.int8), requires_grad=False)
    with pytest.raises(ValueError, match=r"is of torch\.int8 .*not quantised, to be decomposed"):
        get_peft_model(model, config())


@pytest.mark.parametrize("field", ["r", "slices", "svd_iterations"])
def test_numbers_have_a_range(field):
    with pytest.raises(ValueError, match=f"hd_pissa: {field} is 0; allowed is 1 or more"):
        config(**{field: 0})


def test_the_spec_says_what_a_model_has_too_little_of(shape):
    assert HdPissaSpec(rank=4, slices=4).problems(shape) == []
    for spec, field, highest in [
        (HdPissaSpec(rank=5, slices=4), "rank", 4),
        (HdPissaSpec(rank=1, slices=17), "slices", 16),
    ]:
        problems = spec.problems(shape)
        assert [name for name, _ in problems] == [field, field]
        assert f"k_proj is 32 -> 16 and has 16; {field} may be 1 to {highest}" in problems[0][1]


def test_a_16_bit_base_keeps_its_change_in_float32():
    model = get_peft_model(net().to(torch.bfloat16), config())
    for slices in slices_of(model).values():
        assert {buffer.dtype for buffer in slices.buffers()} == {torch.float32}
        slices.change.fill_(1.0)
        step = torch.full_like(slices.move_a, 1e-4)
        # 1 + 1e-4 times an entry of B is 1 in bfloat16.
        slices.change.copy_(slices.total(step, torch.zeros_like(slices.move_b)))
        assert (slices.change != 1).any()
    x = batch(6)[0].bfloat16()
    assert model(x).dtype == torch.bfloat16


def test_gpt_2_s_layers_have_their_weight_the_other_way_round():
    torch.manual_seed(0)
    frozen = Conv1D(7, 10)
    weight = frozen.weight.detach().clone()
    adapter = get_peft_model(nn.Sequential(frozen), config(target_modules=["0"]))
    [layer] = [module for module in adapter.modules() if isinstance(module, HdPissaLinear)]
    slices = layer.slices("default")
    left, values, right = torch.linalg.svd(weight.T, full_matrices=False)
    part = left[:, : SLICES * RANK] * values[: SLICES * RANK] @ right[: SLICES * RANK]
    assert_close(sum(b @ a for a, b in zip(slices.a, slices.b, strict=True)), part, **SINGULAR)
    slices.change.normal_()
    x = torch.randn(4, 10)
    expected = adapter(x)
    adapter.merge_adapter()
    assert_close(adapter(x), expected)


def test_a_file_is_the_change_and_training_can_go_on_from_it(tmp_path):
    model = adapted(torch.float32)
    for slices in slices_of(model).values():
        slices.change.normal_(std=0.1)
    model.save_pretrained(tmp_path)
    file = load_file(tmp_path / "adapter_model.safetensors")
    assert len(file) == 5 * len(SIZES)
    changes = [value for name, value in file.items() if name.endswith(".change")]
    assert {tuple(value.shape) for value in changes} == {(24, 13), (17, 24)}
    x = batch(6)[0].float()
    assert torch.equal(PeftModel.from_pretrained(net(), tmp_path)(x), model(x))
    # Another base would give other factors: those of the file are taken.
    again = PeftModel.from_pretrained(net(seed=8), tmp_path, is_trainable=True)
    for name, slices in slices_of(again).items():
        assert_close(slices.state_dict(), slices_of(model)[name].state_dict(), rtol=0, atol=0)


def test_a_loaded_adapter_decomposes_nothing(tmp_path, monkeypatch):
    adapted(torch.float32).save_pretrained(tmp_path)
    monkeypatch.setattr("sweeper_adapters.methods.hd_pissa.tuner.decompose_leading", None)
    PeftModel.from_pretrained(net(), tmp_path)
    PeftModel.from_pretrained(net(), tmp_path, is_trainable=True, low_cpu_mem_usage=True)
    with pytest.raises(TypeError):
        PeftModel.from_pretrained(net(), tmp_path, is_trainable=True)


def test_a_checkpoint_brings_the_factors_and_the_change_back():
    model, other = adapted(torch.float32), adapted(torch.float32)
    for slices in slices_of(model).values():
        slices.change.normal_()
        slices.a.neg_()
    state = HdPissaTraining(model, slices=SLICES).state()
    assert len(state) == 3 * len(SIZES)
    HdPissaTraining(other, slices=SLICES).restore(state)
    for name, slices in slices_of(other).items():
        assert_close(slices.state_dict(), slices_of(model)[name].state_dict(), rtol=0, atol=0)


def test_a_batch_that_cannot_be_dealt_out_is_refused_before_anything_starts():
    from sweeper_adapters.methods import EngineFacts, HdPissaSpec

    facts = EngineFacts(zero_stage=0, workers=2, precision="fp32", has_gpu=False, batch_size=3)
    assert HdPissaSpec(slices=6).engine_problems(facts) == []
    [(field, message)] = HdPissaSpec(slices=4).engine_problems(facts)
    assert field == "slices"
    assert "2 workers with micro-batches of 3 see 6 sequences at once; allowed is a divi" in message
