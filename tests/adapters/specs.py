"""The examples of all methods, for a LLaMA of 3 layers or more (see conftest.py).

Each method has its own in ``methods/<its name>/examples.py``.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from types import ModuleType
from typing import get_args

import pytest
from pydantic import ValidationError

from sweeper_adapters.methods import AnyMethodSpec, EngineFacts, Method
from tests.adapters.own import examples_of_own
from tests.whole import only_whole

UNION: tuple[type[AnyMethodSpec], ...] = get_args(get_args(Method)[0])
NAMES: tuple[str, ...] = tuple(spec.model_fields["name"].default for spec in UNION)


def load_examples(method: str) -> ModuleType:
    """Returns the module that has the examples of a method."""
    return import_module(f"tests.adapters.methods.{method}.examples")


OWN: dict[str, AnyMethodSpec] = examples_of_own()
"""The examples of a method of one's own, of which alone the contracts are then tested."""
SPECS: dict[str, Method] = {
    name: spec for method in NAMES for name, spec in load_examples(method).EXAMPLES.items()
} | OWN


def is_ours(spec: Method) -> bool:
    """Whether the method is a tuner of this project, and not one that PEFT has."""
    return spec.tuner is not None


def first_examples(names: Iterable[str]) -> list[str]:
    """Returns of some examples the first of each tuner, and two of PEFT's: one adapts layers."""
    return list({_code(SPECS[name]): name for name in reversed(list(names))}.values())


def _code(spec: Method) -> tuple[object, bool]:
    """What trains the method; what differs among those of one tuner is in its own tests."""
    return spec.tuner and spec.tuner.folder, spec.adapts_layers


def each(condition: Callable[[Method], bool] = lambda spec: True) -> pytest.MarkDecorator:
    """Runs a test for each example that the condition holds for; skips what this machine cannot.

    `make test` takes the first example of each tuner that the condition holds for.
    """
    chosen = [name for name, spec in SPECS.items() if condition(spec)]
    first = [*first_examples(chosen), *OWN]
    parameters = [
        pytest.param(
            SPECS[name], id=name, marks=(*_skipped(SPECS[name]), *only_whole(name not in first))
        )
        for name in chosen
    ]
    return pytest.mark.parametrize("spec", parameters)


def _skipped(spec: Method) -> tuple[pytest.MarkDecorator, ...]:
    here = EngineFacts(zero_stage=0, workers=1, precision="fp32", has_gpu=False, batch_size=2)
    return tuple(pytest.mark.skip(reason) for _, reason in spec.engine_problems(here))


def on(spec: Method, *targets: str) -> Method:
    """The example on other targets, if it has targets whose names its sizes do not depend on."""
    # A pattern may be of layers that are no targets then.
    fields = {name: x for name, x in spec.model_dump().items() if not name.endswith("_pattern")}
    try:
        return type(spec).model_validate(fields | {"targets": targets})
    except ValidationError:
        return spec
