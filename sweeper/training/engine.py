"""DeepSpeed on CPU and GPU: the only module that imports it.

An :class:`Engine` lives for one trial. It wraps the model with its adapter by
``deepspeed.initialize``, with plain ``torch.optim.AdamW`` over the adapter's parameters, which
needs no compiled operator anywhere.
"""

from __future__ import annotations

import contextlib
import copy
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sweeper._third_party import load_deepspeed
from sweeper.distributed import rank, workers
from sweeper.experiment.trial import EngineSpec, TrainSpec
from sweeper.training.deepspeed_config import adamw_groups, ds_config
from sweeper.training.parameter_access import parameters_of

if TYPE_CHECKING:
    import torch

    from sweeper_adapters.training import Training

__all__ = ["Engine", "EngineState", "config_problem"]


@dataclass(frozen=True)
class EngineState:
    """What a checkpoint holds of an engine; never the frozen base."""

    shared: Mapping[str, Any]
    """The same on all ranks: saved once."""
    shard: Mapping[str, Any]
    """What this rank alone has."""


class Engine:
    """DeepSpeed around a model with an adapter, for one trial."""

    def __init__(
        self, training: Training, train: TrainSpec, spec: EngineSpec, *, task_ids: Sequence[int]
    ) -> None:
        """Starts DeepSpeed on the model; all workers must do so together.

        Args:
            training: the method's hooks, with the model: frozen but for its adapter, on the device
                of this worker.
            train: learning rate (the first; :meth:`step` sets it), weight decay, clip, batch size.
            spec: ZeRO stage, offload, precision, accumulation, gradient checkpointing.
            task_ids: the method's task id of each domain of the data.
        """
        import torch

        self._deepspeed = load_deepspeed()
        self._stage = spec.zero_stage
        self._is_plain = spec.zero_stage == 0 and spec.precision == "fp32"
        self._training = training
        self._weight_decay = train.weight_decay
        self._max_grad_norm = train.max_grad_norm
        self._model = model = training.model
        self._trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.trainable = sum(parameter.numel() for parameter in self._trained.values())
        """Elements that the optimiser steps, shared ones counted once."""
        if spec.gradient_checkpointing:
            # Reentrant checkpointing breaks ZeRO-2 and 3 on parameters that layers share.
            model.activation_checkpointing_enable({"use_reentrant": False})
        optimizer = torch.optim.AdamW(adamw_groups(training, train))
        device = next(model.parameters()).device
        self._task_ids = torch.tensor(task_ids, device=device)
        # DeepSpeed insists on it, as the number of the GPU. Launchers and Ray Train set it.
        os.environ.setdefault("LOCAL_RANK", str(device.index or 0))
        config = ds_config(train, spec, trainable=self.trainable, is_cuda=device.type == "cuda")
        if self._is_plain or training.takes_clipped_gradients:
            config["gradient_clipping"] = 0.0
        self._engine: Any = self._deepspeed.initialize(
            model=model, optimizer=optimizer, config=config
        )[0]
        self._engine.train()
        if self._is_plain:
            # For each of both DeepSpeed would walk through all modules of the frozen base.
            self._engine.enable_backward_allreduce = False
            self._engine.zero_grad = optimizer.zero_grad
        elif spec.zero_stage == 0:
            # To have its state allocated DeepSpeed 0.19.8 lets AdamW take a step with zero
            # gradients, which counts as one and decays the float32 copies.
            self._engine.optimizer.optimizer.state.clear()
            self._engine.optimizer.refresh_fp32_params()
        self.parameters = parameters_of(
            self._engine.optimizer, zero_stage=spec.zero_stage, precision=spec.precision
        )
        """Access to trained parameters and their gradients, as the hooks of a method have it."""

    def __call__(
        self, *, domains: torch.Tensor, logits_to_keep: torch.Tensor, **inputs: torch.Tensor
    ) -> torch.Tensor:
        """Returns the model's logits. Under ZeRO-3 all workers must call it equally often.

        Args:
            domains: position of each sample's domain among the data's, [B].
            logits_to_keep: the positions of the sequences whose logits are wanted, bool [B, T].
            **inputs: what else the model takes.
        """
        import torch

        self._training.set_task_ids(self._task_ids[domains])
        kept = torch.nn.functional.pad(logits_to_keep, (self._training.virtual_tokens, 0))
        logits: torch.Tensor = self._engine(**inputs, logits_to_keep=kept).logits
        return logits

    def backward(self, loss: torch.Tensor, *, is_last: bool) -> None:
        """Adds the gradients of one micro-batch.

        Args:
            loss: this worker's part of the micro-batch's part of the global loss; the parts are
                summed, over micro-batches and over workers.
            is_last: whether :meth:`step` follows.
        """
        # DeepSpeed averages over the workers; the sum over micro-batches it leaves alone if asked.
        factor = workers() * self._loss_scale()
        self._engine.backward(loss * factor, scale_wrt_gas=False)
        if not is_last:
            self._engine.step()
        elif self._is_plain:
            self._reduce()

    def step(self, *, learning_rate: float) -> float:
        """Updates the adapter and returns the global gradient norm before clipping.

        With fp16 a step whose gradients overflow updates nothing, and its norm may be infinite.
        """
        norm = self._clip() if self._training.takes_clipped_gradients else None
        if norm is None or math.isfinite(norm):
            self._training.before_step(self.parameters)
        for group in self._engine.optimizer.param_groups:
            group["lr"] = learning_rate * group["learning_rate_factor"]
        if norm is None and self._is_plain:
            norm = self._clip()
        scale = self._loss_scale()
        self._engine.step()
        if self._engine.was_step_applied():
            self._training.after_step(
                self.parameters, learning_rate=learning_rate, weight_decay=self._weight_decay
            )
        return float(self._engine.get_global_grad_norm()) / scale if norm is None else norm

    def _reduce(self) -> None:
        """Averages the gradients over the workers."""
        import torch

        gradients = []
        for parameter in self._trained.values():
            if parameter.grad is None:
                # Another worker may have one. As in DeepSpeed's step AdamW then decays it.
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
        if workers() > 1:
            self._engine.buffered_allreduce_fallback(grads=gradients)

    def _clip(self) -> float:
        """Clips the gradients here and not in DeepSpeed's step; returns their norm before."""
        import torch

        access, parameters = self.parameters, list(self._trained.values())
        if self._is_plain:
            # As they are: the access would copy each.
            gradients = [p.grad for p in parameters if p.grad is not None]
        else:
            gradients = [access.gradient(p) for p in parameters]
        norm = float(torch.nn.utils.get_total_norm(gradients))
        # As torch.nn.utils.clip_grad_norm_ has it, and the same number with every stage of ZeRO:
        # LoRA-Pro makes more than rounding of another rounding.
        factor = self._max_grad_norm / (norm + 1e-6)
        if not 0 < factor < 1:
            return norm
        if self._is_plain:
            for gradient in gradients:
                gradient.mul_(factor)
        else:
            for parameter, gradient in zip(parameters, gradients, strict=True):
                access.set_gradient(parameter, gradient * factor)
        return norm

    def _loss_scale(self) -> float:
        """Returns the part of fp16's loss scale that DeepSpeed leaves to its caller.

        Where ZeRO is off, DeepSpeed 0.19.8 divides the gradients by the scale, but multiplies the
        loss by nothing, and tells the norm as it is before the division.
        """
        if self._stage > 0 or self._is_plain:
            return 1.0
        return float(self._engine.optimizer.loss_scale)

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Switches dropout and gradients off while it is open."""
        import torch

        self._engine.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self._engine.train()

    @contextlib.contextmanager
    def whole_adapter(self) -> Iterator[None]:
        """Makes the adapter's parameters whole while it is open; all workers must enter."""
        if self._stage < 3:
            yield
            return
        parameters = list(self._trained.values())
        with self._deepspeed.zero.GatheredParameters(parameters):
            yield

    def state(self) -> EngineState:
        """Returns the adapter and the optimizer as they are now."""
        optimizer = self._engine.optimizer.state_dict()
        method = dict(self._training.state())
        if self._stage == 3:
            return EngineState(shared={"method": method}, shard={"optimizer": optimizer})
        adapter = {name: p.detach() for name, p in self._trained.items()}
        shared = {"method": method, "adapter": adapter}
        if self._stage == 0:
            return EngineState(shared={**shared, "optimizer": optimizer}, shard={})
        return EngineState(shared=shared, shard={"optimizer": optimizer})

    def restore(self, state: EngineState) -> None:
        """Sets adapter and optimizer to a state that :meth:`state` returned."""
        import torch

        with torch.no_grad():
            for name, value in state.shared.get("adapter", {}).items():
                self._trained[name].copy_(value)
        self._training.restore(state.shared["method"])
        optimizer = self._engine.optimizer
        if self._stage == 0:
            optimizer.load_state_dict(state.shared["optimizer"])
            return
        # DeepSpeed wants a list of all ranks' states and takes its own out of it.
        states: list[Any] = [None] * workers()
        states[rank()] = state.shard["optimizer"]
        optimizer.load_state_dict(states, load_from_fp32_weights=True)
        if self._stage == 3:
            # Small parameters stay gathered in training; loading has sharded them all.
            optimizer.checkpoint_event_epilogue()

    def close(self) -> None:
        """Takes DeepSpeed off the model."""
        self._engine.destroy()
        _forget_models()
        del self._engine, self._model, self._trained, self._training


