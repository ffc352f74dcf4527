"""The parts of the benches that need no clock; the benches themselves are run by make."""

import json
from dataclasses import replace
from typing import get_args

import pytest
import torch

from benchmarks import _bench, _step_report, kernels, step
from benchmarks._contenders import (
    CONTENDERS,
    RANK,
    REFERENCE,
    TARGETS,
    Contender,
    Step,
    budget,
    build_base,
)
from benchmarks._count import count_step, linear_flops, live, peak_bytes
from sweeper.models.shapes import shape_of
from sweeper_adapters.methods import Method
from sweeper_kernels import Tessellation, torch_products

# LoRA's rank 32 is 3 ranks of LoRAMoE's eight experts, which is the coarsest of all.
WORST_MISS_PERCENT = 12
# Two ways to the same sums in float32, after two steps.
RTOL, ATOL = 1e-4, 1e-6
TINY = step.Setting("tiny", "smollm2-135m", 1, 2, 8, rounds=1, headline_rounds=2)
ROW = {
    "shape": "tiny",
    "status": "ok",
    "note": "",
    "parameters": 1_234_567,
    "budget": 1_200_000,
    "miss_percent": 2.88,
    "step_time_s": 12.345,
    "tokens_per_s": 1234.5,
    "time_ratio": {"median": 1.23, "low": 1.19, "high": 11.27, "rounds": 7},
    "flop_ratio": 1.2,
    "time_to_floor": 1.025,
    "peak_memory_bytes": 12345 * 2**20,
    "peak_besides_base_bytes": 1234 * 2**20,
    "memory_ratio": 1.005,
    "index_bytes": 512 * 2**20,
}


def contender(name):
    (found,) = (x for x in CONTENDERS if x.name == name)
    return found


@pytest.fixture(scope="module")
def tiny():
    return step.Bench(TINY)


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    # The medians' ratio would be 3.
    ratio = _bench.Ratio.of([2.0, 6.0, 30.0], [1.0, 2.0, 30.0])
    assert ratio == _bench.Ratio(median=2.0, low=1.5, high=2.5, rounds=3)
    assert str(ratio) == "2.00 (1.50–2.50)"


def test_one_round_has_no_spread():
    assert _bench.Ratio.of([3.0], [2.0]) == _bench.Ratio(1.5, 1.5, 1.5, 1)


@pytest.mark.parametrize(("times", "base"), [([], []), ([1.0, 2.0], [1.0])])
def test_a_ratio_needs_pairs(times, base):
    with pytest.raises(ValueError, match="in pairs of one round"):
        _bench.Ratio.of(times, base)


def test_rivals_take_turns_and_each_begins():
    called = []
    rivals = {name: lambda name=name: called.append(name) for name in "abc"}
    times = _bench.alternate(rivals, rounds=3, warmups=1)
    assert {name: len(found) for name, found in times.items()} == {"a": 3, "b": 3, "c": 3}
    rounds = ["".join(called[i : i + 3]) for i in range(0, len(called), 3)]
    assert sorted(rounds[1:]) == ["abc", "bca", "cab"]
    assert sorted(rounds[0]) == ["a", "b", "c"]


@pytest.mark.parametrize("width", [80, 160])
def test_the_table_of_steps_fits_and_is_whole(width):
    rows = [ROW | {"name": x.name} for x in CONTENDERS]
    rows.append({"shape": "tiny", "name": "broken", "status": "failed", "error": "no"})
    text = _step_report.report(rows, width=width)
    table = text.partition("FAILED")[0]
    assert max(map(len, table.splitlines())) <= width
    assert "…" not in table
    for name in (*(x.name for x in CONTENDERS), "broken", "12.35", "1.19–11.27", "12,345.0"):
        assert name in table
    assert ("1,234,567" in table) == (width == 160)
    assert "FAILED tiny: broken: no" in text


