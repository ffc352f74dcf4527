"""lm-evaluation-harness's own model class, around a model that is in memory. Imports the harness.

:mod:`sweeper.evaluation.harness.run` imports it where the harness is asked for, and nothing else
does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from lm_eval.models.huggingface import HFLM

from sweeper_adapters import set_task_ids

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from transformers import PreTrainedTokenizerBase

__all__ = ["HarnessModel"]

# Rows of one forward pass. The harness keeps the logits of every position of each: more rows of
# 2,000 tokens with a vocabulary of 128,000 would take several GB.
BATCH_SIZE = 8

_Ask = Callable[..., Sequence[Any]]


class HarnessModel(HFLM):  # type: ignore[misc]  # the harness ships no annotations
    """A model with an adapter, or without, as the harness asks it.

    Log-probabilities are computed in float32 whatever the precision of the weights, as ours are;
    the harness's default is the precision of the weights.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int | None = None,
        task_ids: Mapping[str, int] | None = None,
    ) -> None:
        """Wraps a model; it stays where it is and as it is.

        Args:
            model: transformers' or PEFT's, in evaluation mode.
            tokenizer: the model's.
            max_length: most tokens of a row; what the model's config says where None.
            task_ids: for a method that treats tasks apart, the number of each domain that it was
                trained on; a task of the harness of another name counts as of the first. None for
                any other method.
        """
        with _without_warnings("lm_eval.models.huggingface"):
            super().__init__(
                pretrained=model,
                tokenizer=tokenizer,
                batch_size=BATCH_SIZE,
                max_length=max_length,
                softmax_dtype="float32",
            )
        self._task_ids = dict(task_ids or {})
        self._task_id = 0

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Returns the log-probability of each continuation, and whether it is the greedy one."""
        return self._by_task(super().loglikelihood, requests, disable_tqdm)

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """Returns the log-probability of each text."""
        return self._by_task(super().loglikelihood_rolling, requests, disable_tqdm)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Returns what follows each prompt."""
        return self._by_task(super().generate_until, requests, disable_tqdm)

    def _by_task(self, ask: _Ask, requests: list[Instance], disable_tqdm: bool) -> list[Any]:
        """Asks for one task id after the other: a batch of the harness may mix tasks."""
        if not self._task_ids:
            return list(ask(requests, disable_tqdm=disable_tqdm))
        first = next(iter(self._task_ids.values()))
        ids = [self._task_ids.get(str(request.task_name), first) for request in requests]
        found: list[Any] = [None] * len(requests)
        for task_id in sorted(set(ids)):
            self._task_id = task_id
            places = [place for place, own in enumerate(ids) if own == task_id]
            answers = ask([requests[place] for place in places], disable_tqdm=disable_tqdm)
            for place, answer in zip(places, answers, strict=True):
                found[place] = answer
        return found

    def _model_call(self, inps: torch.Tensor, *arguments: Any, **named: Any) -> torch.Tensor:
        self._tell_task(len(inps))
        logits: torch.Tensor = super()._model_call(inps, *arguments, **named)
        return logits

    def _model_generate(self, context: torch.Tensor, *arguments: Any, **named: Any) -> torch.Tensor:
        self._tell_task(len(context))
        ids: torch.Tensor = super()._model_generate(context, *arguments, **named)
        return ids

    def _tell_task(self, rows: int) -> None:
        if self._task_ids:
            set_task_ids(self.model, torch.full((rows,), self._task_id, device=self.device))


@contextmanager
def _without_warnings(name: str) -> Iterator[None]:
    """Keeps a logger from telling that a model was given as an object, which is the point here."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
