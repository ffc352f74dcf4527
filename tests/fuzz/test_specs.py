"""Damaged search spaces and profiles: each is read and drawn from, or refused with a message."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from sweeper._files import dumps
from sweeper.errors import BadInputError
from sweeper.experiment.loading import build_sweep, load_sweep
from sweeper.experiment.sweep import Sweep
from sweeper.search.draws import draw_all, params_of
from tests.places import SPACES

LONGEST_MESSAGE = 5000

# One of each kind of section and distribution; the packaged ones stand beside it.
SMALL = """
name: small
description: all that a space can have
methods:
  - &masa
    name: masa
    experts: {int: [2, 3]}
    group_size: {grid: [1, 2]}
    alpha: {uniform: [1, 32]}
    targets: {choice: [[q_proj], [q_proj, v_proj]]}
  - {name: pissa, rank: {choice: [2, 4]}, iterations: {choice: [null, 16]}}
train:
  learning_rate: {loguniform: [1e-4, 1e-2]}
  weight_decay: {choice: [0, 0.1]}
baselines:
  - {method: {name: pissa, rank: 4}, train: {learning_rate: 1e-3}}
objective: {metric: eval_loss}
search: {trials: 6, asha: {grace: 1, reduction: 3}}
evaluation: {stop: ["\\n"]}
final: {trials: 1, rows: 10}
"""
LISTED = """
name: listed
trials:
  - {name: one, method: {name: lora, rank: 4}, train: {learning_rate: 1e-3}, note: first}
  - {name: two, method: {name: mosa, rank: null, groups: {q_proj: 3, k_proj: 4, v_proj: 4,
     up_proj: 9, down_proj: 9}}, published: {params: "0.52", source: a paper}}
