"""Operations of a training step, in closed form."""

from __future__ import annotations

from sweeper.experiment.trial import TrialSpec

__all__ = ["step_operations"]


def step_operations(trial: TrialSpec) -> float:
    """Returns the operations of a step with one micro-batch, two a multiplication and addition.

    A frozen weight takes two products with each token, for the output and for the gradient of the
    input, a trained one a third, for its own gradient; attention takes four in the forward pass and
    eight in the backward. With checkpointing the forward pass is taken twice. Padding counts:
    every row is taken to have ``max_length`` tokens, so that it is for ratios, and an upper bound.

    Args:
        trial: on its model.
    """
    facts, train = trial.model.facts(), trial.train
    tokens = train.batch_size * train.max_length
    # The embedding is looked up; the head is a product, and may have the embedding's weights.
    is_tied = bool(trial.model.config().get("tie_word_embeddings"))
    looked_up = 0 if is_tied else facts.vocabulary * facts.width
    frozen = max(facts.shape.total_parameters - looked_up, 1)
    trained = trial.model.trainable(trial.method)
    forward = 2 * (frozen + trained) + 4 * facts.shape.layers * train.max_length * facts.width
    backward = 2 * frozen + 4 * trained + 8 * facts.shape.layers * train.max_length * facts.width
    times = 2 if trial.engine.gradient_checkpointing else 1
    return float(tokens * (times * forward + backward))
