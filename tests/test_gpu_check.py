"""The check of a card: its code by Triton's interpreter, and what it says of what breaks."""

import json
import subprocess
import sys
import time

import pytest
import torch

from benchmarks._gpus import GPUS, gpu_named
from benchmarks.gpu_check import __main__ as command
from benchmarks.gpu_check import agreement, parts, steps, worker
from benchmarks.gpu_check.page import text
from benchmarks.gpu_check.parts import PARTS, Part, Piece, run_part, work

BY_NAME = {part.name: part for part in PARTS}


@pytest.fixture
def _interpreted(monkeypatch):
    monkeypatch.setenv("SWEEPER_KERNELS", "triton")


def small(name):
    """The rows of a part, as its process writes them."""
    rows: list[dict] = []
    work(BY_NAME[name], rows.append, is_small=True)
    return [json.loads(json.dumps(row, allow_nan=False)) for row in rows]


def assert_ok(rows):
    assert [row for row in rows if row["status"] != "ok"] == []


@pytest.mark.slow
@pytest.mark.usefixtures("_interpreted")
def test_every_kernel_agrees_in_the_interpreter():
    rows = small("kernels")
    assert_ok(rows)
    kernels = ("expand", "grad_values", "segment_sum", "masa_gate", "mosa_linear")
    tried = {tuple(row["what"].split(", ")[:2]) for row in rows}
    types = ("float32", "bfloat16", "float16")
    assert tried == {(kernel, dtype) for kernel in kernels for dtype in types}
    assert all(0 <= row["of_limit"] <= 1 for row in rows)


@pytest.mark.slow
@pytest.mark.usefixtures("_interpreted")
def test_every_way_of_summing_has_a_row():
    rows = small("sums")
    assert_ok(rows)
    rivals = {"autograd", "index_add", "stored", "computed"}
    assert {row["rival"] for row in rows} == rivals | {"copy of values and Γ", "copy of values"}
    assert {row["strategy"] for row in rows} == {"brt", "skewed"}
    ours = [row for row in rows if row["rival"] in ("stored", "computed")]
    assert all(row["autograd_over_it"] > 0 and row["of_limit"] > 0 for row in ours)


@pytest.mark.slow
def test_every_method_of_the_table_takes_a_step_in_bfloat16():
    rows = small("steps")
    assert_ok(rows)
    assert {row["method"] for row in rows} == {"lora", *steps.NAMES}
    by_method = {row["method"]: row for row in rows}
    assert by_method["mosa-stored"]["index_bytes"] > 0 == by_method["mosa-computed"]["index_bytes"]
    # No published rate is of this CPU.
    assert all("roofline_ms" not in row for row in rows)


@pytest.mark.whole
@pytest.mark.slow
def test_a_trial_learns_under_zero_2_as_it_does_without_in_a_process_of_its_own():
    rows = run_part(BY_NAME["zero"], is_small=True)
    assert_ok(rows)
    stages = [row["what"].rpartition(", ZeRO-")[2] for row in rows]
    assert stages == ["0, fp32", "2, bf16"] * 2
    assert all(row["of_limit"] < 1 for row in rows[1::2])


def test_the_sizes_of_real_layers_are_tried_before_the_time_is_over():
    """The part's time may end among some hundred pieces, of which each compiles a kernel."""
    names = [piece.what for piece in agreement.pieces(is_small=False)]
    is_real = [name.partition(", K ")[0].endswith("x4096") for name in names]
    assert len(names) > 100
    assert is_real == sorted(is_real, reverse=True)
    assert sum(is_real) == 12


def test_a_kernel_that_is_wrong_is_caught():
    index = torch.tensor([[0, 1], [1, 0]])
    terms = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    for wrong in (5.001, torch.nan):
        sums = torch.tensor([wrong, 5.0])
        assert agreement.miss_of_sums(sums, terms, index, scale=terms) > 1
    right = torch.tensor([5.0, 5.0])
    assert agreement.miss_of_sums(right, terms, index, scale=terms) == 0
    assert agreement.miss_of_values(torch.tensor([1.1]), torch.tensor([1.0]), 1e-2, 0) > 1
    assert agreement._judged(2.0)["status"] == "failed"
    assert agreement._judged(float("inf")) == {
        "status": "failed",
        "detail": "its error is inf times what is allowed",
    }


