"""AdaLoRA in training does what PEFT's own loop does, and saves what is left."""

from contextlib import nullcontext

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch.testing import assert_close

from sweeper.training.parameter_access import parameters_of
from sweeper_adapters.methods import AdaloraSpec
from tests.adapters.passes import logits, trained

STEPS = 8
# One step warms up; ranks are final from the fifth step on.
SPEC = AdaloraSpec(initial_rank=4, target_rank=2, warmup_share=0.2, final_share=0.4)
MODULES = 5 * 7
WHOLE, TARGET = MODULES * SPEC.initial_rank, MODULES * SPEC.target_rank
# The penalty's gradient is added by itself, and not in one backward pass.
SUM_ORDER = 1e-5
# Matrices without the rows that are zero are multiplied in another order.
FORM = 1e-6


def entries(model):
    return {name: p for name, p in trained(model).items() if "lora_E" in name}


def kept(model):
    """Which entries of E are not zero, over all layers."""
    return torch.cat([p.detach().flatten() != 0 for p in entries(model).values()])


class Ours:
    """Training as the engine does it without DeepSpeed: the hooks around plain SGD."""

    def __init__(self, spec, model, *, steps=STEPS):
        self.model = model.train()
        self.hooks = spec.training(model, steps=steps)
        self.optimizer = torch.optim.SGD(trained(model).values(), lr=0.5)
        self.access = parameters_of(None, zero_stage=0, precision="fp32")

    def step(self, ids):
        self.optimizer.zero_grad()
        found = self.model(input_ids=ids).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(found.flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        self.hooks.before_step(self.access)
        self.optimizer.step()
        self.hooks.after_step(self.access, learning_rate=0.5, weight_decay=0)


def peft_s_loop(spec, model, ids):
    """Yields after each step of the loop in PEFT's documentation."""
    config = model.active_peft_config
    config.total_step, config.tinit, config.tfinal = STEPS, 1, 3
    optimizer = torch.optim.SGD(trained(model).values(), lr=0.5)
    model.train()
    for step in range(1, STEPS + 1):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        model.base_model.update_and_allocate(step)
        optimizer.zero_grad()
        yield step


@pytest.mark.parametrize("interval", [1, 3])
def test_it_trains_as_peft_s_own_loop_does(interval, llama, ids):
    spec = SPEC.model_copy(update={"allocation_interval": interval})
    theirs, ours = spec.inject(llama(), seed=0), Ours(spec, spec.inject(llama(), seed=0))
    left = []
    for _ in peft_s_loop(spec, theirs, ids):
        ours.step(ids)
        assert torch.equal(kept(ours.model), kept(theirs))
        assert_close(trained(ours.model), trained(theirs), rtol=SUM_ORDER, atol=SUM_ORDER)
        left.append(int(kept(theirs).sum()))
    assert left[0] == WHOLE
    assert left[-4:] == [TARGET] * 4
    # Allocated in steps 2, 3 and 4, or in step 3 alone; after that what was zero is trained again.
    reduced = left[1:4] if interval == 1 else [left[2]]
    assert [WHOLE, *reduced, TARGET] == sorted({WHOLE, *reduced, TARGET}, reverse=True)
    assert interval == 1 or left[1:4:2] == [WHOLE, WHOLE]


def test_the_penalty_makes_rows_orthogonal(llama, ids):
    def distance(model):
        sides = {name: p.detach() for name, p in trained(model).items() if "lora_E" not in name}
        rows = [p if "lora_A" in name else p.T for name, p in sides.items()]
        return float(sum((x @ x.T - torch.eye(len(x))).norm() for x in rows))

    distances = []
    for weight in (0.0, 20.0):
        spec = SPEC.model_copy(update={"orthogonality": weight})
        run = Ours(spec, spec.inject(llama(), seed=0))
        for _ in range(STEPS):
            run.step(ids)
        distances.append(distance(run.model))
    assert distances[1] < 0.95 * distances[0]


def test_state_goes_on_bit_for_bit(llama, ids):
    through = Ours(SPEC, SPEC.inject(llama(), seed=0))
    for stop in (1, 3, 5, 6):
        while int(through.hooks.state()["step"]) < stop:
            through.step(ids)
        resumed = Ours(SPEC, SPEC.inject(llama(), seed=1))
        with torch.no_grad():
            for name, value in trained(through.model).items():
                trained(resumed.model)[name].copy_(value)
        resumed.hooks.restore(dict(through.hooks.state()))
        through.step(ids)
        resumed.step(ids)
        assert_close(trained(resumed.model), trained(through.model), rtol=0, atol=0)
        assert_close(dict(resumed.hooks.state()), dict(through.hooks.state()), rtol=0, atol=0)


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, STEPS])
def test_the_file_holds_what_is_left_and_does_the_same(steps, llama, ids, shape, tmp_path):
    # Between two allocations what was set to zero is trained again.
    spec = SPEC.model_copy(update={"allocation_interval": 2})
    run = Ours(spec, spec.inject(llama(), seed=0))
    for _ in range(steps):
        run.step(ids)
    expected = logits(run.model, ids)
    with run.hooks.finished():
        run.model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    count = sum(tensor.numel() for tensor in tensors.values())
    assert count == run.hooks.file_elements(spec.count(shape))
    ranks = [len(tensor) for name, tensor in tensors.items() if "lora_E" in name]
    left = [max(1, int((entry != 0).sum())) for entry in entries(run.model).values()]
    assert sorted(ranks) == (sorted(left) if steps else [4] * MODULES)
    # PEFT takes the ranks in the file's config for those of a LoRA, too.
    warns = pytest.warns(RuntimeWarning, match="rank_pattern keys")
    with warns if steps else nullcontext():
        loaded = PeftModel.from_pretrained(llama(), tmp_path)
    assert_close(logits(loaded, ids), expected, rtol=0, atol=FORM)


def test_a_layer_that_has_lost_all_keeps_one_zero(llama, ids, shape, tmp_path):
    run = Ours(SPEC, SPEC.inject(llama(), seed=0))
    for _ in range(STEPS):
        run.step(ids)
    name, entry = next(iter(entries(run.model).items()))
    entry.data.zero_()
    nothing = {f"kept {name.removeprefix('base_model.model.')}": torch.zeros(4, dtype=torch.bool)}
    run.hooks.restore({**run.hooks.state(), **nothing})
    with run.hooks.finished():
        run.model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    assert torch.equal(tensors[name.replace(".default", "")], torch.zeros(1, 1))
    count = sum(tensor.numel() for tensor in tensors.values())
    assert count == run.hooks.file_elements(SPEC.count(shape))


def test_the_rank_that_it_divides_by_is_not_trained_on_a_16_bit_base(llama):
    model = SPEC.inject(llama(torch.bfloat16), seed=0)
    assert not [name for name in trained(model) if "ranknum" in name]
    assert len(trained(model)) == 3 * MODULES


@pytest.mark.parametrize("steps", [1, 2])
def test_too_few_steps_before_the_final_ones_are_an_error(steps, llama):
    spec = SPEC.model_copy(update={"final_share": 0.5})
    model = spec.inject(llama(), seed=0)
    message = f"adalora: {steps // 2} of {steps} steps are final ones; at least 2 .* lower final_"
    with pytest.raises(ValueError, match=message):
        spec.training(model, steps=steps)
