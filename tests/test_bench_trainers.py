"""The bench of trainers but for its clock: turns, rows, the page, and that all train the same."""

import pytest
import torch

from benchmarks.trainers.__main__ import SAME_LOSS, rows_of, trial_on
from benchmarks.trainers.page import HEADING, section, with_section
from benchmarks.trainers.rivals import Rivals
from benchmarks.trainers.turns import Turns
from sweeper.evaluation.adapter import load_base_of
from sweeper_kernels import torch_products
from tests.sweeper import scenarios

TIMES = {"sweeper": [1.0, 2.0, 3.0], "loop": [2.0, 4.0, 6.0], "trainer": [4.0, 4.0, 4.0]}
LOSSES = {"sweeper": [3.0, 2.0], "loop": [3.0, 2.000001], "trainer": [3.0, 2.0]}
STEPS = 3


def counting(seen, name, steps):
    def work(pause):
        for step in range(steps):
            seen.append((name, step))
            pause()

    return work


def test_trainings_take_turns_by_a_step():
    seen: list[tuple[str, int]] = []
    first, second = (Turns(counting(seen, name, 2)) for name in "ab")
    for turn in (first, second, second, first):
        turn()
    assert seen == [("a", 0), ("b", 0), ("b", 1), ("a", 1)]
    assert len(first.cpus_s) == 2
    first.finish()
    with pytest.raises(RuntimeError, match="has ended"):
        second()


def test_a_training_goes_on_to_its_end_when_it_is_finished():
    seen: list[tuple[str, int]] = []
    turn = Turns(counting(seen, "a", 3))
    turn()
    turn.finish()
    assert len(seen) == 3


def test_a_training_that_fails_says_so():
    def work(pause):
        pause()
        raise ValueError("no")

    turn = Turns(work)
    turn()
    with pytest.raises(RuntimeError, match="failed") as caught:
        turn()
    assert str(caught.value.__cause__) == "no"
    with pytest.raises(RuntimeError, match="failed"):
        turn.finish()


def test_a_ratio_is_the_sweepers_time_to_the_others():
    rows = list(rows_of("embedded", TIMES, TIMES, LOSSES))
    assert [row["name"] for row in rows] == list(TIMES)
    assert [row["cpu_ratio"]["median"] for row in rows] == [1.0, 0.5, 0.5]
    assert rows[2]["time_ratio"]["low"] == 0.375
    assert 0 < rows[1]["loss_difference"] < 1e-6


def test_programs_that_do_not_train_the_same_are_not_compared():
    losses = {**LOSSES, "trainer": [3.0, 2.0 * (1 + 2 * SAME_LOSS)]}
    with pytest.raises(RuntimeError, match="losses of trainer on embedded"):
        list(rows_of("embedded", TIMES, TIMES, losses))


def test_the_section_takes_the_place_of_its_former_one():
    result = {
        "rows": list(rows_of("embedded", TIMES, TIMES, LOSSES)),
        "machine": {"cpu": "some CPU", "instructions": "AVX2", "load_before": 1.5},
        "settings": {"batch_size": 16, "max_length": 64},
        "threads": 1,
    }
    text = section(result)
    assert text.startswith(HEADING)
    assert "| embedded | a plain loop with PEFT | 4.0000 | 0.50 (0.50–0.50)" in text
    assert max(map(len, text.splitlines())) <= 120
    once = with_section("# Steps\n\nA line.\n", text)
    assert once == f"# Steps\n\nA line.\n\n{text}"
    assert with_section(once, text) == once
    followed = with_section(f"{once}\n## More\n\nMore.\n", text)
    assert followed == f"{once}\n## More\n\nMore.\n"


def losses_of_all(steps):
    torch.set_num_threads(1)
    trial = trial_on("embedded", steps=steps)
    rivals = Rivals(trial, load_base_of(trial, device="cpu"))
    turns = [Turns(rivals.sweeper), Turns(rivals.loop, around=torch_products)]
    for _ in range(steps):
        for turn in turns:
            turn()
    for turn in turns:
        turn.finish()
    return rivals.losses


def test_the_sweeper_has_the_losses_of_a_plain_loop():
    (losses,) = scenarios.run(losses_of_all, 1, STEPS)
    assert len(losses["sweeper"]) == STEPS
    assert losses["sweeper"] == pytest.approx(losses["loop"], rel=1e-5)
