"""PEFT's test classes with our cases in their tables; run by ``python -m tests.conformance``.

PEFT's tests take their parameters from lists, which are filled with ours before pytest reads them.
Tests whose parameters are not from these lists are about PEFT's own methods and do not run.
"""

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

import sweeper_adapters
from sweeper_adapters._tuner import AdapterLinear
from tests.conformance import cases

sweeper_adapters.register()
pytest.register_assert_rewrite("peft_tests")

from peft_tests import test_custom_models as custom  # noqa: E402 - it is rewritten and extended
from peft_tests import test_decoder_models as decoders  # noqa: E402

FOLDER = Path(tempfile.mkdtemp(prefix="conformance-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
OURS = {config for _, config, _ in cases.VARIANTS}

custom.TEST_CASES[:] = cases.custom_cases()
custom.MULTIPLE_ACTIVE_ADAPTERS_TEST_CASES[:] = cases.active_cases()
custom.ALL_PEFT_CONFIG_CLASSES[:] = sorted(OURS, key=lambda config: config.__name__)
decoders.ALL_CONFIGS[:] = cases.decoder_cases()
decoders.PEFT_DECODER_MODELS_TO_TEST[:] = cases.build_decoders(FOLDER)


def _is_ours(function: Any) -> bool:
    """Whether a test takes its parameters from one of the lists above."""
    names = [
        name
        for mark in getattr(function, "pytestmark", [])
        if mark.name == "parametrize"
        for name in str(mark.args[0]).replace(" ", "").split(",")
        if mark.args[1]
        in (
            custom.TEST_CASES,
            custom.MULTIPLE_ACTIVE_ADAPTERS_TEST_CASES,
            custom.ALL_PEFT_CONFIG_CLASSES,
            decoders.ALL_CONFIGS,
        )
    ]
    return "config_cls" in names


def _only_ours(suite: type) -> type:
    """Returns the class without the tests of PEFT's own methods."""
    others = {
        name: None
        for name in dir(suite)
        if name.startswith("test_") and not _is_ours(getattr(suite, name))
    }
    return type(suite.__name__, (suite,), others)


@pytest.fixture(autouse=True)
def _skip_what_cannot_be_merged(monkeypatch):
    """PEFT's tests merge in the midst of others; an update that is no matrix says so."""
    merge = AdapterLinear.merge

    def merge_or_skip(self: AdapterLinear, *args: Any, **kwargs: Any) -> None:
        try:
            merge(self, *args, **kwargs)
        except ValueError as error:
            if "cannot be merged" not in str(error):
                raise
            pytest.skip(f"{type(self).__name__} of this kind depends on the input: it cannot merge")

    monkeypatch.setattr(AdapterLinear, "merge", merge_or_skip)


@pytest.fixture(autouse=True)
def _skip_with_a_reason(request):
    """Skips what does not hold for a case of ours, and says why."""
    values = request.node.callspec.params
    settings = values.get("config_kwargs", {})
    reason = cases.reason_to_skip(request.node.originalname, values["config_cls"], settings)
    if reason:
        pytest.skip(reason)


TestCustomModel = _only_ours(custom.TestPeftCustomModel)
TestMultipleActiveAdapters = _only_ours(custom.TestMultipleActiveAdapters)
TestDecoderModels = _only_ours(decoders.TestDecoderModels)
