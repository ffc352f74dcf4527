"""DeepSpeed computes what plain PyTorch computes, for every stage, and makes no noise."""

import io
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

from sweeper._third_party import load_deepspeed
from sweeper.data.tokens.encoding import collate
from sweeper.distributed import rank
from sweeper.experiment.trial import EngineSpec, TrainSpec
from sweeper.training import engine
from sweeper.training.deepspeed_config import ds_config
from sweeper.training.schedule import DataOrder, learning_rate
from sweeper.training.trial import train
from tests.sweeper import scenarios, tiny

# DeepSpeed sums gradients of float32 in another order than one backward pass over all examples
# does; AdamW divides by their size, which enlarges the difference.
SUM_ORDER = 2e-4
# bfloat16 has 8 bits of precision; the reference keeps the adapter in float32 throughout.
HALF_PRECISION = 2e-2

TRAIN = TrainSpec(steps=4, learning_rate=1e-3, batch_size=3, max_grad_norm=0.5)


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_the_configuration_follows_the_specs(stage):
    spec = EngineSpec(zero_stage=stage, gradient_accumulation=2, precision="bf16")
    config = ds_config(TRAIN, spec, trainable=1000, is_cuda=False)
    assert config["zero_optimization"] == {
        "stage": stage,
        "reduce_bucket_size": 1000,
        "allgather_bucket_size": 1000,
    }
    assert config["train_micro_batch_size_per_gpu"] == 3
    assert config["gradient_accumulation_steps"] == 2
    assert config["gradient_clipping"] == 0.5
    assert config["bf16"] == {"enabled": True}
    assert config["fp16"] == {"enabled": False}


@pytest.mark.parametrize("is_cuda", [False, True])
@pytest.mark.parametrize(
    ("stage", "offloaded"),
    [(1, {"offload_optimizer"}), (3, {"offload_optimizer", "offload_param"})],
)
def test_offload_pins_memory_only_on_a_gpu(stage, offloaded, is_cuda):
    spec = EngineSpec(zero_stage=stage, offload="cpu")
    zero = ds_config(TRAIN, spec, trainable=10, is_cuda=is_cuda)["zero_optimization"]
    assert {name for name in zero if "offload" in name} == offloaded
    assert all(zero[name] == {"device": "cpu", "pin_memory": is_cuda} for name in offloaded)


def look_around():
    handlers = logging.getLogger("DeepSpeed").handlers
    streams = [h.stream for h in handlers if isinstance(h, logging.StreamHandler)]
    return "mlflow" in sys.modules, [stream is sys.stderr for stream in streams]


def test_deepspeed_is_quiet_on_standard_output_and_leaves_mlflow_alone():
    assert scenarios.run(look_around, 1) == [(False, [True])]


def plainly_logged(spec, *, workers):
    """What a trial logs, by plain PyTorch: one process, one backward pass for each step."""
    train = spec.train
    base = tiny.base()
    model = spec.method.inject(base.model, seed=train.seed)
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=train.learning_rate, weight_decay=train.weight_decay
    )
    order = DataOrder(base.data.train_tokens(train.max_length), seed=train.seed)
    logged = []
    for step in range(train.steps):
        size = train.batch_size * spec.engine.gradient_accumulation * workers
        batch = collate(order.batch(step, size), base.pad_id)
        labels = batch["labels"][:, 1:]
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[
            :, :-1
        ]
        loss = torch.nn.functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=-100
        )
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, train.max_grad_norm)
        optimizer.param_groups[0]["lr"] = learning_rate(train, step)
        optimizer.step()
        optimizer.zero_grad()
        logged.append({"train_loss": float(loss.detach()), "grad_norm": float(norm)})
    return logged


def logged_of_all(specs):
    return [scenarios.logged(spec) for spec in specs]


def series(logged, name):
    return [metrics[name] for metrics in logged]


