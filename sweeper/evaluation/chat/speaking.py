"""An adapter that is held open and asked: prompts in, answers out as they are written."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sweeper.data.tokens.encoding import Tokens
from sweeper.errors import BadInputError, TrialError
from sweeper.evaluation.adapter import (
    AdaptedModel,
    hold_base_of,
    require_domains,
    with_adapter,
)
from sweeper.evaluation.chat.forms import Form, form_of, task_limits
from sweeper.evaluation.generation import Choose, Ending, Generation, take_likeliest, write
from sweeper.evaluation.likelihood import Forward
from sweeper.evaluation.scoring import frozen_forward
from sweeper.experiment.trial import TrialSpec
from sweeper.models.frozen import FrozenBase
from sweeper.models.inspection import positions_of

if TYPE_CHECKING:
    import torch

__all__ = ["Chat", "ChatRequest", "Prompt", "open_chat"]

DEFAULT_NEW_TOKENS = 256
"""Most tokens of an answer where neither the user nor the trial nor its tasks say it; at most half
of the model's positions."""


@dataclass(frozen=True)
class ChatRequest:
    """How a user wants to be answered."""

    system: str = ""
    """What is said before the first turn of a conversation; empty for nothing."""
    domain: str = ""
    """Domain of the data whose part of the adapter answers; empty where there are no such parts."""
    has_base: bool = False
    """Whether the frozen base answers, too."""
    max_new_tokens: int | None = None
    """Most tokens of an answer; None: what the trial's ``evaluation`` says, else its tasks."""
    temperature: float = 0.0
    """What the logits are divided by before a token is drawn; with 0 it is the likeliest."""
    seed: int = 0
    """Of the draws."""


@dataclass(frozen=True)
class Prompt:
    """What was typed, as the model gets it."""

    tokens: Tokens
    text: str
    """The same as text, with its special tokens."""
    notes: tuple[str, ...]
    """A sentence for each part that had no room."""


@dataclass(frozen=True)
class _Speaker:
    """A model that answers."""

    forward: Forward
    choose: Choose
    uses_cache: bool
    opened: Callable[[], AbstractContextManager[object]]
    """What is open while it answers."""


class Chat:
    """A trial that answers, and perhaps its base; made by :func:`open_chat`."""

    def __init__(
        self,
        base: FrozenBase,
        form: Form,
        speakers: Mapping[str, _Speaker],
        *,
        ending: Ending,
        room: int,
        domain: int,
    ) -> None:
        self.form = form
        """How what is typed becomes a prompt."""
        self.speakers: Sequence[str] = tuple(speakers)
        """Who answers: ``trial``, and ``base`` where it was asked for."""
        self.ending = ending
        """What ends an answer."""
        self._base = base
        self._speakers = speakers
        self._room = room
        self._domain = domain

    @property
    def device(self) -> str:
        """Where the model is."""
        return str(self._base.device)

    def prompt(self, row: Mapping[str, str]) -> Prompt:
        """Returns the prompt of what was typed.

        Args:
            row: by the names of the form's fields.

        Raises:
            DataError: there is nothing to answer, or the row is none of the trial's form.
        """
        tokenizer = self._base.tokenizer
        tokens, notes = self.form.encode(row, tokenizer, room=self._room)
        text = str(tokenizer.decode(list(tokens.ids), clean_up_tokenization_spaces=False))
        return Prompt(replace(tokens, domain=self._domain), text, notes)

    def answer(self, prompt: Prompt, speaker: str = "trial") -> Generator[Generation]:
        """Yields an answer as it is written: all of it so far, after each token.

        The conversation, where there is one, does not know it: see ``form.keep``.

        Args:
            prompt: what is answered.
            speaker: one of :attr:`speakers`.

        Raises:
            TrialError: the model's outputs are no numbers that a token could be drawn by.
        """
        import torch

        own = self._speakers[speaker]
        with torch.no_grad(), own.opened():
            yield from write(
                own.forward,
                prompt.tokens,
                self.ending,
                tokenizer=self._base.tokenizer,
                device=self._base.device,
                uses_cache=own.uses_cache,
                choose=own.choose,
            )


