"""A callback sees the steps and evaluations of a trial, and may end it."""

import json
import logging

import pytest

from sweeper.errors import TrialError
from sweeper.training.hooks.callbacks import CALLBACKS_LOG, Callbacks
from tests.sweeper import scenarios, tiny

SEEING = """
import json
from pathlib import Path

class Hook:
    def __init__(self):
        self.seen = []

    def on_step(self, step, loss, metrics):
        assert loss == metrics["train_loss"]
        self.seen.append(["step", step, loss])
        self.keep()
        return {stop_at_step} == step

    def on_evaluation(self, step, metrics):
        self.seen.append(["evaluation", step, metrics["eval_loss"]])
        self.keep()
        return {stop_at_evaluation} == step

    def keep(self):
        Path(__file__).with_suffix(".json").write_text(json.dumps(self.seen))
"""


def trial(path, text, *, workers=1, name="Hook"):
    path.write_text(text)
    return tiny.trial(
        steps=4, evaluations=2, eval_examples=4, workers=workers, callbacks=(f"{path}:{name}",)
    )


def attempted(spec, folder):
    ((outcome, steps, losses, reports),) = scenarios.run(scenarios.attempt, 1, spec, folder)
    return outcome, steps, losses, reports


@pytest.mark.parametrize(("stops", "steps"), [((0, 0), 4), ((1, 0), 2), ((0, 2), 2), ((4, 4), 4)])
def test_it_sees_what_is_recorded_and_ends_a_trial_at_an_evaluation(stops, steps, tmp_path):
    text = SEEING.format(stop_at_step=stops[0], stop_at_evaluation=stops[1])
    spec = trial(tmp_path / "hooks.py", text)
    outcome, done, losses, reports = attempted(spec, tmp_path / "trial")
    assert outcome.steps == done[-1] == steps
    assert outcome.status == ("complete" if steps == 4 else "pruned")
    seen = json.loads((tmp_path / "hooks.json").read_text())
    assert [x for x in seen if x[0] == "step"] == [
        ["step", *pair] for pair in zip(done, losses, strict=True)
    ]
    assert [x[1:] for x in seen if x[0] == "evaluation"] == [
        [step, metrics["eval_loss"]] for step, metrics, _ in reports
    ]
    assert (tmp_path / "trial" / "adapter").is_dir()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "class Hook:\n    def on_step(self, step, *_):\n        raise KeyError(step)",
            "failed in on_step: KeyError: 1; the trial ends",
        ),
        (
            "class Hook:\n    def on_evaluation(self, *_):\n        raise OSError('full')",
            "failed in on_evaluation: OSError: full; the trial ends",
        ),
        ("class Hook:\n    def __init__(self, x): ...", "failed in being made: TypeError: "),
        ("Hook = dict", "has neither of the methods on_step, on_evaluation"),
        ("raise ValueError('no')\nclass Hook: ...", "failed in being made: ValueError: no"),
        (
            "class Hook:\n    def on_step(self, *_):\n        raise SystemExit(3)",
            "failed in on_step: SystemExit: 3; the trial ends",
        ),
        ("raise SystemExit\nclass Hook: ...", "failed in being made: SystemExit: "),
        (
            "class Hook:\n    def on_step(self, *_):\n        return 'yes'",
            "returned 'yes' from on_step; it must return True to end the trial",
        ),
    ],
)
def test_what_it_raises_fails_the_trial_with_its_text(text, message, tmp_path):
    spec = trial(tmp_path / "hooks.py", text)
    outcome, *_ = attempted(spec, tmp_path / "trial")
    assert str(outcome).startswith(f"TrialError: callback {tmp_path / 'hooks.py'}:Hook ")
    assert message in outcome


@pytest.mark.parametrize("scalar", ["numpy.bool_", "torch.tensor"])
def test_a_scalar_of_numpy_or_torch_is_an_answer(scalar, tmp_path):
    text = "import numpy, torch\nclass Hook:\n    def on_step(self, step, *_):\n"
    spec = trial(tmp_path / "hooks.py", f"{text}        return {scalar}(step == 1)")
    outcome, *_ = attempted(spec, tmp_path / "trial")
    assert (outcome.status, outcome.steps) == ("pruned", 2)


