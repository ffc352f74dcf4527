"""Three layers with MASA's adapters, for the methods that its tuner runs."""

import torch
from peft import get_peft_model
from torch import nn

from sweeper_adapters import MasaLinear
from tests.adapters.small import randomised


class Net(nn.Module):
    """Three layers of one type, named as in a decoder."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.ModuleDict({"q_proj": nn.Linear(6, 5)}) for _ in range(3))

    def forward(self, x):
        return torch.stack([layer.get_submodule("q_proj")(x) for layer in self.layers])


def adapted(spec):
    config = spec.peft_config()
    config.task_type = None
    return randomised(get_peft_model(Net(), config))


def layers_of(model):
    return [module for module in model.modules() if isinstance(module, MasaLinear)]


def part(layer, side):
    return getattr(layer, f"masa_{side}")["default"].weight