@contextmanager
def open_chat(trial: TrialSpec, adapter: Path, asked: ChatRequest) -> Iterator[Chat]:
    """Holds the base of a trial with its adapter in it, to be asked.

    The data is read only where the adapter has parts for its domains.

    Args:
        trial: that trained the adapter.
        adapter: folder with PEFT's files.
        asked: how the user wants to be answered.

    Raises:
        BadInputError: the model or the data is not there; the adapter's files are missing or
            damaged; or what was asked does not fit the trial.
    """
    form = _sensible(trial, asked)
    trial.model.require_available()
    base = hold_base_of(trial, reads_data=trial.method.needs_task_ids)
    require_domains(trial, base)
    domain = _domain(trial, base, asked.domain)
    with with_adapter(trial, base, adapter) as adapted:
        ending, room = _limits(trial, base, asked, virtual_tokens=adapted.virtual_tokens)
        speakers = {
            "trial": _Speaker(
                adapted.forward, _choose(asked), adapted.virtual_tokens == 0, nullcontext
            )
        }
        if asked.has_base:
            speakers["base"] = _frozen(trial, base, adapted, asked)
        yield Chat(
            base,
            form,
            speakers,
            ending=form.ended_by(ending, base.tokenizer),
            room=room,
            domain=domain,
        )


def _sensible(trial: TrialSpec, asked: ChatRequest) -> Form:
    """Returns the form of prompts; checks what can be known before anything is loaded."""
    if not math.isfinite(asked.temperature) or asked.temperature < 0:
        raise BadInputError(
            f"temperature: got {asked.temperature}; it must be a finite number from 0 on, where 0 "
            "takes the likeliest token; give one such as 0.7"
        )
    if asked.domain and not trial.method.answers_by_task:
        raise BadInputError(
            f"domain: got {asked.domain!r}, but an adapter of {trial.method.name} answers all "
            "domains alike; only a method with a part for each domain takes one; leave --domain out"
        )
    return form_of(trial.data, system=asked.system)


def _domain(trial: TrialSpec, base: FrozenBase, named: str) -> int:
    """Returns the position of the domain that answers; 0 where all domains are answered alike."""
    domains = base.data.domains
    if not trial.method.answers_by_task:
        return 0
    if named in domains:
        return domains.index(named)
    got = f"got {named!r}" if named else "none is given"
    raise BadInputError(
        f"domain: {got}, but the adapter of {trial.method.name} has a part for each domain of its "
        f"data: {', '.join(domains)}; name the one that answers with --domain"
    )


def _limits(
    trial: TrialSpec, base: FrozenBase, asked: ChatRequest, *, virtual_tokens: int
) -> tuple[Ending, int]:
    """Returns what ends any answer, and the most tokens of a prompt.

    Raises:
        BadInputError: an answer may have as many tokens as the model has positions.
    """
    positions = positions_of(base.model.config.to_dict())
    if positions is not None:
        positions -= virtual_tokens
    of_tasks, stops = task_limits(trial.data)
    spec = trial.evaluation
    most = asked.max_new_tokens or spec.max_new_tokens or of_tasks
    if most is None:
        most = min(DEFAULT_NEW_TOKENS, positions // 2 if positions else DEFAULT_NEW_TOKENS)
    if positions is not None and most >= positions:
        raise BadInputError(
            f"max-new-tokens: an answer may have {most} tokens but the model has {positions} "
            "positions for prompt and answer together; it must be lower; give "
            f"--max-new-tokens {positions // 2}"
        )
    length = trial.train.max_length
    room = length if positions is None else min(length, positions - most)
    return Ending(most, stops if spec.stop is None else spec.stop), room


def _frozen(
    trial: TrialSpec, base: FrozenBase, adapted: AdaptedModel, asked: ChatRequest
) -> _Speaker:
    """Returns the base without the adapter: a second one where the method changes its weights."""
    if trial.method.changes_base:
        other = hold_base_of(trial, reads_data=False)
        return _Speaker(frozen_forward(other), _choose(asked), True, nullcontext)
    return _Speaker(frozen_forward(base), _choose(asked), True, adapted.model.disable_adapter)


def _choose(asked: ChatRequest) -> Choose:
    """Returns what chooses each token: the likeliest, or one drawn with a generator of its own."""
    if asked.temperature == 0:
        return take_likeliest
    import torch

    generator = torch.Generator().manual_seed(asked.seed)

    def draw(logits: torch.Tensor) -> list[int]:
        # On the CPU, so that a seed draws the same wherever the model is.
        found = logits.detach().double().cpu()
        below = found - found.max(dim=-1, keepdim=True).values
        shares = torch.softmax(below / asked.temperature, dim=-1)
        if not bool(torch.isfinite(shares).all()):
            raise TrialError(
                "the model's outputs are not finite (NaN or infinite), so that no token can be "
                "drawn; they must be numbers; look at the trial's losses, or take another trial"
            )
        drawn: list[int] = torch.multinomial(shares, 1, generator=generator)[:, 0].tolist()
        return drawn

    return draw
