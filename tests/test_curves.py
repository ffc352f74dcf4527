"""The table of learning curves: how sweeps are packed into it, its file, and what trains it."""

import itertools
import json
import shlex
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.curves import __main__ as training
from benchmarks.curves.joining import joined, of_seeds
from benchmarks.curves.packing import Packed, pack
from benchmarks.curves.table import PATH, CurveTable, halved, read_table, write_table
from benchmarks.rates.cells import shape_of
from sweeper.errors import BadInputError, DamagedFileError
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.space.budget import BudgetFit
from sweeper.experiment.sweep import Sweep
from sweeper.models import EmbeddedModelSpec
from sweeper.tracking.final_result import FinalResult, write_final
from sweeper.tracking.row_scores import FINAL_ROWS, VALIDATION_ROWS, rows_at, write_row_scores
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.training.schedule import evaluation_steps
from tests import curves
from tests.sweeper.experiment.spaces import CONFIG
from tests.sweeper.rows import row_scores

# CoLA's and MoELoRA's ranks are coarse at the smaller size.
WORST_MISS_PERCENT = 12
STEPS = (2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24)
ROWS, TEST_ROWS = 3, 4


def sweep_of(seed: int = 0, *overrides: str) -> Sweep:
    """A sweep of the quick form: LoRA, MASA and its control arm at three rates."""
    wanted = (*training.QUICK, "budget.rank=8", f"design.first_seed={seed}", *overrides)
    return load_sweep(training.SPACE, overrides=wanted)


def losses(number: int, step: int) -> list[float]:
    return [number + step / 100, number + step / 100 + 0.25, 1.0]


def trained(home: Path, sweep: Sweep, name: str) -> SweepFolder:
    """Its folder, all trials run: the last one diverged at its fourth evaluation."""
    folder = SweepFolder.create(home, name, document=sweep.document)
    folder.note_base({"eval_loss": 9.0})
    write_row_scores(folder.path / VALIDATION_ROWS, row_scores({"eval_loss": [9.0] * ROWS}))
    write_final(folder.path, result(), row_scores({"eval_loss": [8.0] * TEST_ROWS}))
    for number, method in enumerate(sweep.space.methods):
        spec = sweep.space.trial({"method": method.name})
        made = folder.add_trial(
            spec.identity(),
            spec=spec.model_dump(mode="json"),
            number=number,
            method=spec.method.label,
            steps_total=24,
        )
        is_diverged = number == len(sweep.space.methods) - 1
        made.begin(trainable=77)
        for step in evaluation_steps(spec.train)[: 3 if is_diverged else None]:
            made.append(step, {"eval_loss": 1.0})
            kept = row_scores({"eval_loss": losses(number, step)}, split="validation", step=step)
            write_row_scores(made.path / rows_at(step), kept)
        if is_diverged:
            made.append(7, {"train_loss": 99.0})
            made.fail("DivergedError", "the loss is inf", train_time_s=7.0)
            continue
        made.complete(train_time_s=12.0)
        rows = row_scores({"eval_loss": [number + 0.5] * TEST_ROWS})
        write_final(made.path, result(), rows)
    return folder


def result() -> FinalResult:
    return FinalResult(split="test", rows=TEST_ROWS, rows_in_split=TEST_ROWS, metrics={})


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    return trained(tmp_path, sweep_of(), "first")


def test_the_space_trains_all_methods_at_all_rates_and_at_one_size():
    sweep = load_sweep(training.SPACE)
    specs = [sweep.space.trial({"method": x.name}) for x in sweep.space.methods]
    assert sweep.design is not None
    assert len(specs) == 21 * 7
    assert set(Counter(spec.method.label for spec in specs).values()) == {7}
    rates = sorted({spec.train.learning_rate for spec in specs})
    ratios = np.diff(np.log(rates))
    assert ratios == pytest.approx(ratios.mean(), rel=0.05)
    assert {len(evaluation_steps(spec.train)) for spec in specs} == {12}
    assert {(x.evaluation.keep_rows, x.train.eval_examples) for x in specs} == {("every", 128)}
    assert sweep.space.budget is not None
    shape = specs[0].model.shape()
    for spec in specs[::7]:
        fit = BudgetFit.of(sweep.space.budget, spec.method, shape)
        assert abs(fit.miss_percent) <= WORST_MISS_PERCENT, spec.method.label


