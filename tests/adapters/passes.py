"""What tests do with a model, whichever method is in it: training, and passes forward and back."""

import torch
from safetensors.torch import load_file
from torch import nn

from sweeper_adapters import set_task_ids

# Task of each of the two samples of a batch.
TASKS = torch.tensor([1, 0])


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


def finished(spec, llama, dtype, folder):
    """Trains a little and saves as a trial does; returns the model, its hooks, and the tensors."""
    model = spec.inject(llama(dtype), seed=0)
    hooks = spec.training(model, steps=4)
    train(model)
    with hooks.finished():
        model.save_pretrained(folder)
    return model, hooks, load_file(folder / "adapter_model.safetensors")


def merged(spec, llama, name):
    """A layer's weight with the trained update in it, and the adapted layer."""
    model = train(spec.inject(llama(), seed=0))
    layer = model.get_submodule(f"base_model.model.{name}")
    inputs = torch.eye(layer.in_features)
    with torch.no_grad():
        return layer(inputs).T, layer
