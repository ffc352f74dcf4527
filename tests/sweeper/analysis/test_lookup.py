"""A trial is found by whatever somebody has of it; what is not found is told with near names."""

import json
import re

import pytest

from sweeper.analysis.lookup import find_trial
from sweeper.errors import BadInputError
from sweeper.tracking.mlflow_view import run_ids
from sweeper.tracking.sweep_folder import SweepFolder

A, B, C = "aaaaaaaaaaa0", "bbbbbbbbbbb1", "ccccccccccc2"
RUN, OTHER_RUN, SWEEP_RUN = (digit * 32 for digit in "123")


def add(sweep, trial_id, number, loss=None):
    folder = sweep.add_trial(trial_id, spec={}, number=number, method="masa")
    if loss is not None:
        folder.begin()
        folder.append(10, {"eval_loss": loss})
        folder.complete()
    return folder


@pytest.fixture
def home(tmp_path):
    """Two sweeps: the first with A and B, of which B is better; the second with A and C."""
    home = tmp_path / "sweeps"
    document = {"objective": {"metric": "eval_loss", "mode": "min"}}
    first = SweepFolder.create(home, "masa-1", document=document)
    add(first, A, 0, 2.0)
    add(first, B, 1, 1.0)
    second = SweepFolder.create(home, "mosa-1", document=document)
    add(second, A, 0)
    add(second, C, 1)
    return home


def sent(folder, *runs):
    states = {f"store{n}": {"run_id": run, "offset": 3} for n, run in enumerate(runs)}
    (folder / "mlflow.json").write_text(json.dumps(states))


def found(text, home):
    one = find_trial(str(text), home=home)
    return one.sweep.name, one.trial.id


def test_a_sweep_means_its_best_trial(home):
    assert found("masa-1", home) == ("masa-1", B)
    assert found(home / "masa-1", home.parent / "elsewhere") == ("masa-1", B)
    one = find_trial("masa-1", home=home)
    assert one.reason == "Best by validation: trial 1 (masa), eval_loss 1 (lower is better)."
    assert one.title == f"trial 1 (masa, {B}) of sweep masa-1"


def test_a_sweep_without_a_best_trial_names_its_trials(home):
    message = (
        rf"sweep mosa-1: no trial is complete with a finite eval_loss, .* it has {A}, {C}; name"
    )
    with pytest.raises(BadInputError, match=message):
        find_trial("mosa-1", home=home)
    SweepFolder.create(home, "empty", document={})
    with pytest.raises(BadInputError, match=r"sweep empty: .* it has no trials yet"):
        find_trial("empty", home=home)


def test_an_identity_is_looked_up_in_all_sweeps(home):
    assert found(B, home) == ("masa-1", B)
    assert found(C, home) == ("mosa-1", C)
    assert find_trial(C, home=home).reason == ""


def test_an_identity_that_two_sweeps_have_is_ambiguous(home):
    message = rf"got '{A}', which matches 2 trials; .* give one of masa-1/{A}, mosa-1/{A}"
    with pytest.raises(BadInputError, match=message):
        find_trial(A, home=home)
    assert found(f"mosa-1/{A}", home) == ("mosa-1", A)
    assert found(f"{home}/masa-1/{A}", home) == ("masa-1", A)


def test_the_first_digits_of_an_identity_are_enough(home):
    sweep = SweepFolder.open("mosa-1", home=home)
    add(sweep, "cccccc111111", 2)
    assert found(B[:4], home) == ("masa-1", B)
    assert found(B[:11], home) == ("masa-1", B)
    assert found(f"mosa-1/{A[:5]}", home) == ("mosa-1", A)
    assert found(C[:7], home) == ("mosa-1", C)
    candidates = rf"mosa-1/cccccc111111, mosa-1/{C}"
    for text in (C[:6], f"mosa-1/{C[:4]}"):
        with pytest.raises(BadInputError, match=rf"got '{text}', which matches 2 .* {candidates}$"):
            find_trial(text, home=home)
    # Fewer digits are no name, nor is what only stands in the middle of one.
    for text in (B[:3], B[1:], f"{B}b", "bbbbg"):
        with pytest.raises(BadInputError, match="the first 4 or more will do"):
            find_trial(text, home=home)


