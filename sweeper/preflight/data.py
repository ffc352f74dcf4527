"""The check of the data that a sweep would run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeper.data.hygiene import DataCheck, check_data
from sweeper.errors import BadInputError
from sweeper.experiment.sweep import Sweep
from sweeper.models import ModelSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["check_sweep_data", "find_tokenizer"]


def check_sweep_data(sweep: Sweep) -> DataCheck:
    """Returns all findings on the data of a sweep, whether or not the sweep would be refused.

    The model may be missing; without its tokenizer the lengths of the rows are not checked.

    Raises:
        BadInputError: the data is missing or cannot be read.
    """
    sweep.spec.data.require_available()
    tokenizer, reason = find_tokenizer(sweep.spec.model)
    return check_data(
        sweep.spec.data,
        sweep.spec.hygiene,
        max_length=sweep.space.any_trial().train.max_length,
        tokenizer=tokenizer,
        no_tokenizer=reason,
        metrics=sweep.spec.evaluation.metric_names,
    )


def find_tokenizer(model: ModelSpec) -> tuple[PreTrainedTokenizerBase | None, str]:
    """Returns the model's tokenizer, or None and why it cannot be had; downloads nothing.

    Args:
        model: of a sweep.
    """
    try:
        model.require_available()
        source = model.source()
    except BadInputError as error:
        return None, str(error)
    from transformers import AutoTokenizer

    revision = source.revision or "main"
    try:
        # A look at the data downloads no part of a model.
        found = AutoTokenizer.from_pretrained(
            source.name, revision=revision, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError):
        how = f"hf download --revision {revision} {source.name}" if source.is_on_hub else ""
        where = f"is not in the Hub's cache; run: {how}" if how else "cannot be read"
        return None, f"the tokenizer of {source.name} {where}"
    return found, ""
