"""Generation: greedy for many prompts at once, or one answer token by token as it is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from sweeper.data import Example
from sweeper.data.tokens.encoding import Tokens, collate, encode
from sweeper.data.tokens.sequences import parts_of
from sweeper.distributed import gather, rank, sum_over_ranks, workers
from sweeper.errors import DataError
from sweeper.evaluation.likelihood import Forward

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

__all__ = [
    "Choose",
    "Ending",
    "Generation",
    "generate",
    "prompts_of",
    "take_likeliest",
    "write",
]

Choose = Callable[["torch.Tensor"], list[int]]
"""Takes the logits of the next token, [B, N], and returns the token of each row."""

TOKEN_BUDGET = 8192
"""Tokens of one batch, padding and those to come included: what its cache must hold. A constant, so
that all trials are rounded alike."""
CONTEXT_TOKENS = 4
"""Tokens of the prompt before a generation that tell its decoding about spaces and part letters."""


@dataclass(frozen=True)
class Generation:
    """The text generated after a prompt."""

    text: str
    """Without the token that ended it, and up to the first stop string."""
    ids: tuple[int, ...]
    """All generated tokens but the one that ended it."""
    end: Literal["end_of_text", "stop_string", "length", ""]
    """What ended it; ``length`` where it has as many tokens as it may have. Empty: it goes on."""


@dataclass(frozen=True)
class Ending:
    """What ends an answer, besides the end-of-text token."""

    max_new_tokens: int
    """Most tokens, at least 1."""
    stop_strings: tuple[str, ...] = ()
    """Texts before which it ends."""
    end_ids: frozenset[int] = frozenset()
    """Tokens that end it as the end-of-text token does, such as that of a chat's turn."""


def prompts_of(
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    domains: Sequence[str] = (),
) -> tuple[Tokens, ...]:
    """Returns the prompts of the examples as token ids, without answers.

    Args:
        examples: what to ask; their answers are not looked at.
        tokenizer: the base model's; must have an end-of-text token.
        max_length: tokens after which a prompt is cut from the left; with those to be generated at
            most as many as the model has positions.
        domains: all domains of the data.

    Raises:
        DataError: a prompt has no tokens.
    """
    asked = [replace(example, answer="") for example in examples if example.conversation is None]
    # One more, for the end-of-text token that follows an answer.
    encoded = encode(asked, tokenizer, max_length + 1, domains=domains)
    for tokens in encoded.tokens:
        if tokens.answer_start == 0:
            raise DataError(
                f"example {tokens.example}: its prompt {asked[tokens.example].prompt!r} has no "
                "tokens, and the tokenizer adds no begin-of-text token; generation needs at least "
                "1 token; remove the example"
            )
    chats = _chat_prompts(examples, tokenizer, max_length=max_length, domains=domains)
    others: Iterator[Tokens] = iter(
        [replace(x, ids=x.ids[: x.answer_start]) for x in encoded.tokens]
    )
    return tuple(
        replace(next(others if example.conversation is None else chats), example=index)
        for index, example in enumerate(examples)
    )


def _chat_prompts(
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    domains: Sequence[str],
) -> Iterator[Tokens]:
    """Yields the prompts of those examples that are chats.

    What was said before the last learnt turn, with what the template writes where the assistant is
    to speak; earlier answers are the rows' own.
    """
    chats = [example for example in examples if example.conversation is not None]
    numbers = {domain: number for number, domain in enumerate(domains)}
    for example, own in zip(chats, parts_of(chats, tokenizer), strict=True):
        last = len(own.learnt) - own.learnt[::-1].index(True)
        while last and own.learnt[last - 1]:
            last -= 1
        said = [*own.prompt, *own.answer[:last]]
        room = max_length - len(own.start)
        ids = (*own.start, *said[max(0, len(said) - room) :])
        yield Tokens(ids, len(ids), domain=numbers.get(example.domain, 0))