def test_what_fails_is_a_row_and_the_rest_is_tried(monkeypatch):
    def broken():
        raise RuntimeError("an illegal memory access")

    found = [Piece("first", broken), Piece("second", lambda: [{"status": "ok"}])]
    monkeypatch.setattr(agreement, "pieces", lambda *, is_small: found)
    assert small("kernels") == [
        {"what": "first", "status": "failed", "detail": "RuntimeError: an illegal memory access"},
        {"what": "second", "status": "ok"},
    ]


def test_nothing_begins_after_the_parts_time(monkeypatch):
    def slow():
        time.sleep(0.1)
        return [{"status": "ok"}]

    monkeypatch.setattr(agreement, "pieces", lambda *, is_small: [Piece(x, slow) for x in "ab"])
    rows: list[dict] = []
    short = Part("kernels", "agreement", limit_s=0.1 / parts._SMALL_FACTOR)
    work(short, rows.append, is_small=True)
    assert [row["status"] for row in rows] == ["ok", "not run"]


def test_the_process_of_a_part_writes_a_line_for_each_row(monkeypatch, tmp_path):
    found = [Piece(x, lambda: [{"status": "ok"}]) for x in ("λ", "b")]
    monkeypatch.setattr(agreement, "pieces", lambda *, is_small: found)
    place = tmp_path / "rows"
    monkeypatch.setattr(sys, "argv", ["worker", "kernels", str(place), "--small"])
    worker.main()
    assert parts._read(place) == [{"what": x, "status": "ok"} for x in ("λ", "b")]


WRITES_AND = """
import sys, time
open(sys.argv[1], "w").write('{"what": "a", "status": "ok"}\\n{"what": "b", "st')
"""


@pytest.mark.parametrize(
    ("end", "said"),
    [("time.sleep(60)", "stopped after 3 s"), ("sys.exit(9)", "its process ended with 9")],
)
def test_what_a_broken_process_has_written_is_kept(monkeypatch, end, said):
    ended = parts._ended

    def other_program(command, environment, limit_s):
        return ended([sys.executable, "-c", WRITES_AND + end, command[5]], environment, limit_s)

    monkeypatch.setattr(parts, "_ended", other_program)
    began_s = time.monotonic()
    rows = run_part(BY_NAME["sums"], is_small=True, limit_s=3)
    assert time.monotonic() - began_s < 30
    assert rows[0] == {"part": "sums", "what": "a", "status": "ok"}
    assert [row["status"] for row in rows] == ["ok", "failed"]
    assert rows[1]["detail"].startswith(said)


def test_all_parts_together_take_less_than_six_minutes():
    assert sum(part.limit_s for part in PARTS) < 6 * 60


def test_without_a_card_there_is_a_sentence_and_no_figure(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu_check"])
    monkeypatch.setattr(command, "run_part", lambda *_, **__: pytest.fail("a part was run"))
    assert command.main() == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("There is no CUDA card here")


@pytest.fixture
def _card(monkeypatch, tmp_path):
    """A card by name alone, and a folder for what is written."""
    facts = {"name": "NVIDIA H200", "capability": "9.0", "cuda": "13.0"}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(command, "card", lambda: facts)
    monkeypatch.setattr(
        command, "write", lambda result, *, is_whole: keep(tmp_path, result, is_whole=is_whole)
    )
    monkeypatch.setattr(command, "RESULTS", tmp_path / "benchmarks" / "results")


def keep(folder, result, *, is_whole):
    path = folder / f"{is_whole}.json"
    path.write_text(json.dumps(result), encoding="utf-8")
    return path


ROW = {"part": "steps", "what": "1 layer: lora", "status": "ok", "time_ms": 12.5, "of_limit": 1.75}


@pytest.mark.usefixtures("_card")
@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("failed", 1), ("not run", 1)])
def test_figures_are_written_with_the_card_and_versions(
    monkeypatch, tmp_path, capsys, status, code
):
    monkeypatch.setattr(sys, "argv", ["gpu_check", "--only", "steps"])
    monkeypatch.setattr(command, "run_part", lambda part, **_: [{**ROW, "status": status}])
    assert command.main() == code
    [path] = tmp_path.glob("*.json")
    written = json.loads(path.read_text(encoding="utf-8"))
    # It is a part of it alone.
    assert path.name == "False.json"
    assert written["settings"]["card"]["name"] == "NVIDIA H200"
    assert written["versions"]["torch"] == torch.__version__
    assert written["rows"][0]["time_ms"] == 12.5
    assert "12.500" in capsys.readouterr().out


