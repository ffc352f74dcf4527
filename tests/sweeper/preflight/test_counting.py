"""Counting: what is injected is counted, and comes to what is saved, trained and published."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from sweeper.errors import CountError
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.runnable import only_runnable
from sweeper.experiment.space.listed import Published
from sweeper.experiment.sweep import Sweep
from sweeper.models.shapes import architecture, architecture_names, shape_of, skeleton
from sweeper.preflight.counting import CountedTrial, count_trials
from sweeper.preflight.plan import plan_of
from sweeper.report.terminal import params_view
from sweeper.search.draws import draw_all
from sweeper_adapters.methods import DoraSpec, LoraSpec, MasaSpec, Method, MultiLoraSpec
from tests.adapters.specs import SPECS
from tests.places import SPACES

PAPERS = SPACES / "papers"
PROFILES = PAPERS.parent / "profiles"

# Of five layers, as the specs of the examples want it.
CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}
SHAPE = shape_of(CONFIG)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with profiles for that model, and for a packaged one."""
    home = tmp_path_factory.mktemp("params")
    (home / "model").mkdir()
    (home / "model" / "config.json").write_text(json.dumps(CONFIG))
    for name in ("model.safetensors", "tokenizer.json"):
        (home / "model" / name).touch()
    (home / "profiles").mkdir()
    models = {
        "tiny": {"kind": "folder", "path": str(home / "model")},
        "llama3-8b": {"kind": "hub", "name": "any/one", "architecture": "llama3-8b"},
    }
    for name, model in models.items():
        profile = {"model": model, "data": {"kind": "embedded"}, "train": {"steps": 8}}
        (home / "profiles" / f"{name}.yaml").write_text(yaml.safe_dump(profile))
    return home


def listed(
    folder: Path, entries: list[dict[str, Any]], *overrides: str, profile: str = "tiny"
) -> Sweep:
    content = {"name": "list", "train": {"learning_rate": 1e-3}, "trials": entries}
    path = folder / "list.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_sweep(path, profile=profile, overrides=overrides)


def counted(sweep: Sweep) -> list[CountedTrial]:
    return list(count_trials(sweep))


def entry(name: str, method: Method | dict[str, Any], **fields: Any) -> dict[str, Any]:
    plain = method if isinstance(method, dict) else method.model_dump(mode="json")
    return {"name": name, "method": plain, **fields}


