"""A search as one writes it by hand: Optuna in one process, PEFT, and transformers' Trainer.

The base is loaded once, and each trial adapts it anew: LoRA of rank 8 on the seven linear layers,
its learning rate from TPE. No checkpoints, no records, no tracking. It is what `make bench-sweep`
compares a whole sweep with. Prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import optuna
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# What the embedded profile says.
BATCH_SIZE, MAX_LENGTH, EVALUATIONS, WARMUP = 16, 64, 4, 0.05
RATES = (1e-4, 3e-2)


def encoded(path: Path, tokenizer: PreTrainedTokenizerBase) -> list[dict[str, list[int]]]:
    """Returns a file's rows as token ids; the loss is on the answer alone."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        prompt = tokenizer(row["prompt"])["input_ids"]
        answer = [*tokenizer(row["answer"], add_special_tokens=False)["input_ids"]]
        answer = [*answer, tokenizer.eos_token_id]
        ids = [*prompt, *answer][:MAX_LENGTH]
        labels = [*([-100] * len(prompt)), *answer][:MAX_LENGTH]
        rows.append({"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels})
    return rows


def run(folder: Path, *, trials: int, steps: int) -> dict[str, Any]:
    """Returns the losses of the trials, and the seconds that their training took.

    Args:
        folder: has ``model``, ``train.jsonl`` and ``validation.jsonl``.
        trials: at least 1.
        steps: optimiser steps of each.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder / "model", trust_remote_code=False)
    base = AutoModelForCausalLM.from_pretrained(
        folder / "model", dtype=torch.float32, trust_remote_code=False
    )
    train = encoded(folder / "train.jsonl", tokenizer)
    validation = encoded(folder / "validation.jsonl", tokenizer)
    collate = DataCollatorForSeq2Seq(tokenizer)
    train_times_s: list[float] = []

    def objective(trial: optuna.Trial) -> float:
        settings = TrainingArguments(
            output_dir=str(folder / "output"),
            learning_rate=trial.suggest_float("learning_rate", *RATES, log=True),
            max_steps=steps,
            per_device_train_batch_size=BATCH_SIZE,
            per_device_eval_batch_size=64,
            lr_scheduler_type="cosine",
            warmup_steps=max(1, round(WARMUP * steps)),
            weight_decay=0.0,
            eval_strategy="steps",
            eval_steps=steps // EVALUATIONS,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            seed=0,
        )
        torch.manual_seed(0)
        config = LoraConfig(r=8, lora_alpha=16, target_modules=TARGETS, task_type="CAUSAL_LM")
        model = get_peft_model(base, config)
        trainer = Trainer(
            model=model,
            args=settings,
            train_dataset=train,
            eval_dataset=validation,
            data_collator=collate,
        )
        began_s = time.perf_counter()
        trainer.train()
        train_times_s.append(time.perf_counter() - began_s)
        loss = float(trainer.evaluate()["eval_loss"])
        model.unload()
        return loss

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=trials)
    return {"eval_loss": [x.value for x in study.trials], "train_time_s": train_times_s}


def main() -> None:
    """Runs the search and prints its result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    given = parser.parse_args()
    print("RESULT " + json.dumps(run(given.folder, trials=given.trials, steps=given.steps)))


if __name__ == "__main__":
    main()