SETTINGS: dict[str, Any] = {
    "steps": 4,
    "evaluations": 1,
    "eval_examples": 2,
    "gradient_accumulation": 2,
    "max_grad_norm": 0.3,
    "weight_decay": 0.1,
    "warmup_ratio": 0.3,
}


@pytest.mark.parametrize("workers", [1, 2])
def test_every_stage_gives_what_plain_pytorch_gives(workers):
    engines: list[dict[str, Any]] = [{"zero_stage": stage} for stage in range(4)]
    engines += [{"zero_stage": stage, "offload": "cpu"} for stage in (2, 3)]
    specs = [tiny.trial("masa", workers=workers, **SETTINGS, **engine) for engine in engines]
    expected = plainly_logged(specs[0], workers=workers)
    # The clip was in play.
    assert min(series(expected, "grad_norm")) > SETTINGS["max_grad_norm"]
    for found in scenarios.run(logged_of_all, workers, specs)[0]:
        for name in ("train_loss", "grad_norm"):
            assert series(found, name) == pytest.approx(series(expected, name), rel=SUM_ORDER)


def walks_of_steps(spec):
    """How often each step after the first walks through all modules of a model."""
    count, walks = 0, []
    walk = torch.nn.Module.named_modules

    def counted(module, *given, **named):
        nonlocal count
        # It calls itself for each child, with what it has seen.
        count += not given
        return walk(module, *given, **named)

    class Log(tiny.Recorded):
        def log_step(self, step, metrics):
            nonlocal count
            super().log_step(step, metrics)
            walks.append(count)
            count = 0

    torch.nn.Module.named_modules = counted  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder:
        train(spec, tiny.base(), folder=Path(folder), progress=Log())
    return walks[1:]


def test_a_step_without_zero_does_not_walk_through_the_frozen_modules():
    spec = tiny.trial("lora", steps=4, evaluations=1, gradient_accumulation=2)
    assert scenarios.run(walks_of_steps, 1, spec) == [[0, 0, 0]]


def values_after_a_step(workers):
    """The values of an adapter of whose parameters each worker uses one, by plain PyTorch too."""
    model = tiny.METHODS["lora"].inject(tiny.base().model, seed=0)
    training = tiny.METHODS["lora"].training(model, steps=1)
    trained = [p for p in model.parameters() if p.requires_grad]
    expected = [p.detach().clone() for p in trained]
    settings = TRAIN.model_copy(update={"weight_decay": 0.5})
    made = engine.Engine(training, settings, EngineSpec(), task_ids=(0, 0))
    made.backward(trained[rank()].sum() / workers, is_last=True)
    made.step(learning_rate=settings.learning_rate)
    norm = sum(p.numel() for p in trained[:workers]) ** 0.5 / workers
    factor = min(1.0, settings.max_grad_norm / norm)
    optimizer = torch.optim.AdamW(expected, lr=settings.learning_rate, weight_decay=0.5)
    for number, value in enumerate(expected):
        used = factor / workers if number < workers else 0.0
        value.grad = torch.full_like(value, used)
    optimizer.step()
    return [float((p - q).abs().max()) for p, q in zip(trained, expected, strict=True)]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_parameter_that_a_worker_does_not_use_has_a_gradient_of_zero(workers):
    for differences in scenarios.run(values_after_a_step, workers, workers):
        assert max(differences) < 1e-6


def test_half_precision_follows_at_a_distance():
    specs = [
        tiny.trial("lora", **SETTINGS, zero_stage=stage, precision="bf16") for stage in range(4)
    ]
    expected = series(plainly_logged(specs[0], workers=1), "train_loss")
    for found in scenarios.run(logged_of_all, 1, specs)[0]:
        assert series(found, "train_loss") == pytest.approx(expected, rel=HALF_PRECISION)


def test_deepspeed_writes_to_what_standard_error_is_now(monkeypatch):
    handler = logging.StreamHandler(io.StringIO())
    handler.stream.close()
    monkeypatch.setattr(logging.getLogger("DeepSpeed"), "handlers", [handler])
    load_deepspeed()
    assert handler.stream is sys.stderr