# Counting.


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_counted_is_what_a_trial_would_save(folder, tmp_path, precision):
    """With values, after the same hooks, saved by PEFT: the file has the bytes that are counted."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    # One example of each method, and in 16 bit of each third one, for time.
    kinds = {spec.name: name for name, spec in reversed(SPECS.items())}
    names = sorted(kinds.values())[:: 1 if precision == "fp32" else 3]
    specs = {name: SPECS[name] for name in names}
    entries = [entry(name, spec) for name, spec in specs.items()]
    rows = counted(listed(folder, entries, f"engine.precision={precision}"))
    assert [row.name for row in rows] == list(specs)
    settings = {key: value for key, value in CONFIG.items() if key != "model_type"}
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    for row in rows:
        spec = specs[row.name]
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **settings))
        adapted = spec.inject(model.to(dtype), seed=0)
        trainable = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
        assert row.trainable == trainable == spec.count(SHAPE), row.name
        assert row.total == SHAPE.total_parameters + trainable
        training = spec.training(adapted, steps=8)
        torch.nn.Module.to(adapted, dtype)
        with training.finished():
            adapted.save_pretrained(tmp_path / row.name, save_embedding_layers=False)
        file = tmp_path / row.name / "adapter_model.safetensors"
        assert row.adapter_bytes == file.stat().st_size, row.name


def test_the_state_of_adamw_is_two_moments_and_on_16_bit_a_copy(folder):
    entries = [entry("lora", LoraSpec(rank=3))]
    size = LoraSpec(rank=3).count(SHAPE)
    (plain,) = counted(listed(folder, entries))
    (half,) = counted(listed(folder, entries, "engine.precision=bf16"))
    assert plain.optimizer_bytes == 8 * size
    assert half.optimizer_bytes == 12 * size


def test_the_moments_of_whole_weights_are_counted(folder):
    entries = [entry(mode, {"name": "lora_pro", "mode": mode}) for mode in ("efficient", "full")]
    efficient, full = counted(listed(folder, entries))
    weights = SHAPE.layers * sum(linear.weights for linear in SHAPE.linears)
    assert full.trainable == efficient.trainable
    assert full.optimizer_bytes == efficient.optimizer_bytes + 8 * weights


def test_collapsed_masa_has_the_state_of_its_sums_and_the_file_of_all(folder):
    together = {"name": "masa", "experts": 4, "group_size": 1}
    entries = [entry("sum", together), entry("all", {**together, "collapse": False})]
    summed, plain = counted(listed(folder, entries))
    assert summed.trainable == plain.trainable
    assert summed.adapter_bytes == plain.adapter_bytes
    assert summed.optimizer_bytes == 8 * LoraSpec(rank=8).count(SHAPE)
    assert plain.optimizer_bytes == 8 * plain.trainable


def test_a_formula_that_is_wrong_is_an_error(folder, monkeypatch):
    monkeypatch.setattr(LoraSpec, "count", lambda self, shape: 1)
    with pytest.raises(CountError, match=r"has 2,320 parameters when built, but 1 by its formula"):
        counted(listed(folder, [entry("lora", LoraSpec(rank=1))]))


def test_rows_are_those_of_the_plan(folder):
    path = folder / "search.yaml"
    space = {
        "name": "search",
        "methods": [{"name": "lora", "rank": {"choice": [1, 2]}}, {"name": "mosa", "rank": 1}],
        "train": {"learning_rate": {"loguniform": [1e-4, 1e-2]}},
        "baselines": [{"method": {"name": "lora", "rank": 2}}],
        "search": {"trials": 6},
    }
    path.write_text(yaml.safe_dump(space))
    sweep = load_sweep(path, profile="tiny")
    rows, planned = counted(sweep), plan_of(sweep).trials
    assert [(r.method, r.trainable, r.percent) for r in rows] == [
        (t.method, t.trainable, t.percent) for t in planned
    ]
    assert rows[0].name == "lora rank=2"


@pytest.mark.parametrize("name", architecture_names())
def test_every_packaged_architecture_is_what_transformers_builds(name):
    model = skeleton(architecture(name), dtype="bfloat16")
    assert model.device.type == "meta"
    assert model.num_parameters() == shape_of(architecture(name)).total_parameters


# The papers.


def papers() -> list[tuple[str, Any, Published, str]]:
    found = []
    for path in sorted(PAPERS.glob("*_params.yaml")):
        for trial in draw_all(load_sweep(path)):
            assert trial.space.listed is not None
            published = trial.space.listed.published
            assert published is not None, trial.space.name
            found.append((trial.space.name, trial.spec, published, trial.space.listed.note))
    assert len(found) == 64
    return found


def percent(spec: Any) -> float:
    shape = spec.model.shape()
    trainable = spec.method.count(shape)
    return 100 * trainable / (shape.total_parameters + trainable)


@pytest.mark.parametrize("profile", sorted(p.stem for p in PROFILES.glob("*.yaml")))
def test_the_papers_rows_are_the_same_on_every_profile(profile):
    for path in sorted(PAPERS.glob("*_params.yaml")):
        here, there = (draw_all(load_sweep(path, profile=name)) for name in (profile, None))
        assert len(here) == len(there) >= 20
        for mine, default in zip(here, there, strict=True):
            assert mine.spec.method == default.spec.method
            assert mine.spec.model.shape() == default.spec.model.shape()


@pytest.mark.parametrize(
    ("paper", "profile", "trials"),
    [
        # Of 27 on this model three are the configuration of Table 1 again.
        ("masa", "llama3-8b", 24),
        ("masa", "llama3.1-8b", 8),
        ("masa", "llama3.2-3b", 9),
        # Of 13 one.
        ("mosa", "llama3-8b", 12),
        ("mosa", "llama2-7b", 7),
    ],
)
def test_of_the_papers_rows_those_of_the_profiles_model_can_be_run(paper, profile, trials):
    sweep, left_out = only_runnable(load_sweep(PAPERS / f"{paper}_params.yaml", profile=profile))
    drawn = draw_all(sweep)
    assert len(drawn) == trials == len({trial.spec.identity() for trial in drawn})
    assert all(trial.spec.model == sweep.spec.model for trial in drawn)
    assert len(left_out) + trials == {"masa": 44, "mosa": 20}[paper]


def test_every_published_figure_is_met_or_has_a_reason():
    missed = set()
    for name, spec, published, note in papers():
        if not published.is_met_by(percent(spec)):
            assert note, f"{name}: {percent(spec):.4f} is not {published.params}, without a reason"
            missed.add(name)
    assert missed == {
        "bslora",
        "multilora-2a2b",
        "llama31-multilora-2a2b",
        "table7-masa-5a1b",
        "llama2-7b-dora-r32",
        "llama3-8b-dora-r32",
        "table9-hydralora-r32",
        "mosa-r4",
    }


def test_what_a_paper_leaves_out_is_what_is_missed_by():
    for name, spec, published, _ in papers():
        shape = spec.model.shape()
        outputs = (
            shape.layers * sum(x.out_features for x in spec.method.adapted(shape))
            if (isinstance(spec.method, MultiLoraSpec | DoraSpec))
            else 0
        )
        if published.is_met_by(percent(spec)) or not outputs:
            continue
        # MultiLoRA's scale vectors, one for each of the parallel modules; DoRA's magnitudes.
        vectors = spec.method.parallel if isinstance(spec.method, MultiLoraSpec) else 1
        trainable = spec.method.count(shape) - vectors * outputs
        assert published.is_met_by(100 * trainable / (shape.total_parameters + trainable)), name


def test_every_figure_of_the_papers_tables_is_there():
    """The figures of both papers' Params columns, as (figure, model), and how often each is."""
    rows = [
        (published.params, spec.model.shape().total_parameters)
        for _, spec, published, _ in papers()
    ]
    llama3, llama32, llama2 = 8_030_261_248, 3_212_749_824, 6_738_415_616
    for total, figures in {
        llama3: "0.0004 0.0280 0.2605 0.5196 0.5366 0.2247 0.2613 0.6551 0.5785 0.5220 0.5503 "
        "0.5327 0.8280 0.37 0.45 0.52 0.60 0.73 0.95 0.7605 0.4541 0.828 0.522 0.368 0.291 "
        "0.0010 0.6240 0.7002 0.6997 0.70 3.60 0.0014 0.022 0.175",
        llama32: "0.0008 0.0530 0.3770 0.7511 0.7748 0.9406 0.8267 0.8810",
        llama2: "0.0012 0.7428 0.8256 0.8241",
    }.items():
        assert {figure for figure, on in rows if on == total} == set(figures.split())


