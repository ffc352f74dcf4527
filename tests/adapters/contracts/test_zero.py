"""Every method trains alike on two workers with ZeRO 1, 2 and 3, and on one without."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from sweeper.evaluation.scoring import evaluate_base
from sweeper.experiment.trial import TrialSpec
from sweeper.training import train
from sweeper_adapters.methods import EngineFacts
from tests.adapters.passes import output
from tests.adapters.specs import SPECS, each, on
from tests.sweeper import scenarios, tiny

pytestmark = pytest.mark.slow

STAGES = (1, 2, 3)
SETTINGS: dict[str, Any] = {
    "steps": 3,
    "evaluations": 1,
    "eval_examples": 4,
    "batch_size": 2,
    "learning_rate": 1e-2,
    "weight_decay": 0.1,
    "max_grad_norm": 0.3,
}
# Two workers sum the same float32 numbers as one does, in another order: the last bits of a loss
# and of a norm differ. AdamW divides gradients by their size: where it is small, that grows.
LOSSES = 1e-6
NORMS = 1e-5
VALUES = 1e-3
# bfloat16 has 8 bits: ZeRO-3 rounds the parts of a gradient where the others round their sum.
HALF_LOSSES = 2e-4
HALF_NORMS = 1e-2
HALF_VALUES = 0.1
# One of each kind of adapter: they differ in which parameters they have, not in how they round.
IN_HALF_PRECISION = [
    SPECS[name] for name in ("lora", "masa-both", "masa-router", "mosa", "mtl-lora-tasks")
]
# One of each way in which a method takes part in training: passes alone, a table of groups, task
# ids, a calibration, gradients of its own, a model's inputs.
KINDS = ["lora", "masa-router", "mosa", "mtl-lora-tasks", "lora-ga", "lora-pro", "prompt-tuning"]
# Examples whose trials run in one group of processes, in the time that a group has.
GROUP = 8


def trial(spec, *, workers, **settings):
    """A trial of the example on the tiny model: two micro-batches a step, on one worker or two."""
    method = on(spec, *tiny.TARGETS)
    assert method.problems(tiny.shape()) == []
    made = tiny.trial(workers=workers, gradient_accumulation=3 - workers, **SETTINGS, **settings)
    return made.model_copy(update={"method": method})


def stages(spec, precision):
    """The stages that the method can be trained with."""
    facts = [
        EngineFacts(zero_stage=stage, workers=2, precision=precision, has_gpu=False, batch_size=2)
        for stage in STAGES
    ]
    return [fact.zero_stage for fact in facts if not spec.engine_problems(fact)]


def draws(spec) -> bool:
    """Whether a pass in training draws random numbers, which each worker does for itself."""
    model = spec.inject(tiny.model(), seed=0).train()
    torch.manual_seed(17)
    before = torch.get_rng_state()
    output(model, torch.ones(2, 3, dtype=torch.long))
    return not torch.equal(torch.get_rng_state(), before)


def plan(precision, spec):
    """The trials of an example: without ZeRO on one worker, then each stage on two."""
    # What draws is compared with two workers without ZeRO: they draw the same.
    alone = trial(spec, workers=1 + draws(spec), precision=precision)
    return alone, *(
        trial(spec, workers=2, zero_stage=stage, precision=precision)
        for stage in stages(spec, precision)
    )


def run(specs, folder):
    """Trains trials one after another; returns of each what it logs and its last evaluation."""
    scenarios.keep_nothing_whole()
    found: list[Any] = []
    for number, spec in enumerate(specs):
        progress = tiny.Recorded()
        base = tiny.base(spec.engine.precision)
        place = Path(folder) / str(number)
        try:
            outcome = train(spec, base, folder=place, progress=progress)
            found.append((progress.logged, outcome.metrics["eval_loss"].value, place))
        except Exception as error:  # noqa: BLE001 - of one trial; the others shall run
            found.append(f"{type(error).__name__}: {error}")
    return found


@pytest.fixture(scope="module")
def trained(request, tmp_path_factory):
    """Returns what became of an example: alone on one worker, and with each stage on two.

    The trials of several examples run in one group of processes, as late as the first is asked for.
    """
    tests = [item for item in request.session.items if item.path == request.path]
    examples = [tuple(item.callspec.params.values()) for item in tests]

    @cache
    def group(number):
        folder = tmp_path_factory.mktemp("zero")
        planned = [plan(*example) for example in examples[GROUP * number : GROUP * (number + 1)]]
        found: dict[TrialSpec, Any] = {}
        for workers in (1, 2):
            chosen = [spec for row in planned for spec in row if spec.workers == workers]
            results = scenarios.run(run, workers, chosen, folder / str(workers))[0]
            found |= dict(zip(chosen, results, strict=True))
        return [[found[spec] for spec in row] for row in planned]

    def result(*example):
        number = examples.index(example)
        return group(number // GROUP)[number % GROUP]

    return result


def series(logged, name):
    return [row[name] for row in logged]


def check(precision, spec, trained, *, losses, norms, values):
    """Compares what one worker logs and saves with what two do, relative to its size."""
    plain, *staged = trained(precision, spec)
    assert not isinstance(plain, str), plain
    logged, eval_loss, folder = plain
    saved = tiny.weights(folder)
    for stage, found in zip(stages(spec, precision), staged, strict=True):
        assert not isinstance(found, str), f"stage {stage}: {found}"
        other_logged, other_eval_loss, other_folder = found
        assert other_eval_loss == pytest.approx(eval_loss, rel=losses)
        for name, tolerance in (("train_loss", losses), ("grad_norm", norms)):
            expected = pytest.approx(series(logged, name), rel=tolerance)
            assert series(other_logged, name) == expected, f"stage {stage}"
        other = tiny.weights(other_folder)
        assert other.keys() == saved.keys()
        for name, value in saved.items():
            assert other[name].shape == value.shape
            # Some are indices of 8 bit.
            value, found = value.double(), other[name].double()
            limit = values * torch.linalg.vector_norm(value)
            assert torch.linalg.vector_norm(found - value) <= limit, f"stage {stage}: {name}"
    # It was trained: a loss that nothing has moved would agree, too.
    untrained = evaluate_base(tiny.base(precision), max_length=16, count=SETTINGS["eval_examples"])
    assert abs(eval_loss - untrained["eval_loss"]) > 5 * losses * eval_loss


@pytest.mark.parametrize("spec", [SPECS[name] for name in KINDS], ids=KINDS)
@pytest.mark.parametrize("precision", ["fp32"])
def test_every_stage_trains_like_one_worker(precision, spec, trained):
    check(precision, spec, trained, losses=LOSSES, norms=NORMS, values=VALUES)


@pytest.mark.whole
@each(lambda spec: spec not in [SPECS[name] for name in KINDS])
@pytest.mark.parametrize("precision", ["fp32"])
def test_every_stage_trains_each_other_like_one_worker(precision, spec, trained):
    check(precision, spec, trained, losses=LOSSES, norms=NORMS, values=VALUES)


@each(lambda spec: spec in IN_HALF_PRECISION)
@pytest.mark.parametrize("precision", ["bf16"])
def test_every_stage_trains_like_one_worker_in_half_precision(precision, spec, trained):
    check(precision, spec, trained, losses=HALF_LOSSES, norms=HALF_NORMS, values=HALF_VALUES)