def test_the_name_of_a_sweep_counts_before_the_digits_of_a_trial(home):
    add(SweepFolder.create(home, "bbbb", document={"objective": {}}), "d" * 12, 0, 1.0)
    assert found("bbbb", home) == ("bbbb", "d" * 12)


def test_a_folder_is_a_trial_too(home, monkeypatch):
    folder = home / "mosa-1" / "trials" / C
    assert found(folder, home.parent / "elsewhere") == ("mosa-1", C)
    assert found(f"{folder}/adapter", home) == ("mosa-1", C)
    monkeypatch.chdir(folder.parent)
    assert found(C, home.parent / "elsewhere") == ("mosa-1", C)
    monkeypatch.chdir(folder)
    assert found(".", home) == ("mosa-1", C)


def test_a_run_of_mlflow_is_known_without_asking_it(home):
    sent(home / "masa-1" / "trials" / A, OTHER_RUN, RUN)
    sent(home / "masa-1", SWEEP_RUN)
    assert run_ids(home / "masa-1" / "trials" / A) == {RUN, OTHER_RUN}
    assert run_ids(home / "masa-1" / "trials" / B) == frozenset()
    assert found(RUN, home) == ("masa-1", A)
    assert found(SWEEP_RUN, home) == ("masa-1", B)
    with pytest.raises(BadInputError, match="MLflow's identity of a run"):
        find_trial("4" * 32, home=home)


def test_a_state_file_that_is_broken_has_no_runs(home):
    (home / "masa-1" / "mlflow.json").write_text("{")
    assert run_ids(home / "masa-1") == frozenset()


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("masa-2", "did you mean 'masa-1' or 'mosa-1'?"),
        ("bbbbbbbbbbb2", f"did you mean '{B}'"),
        (f"masa-1/{C}", f"'mosa-1/{C}'"),
        ("zzz", "give one of them"),
        ("", "give one of them"),
    ],
)
def test_what_is_unknown_is_told_with_near_names(text, hint, home):
    with pytest.raises(BadInputError, match=re.escape(hint)) as caught:
        find_trial(text, home=home)
    assert f"trial: got {text!r}; allowed are a sweep" in str(caught.value)
    assert "holds the sweeps masa-1, mosa-1; " in str(caught.value)


def test_a_home_without_sweeps_is_told(tmp_path):
    with pytest.raises(BadInputError, match=r"got 'x', but .* holds no sweep; give --home"):
        find_trial("x", home=tmp_path)


def test_a_number_is_a_trials(home):
    assert found("masa-1/1", home) == ("masa-1", B)
    assert found(f"{home}/masa-1/0", home) == ("masa-1", A)
    # Of which sweep nobody has said: of the newest.
    assert found("1", home) == ("mosa-1", C)
    with pytest.raises(BadInputError, match="a trial's number in the newest sweep"):
        find_trial("7", home=home)
    with pytest.raises(BadInputError, match="got 'masa-1/7'; sweep masa-1 has trials 0–1; give"):
        find_trial("masa-1/7", home=home)
    add(SweepFolder(home / "masa-1"), C, 5)
    with pytest.raises(BadInputError, match="sweep masa-1 has trials 0, 1, 5; give"):
        find_trial("masa-1/7", home=home)
    SweepFolder.create(home, "new", document={})
    with pytest.raises(BadInputError, match="sweep new has no trials yet"):
        find_trial("new/0", home=home)


def test_an_identity_that_begins_like_a_number_comes_first(home):
    sweep = SweepFolder.open("masa-1", home=home)
    add(sweep, "1234aaaaaaaa", 5)
    newest = SweepFolder.open("mosa-1", home=home)
    add(newest, "dddddddddddd", 1234)
    assert found("1234", home) == ("masa-1", "1234aaaaaaaa")
    # With its sweep a number is a number.
    assert found("mosa-1/1234", home) == ("mosa-1", "dddddddddddd")


def test_the_number_of_a_superseded_trial_is_that_of_its_successor(home):
    sweep = SweepFolder.open("mosa-1", home=home)
    add(sweep, "eeeeeeeeeeee", 1)
    sweep.trial(C).supersede("eeeeeeeeeeee")
    assert found("mosa-1/1", home) == ("mosa-1", "eeeeeeeeeeee")