def test_a_module_is_not_run_in_another_version_than_that_of_its_file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "hooks_of_a_package.py"
    path.write_text("class Hook:\n    def on_step(self, *_): ...\n")
    name = "hooks_of_a_package:Hook"
    Callbacks([name], log=tmp_path / "log")
    Callbacks([name], log=tmp_path / "log")
    path.write_text("class Hook:\n    def on_step(self, *_): return True\n")
    with pytest.raises(TrialError, match=r"has changed since this replica imported .*; bring"):
        Callbacks([name], log=tmp_path / "log")


PRINTING = """
import logging
import sys

class Hook:
    def __init__(self):
        print("made")

    def on_step(self, step, loss, metrics):
        print("step", step, file=sys.stderr if step == 2 else sys.stdout)
        if step == 3:
            logging.getLogger("mine").warning("I see")
            raise ValueError("enough")
"""


@pytest.mark.parametrize("is_handled", [False, True])
def test_what_it_prints_or_logs_is_in_the_folder_of_the_trial(tmp_path, monkeypatch, is_handled):
    # Libraries that log may have set up the root logger before, and others may not.
    handlers = [logging.StreamHandler()] if is_handled else []
    before = [handler.stream for handler in handlers]
    spec = trial(tmp_path / "hooks.py", PRINTING)
    # Put back before the end: pytest takes its own handler away then.
    with monkeypatch.context() as patch:
        patch.setattr(logging.getLogger(), "handlers", handlers)
        outcome, *_ = attempted(spec, tmp_path / "trial")
    assert "ValueError: enough" in outcome
    *lines, last = (tmp_path / "trial" / CALLBACKS_LOG).read_text().splitlines()
    assert lines == ["made", "step 1", "step 2", "step 3"]
    assert "I see" in last
    assert [handler.stream for handler in handlers] == before


LOGGING = """
import logging

class Hook:
    def __init__(self):
        # As basicConfig does: the handler keeps the stream that it was made with.
        self.log = logging.Logger("mine")
        self.log.addHandler(logging.StreamHandler())

    def on_step(self, step, loss, metrics):
        self.log.warning("step %d", step)
"""


def test_a_handler_that_it_makes_goes_on_writing(tmp_path, capfd):
    (tmp_path / "hooks.py").write_text(LOGGING)
    log = tmp_path / "trial" / CALLBACKS_LOG
    made = Callbacks([f"{tmp_path / 'hooks.py'}:Hook"], log=log)
    for step in (1, 2):
        made.after_step(step, {"train_loss": 1.0})
        # At once: nothing waits in memory for the end of the trial.
        assert log.read_text() == "".join(f"step {n}\n" for n in range(1, step + 1))
    other = tmp_path / "other" / CALLBACKS_LOG
    Callbacks([f"{tmp_path / 'hooks.py'}:Hook"], log=other).after_step(1, {"train_loss": 1.0})
    assert other.read_text() == "step 1\n"
    # Between the calls it writes where it would have without any of this.
    made._made[f"{tmp_path / 'hooks.py'}:Hook"].log.warning("later")
    assert capfd.readouterr().err == "later\n"
    assert "later" not in log.read_text()


def test_without_a_word_there_is_no_file(tmp_path):
    text = SEEING.format(stop_at_step=0, stop_at_evaluation=0)
    attempted(trial(tmp_path / "hooks.py", text), tmp_path / "trial")
    assert not (tmp_path / "trial" / CALLBACKS_LOG).exists()


def test_all_workers_end_with_it(tmp_path):
    text = SEEING.format(stop_at_step=1, stop_at_evaluation=0)
    spec = trial(tmp_path / "hooks.py", text, workers=2)
    found = scenarios.run(scenarios.attempt, 2, spec, tmp_path / "trial")
    assert [outcome.steps for outcome, *_ in found] == [2, 2]
    raising = "class Hook:\n    def on_step(self, *_):\n        raise KeyError('gone')"
    spec = trial(tmp_path / "hooks.py", raising, workers=2)
    found = scenarios.run(scenarios.attempt, 2, spec, tmp_path / "other")
    assert all("KeyError: 'gone'" in outcome for outcome, *_ in found)
