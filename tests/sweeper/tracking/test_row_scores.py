"""What rows contribute, kept in a few bytes a row and read back as it was."""

import io
import json
import random
import zipfile

import numpy as np
import pytest

from sweeper.data.row_order import RowOrder
from sweeper.errors import DamagedFileError
from sweeper.estimates import Estimate, jackknife_estimate, mean_estimate
from sweeper.evaluation.metrics import macro_average, micro_average
from sweeper.tracking.row_scores import RowScores, read_row_scores, write_row_scores
from tests.sweeper.rows import row_scores

# Seven digits, as float32 has.
DIGITS = 1e-6
BYTES_A_ROW = 6


def written(path, scores):
    write_row_scores(path, scores)
    found = read_row_scores(path)
    assert found is not None
    return found


def of_two_tasks(rows):
    """As an evaluation has it: losses and right answers, of all, of each task, and averaged."""
    rng = np.random.default_rng(5)
    tasks = tuple("first" if row % 3 else "second" for row in range(rows))
    losses = rng.gamma(1.0, size=rows).astype(np.float32)
    right = (rng.random(rows) < 0.6).astype(float)
    found = {"eval_loss": mean_estimate(losses.tolist()).on_rows(range(rows))}
    shares = {}
    for task in ("first", "second"):
        own = [row for row in range(rows) if tasks[row] == task]
        found[f"{task}/loss"] = mean_estimate([float(losses[i]) for i in own]).on_rows(own)
        shares[task] = mean_estimate([float(right[i]) for i in own]).on_rows(own)
        found[f"{task}/accuracy"] = shares[task]
    found["accuracy"] = micro_average(shares)
    found["accuracy_macro"] = macro_average(shares)
    return found, RowOrder("0" * 16, tasks, tuple(row // 2 for row in range(rows)))


def test_all_comes_back_row_by_row(tmp_path):
    estimates, order = of_two_tasks(101)
    found = written(
        tmp_path / "rows.npz", RowScores.of(estimates, order, split="validation", step=7)
    )
    assert (found.split, found.step, found.fingerprint) == ("validation", 7, "0" * 16)
    assert found.tasks == ("first", "second")
    assert [found.tasks[number] for number in found.strata] == list(order.tasks)
    assert found.clusters is not None
    assert tuple(found.clusters) == order.clusters
    assert found.metrics.keys() == estimates.keys()
    for name, estimate in estimates.items():
        rows, values = found.metrics[name]
        assert estimate.rows is not None
        assert estimate.contributions is not None
        expected = dict(zip(estimate.rows, estimate.contributions, strict=True))
        assert list(rows) == sorted(expected)
        assert values == pytest.approx([expected[row] for row in rows], rel=DIGITS)
        assert values.mean() == pytest.approx(estimate.value)


def test_a_row_takes_a_few_bytes(tmp_path):
    estimates, order = of_two_tasks(2000)
    path = tmp_path / "rows.npz"
    write_row_scores(path, RowScores.of(estimates, order, split="test"))
    # Without the clusters, which are written once for all metrics: mostly a loss in float32.
    assert path.stat().st_size < BYTES_A_ROW * 2000
    with np.load(path) as arrays:
        assert {name: arrays[name].shape for name in ("uint8", "float32")} == {
            # What tasks have is part of what all rows have.
            "uint8": (1, 2000),
            "float32": (2, 2000),
        }


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.0, 1.0, 255.0], "uint8"),
        ([0.5, 1.0, -2.0], "float16"),
        ([256.0, 3.0], "float16"),
        ([0.1, 70000.0], "float32"),
        ([float("inf"), 1.0], "float16"),
        ([float("nan"), 0.1], "float32"),
    ],
)
def test_a_metric_takes_the_smallest_type_that_loses_nothing(values, kind, tmp_path):
    path = tmp_path / "rows.npz"
    found = written(path, row_scores({"metric": values}))
    assert found.metrics["metric"][1] == pytest.approx(values, rel=DIGITS, nan_ok=True)
    with np.load(path) as arrays:
        assert kind in arrays.files


