"""Methods that treat samples apart, through the trainer: LoRAMoE and MTL-LoRA."""

from typing import Any

import pytest

from sweeper.data import EmbeddedDataSpec
from sweeper.errors import SpecError
from sweeper.experiment.space.space import MethodSpace, Space
from sweeper.preflight.task_ids import require_tasks
from sweeper.training.engine import Engine
from sweeper.training.trial import train
from sweeper_adapters import _task_ids as _tasks
from sweeper_adapters.methods import LoraMoeSpec, MtlLoraSpec
from sweeper_adapters.methods.loramoe import training as moe_training
from tests.sweeper import scenarios, tiny

# The domains of the examples are "letter" and "sum".
LORAMOE = LoraMoeSpec(
    rank=4, experts=4, balance=0.5, knowledge_domains=("letter",), targets=tiny.TARGETS
)
MTL_LORA = MtlLoraSpec(rank=4, tasks=2, targets=tiny.TARGETS)

SETTINGS: dict[str, Any] = {"steps": 4, "learning_rate": 3e-3, "max_grad_norm": 0.5}
# Two workers sum the same float32 numbers as one does, in another order; a few steps of AdamW
# enlarge what rounding leaves.
SUM_ORDER = 2e-4


def trial(method, *, workers, **settings):
    made = tiny.trial(workers=workers, **{**SETTINGS, **settings})
    return made.model_copy(update={"method": method})


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    """Losses and reports of both methods with each ZeRO stage, of two samples on each worker."""
    cases = [(method, stage) for method in (LORAMOE, MTL_LORA) for stage in (0, 2)]
    specs = [trial(method, workers=2, batch_size=2, zero_stage=stage) for method, stage in cases]
    found, _ = scenarios.run(scenarios.trials, 2, specs, tmp_path_factory.mktemp("two"))
    return {(method.name, stage): one for (method, stage), one in zip(cases, found, strict=True)}


def alone(method, folder, **settings):
    [[found]] = scenarios.run(scenarios.trials, 1, [trial(method, workers=1, **settings)], folder)
    return found


def is_same(found, expected):
    (losses, reports), (expected_losses, expected_reports) = found, expected
    assert len(losses) == SETTINGS["steps"]
    assert losses == pytest.approx(expected_losses, rel=SUM_ORDER)
    for (_, metrics, _), (_, expected_metrics, _) in zip(reports, expected_reports, strict=True):
        assert metrics["eval_loss"] == pytest.approx(expected_metrics["eval_loss"], rel=SUM_ORDER)


@pytest.mark.parametrize("stage", [0, 2])
def test_mtl_lora_on_two_workers_is_one_with_twice_the_batch(stage, two_workers, tmp_path):
    is_same(two_workers["mtl_lora", stage], alone(MTL_LORA, tmp_path, batch_size=4))


@pytest.mark.parametrize("stage", [0, 2])
def test_loramoe_on_two_workers_is_one_with_two_micro_batches(stage, two_workers, tmp_path):
    # Each micro-batch is balanced for itself.
    expected = alone(LORAMOE, tmp_path, batch_size=2, gradient_accumulation=2)
    is_same(two_workers["loramoe", stage], expected)


def test_loramoe_without_balance_is_one_with_twice_the_batch(two_workers, tmp_path):
    method = LORAMOE.model_copy(update={"balance": 0.0})
    spec = trial(method, workers=2, batch_size=2, zero_stage=2)
    [[found], _] = scenarios.run(scenarios.trials, 2, [spec], tmp_path / "two")
    is_same(found, alone(method, tmp_path / "one", batch_size=4))
    # The balance makes another run of it.
    assert found[0][1:] != pytest.approx(two_workers["loramoe", 2][0][1:], rel=SUM_ORDER)


def test_checkpointing_changes_nothing(two_workers, tmp_path):
    for method in (LORAMOE, MTL_LORA):
        spec = trial(method, workers=2, batch_size=2, zero_stage=2, gradient_checkpointing=True)
        [[found], _] = scenarios.run(scenarios.trials, 2, [spec], tmp_path / method.name)
        assert found == two_workers[method.name, 2]


def watch(method, folder):
    """Trains a trial; returns the domains of each forward pass, and the ids that came of them."""
    passes: list[tuple[bool, list[int], list[list[int]]]] = []
    forward, of, balance = Engine.__call__, _tasks.TaskIds.of, moe_training.balance_loss

    def watched_forward(self, *, domains, **inputs):
        passes.append((self._model.training, domains.tolist(), []))
        return forward(self, domains=domains, **inputs)

    def watched_of(self, *args, **settings):
        found = of(self, *args, **settings)
        passes[-1][2].append(found.tolist())
        return found

    def watched_balance(shares, types, **settings):
        passes[-1][2].append(types.tolist())
        return balance(shares, types, **settings)

    Engine.__call__ = watched_forward  # type: ignore[method-assign]
    _tasks.TaskIds.of = watched_of  # type: ignore[method-assign]
    moe_training.balance_loss = watched_balance
    base = tiny.base()
    spec = trial(method, workers=1, gradient_accumulation=2)
    train(spec, base, folder=folder, progress=tiny.Recorded())
    return base.data.domains, passes


@pytest.mark.parametrize("method", [MTL_LORA, LORAMOE], ids=["mtl_lora", "loramoe"])
def test_task_ids_reach_the_layers_in_training_and_in_evaluation(method, tmp_path):
    [(domains, passes)] = scenarios.run(watch, 1, method, tmp_path)
    assert domains == ("letter", "sum")
    ids = method.task_ids(domains)
    assert sorted(ids) == [0, 1]
    of_training = [found for found in passes if found[0]]
    of_evaluation = [found for found in passes if not found[0]]
    assert len(of_training) == 2 * SETTINGS["steps"]
    assert len(of_evaluation) >= 2
    for some in (of_training, of_evaluation):
        assert {domain for _, batch, _ in some for domain in batch} == {0, 1}
    layers = 3 * len(tiny.TARGETS)
    for is_training, batch, seen in passes:
        expected = [ids[domain] for domain in batch]
        if method is MTL_LORA:
            assert seen == [expected] * layers
        else:
            # The type is for the loss of training alone.
            assert seen == [expected] * is_training


def space(*methods):
    trees = [(m.name, trial(m, workers=1).model_dump(mode="json")) for m in methods]
    return Space(methods=tuple(MethodSpace(name, tree, axes=()) for name, tree in trees))


def test_data_with_other_domains_is_refused_before_anything_starts():
    data = EmbeddedDataSpec(train_rows=50, eval_rows=50)
    with pytest.raises(SpecError) as refused:
        require_tasks(space(LORAMOE, MTL_LORA), data)
    assert [problem.path for problem in refused.value.problems] == [
        "methods.loramoe",
        "methods.mtl_lora",
    ]
    assert "it is ['letter']; the data has addition, " in str(refused.value)
    assert "tasks is 2 but the data has 9 domains, addition, " in str(refused.value)
    known = LORAMOE.model_copy(update={"knowledge_domains": ("capitals",)})
    require_tasks(space(known, MTL_LORA.model_copy(update={"tasks": 9})), data)
    require_tasks(space(MTL_LORA.model_copy(update={"tasks": 1})), data)
