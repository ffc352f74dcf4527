"""What tests of one tuner's mathematics do with small models."""

import torch


def randomised(model):
    """Returns the model, each trained parameter drawn anew, so that all of them matter."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_()
    return model


def gradcheck(model, x):
    """Whether a float64 model's gradients, those of x too, are those of finite differences."""
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    values = [dict(model.named_parameters())[name].detach().clone() for name in names]

    def of_parameters(x, *values):
        # What is drawn in a forward pass is the same in each.
        torch.manual_seed(4)
        return torch.func.functional_call(model, dict(zip(names, values, strict=True)), (x,))

    return torch.autograd.gradcheck(of_parameters, [t.requires_grad_() for t in (x, *values)])
