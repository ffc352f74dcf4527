"""ConvAI2: what a speaker with a persona says next; only the own persona is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sweeper.data.examples import Example
from sweeper.data.reading.hub import HubSource, Split
from sweeper.data.reading.rows import Row
from sweeper.data.tasks.task import Files, Task
from sweeper.errors import DataError

__all__ = ["CONVAI2"]

# The columns of Table 3 of "MoSA: Mosaic Shared Adaptation of Large Language Models"; the last one
# is the mean of the others.
_METRICS = (
    "bleu",
    "bert_score",
    "bert_score_recall",
    "bert_score_precision",
    "meteor",
    "rouge_l",
    "dialogue_mean",
)

# ParlAI has each file with and without the other candidates of a reply.
_FILES: Mapping[Split, str] = {"train": "train_self_original", "test": "valid_self_original"}


def _read(row: Row, where: str) -> Sequence[Example]:
    """Returns an example for each reply of a dialogue."""
    try:
        if "utterances" in row:
            persona, turns = _of_hub(row)
        else:
            persona = list(row["persona"])  # type: ignore[call-overload]  # errors are caught
            turns = [(said, reply) for said, reply in row["turns"]]  # type: ignore[attr-defined]  # the same
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(
            f"{where}: not a dialogue ({error!r}); it needs persona (a list of sentences) and "
            "turns (pairs of an utterance and its reply); correct the row"
        ) from error
    head = "\n".join(["Your persona:", *persona, "", "Dialogue:"])
    lines: list[str] = []
    found = []
    for said, reply in turns:
        lines.append(f"Partner: {said}")
        found.append(
            Example(
                prompt="\n".join([head, *lines, "You:"]),
                answer=f" {reply}",
                references=(reply,),
                # Several dialogues share a persona, and all turns of one share most of their text.
                unit="\n".join(persona),
            )
        )
        lines.append(f"You: {reply}")
    return found


def _of_hub(row: Row) -> tuple[list[str], list[tuple[str, str]]]:
    """Returns persona and turns: each turn has the history before it, and the reply comes last."""
    turns = [
        (turn["history"][-1], turn["candidates"][-1])
        for turn in row["utterances"]  # type: ignore[attr-defined]  # errors are caught
    ]
    return list(row["personality"]), turns  # type: ignore[call-overload]  # the same


CONVAI2 = Task(
    name="convai2",
    summary="the next utterance of a dialogue, given one's own persona",
    licence="MIT",
    citation="Dinan et al. 2019, arXiv:1902.00098; ParlAI's files *_self_original*.txt",
    read=_read,
    metrics=_METRICS,
    files={
        split: Files(f"convai2/{name}_no_cands.txt", otherwise=f"convai2/{name}.txt")
        for split, name in _FILES.items()
    },
    hub=HubSource("AlekseyKorshuk/persona-chat", splits={"train": "train", "test": "validation"}),
    # 200 of the 1,000 dialogues of the validation file, where there is no other.
    held_out=0.2,
    is_dialogues=True,
    max_new_tokens=48,
    stop=("\n",),
    version=2,
)
