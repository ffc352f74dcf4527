"""What the contract tests do with a model, whichever method is in it."""

from collections.abc import Callable

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from sweeper_adapters import set_task_ids
from sweeper_adapters.methods import EngineFacts, Method
from tests.adapters.specs import SPECS

# Task of each of the two samples of a batch.
TASKS = torch.tensor([1, 0])


def is_ours(spec: Method) -> bool:
    """Whether the method is a tuner of this project, and not one that PEFT has."""
    return type(spec.peft_config()).__module__.startswith("sweeper_adapters")


def each(condition: Callable[[Method], bool] = lambda spec: True) -> pytest.MarkDecorator:
    """Runs a test for each example that the condition holds for; skips what this machine cannot."""
    chosen = [
        pytest.param(spec, id=name, marks=_skipped(spec))
        for name, spec in SPECS.items()
        if condition(spec)
    ]
    return pytest.mark.parametrize("spec", chosen)


def _skipped(spec: Method) -> tuple[pytest.MarkDecorator, ...]:
    here = EngineFacts(zero_stage=0, workers=1, precision="fp32", has_gpu=False, batch_size=2)
    return tuple(pytest.mark.skip(reason) for _, reason in spec.engine_problems(here))


def on(spec: Method, *targets: str) -> Method:
    """The example on other targets, if it has targets whose names its sizes do not depend on."""
    try:
        return type(spec).model_validate(spec.model_dump() | {"targets": targets})
    except ValidationError:
        return spec


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained, shared ones once."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def train(model, seed=3):
    """Gives the trained parameters values that show in the output."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in trained(model).values():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


def output(model, ids, **inputs):
    """The output of a model for a batch whose tasks it is told; always the same draws."""
    torch.manual_seed(17)
    set_task_ids(model, TASKS)
    return model(input_ids=ids, **inputs)


@torch.no_grad()
def logits(model, ids):
    """Logits of the batch's own positions, in evaluation."""
    model.eval()
    return output(model, ids).logits[:, -ids.shape[1] :]


def gradients(model, ids) -> dict[str, torch.Tensor]:
    """Gradients of the trained parameters, from one pass in training; all of them have one."""
    model.train()
    model.zero_grad()
    output(model, ids, labels=ids).loss.backward()
    found = {name: p.grad for name, p in trained(model).items()}
    missing = [name for name, grad in found.items() if grad is None]
    assert missing == []
    return {name: grad for name, grad in found.items() if grad is not None}