def test_what_was_trained_is_in_the_table(folder: SweepFolder):
    packed = pack([folder.path])
    table = packed.table
    assert packed.left_out == ()
    assert table.about.methods == ("lora", "masa", "masa_control")
    assert (table.about.ranks, table.about.seeds) == ((8,), (0,))
    assert table.about.rates == (6.7e-4, 4.5e-3, 3e-2)
    assert table.about.evaluation_steps == STEPS
    assert table.about.settings["train"]["steps"] == 24
    assert "seed" not in table.about.settings["train"]
    assert table.validation.shape == (9, 12, ROWS)
    place = table.trials[(1, 0, 2), 0]
    assert place == 5
    expected = [losses(5, step) for step in STEPS]
    assert table.validation[place] == pytest.approx(np.array(expected), abs=2e-3)
    assert table.losses[place] == pytest.approx(np.mean(expected, axis=1), abs=2e-3)
    assert table.test[place] == pytest.approx(5.5)
    assert (table.base_validation[0], table.base_test[0]) == (9.0, 8.0)
    assert table.step_time_s[place] == pytest.approx(0.5)
    assert set(table.trainable) == {77}
    (said,) = table.about.sweeps
    assert (said["name"], len(said["sweep_id"])) == ("first", 32)


def test_a_table_of_a_model_in_a_folder_says_what_it_is_and_not_where_it_lay(tmp_path: Path):
    model = EmbeddedModelSpec()
    place = tmp_path / "somewhere" / "hf"
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps({**model.config(), "_name_or_path": str(place)}))
    asked = f"model={json.dumps({'kind': 'folder', 'path': str(place)})}"
    folder = trained(tmp_path, sweep_of(0, asked), "first")
    for name in (None, "small"):
        table = pack([folder.path], model=name).table
        assert table.about.settings["model"] == {"kind": "folder", "path": name or "hf"}
        assert str(tmp_path) not in table.about.model_dump_json()
    shutil.rmtree(place)
    assert shape_of(table) == model.shape()


def test_a_trial_that_diverged_has_its_curve_up_to_there(folder: SweepFolder):
    table = pack([folder.path]).table
    place = table.trials[(2, 0, 2), 0]
    assert np.isfinite(table.losses[place]).tolist() == [True] * 3 + [False] * 9
    assert table.steps[place] == 7
    assert np.isnan(table.test[place]).all()
    # Whoever chose it has the frozen base.
    assert table.scores[2, 0, 2] == 8.0


def test_what_has_no_curve_is_left_out_and_named(folder: SweepFolder):
    by_number = sorted(folder.trial_folders(), key=lambda trial: trial.read().number)
    first, second, third = by_number[:3]
    (first.path / rows_at(4)).unlink()
    (second.path / FINAL_ROWS).unlink()
    (third.path / "record.json").unlink()
    packed = pack([folder.path])
    assert len(packed.table.method) == 6
    texts = " ".join(packed.left_out)
    for text in ("lost its 1 of 12 evaluations", "lost its test rows", f"{third.id} (lora) is"):
        assert text in texts


def test_two_seeds_are_one_table(tmp_path: Path):
    folders = [trained(tmp_path, sweep_of(seed), f"seed-{seed}") for seed in range(2)]
    table = pack([folder.path for folder in folders]).table
    assert table.about.seeds == (0, 1)
    assert len(table.method) == 18
    assert len(table.cells) == 9


def test_sweeps_that_do_not_go_together_are_refused(tmp_path: Path, folder: SweepFolder):
    with pytest.raises(BadInputError, match="are of one method, size, rate and seed"):
        pack([folder.path, folder.path])
    other = trained(tmp_path, sweep_of(1, "train.batch_size=4"), "other")
    with pytest.raises(BadInputError, match="the settings of two trials are"):
        pack([folder.path, other.path])
    sparse = trained(tmp_path, sweep_of(2, "evaluation.keep_rows=last"), "sparse")
    with pytest.raises(BadInputError, match=r"sweep sparse: .* a table needs budget\.rank"):
        pack([folder.path, sparse.path])
    empty = SweepFolder.create(tmp_path, "empty", document=sweep_of(3).document)
    with pytest.raises(BadInputError, match="got empty, in which no trial has ended"):
        pack([empty.path])


def test_a_file_holds_the_table(tmp_path: Path):
    made = curves.table(diverged=[(1, 0, 6)], noise=0.1)
    path = tmp_path / "deep" / "curves.npz"
    assert write_table(path, made) == path.stat().st_size
    found = read_table(path)
    assert found.about == made.about
    for name in ("method", "seed", "steps", "identity", "validation", "test", "base_test"):
        left, right = getattr(found, name), getattr(made, name)
        assert left.dtype == right.dtype
        assert np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
    assert found.scores == made.scores
    again = path.read_bytes()
    write_table(path, found)
    assert path.read_bytes() == again


