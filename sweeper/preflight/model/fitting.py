"""One look at model, tokenizer and data together, before anything starts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from sweeper.data import Example, Splits
from sweeper.data.prepared import require_rows
from sweeper.data.questions import draw_examples, questions_of
from sweeper.data.tokens import encode
from sweeper.evaluation.answers import most_new_tokens, require_room
from sweeper.experiment.sweep import Sweep
from sweeper.models.inspection import TokenCheck, load_tokenizer, positions_of
from sweeper.preflight.metrics import require_scorable

__all__ = ["inspect_model_of", "require_fitting_data"]

# Begin and end of text, a first space that some tokenizers add, and one token of the prompt.
_TOKENS_AROUND = 4
# Training chats that are put into the template: what it refuses, it mostly refuses soon.
_TRIED_CHATS = 200


def inspect_model_of(sweep: Sweep) -> TokenCheck:
    """Looks at model and tokenizer.

    Returns:
        What is to be looked at in the data.

    Raises:
        BadInputError: the model cannot be trained on.
    """
    # The same for all trials: lengths are compared alike.
    max_length = sweep.space.any_trial().train.max_length
    return sweep.spec.model.inspect(max_length=max_length, virtual_tokens=_tokens_before(sweep))


def _tokens_before(sweep: Sweep) -> int:
    """Returns how many tokens a method puts before a text, at most."""
    trials = (sweep.space.trial(point) for _, point in sweep.space.corners())
    return max(trial.method.tokens_before for trial in trials)


def require_fitting_data(sweep: Sweep, left: TokenCheck) -> None:
    """Looks at the data with the eyes of the model.

    Args:
        sweep: whose model has been looked at.
        left: what that has left to be looked at.

    Raises:
        BadInputError: a row needs a token that the model has not, a split is empty, no answer has
            room, a generated one may have as many tokens as the model has positions, or a chat
            cannot be put into the template.
    """
    spec, train = sweep.spec, sweep.space.any_trial().train
    splits = spec.data.load().scored_by(spec.evaluation.metric_names)
    require_rows(splits)
    require_scorable(splits, spec.evaluation)
    left.require(_texts(splits))
    _require_room_to_write(sweep, splits)
    examples = draw_examples(splits.validation, train.eval_examples)
    if any(_surely_has_room(example, train.max_length) for example in examples):
        return
    source = spec.model.source()
    tokenizer = load_tokenizer(
        source.name, revision=source.revision or "main", subject=left.subject
    )
    chats = (example for example in splits.train if example.conversation is not None)
    encode(list(islice(chats, _TRIED_CHATS)), tokenizer, train.max_length, long_answers="cut")
    questions_of(
        examples,
        tokenizer,
        train.max_length,
        domains=splits.domains(),
        needs_loss=True,
    )


def _require_room_to_write(sweep: Sweep, splits: Splits) -> None:
    """Looks whether answers that are generated leave room for a prompt."""
    spec = sweep.spec
    positions = positions_of(spec.model.config())
    asked: list[Example] = []
    if spec.evaluation.generates:
        asked += splits.validation
    if spec.final.trials != 0:
        asked += splits.test if spec.final.split == "test" else splits.validation
    # Without a task, and a limit, answers are as long as those of the rows, which have room.
    written = [x for x in asked if x.is_written and (x.task or spec.evaluation.max_new_tokens)]
    most = max((most_new_tokens(spec.evaluation, x) for x in written), default=0)
    if positions is not None and most:
        require_room(most, positions - _tokens_before(sweep))


def _surely_has_room(example: Example, max_length: int) -> bool:
    """Whether the answers have room whatever the tokenizer is: a token has at least one byte."""
    # What a template writes is seen by trying; a document is parted where it is too long.
    if example.conversation is not None or example.is_document:
        return example.is_document
    longest = max(len(answer.encode()) for answer in example.candidates)
    return longest + _TOKENS_AROUND <= max_length


def _texts(splits: Splits) -> Iterator[str]:
    for examples in (splits.train, splits.validation, splits.test):
        for example in examples:
            yield example.prompt
            if example.conversation is not None:
                yield example.conversation.template
            yield from example.candidates
