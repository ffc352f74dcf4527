"""A base model of 30 thousand parameters with arithmetic to learn, for tests that train."""

from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from sweeper.data import EmbeddedDataSpec, Example, Splits
from sweeper.data.prepared import PreparedData
from sweeper.distributed import control_group
from sweeper.estimates import to_metrics
from sweeper.experiment.objective import ObjectiveSpec
from sweeper.experiment.trial import EngineSpec, TrainSpec, TrialSpec
from sweeper.models import EmbeddedModelSpec
from sweeper.models.frozen import FrozenBase
from sweeper_adapters.methods import Linear, LoraSpec, MasaSpec, Method, ModelShape, MosaSpec

CHARACTERS = "0123456789+-= abc"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

# Few, since with ZeRO-3 each module that has parameters costs its hooks in every pass.
TARGETS = ("q_proj", "v_proj", "down_proj")

METHODS: dict[str, Method] = {
    "lora": LoraSpec(rank=4, targets=TARGETS),
    "masa": MasaSpec(rank=4, experts=2, group_size=2, targets=TARGETS),
    "mosa": MosaSpec(groups=100, targets=TARGETS),
}


def tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2}
    vocabulary |= {character: 3 + index for index, character in enumerate(CHARACTERS)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


def model(precision: str = "fp32") -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=3 + len(CHARACTERS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        use_cache=False,
    )
    torch.manual_seed(7)
    made = LlamaForCausalLM._from_config(config, dtype=DTYPES[precision])
    made.eval()
    made.requires_grad_(False)
    return made


def saved(folder: Path, made: PreTrainedModel | None = None) -> Path:
    """A model folder with this model, else the one above, and the tokenizer."""
    (made or model()).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def examples(start: int, stop: int) -> tuple[Example, ...]:
    """Sums to be written down, and letters to be chosen."""
    found = []
    for n in range(start, stop):
        if n % 3:
            found.append(Example(f"{n}+{n}=", str(2 * n), domain="sum"))
        else:
            letter = "abc"[n % 2]
            choices = ("a", "b", "cab")
            found.append(Example(f"{n} {n % 2} ", letter, domain="letter", choices=choices))
    return tuple(found)


def base(precision: str = "fp32") -> FrozenBase:
    splits = Splits(examples(0, 40), examples(100, 130), examples(200, 210))
    return FrozenBase(
        model_spec=EmbeddedModelSpec(),
        precision=precision,
        model=model(precision),
        data=PreparedData(EmbeddedDataSpec(), splits, "tiny", tokenizer()),
        device=torch.device("cpu"),
        control=control_group(),
    )


def base_of(spec, loaded, splits: Splits, *, called: str = "") -> FrozenBase:
    """A base of one worker around a model that is loaded, in float32."""
    return FrozenBase(
        model_spec=spec,
        precision="fp32",
        model=loaded.model,
        data=PreparedData(EmbeddedDataSpec(), splits, called, loaded.tokenizer),
        device=torch.device("cpu"),
    )


def trial(method: str = "lora", *, workers: int = 1, **settings) -> TrialSpec:
    """A short trial; settings go to the engine where it knows them, else to the training."""
    engine = {k: v for k, v in settings.items() if k in EngineSpec.model_fields}
    train = {k: v for k, v in settings.items() if k not in engine}
    standard = {
        "steps": 3,
        "learning_rate": 1e-2,
        "batch_size": 2,
        "evaluations": 2,
        "eval_examples": 9,
        "max_length": 16,
        "seed": 3,
    }
    return TrialSpec(
        method=METHODS[method],
        train=TrainSpec(**(standard | train)),
        model=EmbeddedModelSpec(),
        data=EmbeddedDataSpec(),
        engine=EngineSpec(**engine),
        objective=ObjectiveSpec(),
        workers=workers,
    )


def shape() -> ModelShape:
    wide, narrow, inner = 32, 16, 64
    sizes = {
        "q_proj": (wide, wide),
        "k_proj": (wide, narrow),
        "v_proj": (wide, narrow),
        "o_proj": (wide, wide),
        "gate_proj": (wide, inner),
        "up_proj": (wide, inner),
        "down_proj": (inner, wide),
    }
    linears = tuple(Linear(name, *size) for name, size in sizes.items())
    return ModelShape(layers=3, linears=linears, total_parameters=0)


class Recorded:
    """A progress that keeps what it is told, and can be told to stop or to fail at a report."""

    def __init__(
        self,
        *,
        stop_at: int = -1,
        fail_at: int = -1,
        die_at: int = -1,
        is_out_of_memory: bool = False,
        courses: dict[int, str] | None = None,
    ) -> None:
        self.losses: list[float] = []
        self.steps: list[int] = []
        self.logged: list[dict[str, float]] = []
        self.reports: list[tuple[int, dict[str, float], bool]] = []
        self._stop_at = stop_at
        self._courses = courses or {}
        self._fail_at = fail_at
        self._die_at = die_at
        self._is_out_of_memory = is_out_of_memory

    def log_step(self, step, metrics):
        if step == self._die_at:
            raise InterruptedError(f"died at step {step}")
        if self._is_out_of_memory:
            raise torch.OutOfMemoryError("no more")
        self.steps.append(step)
        self.losses.append(metrics["train_loss"])
        self.logged.append(dict(metrics))

    def report_evaluation(self, step, metrics, *, final):
        if step == self._fail_at:
            raise ConnectionError("the pool is gone")
        self.reports.append((step, to_metrics(metrics), final))
        return "prune" if step == self._stop_at else "on"

    def course(self):
        return self._courses.get(len(self.steps) + 1, "on")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "adapter" / "adapter_model.safetensors")
