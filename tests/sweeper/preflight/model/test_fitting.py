"""One look at model, tokenizer and data before anything starts, by ``run`` and ``plan --check``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoConfig, AutoModelForCausalLM
from typer.testing import CliRunner

from sweeper.cli.app import app
from sweeper.errors import BadInputError
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.sweep import Sweep
from sweeper.preflight.checks import require_runnable
from sweeper.preflight.model import inspect_model_of, require_fitting_data
from sweeper.preflight.plan import plan_of
from tests.places import ROOT, SPACES
from tests.sweeper import tiny


def _rows(folder: Path, rows: list[dict[str, str]]) -> None:
    folder.mkdir(exist_ok=True)
    for number, split in enumerate(("train", "validation", "test")):
        part = [{**row, "q": f"{row['q']}{number}"} for row in rows]
        text = "".join(json.dumps(row) + "\n" for row in part)
        (folder / f"{split}.jsonl").write_text(text)


def _sweep(folder: Path, rows: list[dict[str, str]] | None = None, **train: Any) -> Path:
    """A space on a saved model and rows of a kind; returns its file."""
    _rows(folder / "data", rows or [{"q": f"{n}+{n}=", "a": str(2 * n)} for n in range(20)])
    form = {"name": "fields", "prompt": "{q}", "answer": "{a}"}
    settings: Mapping[str, Any] = {"steps": 4, "learning_rate": 1e-3, "max_length": 16}
    profile = {
        "name": "p",
        "model": {"kind": "folder", "path": str(folder / "model")},
        "data": {"kind": "jsonl", "path": str(folder / "data"), "format": form},
        "train": {**settings, **train},
        "hygiene": {"contamination": "allow"},
    }
    method = {"name": "lora", "rank": 2, "targets": ["q_proj"]}
    space = {"name": "s", "methods": [method], "search": {"trials": 1, "asha": None}}
    (folder / "p.yaml").write_text(yaml.safe_dump(profile))
    (folder / "s.yaml").write_text(yaml.safe_dump(space))
    return folder / "s.yaml"


def _loaded(space: Path) -> Sweep:
    return load_sweep(space, profile=str(space.parent / "p.yaml"))


def _require_fitting(space: Path) -> None:
    sweep = _loaded(space)
    require_fitting_data(sweep, inspect_model_of(sweep))


def test_a_model_and_data_that_go_together(tmp_path: Path) -> None:
    tiny.saved(tmp_path / "model")
    sweep = _loaded(_sweep(tmp_path))
    found = require_runnable(sweep)
    assert found == sweep.spec.fingerprint(sweep.spec.data.fingerprint())
    known = plan_of(sweep).trials[0].id
    tiny.saved(tmp_path / "model")
    assert require_runnable(sweep) == found
    # Other weights at the path are another model, and make another trial.
    changed = tiny.model()
    for parameter in changed.parameters():
        parameter.data += 1.0
    tiny.saved(tmp_path / "model", changed)
    assert require_runnable(sweep) != found
    assert plan_of(sweep).trials[0].id != known


def test_answers_without_room(tmp_path: Path) -> None:
    tiny.saved(tmp_path / "model")
    rows = [{"q": f"{n}=", "a": "7" * 60} for n in range(20)]
    with pytest.raises(BadInputError, match="max_length"):
        _require_fitting(_sweep(tmp_path, rows))
    _require_fitting(_sweep(tmp_path, rows, max_length=63))


def test_a_row_that_spells_out_a_token_without_a_row(tmp_path: Path) -> None:
    tiny.saved(tmp_path / "model")
    tokenizer = tiny.tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.save_pretrained(tmp_path / "model")
    _require_fitting(_sweep(tmp_path))
    rows = [{"q": f"{n}=", "a": str(n)} for n in range(20)] + [{"q": "<image>", "a": "1"}]
    with pytest.raises(BadInputError, match="a row of the data contains the special token"):
        _require_fitting(_sweep(tmp_path, rows))


def _chats(folder: Path, rows: list[list[tuple[str, str]]], **form: str) -> Path:
    """A space whose data are chats."""
    space = _sweep(folder, max_length=60)
    for split in ("train", "validation", "test"):
        messages = [[{"role": role, "content": said} for role, said in turns] for turns in rows]
        text = "".join(json.dumps({"messages": found}) + "\n" for found in messages)
        (folder / "data" / f"{split}.jsonl").write_text(text)
        # What only training rows have is not asked in an evaluation.
        rows = rows[:20]
    profile = yaml.safe_load((folder / "p.yaml").read_text())
    profile["data"] |= {"kind": "rows", "format": {"name": "messages", **form}}
    (folder / "p.yaml").write_text(yaml.safe_dump(profile))
    return space


def test_chats_are_tried_before_anything_starts(tmp_path: Path) -> None:
    tiny.saved(tmp_path / "model")
    chats = [[("user", f"{n}+{n}="), ("assistant", str(2 * n))] for n in range(20)]
    with pytest.raises(BadInputError, match="tokenizer has no chat template"):
        _require_fitting(_chats(tmp_path, chats))
    path = tmp_path / "t.jinja"
    path.write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    _require_fitting(_chats(tmp_path, chats, template=str(path)))
    path.write_text(
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('none') }}"
        "{% endif %}{{ m.content }}{% endfor %}"
    )
    chats.append([("system", "-"), *chats[0]])
    with pytest.raises(BadInputError, match=r"train\.jsonl:21: the chat template refuses .*none"):
        _require_fitting(_chats(tmp_path, chats, template=str(path)))


def test_the_virtual_tokens_of_any_method_need_positions(tmp_path: Path) -> None:
    settings = {"max_position_embeddings": 64, "ffn_dim": 48, "word_embed_proj_dim": 32}
    sizes = {"vocab_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32}
    config = AutoConfig.for_model("opt", **sizes, **settings, eos_token_id=2, bos_token_id=1)
    tiny.saved(tmp_path / "model", AutoModelForCausalLM.from_config(config))
    space = _sweep(tmp_path, max_length=50)
    methods = [
        {"name": "lora", "rank": 2, "targets": ["q_proj"]},
        {"name": "prompt_tuning", "virtual_tokens": {"choice": [4, 14, 15]}},
    ]
    document = {"name": "s", "methods": methods, "search": {"trials": 1, "asha": None}}
    space.write_text(yaml.safe_dump(document))
    with pytest.raises(BadInputError, match=r"15 virtual tokens .*has 64 positions.*at most 49"):
        inspect_model_of(_loaded(space))
    inspect_model_of(_loaded(_sweep(tmp_path, max_length=64)))


def test_generated_answers_without_room(tmp_path: Path) -> None:
    tiny.saved(tmp_path / "model")
    folder = tmp_path / "tasks" / "gsm8k"
    folder.mkdir(parents=True)
    for split, first in (("train", 0), ("test", 100)):
        rows = [
            {"question": f"{n}+{n}?", "answer": f"{2 * n}\n#### {2 * n}"}
            for n in range(first, first + 20)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text)
    space = _sweep(tmp_path, max_length=40)
    data = f"data={{kind: tasks, train: [gsm8k], root: {folder.parent}}}"

    def require(*overrides: str) -> None:
        profile = str(space.parent / "p.yaml")
        sweep = load_sweep(space, profile=profile, overrides=[data, *overrides])
        require_fitting_data(sweep, inspect_model_of(sweep))

    with pytest.raises(BadInputError, match=r"may have \d+ tokens but the model has 64 positions"):
        require()
    require("evaluation.max_new_tokens=63")
    require("final.trials=0")
    method = "methods=[{name: prompt_tuning, virtual_tokens: 9}]"
    with pytest.raises(BadInputError, match="may have 60 tokens but the model has 55 positions"):
        require("evaluation.max_new_tokens=60", method)


def _check(space: Path, *options: str) -> tuple[int, str]:
    profile = ("--profile", str(space.parent / "p.yaml"))
    done = CliRunner().invoke(app, ["plan", str(space), *profile, *options])
    return done.exit_code, done.output


def test_plan_checks_when_it_is_told_to(tmp_path: Path) -> None:
    tiny.saved(tmp_path / "model")
    space = _sweep(tmp_path)
    code, output = _check(space, "--check")
    assert code == 0
    assert "Checked: model and data can be used." in output
    path = tmp_path / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tie_word_embeddings": False}))
    assert _check(space)[0] == 0
    code, output = _check(space, "--check")
    assert code == 2
    assert "lm_head.weight" in output
    assert "Traceback" not in output


def test_of_weights_that_cannot_be_read_every_plan_tells(tmp_path: Path) -> None:
    tiny.saved(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"x" * 99)
    space = _sweep(tmp_path)
    code, output = _check(space)
    assert code == 1
    assert "Missing: the weights in" in " ".join(output.split())
    assert _check(space, "--check")[0] == 2


# Torch takes seconds to import; the embedded model needs none of it before a sweep starts.
CHEAP = """
import sys
from pathlib import Path
from sweeper.experiment.loading import load_sweep
from sweeper.preflight.checks import require_runnable
require_runnable(load_sweep(Path(sys.argv[1]), profile="embedded"))
print(sorted({"torch", "transformers", "peft"} & set(sys.modules)))
"""


def test_the_embedded_model_is_checked_without_torch(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHEAP, str(SPACES / "masa.yaml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