"""
SIZED = """
name: sized
methods: [{name: lora, alpha: {choice: [8, 16]}}, {name: mosa, grouping: {choice: [brt, row]}}]
budget: {match: lora, rank: 8}
search: {trials: 4}
"""
TEXTS = [SMALL, SMALL, LISTED, SIZED]
TEXTS += [(SPACES / f"{name}.yaml").read_text(encoding="utf-8") for name in ("masa", "mosa")]
PROFILE = (SPACES / "profiles" / "embedded.yaml").read_text(encoding="utf-8")

# One a line; quotes, brackets and anchors that never end are among them.
ODD_TEXTS = r"""
~
null
yes
010
0o17
1:30
1_000
.nan
-.inf
1e999
-1
0
1e-400
1.5
2024-02-30
2024-02-29
{}
[[]]
{a: {b: c}}
'
"
&a
*a
&masa
*masa
&a [*a]
{<<: *masa}
<<: *masa
!!python/name:os.system
!!int
!!binary aGk=
!!set {a}
!mine
-
?
|
>
%
@
`
#
}
{
[
"\0"
"\ud800"
{[a]: b}
{{x}}
²
٣
é😀
../../x
~root/x
/dev/zero
{choice: [null, [1], {a: 1}]}
{choice: [1, true, 1.0]}
{choice: [lora, masa]}
{choice: []}
{choice: [.nan, .inf]}
{grid: [1]}
{grid: [[q_proj], null]}
{uniform: [0, 1]}
{uniform: [-1e308, 1e308]}
{int: [1, 9007199254740993]}
{int: [0, 64], step: 0}
{int: [1, 9]}
{int: [-9, 1000000]}
{loguniform: [1e-300, 1e300]}
{choice: [1], grid: [2]}
{match: lora}
{params: 0%}
{params: 1e308}
{params: 3}
{kind: folder, path: x}
{kind: jsonl, path: /dev/zero}
{kind: gguf}
{kind: hub, name: x/y}
vblora
adalora
""".strip().splitlines()
ODD_TEXTS += ["9" * 30, "9" * 5000, "x" * 3000, "[" * 200, "{a: " * 200, "a\t- b", "\t", "\r"]
ODD_TEXTS += ["\n---\n", "\u2028", "\u202e", "\x07", "\x85", "\ufeff"]
ODD_VALUES: list[Any] = [None, True, False, 0, -1, 1, 1.5, 2**31, 2**63, 10**40, 1e308, -1e308]
ODD_VALUES += [1e-320, math.inf, math.nan, "", "x", "8", "é😀", "x" * 3000, [], {}, [None], [[]]]
ODD_VALUES += [["q_proj"], list(range(200)), {"a": {"b": 1}}, {"kind": "hub"}, {"params": "99.99%"}]
ODD_VALUES += [{"choice": [None, [1], {"a": 1}]}, {"int": [1, 2**53]}, {"uniform": [0, 1]}]
ODD_VALUES += [{"grid": ["a", "b"]}, {"loguniform": [1e-9, 1e9]}, {"choice": [1, 2], "step": 3}]
ODD_VALUES += [{"match": "lora", "rank": 10**9}]
KEYS = ("name", "rank", "alpha", "experts", "method", "methods", "trials", "train", "kind", "path")


def damage_text(text: str, random_: random.Random) -> str:
    """A text with one to three small faults."""
    for _ in range(random_.choice((1, 1, 2, 3))):
        lines = text.split("\n")
        line, other = (random_.randrange(len(lines)) for _ in range(2))
        place = random_.randrange(len(text) + 1)
        odd = random_.choice(ODD_TEXTS)
        match random_.randrange(9):
            case 0:
                del lines[line]
            case 1:
                lines.insert(other, lines[line])
            case 2:
                lines[line], lines[other] = lines[other], lines[line]
            case 3:
                lines[line] = " " * random_.randrange(8) + lines[line].lstrip()
            case 4:
                key, colon, _ = lines[line].partition(":")
                lines[line] = f"{key}{colon} {odd}"
            case 5:
                words = lines[line].split(" ")
                words[random_.randrange(len(words))] = odd
                lines[line] = " ".join(words)
            case 6:
                lines = [*text[:place].split("\n"), ""]
            case 7:
                lines = (text[:place] + odd + text[place:]).split("\n")
            case _:
                lines = (text[:place] + text[place + random_.randrange(1, 4) :]).split("\n")
        text = "\n".join(lines)
    return text


def branches(tree: Any) -> Iterator[Any]:
    """All mappings and lists of a tree that hold something."""
    if isinstance(tree, dict | list) and tree:
        yield tree
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from branches(value)


def damage_tree(tree: Any, random_: random.Random) -> Any:
    """A tree in which one to three values are others, missing, doubled or nested."""
    for _ in range(random_.choice((1, 1, 2, 3))):
        found = list(branches(tree))
        if not found:
            break
        branch = random_.choice(found)
        key = random_.choice(list(branch) if isinstance(branch, dict) else range(len(branch)))
        match random_.randrange(6):
            case 0 | 1:
                branch[key] = deepcopy(random_.choice(ODD_VALUES))
            case 2:
                del branch[key]
            case 3:
                branch[key] = random_.choice(([branch[key]], {random_.choice(KEYS): branch[key]}))
            case 4 if isinstance(branch, dict):
                branch[random_.choice([*KEYS, 1, None, True])] = deepcopy(
                    random_.choice(ODD_VALUES)
                )
            case _:
                branch[key] = deepcopy(random_.choice(found))
    return tree


def dump(tree: Any) -> str:
    return yaml.dump(tree, Dumper=yaml.SafeDumper, allow_unicode=True, sort_keys=False)


def is_read(number: int, load: Callable[[], Sweep]) -> bool:
    """Whether a document was read; it has drawn its trials then."""
    try:
        sweep = load()
        drawn = draw_all(sweep)
    except BadInputError as error:
        length = len(str(error))
    except Exception as error:
        raise AssertionError(f"input {number} ended in {error!r:.500}") from error
    else:
        for trial in drawn:
            json.dumps(params_of(trial.spec, trial.space), allow_nan=False)
        # What a sweep keeps of its document makes the same sweep.
        again = build_sweep(json.loads(dumps(sweep.document)), source="again")
        assert again.spec == sweep.spec, number
        return True
    assert 0 < length < LONGEST_MESSAGE, number
    return False


def write(folder: Path, text: str) -> Path:
    path = folder / "space.yaml"
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    return path


def test_a_damaged_text(share_of: Callable[[int], int], tmp_path: Path) -> None:
    count, read = share_of(1200), 0
    for number in range(count):
        random_ = random.Random(f"text {number}")
        path = write(tmp_path, damage_text(random_.choice(TEXTS), random_))
        read += is_read(number, partial(load_sweep, path, profile="embedded"))
    assert 0 < read < count


def test_a_damaged_tree(share_of: Callable[[int], int], tmp_path: Path) -> None:
    count, read = share_of(1000), 0
    for number in range(count):
        random_ = random.Random(f"tree {number}")
        tree = damage_tree(yaml.safe_load(random_.choice(TEXTS)), random_)
        path = write(tmp_path, dump(tree))
        read += is_read(number, partial(load_sweep, path, profile="embedded"))
    assert 0 < read < count


def test_a_damaged_profile(share_of: Callable[[int], int], tmp_path: Path) -> None:
    count, read = share_of(400), 0
    profile = tmp_path / "profiles" / "mine.yaml"
    profile.parent.mkdir()
    for number in range(count):
        random_ = random.Random(f"profile {number}")
        if number % 2:
            text = damage_text(PROFILE, random_)
        else:
            text = dump(damage_tree(yaml.safe_load(PROFILE), random_))
        profile.write_bytes(text.encode("utf-8", errors="surrogatepass"))
        path = write(tmp_path, random_.choice([SMALL, SIZED]))
        read += is_read(number, partial(load_sweep, path, profile="mine"))
    assert 0 < read < count


def test_odd_overrides(share_of: Callable[[int], int], tmp_path: Path) -> None:
    count, read = share_of(400), 0
    path = write(tmp_path, SMALL)
    takes_much = ["description", "train.weight_decay", "methods.masa.alpha"]
    places = [
        "name",
        "profile",
        "methods",
        "methods.masa",
        "methods.0.rank",
        "methods.²",
        "trials",
    ]
    places += [
        "train.steps",
        "train",
        "train.seed.x",
        "search.trials",
        "objective.metric",
        "budget",
    ]
    places += ["model", "data.kind", "baselines.0", "methods." + "9" * 5000, "", "a..b", "x" * 3000]
    for number in range(count):
        random_ = random.Random(f"override {number}")
        place = random_.choice(takes_much if number % 2 else places)
        override = f"{place}={random_.choice(ODD_TEXTS)}"
        if number % 50 == 0:
            override = random_.choice(ODD_TEXTS)
        load = partial(load_sweep, path, profile="embedded", overrides=[override])
        read += is_read(number, load)
    assert 0 < read < count


@pytest.mark.parametrize("text", [*TEXTS, PROFILE])
def test_what_is_damaged_was_whole(text: str, tmp_path: Path) -> None:
    if text is PROFILE:
        (tmp_path / "profiles").mkdir()
        (tmp_path / "profiles" / "mine.yaml").write_text(PROFILE, encoding="utf-8")
        assert load_sweep(write(tmp_path, SMALL), profile="mine")
    else:
        assert draw_all(load_sweep(write(tmp_path, text), profile="embedded"))