def test_what_rows_do_not_tell_is_left_out(tmp_path):
    order = RowOrder("0" * 16, ("",) * 3, None)
    estimates = {
        "bleu": jackknife_estimate(0.5, [0.4, 0.5, 0.7]).on_rows((0, 1, 2)),
        "perplexity": Estimate(3.0, 0.1, 3),
        "unplaced": mean_estimate([1.0, 2.0, 3.0]),
    }
    found = written(tmp_path / "rows.npz", RowScores.of(estimates, order, split="test"))
    assert list(found.metrics) == ["bleu"]
    assert found.clusters is None
    assert found.tasks == ("",)
    nothing = RowScores.of({}, order, split="test")
    assert written(tmp_path / "rows.npz", nothing).metrics == {}
    assert read_row_scores(tmp_path / "elsewhere.npz") is None


# Damage.


def packed(arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def changed(content, name, value):
    with np.load(io.BytesIO(content)) as found:
        arrays = dict(found)
    if value is None:
        del arrays[name]
    else:
        arrays[name] = value
    return packed(arrays)


def about(content, **fields):
    with np.load(io.BytesIO(content)) as found:
        text = json.loads(found["about"].tobytes())
    return changed(content, "about", np.frombuffer(json.dumps({**text, **fields}).encode(), "u1"))


ODD = {
    "no file of numpy's": lambda _: b"PK\3\4 and then",
    "no about": lambda x: changed(x, "about", None),
    "about is no JSON": lambda x: changed(x, "about", np.array([1], "u1")),
    "another fingerprint": lambda x: about(x, fingerprint="../x"),
    "more rows": lambda x: about(x, rows=5),
    "too many rows": lambda x: about(x, rows=10**12),
    "an unknown type": lambda x: about(x, columns=["float8"]),
    "a column too many": lambda x: about(x, columns=["uint8", "uint8"]),
    "another column": lambda x: about(x, metrics={"a": {"column": 3, "rows": 0}}),
    "another set": lambda x: about(x, metrics={"a": {"column": 0, "rows": 9}}),
    "no tasks": lambda x: about(x, tasks=[]),
    "no rows": lambda x: changed(x, "strata", None),
    "texts": lambda x: changed(x, "strata", np.array(["a"] * 4)),
    "no bits": lambda x: changed(x, "row_sets", np.ones((1, 1))),
    "a number": lambda x: changed(x, "uint8", np.uint8(1)),
}


@pytest.mark.parametrize("how", ODD)
def test_a_file_of_other_content_is_named(how, tmp_path):
    path = tmp_path / "rows.npz"
    write_row_scores(path, row_scores({"accuracy": [1.0, 0.0, 1.0, 1.0]}))
    path.write_bytes(ODD[how](path.read_bytes()))
    with pytest.raises(DamagedFileError, match=r"rows\.npz is damaged"):
        read_row_scores(path)


def test_an_object_of_python_is_not_loaded(tmp_path):
    path = tmp_path / "rows.npz"
    write_row_scores(path, row_scores({"accuracy": [1.0, 0.0]}))
    path.write_bytes(changed(path.read_bytes(), "strata", np.array([{}, {}], object)))
    with pytest.raises(DamagedFileError, match="Object arrays cannot be loaded"):
        read_row_scores(path)


def test_a_length_that_would_fill_the_memory_is_refused(tmp_path):
    path = tmp_path / "rows.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("about.npy", b"x")
    content = bytearray(path.read_bytes())
    start = content.index(b"PK\1\2")
    content[start + 24 : start + 28] = b"\xf0\xff\xff\xff"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match="it would have more than"):
        read_row_scores(path)


def test_whatever_happens_to_a_file_it_is_named_or_read(tmp_path):
    path = tmp_path / "rows.npz"
    estimates, order = of_two_tasks(50)
    write_row_scores(path, RowScores.of(estimates, order, split="test"))
    whole, rng, named = path.read_bytes(), random.Random(11), 0
    for _ in range(400):
        where = rng.randrange(len(whole))
        spoilt = bytearray(whole[: rng.choice([where, len(whole)])])
        if len(spoilt) == len(whole):
            spoilt[where] ^= 1 << rng.randrange(8)
        path.write_bytes(spoilt)
        try:
            read_row_scores(path)
        except DamagedFileError:
            named += 1
    assert named > 200
