"""The chat template that a trial was trained with, kept beside its adapter.

It is part of neither the adapter nor the base, and the file that a search space names may change or
go away.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sweeper._files import read_bytes, write_text
from sweeper.data import DataSpec, MessagesFormat, ShareGptFormat
from sweeper.data.sources.rows import RowDataSpec
from sweeper.errors import DamagedFileError, DataError

__all__ = ["TEMPLATE_FILE", "as_trained", "kept_template", "note_template"]

TEMPLATE_FILE = "chat_template.jinja"
"""Name of the file beside an adapter's folder, and of that in an export."""


def note_template(folder: Path, template: str) -> None:
    """Keeps a chat template beside an adapter; what was kept there is replaced.

    Args:
        folder: of the adapter, which need not be there yet.
        template: its text; empty where the rows are no chats, or the model's tokenizer has it.
    """
    path = _file_of(folder)
    if template:
        write_text(path, template)
    else:
        path.unlink(missing_ok=True)


def kept_template(folder: Path) -> Path | None:
    """Returns the file that :func:`note_template` has written; None without one.

    Args:
        folder: of the adapter.
    """
    path = _file_of(folder)
    return path if path.is_file() else None


def as_trained(data: DataSpec, folder: Path) -> tuple[DataSpec, tuple[str, ...]]:
    """Returns a trial's data with the chat template that the trial was trained with.

    Where the file has not changed, or none is kept, that is the data as it is.

    Args:
        data: of the trial.
        folder: of its adapter.

    Returns:
        The data, and a sentence if its chat template is the one that is kept.

    Raises:
        DamagedFileError: what is kept cannot be read.
    """
    chats = data.format if isinstance(data, RowDataSpec) else None
    path = kept_template(folder)
    if not isinstance(chats, MessagesFormat | ShareGptFormat) or path is None:
        return data, ()
    kept = _read(path)
    try:
        now = chats.conversation((), (), where=str(path)).template
    except DataError as error:
        why = f"cannot be used ({error})"
    else:
        if now == kept:
            return data, ()
        why = f"has changed since the trial's training: its hash is {_hash(now)}…"
    note = (
        f"data.format.template: {chats.template} {why}; the trial was trained with the hash "
        f"{_hash(kept)}…, which is kept in {path} and is used here; to use another one, train a "
        "trial with it"
    )
    own = chats.model_copy(update={"template": str(path.absolute())})
    return data.model_copy(update={"format": own}), (note,)


def _read(path: Path) -> str:
    try:
        text = (read_bytes(path) or b"").decode()
    except UnicodeDecodeError as error:
        raise DamagedFileError(path, f"it is no text in UTF-8 ({error})") from error
    if not text.strip():
        raise DamagedFileError(path, "it is empty")
    return text


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _file_of(folder: Path) -> Path:
    return folder.with_name(TEMPLATE_FILE)
