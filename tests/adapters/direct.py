"""What an engine does for the hooks of a method, done without one."""

import torch


class Direct:
    """Each parameter is what it is, and so is its gradient."""

    def gradient(self, parameter):
        return parameter.grad.clone()

    def set_gradient(self, parameter, gradient):
        parameter.grad = gradient

    def value(self, parameter):
        return parameter.detach().clone()

    def set_value(self, parameter, value):
        parameter.data.copy_(value)


def build_adamw(training, *, learning_rate, weight_decay):
    """The optimiser of a trial, with the factors that a method asks for."""
    groups = [
        {
            "params": list(group.parameters),
            "lr": learning_rate * group.learning_rate,
            "factor": group.learning_rate,
            "weight_decay": weight_decay * group.weight_decay,
            # Large, so that it shows where it is not scaled.
            "eps": 1e-4 * group.eps,
        }
        for group in training.groups()
    ]
    return torch.optim.AdamW(groups)