def test_a_figure_is_met_to_its_last_digit():
    assert Published(params="0.52", source="x").is_met_by(0.524_9)
    assert not Published(params="0.52", source="x").is_met_by(0.526)
    assert Published(params="0.5220", source="x").is_met_by(0.522_04)
    assert not Published(params="0.5220", source="x").is_met_by(0.522_06)


def test_rows_of_a_paper_are_counted_on_the_papers_model(folder):
    """Whatever the profile is; and without a network or memory for eight billion weights."""
    names = {"masa-5a1b", "table7-masa-6a1b", "bslora"}
    content = yaml.safe_load((PAPERS / "masa_params.yaml").read_text())
    entries = [trial for trial in content["trials"] if trial["name"] in names]
    rows = {row.name: row for row in counted(listed(folder, entries))}
    assert f"{rows['masa-5a1b'].percent:.4f}" == "0.5220"
    assert f"{rows['table7-masa-6a1b'].percent:.4f}" == "0.8810"
    assert rows["masa-5a1b"].total == 8_030_261_248 + rows["masa-5a1b"].trainable
    document = rows["bslora"].document()
    assert document["published"] == "0.2247"
    assert document["agrees"] is False
    assert document["note"]


def test_a_searched_trial_that_a_paper_has_stands_beside_its_figure(folder):
    """The last of the methods is the paper's but for its router, and so another one."""
    entries = [LoraSpec(rank=16), LoraSpec(rank=15), MasaSpec()]
    space = {
        "name": "search",
        "methods": [
            {"name": "lora", "rank": {"choice": [16, 15]}},
            {"name": "masa", "router": "none"},
        ],
        "baselines": [
            {"method": {"name": "lora", "rank": 16}},
            {"method": {"name": "lora", "rank": 15}},
            {"method": {"name": "masa"}},
        ],
        "train": {"learning_rate": 1e-3},
        "search": {"trials": 3},
    }
    path = folder / "search.yaml"
    path.write_text(yaml.safe_dump(space))
    rows = counted(load_sweep(path, profile="llama3-8b"))
    assert [row.trainable for row in rows] == [
        spec.count(shape_of(architecture("llama3-8b"))) for spec in entries
    ]
    assert [row.document()["published"] for row in rows] == ["0.5196", None, None]
    assert rows[0].document()["agrees"] is True
    # On another model it is another figure.
    assert [r.published for r in count_trials(load_sweep(path, profile="tiny"))] == [None] * 3