def test_a_table_that_is_not_there_or_damaged_says_so(tmp_path: Path):
    path = tmp_path / "curves.npz"
    with pytest.raises(BadInputError, match=r"there is no table at .* make curves"):
        read_table(path)
    write_table(path, curves.table())
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DamagedFileError, match=r"curves\.npz is damaged"):
        read_table(path)


def test_a_table_that_is_too_large_is_not_written(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("benchmarks.curves.table.MOST_BYTES", 2000)
    with pytest.raises(BadInputError, match="at most 2,000 are allowed"):
        write_table(tmp_path / "curves.npz", curves.table())
    assert list(tmp_path.iterdir()) == []


def test_arrays_of_other_trials_are_no_table():
    made = curves.table()
    wrong: list[dict[str, object]] = [
        {"steps": made.steps[1:]},
        {"validation": made.validation[:, 1:]},
        {"rate": made.rate + 1},
        {"rate": np.zeros_like(made.rate)},
    ]
    for fields in wrong:
        with pytest.raises(ValueError, match="not of these trials"):
            replace(made, **fields)  # type: ignore[arg-type]


def test_the_score_is_a_mean_over_seeds_and_only_of_whole_configurations():
    made = curves.table(missing=[(0, 0, 0)])
    few = made.seed == 0
    half: CurveTable = replace(
        made,
        **{
            name: getattr(made, name)[few | (made.method > 0)]
            for name in (
                *("method", "size", "rate", "seed", "steps", "trainable", "step_time_s"),
                *("identity", "validation", "test"),
            )
        },
    )
    assert len(made.cells) == 3 * 2 * 7 - 1
    assert {method for method, *_ in half.cells} == {1, 2}
    expected = made.test[[made.trials[(1, 1, 4), s] for s in (0, 1)]].astype(float).mean()
    assert half.scores[1, 1, 4] == pytest.approx(expected)


def test_losses_beyond_float16_are_cut():
    assert halved(np.array([1e9, 1.5, np.inf])).tolist() == [65504.0, 1.5, 65504.0]
    assert np.isnan(halved(np.array([np.nan]))).all()


def test_a_sweep_is_begun_once_and_then_gone_on_with(tmp_path: Path):
    plan = training.Plan(tmp_path, tmp_path / "x.npz", (8,), 1, ("train.steps=24",))
    begin = plan.command(0, 8)
    assert begin[1:4] == ["-m", "sweeper", "run"]
    assert begin[-6:] == [
        *("--set", "train.steps=24", "--set", "budget.rank=8", "--set", "design.first_seed=0"),
    ]
    plan.folder(0, 8).mkdir()
    assert plan.command(0, 8)[3:] == ["resume", "curves-seed0-size8", "--home", str(tmp_path)]


def test_whole_seeds_come_first(tmp_path: Path, monkeypatch):
    done: list[object] = []
    monkeypatch.setattr(training.Plan, "train", lambda _, seed, rank: done.append((seed, rank)))
    monkeypatch.setattr(training.Plan, "pack", lambda _, seeds: done.append(seeds))
    monkeypatch.setattr("os.nice", lambda _: 0)
    monkeypatch.setattr("sys.argv", ["curves", "--home", str(tmp_path), "--seeds", "2"])
    training.main()
    assert done == [(0, 8), (0, 32), 1, (1, 8), (1, 32), 2]


def test_a_sweep_that_did_not_come_to_its_end_ends_it(tmp_path: Path, monkeypatch):
    plan = training.Plan(tmp_path, tmp_path / "x.npz", (8,), 1)
    folder = SweepFolder.create(tmp_path, "curves-seed0-size8", document=sweep_of().document)
    folder.mark("stopped")
    ran: list[list[str]] = []

    def run(command: list[str], **_: object) -> object:
        ran.append(command)
        return type("Done", (), {"returncode": 1})

    monkeypatch.setattr("subprocess.run", run)
    with pytest.raises(SystemExit, match="has not come to its end"):
        plan.train(0, 8)
    folder.mark("complete")
    plan.train(0, 8)
    assert len(ran) == 1


def printed(monkeypatch, capsys, *arguments: str) -> list[str]:
    monkeypatch.setattr("sys.argv", ["curves", "--dry", *arguments])
    training.main()
    return capsys.readouterr().out.splitlines()


def loaded(line: str) -> Sweep:
    """The sweep that a printed command runs."""
    words = shlex.split(line)
    profile = words[words.index("--profile") + 1] if "--profile" in words else None
    settings = [x for before, x in itertools.pairwise(words) if before == "--set"]
    return load_sweep(training.SPACE, profile=profile, overrides=settings)


def test_a_dry_run_prints_what_would_be_trained(monkeypatch, capsys):
    *commands, path = printed(monkeypatch, capsys)
    assert len(commands) == 6
    assert path == str(PATH)


def test_another_model_has_a_table_of_its_own(tmp_path: Path, monkeypatch, capsys):
    model = tmp_path / "tiny"
    model.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (model / name).write_text(json.dumps(CONFIG) if name == "config.json" else "")
    *commands, path = printed(
        *(monkeypatch, capsys, "--model", str(model), "--methods", "masa,lora", "--sizes", "4"),
        *("--rates", "1e-3,1e-2", "--seeds", "1", "--set", "train.max_length=128"),
    )
    assert path == str(PATH.with_name("curves-tiny.npz"))
    (sweep,) = [loaded(line) for line in commands]
    specs = [sweep.space.trial({"method": x.name}) for x in sweep.space.methods]
    # A design adds the control arm that it owes.
    labels = ["masa", "masa", "masa_control", "masa_control", "lora", "lora"]
    assert [x.method.label for x in specs] == labels
    assert {x.train.learning_rate for x in specs} == {1e-3, 1e-2}
    assert {(x.model.path, x.train.max_length) for x in specs} == {(str(model), 128)}
    assert specs[-1].method.rank == 4


def test_another_profile_has_a_table_of_its_own(monkeypatch, capsys):
    *commands, path = printed(
        monkeypatch,
        capsys,
        "--profile",
        "llama3-8b",
        "--methods",
        "lora",
        "--set",
        "train.steps=48",
    )
    assert path == str(PATH.with_name("curves-llama3-8b.npz"))
    assert "sweeps/curves-llama3-8b" in commands[0]
    sweep = loaded(commands[0])
    assert (sweep.spec.profile, sweep.space.any_trial().train.steps) == ("llama3-8b", 48)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "lora"], "give --name"),
        (["--sizes", "4"], "give --name"),
        (["--name", "x", "--methods", "lora,nope"], "got the methods nope; allowed are masa, "),
    ],
)
def test_what_cannot_be_a_table_is_told(monkeypatch, capsys, arguments, message):
    with pytest.raises(SystemExit, match=message):
        printed(monkeypatch, capsys, *arguments)


