"""The search space that is proposed, as a file of YAML with comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sweeper._files import write_bytes
from sweeper._text import shorten
from sweeper.errors import BadInputError
from sweeper.experiment.documents.tree import Document, Json
from sweeper.experiment.documents.yaml_text import dump_yaml
from sweeper.models import ModelSpec
from sweeper.preflight.start.looking import Look
from sweeper.preflight.start.proposing import Proposed

__all__ = ["require_free", "search_space_of", "write_new"]

_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_RANK, _ALPHA = 8, 16


def search_space_of(look: Look, proposed: Proposed, *, name: str, file: str) -> str:
    """Returns the text of the search space.

    Args:
        look: model and data.
        proposed: what is proposed for them.
        name: of the search space; what cannot stand in a name is replaced.
        file: as the user will name it in commands.
    """
    lines = _lines(look, proposed, name=name, file=file)
    return "\n".join(_one_line(line) for line in lines) + "\n"


def _one_line(text: str) -> str:
    """Returns a text whose line breaks are written as escapes.

    Names of columns and of files stand in comments, and what follows a break were no comment.
    """
    return "".join(x if x.isprintable() else ascii(x)[1:-1] for x in text)


def require_free(path: Path) -> None:
    """Looks whether a new file can be written there.

    Raises:
        BadInputError: there is something already, or no folder for it.
    """
    if path.exists() or path.is_symlink():
        raise BadInputError(
            f"-o is {path}, and there is such a file; no file is overwritten; name another one "
            "after -o, or delete it"
        )
    if not path.parent.is_dir():
        raise BadInputError(
            f"-o is {path}, but there is no folder {path.parent}; the file needs one; make it, or "
            "name another file"
        )


def write_new(path: Path, text: str) -> None:
    """Writes a file that is not there yet.

    Raises:
        BadInputError: it is there by now, or cannot be written.
    """
    try:
        write_bytes(path, text.encode(), is_first=True)
    except FileExistsError:
        require_free(path)
        raise
    except OSError as error:
        raise BadInputError(
            f"-o is {path}, which cannot be written ({error.strerror or error}); a file needs room "
            "and a folder that can be written; name another one"
        ) from error


def _lines(look: Look, proposed: Proposed, *, name: str, file: str) -> Iterator[str]:
    shape, rows = look.facts.shape, look.rows
    own = _NO_NAME.sub("-", name).strip(".-_") or "mine"
    yield "# A search of MASA and LoRA at one size, proposed by `python -m sweeper init`."
    commands = {
        f"plan {file} --check": "what would run",
        f"run {file}": "which configuration is the best",
    }
    if proposed.is_sized:
        # A comparison gives all methods one size, which needs layers that are alike.
        commands[f"compare {file} --methods masa,lora"] = "which method is better"
    width = max(map(len, commands))
    for command, purpose in commands.items():
        yield f"#   python -m sweeper {command:{width}}   {purpose}"
    yield f"name: {own}"
    yield ""
    yield "# On what it runs. A file with a model and data of its own has no profile."
    said = f"{look.family}, {_number(shape.total_parameters)} parameters, {shape.layers} layers"
    yield f"model: {_flow(_spec(look.model))}   # {said}"
    yield f"# {look.told_by}"
    split = (
        f"{rows['train']:,} to train, {rows['validation']:,} to choose, {rows['test']:,} to test"
    )
    yield f"data:   # rows: {split}"
    for key, value in _data(look).items():
        yield f"  {key}: {_flow(value)}"
    engine: Document = {"precision": proposed.precision}
    if proposed.accumulation > 1:
        engine["gradient_accumulation"] = proposed.accumulation
    yield f"engine: {_flow(engine)}"
    resources: Document = {"workers": 1, "cpus_per_worker": proposed.cpus}
    if proposed.gpus:
        resources["gpus_per_worker"] = proposed.gpus
    yield f"resources: {_flow(resources)}   # memory of a worker: {proposed.needs}"
    yield ""
    yield from _methods(proposed, layers=shape.layers)
    yield ""
    yield from _train(look, proposed)
    yield ""
    yield "objective: {metric: eval_loss}"
    yield "search: {trials: 24}"


def _methods(proposed: Proposed, *, layers: int) -> Iterator[str]:
    targets = [*proposed.targets]
    sized: Document = {}
    if proposed.is_sized:
        budget: Document = {"match": "lora", "rank": _RANK, "alpha_per_rank": _ALPHA // _RANK}
        yield f"# All methods get the size of LoRA of rank {_RANK} on these layers, and its scale."
        yield f"budget: {_flow({**budget, 'targets': [*targets]})}"
    else:
        yield "# The layers are not all alike, so that no budget can size the methods."
        sized = {"rank": _RANK, "alpha": _ALPHA}
    sizes = [size for size in (1, 2, 4) if size <= layers]
    masa: Document = {
        **sized,
        "experts": {"int": [2, 6]},
        "group_size": {"choice": [*sizes]} if len(sizes) > 1 else 1,
    }
    but = (
        f" but {', '.join(proposed.left_out)}, which can have no adapter"
        if proposed.left_out
        else ""
    )
    yield f"methods:   # targets: all linear layers of a decoder layer{but}"
    for name, fields in {"masa": masa, "lora": sized}.items():
        yield f"  - name: {name}"
        entry: Document = {"targets": [*targets], **fields}
        for key, value in entry.items():
            yield f"    {key}: {_flow(value)}"


def _train(look: Look, proposed: Proposed) -> Iterator[str]:
    lengths = look.lengths
    passes = f"{proposed.passes:.2g} passes over the training rows"
    cut = f"{proposed.cut:.1%} {look.longer_ones}" if proposed.cut else "no row is longer"
    said = f"median {lengths.median}, 95 % at most {lengths.p95}, longest {lengths.longest}; {cut}"
    low, high = proposed.rates
    yield "train:"
    yield f"  steps: {proposed.steps}   # {passes}"
    yield f"  # {proposed.rates_from}"
    yield f"  learning_rate: {{loguniform: [{low:g}, {high:g}]}}"
    yield "  warmup_ratio: 0.05"
    whole = proposed.batch_size * proposed.accumulation
    more = f"   # {whole} sequences a step" if proposed.accumulation > 1 else ""
    yield f"  batch_size: {proposed.batch_size}{more}"
    yield f"  max_length: {proposed.max_length}   # tokens: {said}"
    yield "  evaluations: 4"
    yield f"  eval_examples: {min(64, look.rows['validation'])}"


def _spec(model: ModelSpec) -> Document:
    return {"kind": model.kind, **model.model_dump(mode="json", exclude_defaults=True)}


def _data(look: Look) -> Document:
    """Returns the data as it stands in the file: its source, and what its format reads."""
    spec = look.data
    dump: Document = spec.model_dump(mode="json", exclude_defaults=True, exclude={"format"})
    return {"kind": spec.kind, **dump, "format": dict(look.settings)}


def _flow(value: Json) -> str:
    return dump_yaml(value, is_flow=True)


def _number(parameters: int) -> str:
    for limit, unit in ((1e9, "billion"), (1e6, "million")):
        if parameters >= limit:
            return f"{parameters / limit:.3g} {unit}"
    return shorten(f"{parameters:,}")
