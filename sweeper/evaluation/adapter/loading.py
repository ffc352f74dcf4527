"""A trial's base is held, and its adapter put into it, in one way: checked first, loaded then."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import sweeper_adapters
from sweeper._third_party import ignore_known_warnings
from sweeper.errors import AdapterError
from sweeper.evaluation.adapter.checking import require_sound_adapter
from sweeper.evaluation.adapter.expected import expect_adapter
from sweeper.experiment.trial import TrialSpec
from sweeper.models.frozen import FrozenBase, hold_base, load_base

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel

__all__ = ["hold_base_of", "load_adapter", "load_base_of"]


def hold_base_of(
    trial: TrialSpec, *, reads_data: bool = True, device: str | None = None
) -> FrozenBase:
    """Returns the base of a trial on a device, with the trial's data.

    Nothing of the data is made ready for training.

    Args:
        trial: whose base it is.
        reads_data: as in :func:`sweeper.models.frozen.hold_base`.
        device: where the model lives; this machine's GPU, or else its CPU, where None.

    Raises:
        BadInputError: the model or the data is not there, or cannot be read.
    """
    import torch

    return hold_base(
        trial.model,
        trial.data,
        precision=trial.engine.precision,
        device=device or ("cuda" if torch.cuda.is_available() else "cpu"),
        metrics=trial.evaluation.metric_names,
        reads_data=reads_data,
    )


def load_base_of(trial: TrialSpec, *, device: torch.device | str) -> FrozenBase:
    """Returns the base of a trial as a replica has it that trains the trial.

    Args:
        trial: whose base it is.
        device: where the model lives.

    Raises:
        BadInputError: as :func:`sweeper.models.frozen.load_base`.
    """
    return load_base(
        trial.model,
        trial.data,
        precision=trial.engine.precision,
        max_length=trial.train.max_length,
        device=device,
        metrics=trial.evaluation.metric_names,
    )


def load_adapter(
    trial: TrialSpec, model: PreTrainedModel, folder: Path, *, is_widened: bool = False
) -> PeftModel:
    """Returns a model with the adapter of a trial in it.

    Args:
        trial: that trained the adapter.
        model: its base as it was loaded; it is used up.
        folder: with PEFT's files.
        is_widened: whether 16-bit values are computed with in float32.

    Raises:
        AdapterError: the files are missing, damaged, or of another adapter; the model is as it was.
    """
    from peft import PeftModel

    ignore_known_warnings()
    sweeper_adapters.register()
    expected = expect_adapter(trial, model)
    learned = require_sound_adapter(trial, folder, expected)
    # Not what the file says: the same, and made by the method itself.
    config = copy.deepcopy(expected.peft_config)
    for name, value in learned.items():
        setattr(config, name, value)
    trial.method.prepare_base(model)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Found missing adapter keys")
            return PeftModel.from_pretrained(
                model, str(folder), config=config, autocast_adapter_dtype=is_widened
            )
    except (UserWarning, ValueError, RuntimeError, KeyError, TypeError, OSError) as error:
        raise AdapterError(
            f"{folder}: PEFT cannot load the adapter ({type(error).__name__}: {error}); the base "
            "must be the one that the trial ran on; restore it, or train the trial again"
        ) from error