def test_two_tables_of_other_seeds_are_one_and_come_apart_again():
    whole = curves.table(seeds=3, noise=0.1)
    parts = [of_seeds(whole, [seed]) for seed in (2, 0, 1)]
    found = joined(joined(parts[0], parts[1]), parts[2])
    assert found.about.seeds == (0, 1, 2)
    assert set(found.trials) == set(whole.trials)
    for key, place in whole.trials.items():
        other = found.trials[key]
        assert (found.validation[other] == whole.validation[place]).all()
        assert (found.test[other] == whole.test[place]).all()
        assert found.identity[other] == whole.identity[place]
    assert found.scores == whole.scores


def test_tables_that_differ_in_more_than_seeds_are_refused():
    first, second = (of_seeds(curves.table(seeds=2), [seed]) for seed in (0, 1))
    other = replace(second, about=second.about.model_copy(update={"versions": {"torch": "0"}}))
    with pytest.raises(BadInputError, match="versions"):
        joined(first, other)
    with pytest.raises(BadInputError, match="the same seeds"):
        joined(first, first)


def test_a_seed_of_the_table_is_not_trained_again(tmp_path: Path, monkeypatch):
    table = curves.table(seeds=2)
    path = tmp_path / "curves.npz"
    write_table(path, of_seeds(table, [0]))
    plan = training.Plan(tmp_path / "sweeps", path, (8, 32), 2)
    begun: list[object] = []
    monkeypatch.setattr("subprocess.run", lambda command, **_: begun.append(command))
    plan.train(0, 8)
    assert not begun
    # Its sweeps are gone, so that nothing is to be packed; what was there stays.
    plan.pack(1)
    assert read_table(path).about.seeds == (0,)
    monkeypatch.setattr(training, "pack", lambda folders, model: Packed(of_seeds(table, [1]), ()))
    plan.pack(2)
    assert set(read_table(path).trials) == set(table.trials)
