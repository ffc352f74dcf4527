"""At which learning rates models of a size were published to be fine-tuned, and what leaves that.

The table has the lowest and the highest rate of AdamW with low-rank adapters or MoSA that these
sources report for their final runs, by the model's parameters:

* Hu et al. 2021 (LoRA, arXiv:2106.09685), appendix D: RoBERTa base and large 2e-4 to 5e-4, GPT-2
  medium and large 2e-4, DeBERTa XXL (1.5 B) 6e-5 to 2e-4, GPT-3 175 B 2e-4.
* Hu et al. 2023 (LLM-Adapters, arXiv:2304.01933): LLaMA 7 B and 13 B 3e-4.
* Dettmers et al. 2023 (QLoRA, arXiv:2305.14314), Table 9: LLaMA 7 B and 13 B 2e-4, 33 B and 65 B
  1e-4.
* MASA, Table 10: LLaMA3.2-3B, 7 B and 8 B models 5e-5.
* MoSA, appendix B.11, Table 10: LLaMA3-8B 5e-6 to 5e-5, the best 1e-5.
* The rule of the tinker-cookbook for LoRA on LLaMA, see :func:`usual_rate`.

They disagree, and none is an optimum over a grid. Of models below 100 million parameters nothing is
published; those of this project are measured (``docs/results``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sweeper.experiment.space.distributions import Choice, Distribution, Grid, LogUniform, Uniform
from sweeper.experiment.space.rates import number_of
from sweeper.experiment.space.space import Space

__all__ = ["PublishedRates", "published_rates", "usual_rate", "warn_of_rates"]

_RATE = ("train", "learning_rate")
# A search looks around what is published. How far below it may go, and how far above: too low a
# rate wastes a trial, too high a one diverges.
_BELOW, _ABOVE = 30, 10
# Ends of ranges are rounded to two digits.
_ROUNDING = 0.05


@dataclass(frozen=True)
class PublishedRates:
    """What is published of models of a size."""

    size: str
    """Which models, in words."""
    low: float
    """The lowest rate."""
    high: float
    """The highest rate."""


# From which number of parameters on.
_TABLE = (
    (20e9, PublishedRates("20 billion parameters and more", 1e-4, 2e-4)),
    (5e9, PublishedRates("5 to 20 billion parameters", 5e-6, 3e-4)),
    (1e9, PublishedRates("1 to 5 billion parameters", 5e-5, 5e-4)),
    (1e8, PublishedRates("100 million to a billion parameters", 2e-4, 1.5e-3)),
)


def published_rates(parameters: int) -> PublishedRates | None:
    """Returns what is published of models of a size; None below 100 million parameters.

    Args:
        parameters: of the base model.
    """
    return next((found for least, found in _TABLE if parameters >= least), None)


def usual_rate(width: int) -> float:
    """Returns the rate that a rule gives for LoRA on a model of this width, rounded to two digits.

    It is ``5e-5 · 10 · (2000 / width) ^ 0.781``, the tinker-cookbook's ``get_lr`` for LLaMA models
    (``tinker_cookbook/hyperparam_utils.py``). On the embedded model, whose width is 128, it gives
    4.3e-3, between the best rates that were measured there (``docs/results/compare.md``).

    Args:
        width: of the residual stream.
    """
    return float(f"{5e-5 * 10 * (2000 / width) ** 0.781:.2g}")


def warn_of_rates(space: Space) -> Iterator[str]:
    """Yields a sentence where a space has learning rates far from what is published for its model.

    Args:
        space: checked.
    """
    rates = sorted(_rates(space))
    known = published_rates(space.any_trial().model.shape().total_parameters)
    if known is None or not rates:
        return
    low, high = rates[0], rates[-1]
    lowest = known.low / _BELOW * (1 - _ROUNDING)
    highest = known.high * _ABOVE * (1 + _ROUNDING)
    beyond = [f"{_BELOW} times below"] if low < lowest else []
    beyond += [f"{_ABOVE} times above"] if high > highest else []
    if not beyond:
        return
    said = f"are {low:.2g} to {high:.2g}" if low < high else f"are {low:.2g}"
    yield (
        f"the learning rates {said}, which is more than {' and '.join(beyond)} what is published "
        f"for models of {known.size}, {known.low:g} to {known.high:g} (sources: "
        "sweeper/experiment/space/published_rates.py); such trials train nothing, or diverge; set "
        f"train.learning_rate={{loguniform: [{known.low:g}, {known.high:g}]}}, in a design "
        "design.rates"
    )


def _rates(space: Space) -> Iterator[float]:
    """Yields the ends of what a space has for learning rates."""
    for method in space.methods:
        axis = next((x for x in method.axes if x.path == _RATE), None)
        if axis is not None:
            yield from _ends(axis.distribution)
            continue
        train = method.tree.get("train")
        rate = number_of(train.get("learning_rate")) if isinstance(train, dict) else None
        if rate is not None:
            yield rate


def _ends(distribution: Distribution) -> Iterator[float]:
    match distribution:
        case LogUniform(loguniform=ends) | Uniform(uniform=ends):
            yield from ends
        case Choice() | Grid():
            values = (number_of(value) for value in distribution.values())
            yield from (value for value in values if value is not None)
