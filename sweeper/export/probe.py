"""Whether two models answer the same: their logits on a few validation prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeper.data import Splits
from sweeper.data.questions import subset
from sweeper.data.tokens.encoding import encode
from sweeper.errors import DataError
from sweeper.experiment.trial import TrialSpec

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

__all__ = ["PROMPTS", "Probe", "largest_difference"]

PROMPTS = 4
"""Validation prompts that are compared."""
POSITIONS = 16
"""Positions at the end of each prompt and answer whose logits are compared: with a vocabulary of
128,000 those of all positions would take as much memory as a small model."""


class Probe:
    """A few validation examples of a trial's data, as one tokenizer encodes them."""

    def __init__(
        self, trial: TrialSpec, splits: Splits, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        """Encodes the examples.

        Args:
            trial: says how long a prompt may be, and which task a domain is.
            splits: of the trial's data.
            tokenizer: of the model that is looked at.

        Raises:
            DataError: there is no validation example, or not the domains of the training.
        """
        domains = splits.domains()
        examples = [splits.validation[i] for i in subset(len(splits.validation), PROMPTS)]
        if not examples:
            raise DataError(
                "the validation split of the trial's data is empty; an export is checked on its "
                "prompts; restore the data that the trial ran on"
            )
        length = trial.train.max_length
        encoded = encode(examples, tokenizer, length, domains=domains, long_answers="cut")
        self._tokens = encoded.tokens
        try:
            self._task_ids = trial.method.task_ids(domains)
        except ValueError as error:
            raise DataError(
                f"the data is not what the trial was trained on: {error}; an export is checked on "
                "its prompts; restore the data that the trial ran on"
            ) from error

    @property
    def prompts(self) -> int:
        """How many there are."""
        return len(self._tokens)

    def logits(self, model: nn.Module) -> list[Tensor]:
        """Returns the logits at the end of each example, [up to 16, vocabulary], float32.

        Args:
            model: a causal language model, with an adapter or without; put in evaluation mode.
        """
        import torch

        from sweeper_adapters import set_task_ids

        model.eval()
        found = []
        with torch.no_grad():
            # One by one: no padding, which prompt tuning and rotary positions could make visible.
            for tokens in self._tokens:
                set_task_ids(model, torch.tensor([self._task_ids[tokens.domain]]))
                ids = torch.tensor([tokens.ids])
                logits = model(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    logits_to_keep=min(POSITIONS, len(tokens.ids)),
                ).logits
                found.append(logits[0].float())
        return found


def largest_difference(first: list[Tensor], second: list[Tensor]) -> float:
    """Returns the largest difference of two models' logits.

    Infinite where they have another shape or a value is no number, so that it exceeds any bound.
    """
    import torch

    if [x.shape for x in first] != [x.shape for x in second]:
        return float("inf")
    differences = torch.stack([(x - y).abs().max() for x, y in zip(first, second, strict=True)])
    return float(differences.nan_to_num(nan=float("inf")).max())