def generate(
    forward: Forward,
    prompts: Sequence[Tokens],
    *,
    tokenizer: PreTrainedTokenizerBase,
    device: torch.device,
    max_new_tokens: int,
    stop_strings: Sequence[str] = (),
    end_ids: Collection[int] = (),
    uses_cache: bool = True,
) -> list[Generation]:
    """Returns the text generated after each prompt, the same on all workers.

    Each token is the likeliest one. The batches do not depend on the number of workers, which take
    turns, so the texts do not either. Each worker runs equally many forward passes, as ZeRO-3
    needs. No gradient is recorded and the mode of the model is left alone: both are the caller's
    business, as with :func:`sweeper.evaluation.scoring.evaluate`.

    Args:
        forward: the model, in evaluation mode, with gradients off. With the cache it must pass on
            what it is given by name (``position_ids``, ``past_key_values``, ``use_cache``).
        prompts: what comes before ``answer_start`` of each is gone on from.
        tokenizer: the base model's.
        device: where the model lives.
        max_new_tokens: most tokens of one generation, at least 1.
        stop_strings: texts before which a generation ends.
        end_ids: tokens that end one besides the end-of-text token, such as that of a chat's turn.
        uses_cache: whether keys and values of earlier tokens are kept. Must be off where a method
            puts virtual tokens before each text: PEFT would put them before each new token, too.
    """
    batches = list(_batches(prompts, max_new_tokens))
    found: dict[int, Generation] = {}
    for turn in range(math.ceil(len(batches) / workers())):
        number = turn * workers() + rank()
        batch = batches[min(number, len(batches) - 1)]
        decoding = _Decoding([prompts[index] for index in batch], tokenizer, stop_strings, end_ids)
        steps = (_cached if uses_cache else _plain)(decoding, forward, device)
        for _ in range(max_new_tokens):
            # A worker that is done goes on with the others: under ZeRO-3 they need its weights.
            (open_rows,) = sum_over_ranks([decoding.open_rows], device=device)
            if not open_rows:
                break
            decoding.take(next(steps))
        if number < len(batches):
            found.update(zip(batch, decoding.generations(), strict=True))
    shared = {index: text for part in gather(found) for index, text in part.items()}
    return [shared[index] for index in range(len(prompts))]


def take_likeliest(logits: torch.Tensor) -> list[int]:
    """Returns the likeliest token of each row.

    Args:
        logits: of the next token, [B, N].
    """
    tokens: list[int] = logits.argmax(dim=-1).tolist()
    return tokens


def write(
    forward: Forward,
    prompt: Tokens,
    ending: Ending,
    *,
    tokenizer: PreTrainedTokenizerBase,
    device: torch.device,
    uses_cache: bool = True,
    choose: Choose = take_likeliest,
) -> Iterator[Generation]:
    """Yields an answer as it is written: all of it so far, after each token.

    Each text begins with the one before. Letters that may yet become part of a stop string, or of
    which a token is still to come, are held back. The last one is the whole answer; with the
    likeliest tokens it is what :func:`generate` returns.

    Args:
        forward: as of :func:`generate`.
        prompt: what comes before its ``answer_start`` is gone on from.
        ending: what ends the answer.
        tokenizer: the base model's.
        device: where the model lives.
        uses_cache: as of :func:`generate`.
        choose: chooses each token.
    """
    decoding = _Decoding([prompt], tokenizer, ending.stop_strings, ending.end_ids)
    steps = (_cached if uses_cache else _plain)(decoding, forward, device, choose)
    for written in range(1, ending.max_new_tokens + 1):
        decoding.take(next(steps))
        if written == ending.max_new_tokens or not decoding.open_rows:
            break
        yield decoding.begun()
    yield decoding.generations()[0]


def _batches(prompts: Sequence[Tokens], max_new_tokens: int) -> Iterator[list[int]]:
    """Yields batches of prompts of like length, within ``TOKEN_BUDGET`` or of one prompt."""
    batch: list[int] = []
    for index in sorted(range(len(prompts)), key=lambda i: (-prompts[i].answer_start, i)):
        longest = prompts[batch[0] if batch else index].answer_start + max_new_tokens
        if batch and (len(batch) + 1) * longest > TOKEN_BUDGET:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