@pytest.mark.parametrize("width", [80, 160])
def test_the_table_of_sums_fits_and_is_whole(width):
    ratio = {"median": 123.45, "low": 100.0, "high": 150.0, "rounds": 3}
    row = {
        "strategy": "skewed",
        "groups": 262_144,
        "times_s": dict.fromkeys(kernels.RIVALS, 1.2345),
        "ratios": dict.fromkeys(kernels.RATIOS, ratio),
    }
    text = _bench.render(kernels.columns(), [row], width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for word in ("skewed", "262,144", "1234.5", "123.45"):
        assert word in text
    assert ("100.00–150.00" in text) == (width == 160)


def test_a_result_has_all_that_says_what_it_is_of(tmp_path):
    machine = _bench.machine()
    result = _bench.document(
        "x", rows=[{"a": 1.5}], seeds={"values": 0}, settings={"rounds": 3}, machine=machine
    )
    path = _bench.write(result, is_whole=True, folder=tmp_path)
    read = json.loads(path.read_text(encoding="utf-8"))
    assert path.name == "x.json"
    assert read == result
    assert {"commit", "threads", "backend", "versions", "seeds", "settings", "rows"} <= set(read)
    assert {"cpu", "cpus", "memory_bytes", "platform", "load_before"} <= set(read["machine"])
    assert read["versions"]["torch"] == torch.__version__
    assert read["threads"] == torch.get_num_threads()


def test_a_part_of_a_bench_does_not_take_its_place(tmp_path):
    _bench.write({"bench": "x", "rows": []}, is_whole=False, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x-partial.json"]


def test_a_figure_that_is_no_number_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        _bench.write({"bench": "x", "rows": [float("nan")]}, is_whole=True, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("strategy", kernels.STRATEGIES)
@pytest.mark.parametrize("groups", [1, 33, 600])
def test_all_rivals_have_the_same_sums(strategy, groups):
    values = torch.randn(65, 72)
    row = kernels.measure(values, Tessellation(65, 72, groups, strategy=strategy), rounds=2)
    assert set(row["times_s"]) == set(kernels.RIVALS)
    assert set(row["ratios"]) == set(kernels.RATIOS)
    assert all(ratio["rounds"] == 2 for ratio in row["ratios"].values())


@pytest.mark.parametrize("wrong", [1.1, float("nan")])
def test_a_wrong_sum_has_no_time(wrong):
    expected = torch.ones(3, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="'stored' are wrong"):
        kernels.demand_right({"stored": torch.tensor([1.0, wrong, 1.0])}, expected, size=1.0)
    kernels.demand_right({"stored": torch.ones(3)}, expected, size=1.0)


def kernel_rows():
    values = torch.randn(64, 64)
    return [
        kernels.measure(values, Tessellation(64, 64, groups, strategy=strategy), rounds=1)
        for strategy in kernels.STRATEGIES
        for groups in (1, 16)
    ]


def test_the_worst_row_decides_on_a_target():
    rows = kernel_rows()
    for row in rows:
        for name in row["ratios"]:
            row["ratios"][name]["median"] = 4.5 if name.startswith("autograd") else 1.4
    assert [line.rpartition(" ")[2] for line in kernels.targets(rows)] == ["met"] * 4
    rows[3]["ratios"]["autograd_to_stored"]["median"] = 3.9
    rows[0]["ratios"]["computed_to_copy"]["median"] = 1.6
    lines = kernels.targets(rows)
    assert [line.rpartition(" ")[2] for line in lines] == ["MISSED", "met", "met", "MISSED"]
    assert "skewed, K = 16" in lines[0]
    # Above it the target of the copy does not hold.
    rows[0]["groups"] = kernels.COPY_TARGET_GROUPS + 1
    assert kernels.targets(rows)[3].endswith("met")


def test_the_plot_is_the_same_for_the_same_figures(tmp_path):
    rows = kernel_rows()
    for name in ("a.svg", "b.svg"):
        kernels.plot(rows, tmp_path / name, title="4 × 4")
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert text == (tmp_path / "b.svg").read_text(encoding="utf-8")
    for word in ("autograd", "index_add", "ours, Γ stored", "ours, Γ computed", "4 × 4", "skewed"):
        assert f">{word}</text>" in text


def test_every_method_has_a_row():
    union, *_ = get_args(Method)
    known = {spec.model_fields["name"].default for spec in get_args(union)}
    # Of PEFT's types those that have a method of their own have a row.
    known -= {"peft"}
    shape = shape_of(TINY.config())
    assert {x.spec(shape).name for x in CONTENDERS} | {REFERENCE} == known
    names = [x.name for x in CONTENDERS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("setting", [*step.FULL, *step.QUICK], ids=lambda x: f"{x.name}-{x.layers}")
@pytest.mark.parametrize("row", CONTENDERS, ids=lambda x: x.name)
def test_every_row_is_at_the_budget_and_possible(row, setting):
    shape = shape_of(setting.config())
    spec = row.spec(shape)
    assert spec.problems(shape) == []
    if not row.is_matched:
        assert spec.sizes() == {"rank": RANK}
        return
    wanted = budget().parameters(spec, shape)
    assert 100 * abs(spec.count(shape) - wanted) <= WORST_MISS_PERCENT * wanted


def test_rows_that_are_compared_run_together():
    chunks = [[x.name for x in chunk] for chunk in step._chunks(CONTENDERS)]
    assert sorted(name for chunk in chunks for name in chunk) == sorted(x.name for x in CONTENDERS)
    assert max(map(len, chunks[1:])) <= step.AT_ONCE
    for name, other in step.PAIRS.items():
        assert {name, other} <= set(chunks[0])


@pytest.mark.parametrize(("name", "kind"), [("lora", "lora"), ("mosa-stored", "mosa")])
def test_the_closed_form_is_what_a_step_multiplies(name, kind):
    config = TINY.config()
    shape, batch = shape_of(config), torch.randint(64, (2, 8))
    row = Contender("lora") if name == "lora" else contender(name)
    made = Step(row, row.spec(shape), build_base(config), batch, seed=0)
    counted = count_step(made)
    assert counted.uncounted == ()
    assert counted.attention_flops > 0
    assert counted.flops - counted.attention_flops == linear_flops(
        shape, tokens=16, adapted=TARGETS, method=kind, rank=RANK, head=step.VOCABULARY
    )


def test_an_operator_without_a_formula_is_told():
    with torch.library._scoped_library("bench_test", "DEF") as library:
        library.define("product(Tensor x) -> Tensor")
        library.impl("product", lambda x: x @ x, "CPU")
        counted = count_step(lambda: torch.ops.bench_test.product(torch.ones(3, 3)))
    assert counted.uncounted == ("bench_test::product",)


def test_the_peak_is_exact():
    def allocate():
        first = torch.empty(1000)
        second = torch.empty(500)
        del first
        third = torch.empty(300)
        del second, third

    assert peak_bytes(allocate) == 4 * 1500
    assert peak_bytes(lambda: None) == 0


def test_memory_is_counted_once():
    before = live()
    kept = [torch.zeros(1000), torch.zeros(30, dtype=torch.int32), torch.zeros(7, dtype=torch.int8)]
    kept += [kept[0][:10], kept[1].view(5, 6)]
    added = live() - before
    assert (added.size_bytes, added.index_bytes) == (4000 + 120 + 7, 120)


def test_a_step_trains_and_leaves_nothing():
    config = TINY.config()
    base, batch = build_base(config), torch.randint(64, (2, 8))
    frozen = {name: p.clone() for name, p in base.named_parameters()}
    spec = contender("mosa-stored").spec(shape_of(config))
    made = [
        Step(contender(name), spec, base, batch, seed=0)
        for name in ("mosa-stored", "mosa-autograd")
    ]
    trained = []
    for taken in made:
        # AdamW's first steps are as long for a gradient that is all rounding.
        with torch_products():
            taken()
            taken()
        parameters = [p for p in taken._training.model.parameters() if p.requires_grad]
        assert all(p.grad is None for p in parameters)
        trained.append(parameters)
    assert len(trained[0]) == len(TARGETS)
    for ours, plain in zip(*trained, strict=True):
        assert ours.abs().max() > 0
        torch.testing.assert_close(ours, plain, rtol=RTOL, atol=ATOL)
    for name, p in base.named_parameters():
        assert torch.equal(p, frozen[name]), name


def test_rows_have_every_figure_and_a_failure_is_one(tiny):
    broken = replace(
        contender("hydralora"), name="broken", fields={"name": "hydralora", "dropout": 2}
    )
    rows = list(tiny.run([*(contender(x) for x in ("mosa-computed", "mosa-stored")), broken]))
    by_name = {row["name"]: row for row in rows}
    assert [*by_name] == ["lora", "mosa-computed", "mosa-stored", "broken"]
    assert "dropout" in by_name["broken"].pop("error")
    assert by_name.pop("broken")["status"] == "failed"
    lora, computed, stored = by_name.values()
    assert lora["time_ratio"]["median"] == lora["flop_ratio"] == lora["memory_ratio"] == 1
    assert lora["index_bytes"] == computed["index_bytes"] == 0
    shapes = {(576, 576), (192, 576), (1536, 576), (576, 1536)}
    assert stored["index_bytes"] == 4 * sum(rows * columns for rows, columns in shapes)
    assert stored["flop_ratio"] == pytest.approx(stored["closed_flop_ratio"], rel=1e-12)
    assert computed["time_ratio"]["rounds"] == TINY.headline_rounds
    assert set(computed["time_ratio_to"]) == {"mosa-stored"}
    for row in by_name.values():
        json.dumps(row, allow_nan=False)
        assert row["tokens_per_s"] == pytest.approx(16 / row["step_time_s"])


def test_targets_say_what_is_missed():
    rows = [ROW | {"name": name} for name in ("mosa-stored", "masa-collapsed", "lora")]
    assert list(_step_report.targets(rows)) == [
        "tiny: mosa-stored, time over its floor: 1.025 (target: at most 1.1): met",
        "tiny: masa-collapsed, time over LoRA's: 1.230 (target: at most 1.03): MISSED",
        "tiny: masa-collapsed, peak memory over LoRA's: 1.005 (target: at most 1.01): met",
    ]
