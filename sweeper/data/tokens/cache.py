"""Token ids on disk: what one process has tokenised no other one on this machine does again.

A file lies in ``tokens/`` below the cache folder (``SWEEPER_CACHE``). Its name is a hash of all
that decides what is in it: the examples' texts, the tokenizer, the length, and the versions that
wrote it. So it is never out of date, only unused, and the folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sweeper import _environment
from sweeper._files import FileLock, put_whole
from sweeper._third_party import writing
from sweeper.data.examples import Example
from sweeper.data.tokens.encoding import encode
from sweeper.data.tokens.rendering import template_of_chats
from sweeper.data.tokens.table import TokenTable

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

__all__ = ["training_tokens"]

logger = logging.getLogger(__name__)

# Raised by any change of what `encode` returns or of how it is kept.
_FORMAT_VERSION = 2
# Another process is tokenising the same examples: longer than that takes for any data seen.
_WAIT_S = 900.0
# A file that nobody has read for so long is removed when another one is written.
_UNUSED_S = 30 * 24 * 3600.0


def training_tokens(
    examples: Sequence[Example],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    *,
    domains: Sequence[str] = (),
) -> TokenTable:
    """Returns the examples as token ids to train on, answers cut where they must be.

    Read from the cache, or encoded and written to it; the same either way, bit for bit. A cache
    that cannot be used is a warning, not an error.

    Args:
        examples: what to encode.
        tokenizer: must have an end-of-text token; one that is written in Python, whose content
            nothing tells, is not cached.
        max_length: most tokens of one example, at least 4.
        domains: all domains of the data.
    """

    def encoded() -> TokenTable:
        found = encode(examples, tokenizer, max_length, domains=domains, long_answers="cut")
        return TokenTable.of(found)

    tokenizer_hash = _tokenizer_hash(tokenizer)
    if tokenizer_hash is None:
        return encoded()
    texts = _texts(examples, tokenizer)
    key = _hash([tokenizer_hash, str(max_length), *domains, "", *texts])
    path = _environment.cache_root() / "tokens" / f"{key[:32]}.safetensors"
    if (table := _read(path)) is not None:
        return table
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")) as lock:
            # Without the lock after all that time each tokenises for itself; the file is replaced
            # whole, so nothing breaks.
            lock.acquire(wait_s=_WAIT_S)
            if (table := _read(path)) is None:
                _write(path, table := encoded())
                _remove_unused(path.parent)
    except OSError as error:
        logger.warning("tokenised data cannot be cached in %s: %s", path.parent, error)
        return table or encoded()
    return table


def _texts(examples: Iterable[Example], tokenizer: PreTrainedTokenizerBase) -> Iterable[str]:
    templates = set[str]()
    for example in examples:
        yield from (example.prompt, example.answer, example.domain)
        yield repr((example.prompt_marks, example.answer_marks))
        if example.is_document:
            yield "document"
        if example.conversation is not None:
            yield from example.conversation.content()
            templates.add(template_of_chats(example.conversation, tokenizer))
    if templates:
        yield from (json.dumps(tokenizer.special_tokens_map, sort_keys=True), *sorted(templates))


def _hash(texts: Iterable[str]) -> str:
    """Returns a hash of a list of texts, in which each counts with its length."""
    found = hashlib.sha256()
    for text in texts:
        # As the Hub's data may have them, surrogates that stand alone are texts, too.
        content = text.encode("utf-8", "surrogatepass")
        found.update(len(content).to_bytes(8, "little"))
        found.update(content)
    return found.hexdigest()


def _tokenizer_hash(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Returns a hash of all that decides a tokenizer's ids; None where it cannot be had."""
    import tokenizers
    import transformers

    if not tokenizer.is_fast:
        return None
    backend: tokenizers.Tokenizer = tokenizer.backend_tokenizer
    content = {
        "format": _FORMAT_VERSION,
        "versions": [tokenizers.__version__, transformers.__version__],
        "class": type(tokenizer).__qualname__,
        "begin": tokenizer("")["input_ids"],
        "special": [tokenizer.bos_token_id, tokenizer.eos_token_id],
        "split_special_tokens": bool(getattr(tokenizer, "split_special_tokens", False)),
    }
    return _hash([json.dumps(content, sort_keys=True), backend.to_str()])


def _read(path: Path) -> TokenTable | None:
    """Returns the table in a file, None where there is none or it is damaged."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        # Its tensors lie in the file, which is mapped into memory.
        with safe_open(path, framework="pt") as file:
            noted = json.loads((file.metadata() or {}).get("noted", "{}"))
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
        if noted.pop("checksum", None) == _checksum(tensors, noted):
            arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
            with suppress(OSError):
                # Says that it is in use.
                path.touch()
            return TokenTable(arrays, **noted)
    except (OSError, ValueError, SafetensorError):
        pass
    logger.warning("%s is damaged; its examples are tokenised again", path)
    return None


def _write(path: Path, table: TokenTable) -> None:
    """Puts a table in a file, which is there whole or not at all."""
    import torch
    from safetensors.torch import save_file

    tensors = {name: torch.from_numpy(array) for name, array in sorted(table.arrays.items())}
    noted = {"prompts_cut": table.prompts_cut, "answers_cut": table.answers_cut}
    # One entry: of several the order in the file would be left to chance.
    about = {"noted": json.dumps({**noted, "checksum": _checksum(tensors, noted)})}
    with put_whole(path) as unfinished, writing():
        save_file(tensors, unfinished, metadata=about)


def _checksum(tensors: Mapping[str, torch.Tensor], noted: Mapping[str, int]) -> str:
    found = hashlib.blake2b(json.dumps(noted, sort_keys=True).encode(), digest_size=16)
    for name, tensor in tensors.items():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        # A view of bytes; there is none of an array without elements.
        found.update(tensor.numpy().data.cast("B") if tensor.numel() else b"")
    return found.hexdigest()


def _remove_unused(folder: Path) -> None:
    """Removes what nobody has read for a month; whoever still has it mapped keeps it."""
    oldest_s = time.time() - _UNUSED_S
    for path in folder.iterdir():
        with suppress(OSError):
            if path.stat().st_mtime < oldest_s:
                path.unlink()
