"""The papers' protocols as profiles, and profiles that extend others."""

import pytest

from sweeper.data import TasksDataSpec
from sweeper.errors import SpecError
from sweeper.experiment.loading import load_sweep
from tests.places import SPACES

# Of each profile: rows trained on, epochs, tasks trained and tested on. Rows are those of the whole
# sets less the share held out.
MASA = {
    "masa-general": (15011 * 0.9, 5, ["dolly"], ["mmlu"]),
    "masa-law": ((9241 + 5800) * 0.9, 5, ["lawyer_instruct", "us_terms"], ["mmlu_law"]),
    "masa-math": (7475 * 0.9, 5, ["gsm8k_choice"], ["gsm8k_choice"]),
    "masa-finance": (1056 * 0.9, 5, ["fineval"], ["fineval"]),
    "masa-multitask": (15000 * 0.9, 5, ["openorca"], ["bbh"]),
}
COMMONSENSE_ROWS = 9427 + 16113 + 33410 + 39905 + 40398 + 2251 + 1119 + 4957
MOSA = {
    "mosa-commonsense": (COMMONSENSE_ROWS * 0.99, 3, ["commonsense"], ["commonsense"]),
    "mosa-dialogue": (131438 * 0.99, 1, ["convai2"], ["convai2"]),
    "mosa-math": (395000 * 0.99, 2, ["metamath"], ["gsm8k"]),
    "mosa-code": (100000 * 0.99, 1, ["codefeedback"], ["humaneval"]),
}


@pytest.fixture
def of(tmp_path):
    """Returns what a profile makes of a space that searches nothing, and how it trains."""
    path = tmp_path / "space.yaml"
    path.write_text("name: space\nmethods: [{name: lora, rank: 4}]\n")

    def load(profile, **settings):
        file = str(SPACES / "profiles" / f"{profile}.yaml")
        sweep = load_sweep(path, profile=file, **settings)
        return sweep.spec, sweep.space.trial({"method": "lora"}).train

    return load


@pytest.mark.parametrize("profile", [*MASA, *MOSA])
def test_a_protocol(of, profile):
    rows, epochs, train, evaluate = {**MASA, **MOSA}[profile]
    spec, training = of(profile)
    assert isinstance(spec.data, TasksDataSpec)
    assert [list(spec.data.train), list(spec.data.evaluate)] == [train, evaluate]
    is_masa = profile in MASA
    sequences = training.batch_size * spec.engine.gradient_accumulation * spec.resources.workers
    assert sequences == (64 if is_masa else 16)
    assert spec.data.validation_fraction == (0.1 if is_masa else 0.01)
    assert training.max_length == (1024 if is_masa else 512)
    assert training.schedule == "cosine"
    assert training.warmup_ratio == (0.0 if is_masa else 0.1)
    assert training.learning_rate == (5e-5 if is_masa else 1e-5)
    # Within a step for each epoch: which rows are held out is drawn.
    assert abs(training.steps - epochs * rows / sequences) <= epochs + 1


def test_all_protocols_are_here():
    found = {p.stem for p in (SPACES / "profiles").glob("*.yaml")}
    assert {name for name in found if name.startswith(("masa-", "mosa-"))} == {*MASA, *MOSA}


def test_every_option_of_masa_is_scored_by_likelihood_and_mosa_generates(of, shared):
    spec, _ = of("masa-finance", overrides=[f"data.root={shared}"])
    assert {e.scoring for e in spec.data.load().test} == {"choice"}
    spec, _ = of("mosa-commonsense", overrides=[f"data.root={shared}", "data.eval_rows=5"])
    splits = spec.data.load()
    assert {e.scoring for e in (*splits.test, *splits.validation)} == {"generate"}


def write(folder, name, text):
    (folder / "profiles").mkdir(exist_ok=True)
    (folder / "profiles" / f"{name}.yaml").write_text(text)


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("name: space\nmethods: [{name: lora, rank: 4}]\n")
    write(
        tmp_path,
        "base",
        "name: base\nmodel: {kind: embedded}\ndata: {kind: embedded, seed: 3}\n"
        "train: {steps: 10, learning_rate: 0.1, batch_size: 2}\n",
    )
    return path


def test_a_profile_extends_another(space):
    write(space.parent, "next", "name: next\nextends: base\ntrain: {steps: 20}\n")
    write(
        space.parent,
        "last",
        "name: last\nextends: next\ndata: {kind: tasks, train: [gsm8k]}\ntrain: {batch_size: 4}\n",
    )
    sweep = load_sweep(space, profile="last")
    training = sweep.document["train"]
    assert training == {"steps": 20, "learning_rate": 0.1, "batch_size": 4}
    # Data of another kind takes the place of the whole section.
    assert sweep.spec.data == TasksDataSpec(train=("gsm8k",))
    assert sweep.spec.profile == "last"


def test_a_profile_that_extends_itself_or_nothing_known(space):
    write(space.parent, "one", "name: one\nextends: two\n")
    write(space.parent, "two", "name: two\nextends: one\n")
    with pytest.raises(SpecError, match="one extends two extends one"):
        load_sweep(space, profile="one")
    write(space.parent, "lost", "name: lost\nextends: bose\n")
    with pytest.raises(SpecError, match=r"(?s)bose\.yaml.*did you mean 'base\.yaml'"):
        load_sweep(space, profile="lost")


def test_an_unknown_task_is_a_problem_of_the_profile(space):
    write(space.parent, "bad", "name: bad\nextends: base\ndata: {kind: tasks, train: [gsm8]}\n")
    with pytest.raises(SpecError, match=r"data\.train: .*unknown task 'gsm8'.*did you mean"):
        load_sweep(space, profile="bad")