@pytest.mark.parametrize("width", [80, 160])
def test_the_table_fits_and_says_what_broke(width):
    rows: list[dict] = [
        ROW | {"over_lora": 1.25, "over_lora_low": 1.2, "over_lora_high": 1.3},
        {"part": "zero", "what": "masa", "status": "not run", "detail": "no DeepSpeed"},
    ]
    found = text(rows, width=width, is_small=False)
    table = found.partition("NOT RUN")[0]
    assert max(map(len, table.splitlines())) <= width
    assert "1.25" in table
    assert "1.75" in table
    assert "NOT RUN zero: masa: no DeepSpeed" in found
    assert "1 not run, 1 ok" in found


def test_the_small_form_shows_no_time():
    found = text([ROW], width=160, is_small=True)
    assert "12.5" not in found
    assert "nothing is measured" in found


def test_the_roofline_is_the_slower_of_products_and_memory():
    _, h100 = GPUS
    # A step of 4,096 tokens is bound by its products, one of none by reading the base twice.
    setting = steps._SETTING
    assert steps.roofline_ms(setting, 10**13, h100) == pytest.approx(1e16 / h100.tensor_per_s)
    weights = 4096 * (2 * 4096 + 2 * 1024 + 3 * 14_336)
    expected_ms = 1e3 * 4 * weights / h100.bytes_per_s
    assert steps.roofline_ms(setting, 0, h100) == pytest.approx(expected_ms)


def test_rates_are_of_the_form_of_a_card_that_has_them():
    h200, h100 = gpu_named("NVIDIA H200"), gpu_named("NVIDIA H100 80GB HBM3")
    assert h200.bytes_per_s > h100.bytes_per_s
    assert h200.tensor_per_s == h100.tensor_per_s
    assert gpu_named("NVIDIA H100 PCIe") is None


WITHOUT = """
import subprocess
import sys
missing = {"pydantic", "psutil", "rich", "yaml", "transformers", "peft", "deepspeed", "scipy"}
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}")
sys.meta_path.insert(0, Finder())
from benchmarks import _bench
from benchmarks.gpu_check import __main__ as command, agreement, sums, worker
from benchmarks.gpu_check.page import text
from benchmarks.gpu_check.parts import PARTS, work
rows = []
work(PARTS[2], lambda row: rows.append({"part": "steps", **row}), is_small=True)
machine, seeds = _bench.machine(), command._seeds()
result = _bench.document("x", rows=rows, seeds=seeds, settings={}, machine=machine)
print(text(rows, width=80, is_small=False), sorted(result["versions"]))
"""


def test_kernels_and_sums_need_torch_and_triton_alone():
    """What is missing ends the part that needs it, and no other."""
    environment = parts._environment(BY_NAME["sums"], is_small=True)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "NOT RUN steps: all of it: it needs more: No module named" in done.stdout
    assert "['python', 'torch', 'triton']" in done.stdout


def test_a_long_name_goes_on_in_the_next_line():
    name = "grad_values, bfloat16, brt, 14336x4096, K 589824, 512 tokens"
    found = text([ROW | {"what": name, "peak_memory_bytes": 2**30}], width=80, is_small=False)
    table = found.partition("\n\n")[0].splitlines()
    assert max(map(len, table)) <= 80
    words = " ".join(" ".join(table[2:]).split())
    for word in ("589824,", "512 tokens", "12.500", "1.75"):
        assert word in words