class _Decoding:
    """A batch of prompts and what has been written after them."""

    def __init__(
        self,
        prompts: Sequence[Tokens],
        tokenizer: PreTrainedTokenizerBase,
        stop_strings: Sequence[str],
        end_ids: Collection[int] = (),
    ) -> None:
        self.prompts = [list(prompt.ids[: prompt.answer_start]) for prompt in prompts]
        self.written: list[list[int]] = [[] for _ in prompts]
        """Tokens of each row; once it has ended the same one again and again."""
        self.domains = [prompt.domain for prompt in prompts]
        self._tokenizer = tokenizer
        self._stop_strings = tuple(stop_strings)
        self._end_ids = {tokenizer.eos_token_id, *end_ids}
        self._ended: dict[int, Generation] = {}

    @property
    def open_rows(self) -> int:
        """Rows that have not ended."""
        return len(self.prompts) - len(self._ended)

    def take(self, tokens: Sequence[int]) -> None:
        """Appends one token to each row."""
        for row, token in enumerate(tokens):
            written = self.written[row]
            if row in self._ended:
                written.append(written[-1])
                continue
            written.append(token)
            if token in self._end_ids:
                self._ended[row] = self._generation(row, written[:-1], end="end_of_text")
            elif self._stop_strings:
                text = self._text(row, written)
                starts = [start for stop in self._stop_strings if (start := text.find(stop)) >= 0]
                if starts:
                    ids = tuple(written)
                    self._ended[row] = Generation(text[: min(starts)], ids, "stop_string")

    def generations(self) -> list[Generation]:
        """Returns what has been written after each prompt."""
        return [
            self._ended.get(row) or self._generation(row, written, end="length")
            for row, written in enumerate(self.written)
        ]

    def begun(self) -> Generation:
        """Returns what has been written after the first prompt, as far as it stays as it is."""
        ids = tuple(self.written[0])
        # Of a letter of several tokens the first ones alone are no letter.
        text = self._text(0, ids).rstrip("\N{REPLACEMENT CHARACTER}")
        held = max((_overlap(text, stop) for stop in self._stop_strings), default=0)
        return Generation(text[: len(text) - held], ids, "")

    def _generation(
        self, row: int, ids: Sequence[int], *, end: Literal["end_of_text", "length"]
    ) -> Generation:
        return Generation(self._text(row, ids), tuple(ids), end)

    def _text(self, row: int, ids: Sequence[int]) -> str:
        """Returns what the tokens add to the text of the prompt.

        Decoded alone they would lose a space at their beginning with SentencePiece tokenizers, and
        with it the indentation of a program.
        """
        context = self.prompts[row][-CONTEXT_TOKENS:]
        before, whole = self._decode(context), self._decode([*context, *ids])
        return whole[len(before) :] if whole.startswith(before) else self._decode(ids)

    def _decode(self, ids: Sequence[int]) -> str:
        return str(
            self._tokenizer.decode(
                list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )


def _overlap(text: str, stop: str) -> int:
    """Returns how many of the last letters of a text are the first ones of a stop string."""
    sizes = range(min(len(text), len(stop)), 0, -1)
    return next((size for size in sizes if stop.startswith(text[-size:])), 0)


def _cached(
    decoding: _Decoding,
    forward: Forward,
    device: torch.device,
    choose: Choose = take_likeliest,
) -> Iterator[list[int]]:
    """Yields the next token of each row, from the last ones alone and a cache of the others.

    Padding is on the left: so all rows end at the same position, and go on at the next.
    """
    import torch
    from transformers import DynamicCache

    rows = [torch.tensor(ids) for ids in decoding.prompts]
    pad = torch.nn.utils.rnn.pad_sequence
    input_ids = pad(rows, batch_first=True, padding_side="left").to(device)
    mask = pad([torch.ones_like(ids) for ids in rows], batch_first=True, padding_side="left")
    mask = mask.to(device)
    domains = torch.tensor(decoding.domains, device=device)
    cache = DynamicCache()
    while True:
        is_last = torch.zeros_like(input_ids, dtype=torch.bool)
        is_last[:, -1] = True
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        logits = forward(
            input_ids=input_ids,
            attention_mask=mask,
            position_ids=positions[:, -input_ids.shape[1] :],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=is_last,
            domains=domains,
        )
        yield choose(logits)
        input_ids = torch.tensor([written[-1:] for written in decoding.written], device=device)
        mask = torch.cat((mask, torch.ones_like(input_ids)), dim=1)


def _plain(
    decoding: _Decoding,
    forward: Forward,
    device: torch.device,
    choose: Choose = take_likeliest,
) -> Iterator[list[int]]:
    """Yields the next token of each row, from the whole rows each time, padded on the right."""
    while True:
        pairs = zip(decoding.prompts, decoding.written, strict=True)
        rows = [(*prompt, *written) for prompt, written in pairs]
        tokens = [
            Tokens(ids=ids, answer_start=len(ids), domain=domain)
            for ids, domain in zip(rows, decoding.domains, strict=True)
        ]
        batch = {name: value.to(device) for name, value in collate(tokens, 0).items()}
        mask = batch["attention_mask"]
        is_last = mask.bool() & (mask.cumsum(dim=1) == mask.sum(dim=1, keepdim=True))
        logits = forward(
            input_ids=batch["input_ids"],
            attention_mask=mask,
            logits_to_keep=is_last,
            domains=batch["domains"],
        )
        yield choose(logits)
