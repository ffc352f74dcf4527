"""The three trainings: each is of the same LoRA, rows and AdamW, on a copy of the same base."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState  # type: ignore[import-untyped]
from peft import LoraConfig, PeftModel, get_peft_model
from torch.utils.data import Sampler, SequentialSampler
from transformers import (
    DataCollatorForSeq2Seq,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from sweeper.data.tokens.encoding import labels_of
from sweeper.experiment.trial import TrialSpec
from sweeper.models.frozen import FrozenBase
from sweeper.preflight.forecast.measuring import StepLog
from sweeper.training.schedule import DataOrder
from sweeper.training.trial import train
from sweeper_adapters.methods import LoraSpec

__all__ = ["Pause", "Rivals"]

Pause = Callable[[], None]
"""Is called after each step."""


class Rivals:
    """The trainings of one base; each notes the loss of its steps."""

    def __init__(self, trial: TrialSpec, base: FrozenBase) -> None:
        """Encodes the rows of all steps, in the order of the trial.

        :meth:`ready` must have been called before there was a process group.

        Args:
            trial: of LoRA at a constant learning rate, on one worker, in float32 and without
                accumulation.
            base: that it is trained on.
        """
        self.losses: dict[str, list[float]] = {"sweeper": [], "loop": [], "trainer": []}
        self._trial, self._base = trial, base
        # Before there is an adapter in it.
        self._copies = [copy.deepcopy(base.model) for _ in range(2)]
        size = trial.train.batch_size
        order = DataOrder(base.data.train_tokens(trial.train.max_length), seed=trial.train.seed)
        self._rows = [
            {
                "input_ids": list(row.ids),
                "attention_mask": [1] * len(row.ids),
                "labels": labels_of(row).tolist(),
            }
            for step in range(trial.train.steps)
            for row in order.batch(step, size)
        ]

    @staticmethod
    def ready() -> None:
        """Tells transformers' Trainer that this process is alone."""
        PartialState(cpu=True)

    def sweeper(self, pause: Pause) -> None:
        """Trains as a replica does."""
        losses = self.losses["sweeper"]

        class Log(StepLog):
            def log_step(self, step: int, metrics: Mapping[str, float]) -> None:
                super().log_step(step, metrics)
                losses.append(metrics["train_loss"])
                pause()

        with tempfile.TemporaryDirectory() as folder:
            train(self._trial, self._base, folder=Path(folder), progress=Log())

    def loop(self, pause: Pause) -> None:
        """Trains as one writes it by hand."""
        settings = self._trial.train
        model = self._adapted(self._copies[0])
        model.train()
        collate = DataCollatorForSeq2Seq(self._base.tokenizer)
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            trained, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        for step in range(settings.steps):
            start = step * settings.batch_size
            batch = collate(self._rows[start : start + settings.batch_size])
            loss = model(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, settings.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
            self.losses["loop"].append(loss.item())
            pause()

    def trainer(self, pause: Pause) -> None:
        """Trains by transformers' Trainer, with its own defaults where the trial says nothing."""
        settings, losses = self._trial.train, self.losses["trainer"]
        rows = self._rows

        class Ordered(Trainer):
            # The rows are in their order already.
            def _get_train_sampler(self, *_: object) -> Sampler[int]:
                return SequentialSampler(rows)

        class Pausing(TrainerCallback):
            def on_step_end(self, *_: object, **__: object) -> None:
                pause()

            def on_log(self, *_: object, **given: Any) -> None:
                if "loss" in given["logs"]:
                    losses.append(float(given["logs"]["loss"]))

        with tempfile.TemporaryDirectory() as folder:
            trainer = Ordered(
                model=self._adapted(self._copies[1]),
                args=TrainingArguments(
                    output_dir=folder,
                    learning_rate=settings.learning_rate,
                    max_steps=settings.steps,
                    per_device_train_batch_size=settings.batch_size,
                    max_grad_norm=settings.max_grad_norm,
                    weight_decay=settings.weight_decay,
                    lr_scheduler_type="constant",
                    # The others know the loss of each step, too.
                    logging_steps=1,
                    logging_nan_inf_filter=False,
                    save_strategy="no",
                    report_to="none",
                    disable_tqdm=True,
                    use_cpu=True,
                    # It would wrap the model for several workers, since there is a group of one.
                    accelerator_config={"use_configured_state": True},
                    seed=settings.seed,
                ),
                train_dataset=rows,
                data_collator=DataCollatorForSeq2Seq(self._base.tokenizer),
                callbacks=[Pausing()],
            )
            trainer.remove_callback(PrinterCallback)
            trainer.train()

    def _adapted(self, model: Any) -> PeftModel:  # noqa: ANN401 - of any architecture
        method = self._trial.method
        if not isinstance(method, LoraSpec):
            raise TypeError(f"the trial is of {method.label}; the rivals know LoRA alone")
        torch.manual_seed(self._trial.train.seed)
        config = LoraConfig(
            r=method.rank,
            lora_alpha=int(method.alpha),
            lora_dropout=method.dropout,
            target_modules=list(method.targets),
            task_type="CAUSAL_LM",
        )
        adapted = get_peft_model(model, config)
        if not isinstance(adapted, PeftModel):
            raise TypeError("PEFT made something else than a PeftModel")
        return adapted