def config_problem(config: Mapping[str, Any], spec: EngineSpec) -> str:
    """Returns what DeepSpeed has against a configuration; empty where it reads it as it is meant.

    By DeepSpeed's own class, which needs neither a model nor other workers.

    Args:
        config: what :func:`~sweeper.training.deepspeed_config.ds_config` returned.
        spec: what it was made of.

    Raises:
        ImportError: DeepSpeed cannot be imported.
    """
    load_deepspeed()
    from deepspeed.runtime.config import DeepSpeedConfig

    try:
        read = DeepSpeedConfig(copy.deepcopy(dict(config)))
    except Exception as error:  # noqa: BLE001 - it asserts, and raises errors of its fields
        return f"DeepSpeed refuses its configuration: {type(error).__name__}: {error}"
    offload = read.zero_config.offload_optimizer
    pairs = {
        "zero_stage": (spec.zero_stage, int(read.zero_optimization_stage)),
        "bf16": (spec.precision == "bf16", read.bfloat16_config.enabled),
        "fp16": (spec.precision == "fp16", read.float16_config.enabled),
        "offload": (spec.offload == "cpu", offload is not None and offload.device == "cpu"),
        "gradient_accumulation": (spec.gradient_accumulation, read.gradient_accumulation_steps),
        "batch_size": (
            config["train_micro_batch_size_per_gpu"],
            read.train_micro_batch_size_per_gpu,
        ),
        "max_grad_norm": (config["gradient_clipping"], read.gradient_clipping),
    }
    other = [
        f"{name} is {asked!r}, which DeepSpeed reads as {found!r}"
        for name, (asked, found) in pairs.items()
        if asked != found
    ]
    return "; ".join(other)


def _forget_models() -> None:
    """Empties what keeps each model that ever ran with ZeRO-3 alive, shards and all.

    In DeepSpeed 0.19.8 that is a list in a module, and the ``lru_cache`` of a method, under a
    decorator that hides it.
    """
    from deepspeed.runtime.zero import parameter_offload, partitioned_param_coordinator

    parameter_offload.FWD_MODULE_STACK.clear()
    coordinator = partitioned_param_coordinator.PartitionedParameterCoordinator
    for method in vars(coordinator).values():
        for cell in getattr(method, "__closure__", None) or ():
            if hasattr(cell.cell_contents, "cache_clear"):
                cell.cell_contents.cache_clear()
