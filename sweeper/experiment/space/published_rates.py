"""At which learning rates models of a size were published to be fine-tuned, and what leaves that.

The table has the lowest and the highest rate of AdamW with low-rank adapters or MoSA in these
sources, by the model's parameters. Where a rate was read in a repository, its file is named:

* LoRA (arXiv:2106.09685), github.com/microsoft/LoRA: RoBERTa base 4e-4 to 5e-4, RoBERTa large 2e-4
  to 4e-4, DeBERTa XXL (1.5 B) 6e-5 to 2.6e-4 (``examples/NLU/*.sh``); GPT-2 medium 2e-4
  (``examples/NLG/README.md``).
* AdaLoRA (arXiv:2303.10512), github.com/QingruZhang/AdaLoRA: DeBERTa-v3 base (184 M) 5e-4 to 2.2e-3
  (``NLU/scripts/*.sh``).
* LLM-Adapters (arXiv:2304.01933), github.com/AGI-Edgerunners/LLM-Adapters: LoRA on LLaMA 7 B,
  BLOOMZ 7 B and GPT-J 6 B 3e-4 (``math_running_commands``).
* QLoRA (arXiv:2305.14314), github.com/artidoro/qlora: LLaMA 7 B and 13 B 2e-4, 33 B and 65 B 1e-4
  (``scripts/finetune_guanaco_*.sh``).
* DoRA (arXiv:2402.09353), github.com/NVlabs/DoRA: LLaMA2 7 B 2e-4, LLaMA3 8 B 1e-4
  (``commonsense_reasoning/*.sh``).
* PEFT's comparison of methods, github.com/huggingface/peft: Llama 3.2 3 B 1e-4, unless a method has
  its own (``method_comparison/MetaMathQA/default_training_params.json``).
* MASA, Table 10: 5e-5, for models of 3 B, 7 B and 8 B.
* MoSA, appendix B.11, Table 10: LLaMA3 8 B 5e-6 to 5e-5, the best 1e-5.
* tinker-cookbook, github.com/thinking-machines-lab/tinker-cookbook: the best of a grid for LoRA,
  128 rows a step: Llama 3.2 1 B and 3 B and Qwen3 4 B 1e-3; Llama 3.1 8 B 3e-4, Qwen3 8 B 1e-3;
  from 20 B on 1e-4 to 1e-3, the highest in mixtures of experts (``get_lr`` in
  ``tinker_cookbook/hyperparam_utils.py``, commit 02face3).

They disagree, and only the last of them searched a grid over models. Of models below 100 million
parameters none of them says anything; those of this project are measured (``docs/results``).
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
    (20e9, PublishedRates("20 billion parameters and more", 1e-4, 1e-3)),
    (5e9, PublishedRates("5 to 20 billion parameters", 5e-6, 1e-3)),
    (1e9, PublishedRates("1 to 5 billion parameters", 5e-5, 1e-3)),
    (1e8, PublishedRates("100 million to a billion parameters", 2e-4, 2.2e-3)),
)


def published_rates(parameters: int) -> PublishedRates | None:
    """Returns what is published of models of a size; None below 100 million parameters.

    Args:
        parameters: of the base model.
    """
    return next((found for least, found in _TABLE if parameters >= least), None)


def usual_rate(width: int) -> float:
    """Returns the rate that a rule gives for LoRA on a model of this width, rounded to two digits.

    It is ``5e-5 · 10 · (2000 / width) ^ 0.781``, what ``get_lr`` of the tinker-cookbook was for
    LLaMA models (``tinker_cookbook/hyperparam_utils.py``, commit e1024a4) before it became a table
    of models. On the embedded model, whose width is 128, it gives 4.3e-3, between the best rates
    that were measured there (``docs/results/compare.md``).

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