# What is shown.


ROWS = [
    CountedTrial("masa-5a1b", "masa", 42_139_648, 8_072_400_896, 84_400_000, 506_000_000,
                 Published(params="0.5220", source="MASA, Tables 1, 2, 3 and 5"), "").document(),
    CountedTrial("llama32-3b-masa-5a1b", "masa", 24_829_952, 3_237_579_776, 49_700_000, 298_000_000,
                 Published(params="0.8810", source="MASA, Table 7"), "does not fit").document(),
    CountedTrial("another", "masa", 24_829_952, 3_237_579_776, 49_700_000, 298_000_000,
                 Published(params="0.1", source="MASA, Table 7"), "does not fit").document(),
    CountedTrial("mine", "lora", 1_000, 1_001_000, 4_100, 8_000, None, "").document(),
]  # fmt: skip


def printed(rows: list[dict[str, Any]], width: int) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(params_view(rows, title="list on tiny"), crop=False)
    return file.getvalue()


@pytest.mark.parametrize("width", [80, 160])
def test_the_table_fits(width):
    text = printed(ROWS, width)
    assert max(map(len, text.splitlines())) <= width
    assert "Parameters of list on tiny  4 trials" in text
    assert re.search(r"masa-5a1b +(masa +)?42,139,648 .*0\.5220 +0\.5220 = +84\.4 MB +506 MB", text)
    assert re.search(r"llama32-3b-masa-5a1b +(masa +)?24,829,952 .*0\.8810 ≠ \[1\]", text)
    assert "[1] does not fit" in text
    assert "[2]" not in text
    told = " ".join(text.split())
    assert "1 of 3 published figures met to the last digit (=); 2 not (≠), for the reason" in told
    assert ("8,072,400,896" in text) is (width == 160)
    assert ("MASA, Table 7" in text) is (width == 160)


def test_a_figure_that_is_missed_without_a_reason_is_told():
    text = " ".join(printed([{**ROWS[1], "note": ""}], 80).split())
    assert "1 not (≠), and no reason is given" in text
    assert "No published figure is known" in printed(ROWS[3:], 80)


def test_the_document_has_the_agreed_keys():
    assert {
        "name",
        "method",
        "trainable",
        "total",
        "percent",
        "adapter_bytes",
        "optimizer_bytes",
        "published",
        "note",
    } <= set(ROWS[0])
    assert json.loads(json.dumps(ROWS)) == ROWS
