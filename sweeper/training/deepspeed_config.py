"""DeepSpeed's configuration of a trial, and the groups of its optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sweeper.experiment.trial import EngineSpec, TrainSpec

if TYPE_CHECKING:
    from sweeper_adapters.training import Training

__all__ = ["adamw_groups", "ds_config"]


# DeepSpeed's own default, beyond which a bucket brings nothing.
MAX_BUCKET_ELEMENTS = 500_000_000


# torch.optim.AdamW's own default.
ADAMW_EPS = 1e-8


def ds_config(
    train: TrainSpec, engine: EngineSpec, *, trainable: int, is_cuda: bool
) -> dict[str, Any]:
    """Returns DeepSpeed's configuration of a trial.

    Args:
        train: optimisation; AdamW itself is not DeepSpeed's business.
        engine: ZeRO stage, offload, precision, accumulation.
        trainable: elements in all trained parameters; buckets need not be larger.
        is_cuda: whether the model lives on a GPU; only then offload pins memory.
    """
    # The default buckets of 5e8 elements are allocated whole, for adapters of a few million.
    # DeepSpeed wants an even number.
    bucket = min(trainable + trainable % 2, MAX_BUCKET_ELEMENTS)
    zero: dict[str, Any] = {
        "stage": engine.zero_stage,
        "reduce_bucket_size": bucket,
        "allgather_bucket_size": bucket,
    }
    if engine.offload == "cpu":
        place = {"device": "cpu", "pin_memory": is_cuda}
        zero["offload_optimizer"] = place
        if engine.zero_stage == 3:
            zero["offload_param"] = place
    return {
        "train_micro_batch_size_per_gpu": train.batch_size,
        "gradient_accumulation_steps": engine.gradient_accumulation,
        "gradient_clipping": train.max_grad_norm,
        "zero_optimization": zero,
        "bf16": {"enabled": engine.precision == "bf16"},
        "fp16": {"enabled": engine.precision == "fp16"},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "wall_clock_breakdown": False,
        # Its timer would synchronise the GPU at each step.
        "timers": {"throughput": {"enabled": False}},
    }


def adamw_groups(training: Training, train: TrainSpec) -> list[dict[str, Any]]:
    """Returns the parameter groups of AdamW; each keeps its factor of the learning rate."""
    return [
        {
            "params": list(group.parameters),
            "lr": train.learning_rate * group.learning_rate,
            "learning_rate_factor": group.learning_rate,
            "weight_decay": train.weight_decay * group.weight_decay,
            "eps": ADAMW_EPS * group.eps,
            "betas": (train.beta1, train.beta2),
        }
        for group in training.groups()
    ]
