"""The tuners of all methods: what they are called, and the call that makes PEFT know them."""

from __future__ import annotations

from importlib import import_module
from typing import get_args

from sweeper_adapters.methods import Method

__all__ = ["HOMES", "TUNERS", "register"]

TUNERS = {
    spec.tuner.peft_type: spec.tuner
    for spec in get_args(get_args(Method)[0])
    if spec.tuner is not None
}
"""The tuner of each PEFT type of ours, as the specs in the union name them."""

HOMES = {name: tuner.module for tuner in TUNERS.values() for name in tuner.classes}
"""The module of each config, layer and model class."""


def register() -> None:
    """Makes ``get_peft_model`` and ``PeftModel.from_pretrained`` know the tuners of this package.

    Safe to call more than once.
    """
    for tuner in TUNERS.values():
        # Where a tuner is defined it is made known.
        import_module(tuner.module)
