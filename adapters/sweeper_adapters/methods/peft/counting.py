"""Trained parameters of a PEFT tuner, counted on layers without values.

PEFT's tuners have no formulas here: the adapter is put into a stack of the model's linear layers on
torch's meta device, and what it trains is counted. All decoder layers of a shape are alike, so two
of them tell what each further one adds, where the tuner does not treat layers apart.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from peft import PEFT_TYPE_TO_TUNER_MAPPING, PeftType
from torch import nn

from sweeper_adapters.methods._facts import ModelShape

if TYPE_CHECKING:
    from peft import PeftConfig

__all__ = ["count_trained"]

# Of a stack of one layer and of two.
_FEW = 2


def count_trained(
    config: Callable[[], PeftConfig],
    shape: ModelShape,
    *,
    is_uniform: bool,
    at_most: int,
    device: str = "meta",
) -> int:
    """Returns the parameters that a tuner trains on a model of a shape.

    Args:
        config: makes the tuner's config; a tuner may write into one.
        shape: of the model.
        is_uniform: whether each layer after the first adds the same.
        at_most: layers that are looked at, for whoever wants to know only whether it can be built.
        device: on which the tuner makes what is its own, before that is put where layers are.

    Raises:
        ValueError: PEFT refuses to build it; with what it says.
    """
    layers = min(shape.layers, at_most)
    if not is_uniform or layers <= _FEW:
        return _count(config(), shape, layers, device)
    first, second = (_count(config(), shape, number, device) for number in (1, _FEW))
    return first + (layers - 1) * (second - first)


def _count(config: PeftConfig, shape: ModelShape, layers: int, device: str) -> int:
    stack = _build(shape, layers)
    try:
        with _quiet(), torch.device(device):
            # What an adapter of a model is made by; a model has more besides.
            PEFT_TYPE_TO_TUNER_MAPPING[PeftType(config.peft_type)](stack, config, "default")
    # A tuner's code raises anything on values that it was not made for.
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {' '.join(str(error).split())}") from error
    return sum(parameter.numel() for parameter in stack.parameters() if parameter.requires_grad)


def _build(shape: ModelShape, layers: int) -> nn.Module:
    """Returns a model of the shape's linear layers, frozen, called as in a LLaMA."""
    root, model = nn.Module(), nn.Module()
    root.add_module("model", model)
    stack = nn.ModuleList()
    for _ in range(layers):
        layer = nn.Module()
        for linear in shape.linears:
            *parents, last = (linear.path or linear.name).split(".")
            place = layer
            for parent in parents:
                if not hasattr(place, parent):
                    place.add_module(parent, nn.Module())
                place = place.get_submodule(parent)
            made = nn.Linear(linear.in_features, linear.out_features, bias=False, device="meta")
            place.add_module(last, made)
        stack.append(layer)
    model.add_module("layers", stack)
    return root.requires_grad_(False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Has PEFT say nothing of what is only counted."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
