"""Trials with bucketing and packing: resumed, on other workers, with and without packing."""

import shutil
from typing import Any

import pytest
import torch

from sweeper.data import Example, MessagesFormat, Splits
from sweeper.experiment.trial import TrialSpec
from sweeper.models.frozen import FrozenBase
from sweeper.training.schedule import DataOrder
from sweeper_adapters.methods import PromptTuningSpec
from tests.sweeper import scenarios, tiny

# Rows of other lengths make sums in another order; a few steps of AdamW enlarge what that leaves.
SUM_ORDER = 2e-4
WAYS = {
    "bucketed": {"bucketing": True},
    "packed": {"packing": True},
    "both": {"bucketing": True, "packing": True},
}


def uneven() -> FrozenBase:
    """The tiny base with examples of many lengths, some too long."""
    base = tiny.base()
    rows = [Example("1" * (n * 5 % 13), "2" * (1 + n * 7 % 9)) for n in range(30)]
    rows += [Example("1" * 30, "23"), Example("12", "3" * 30)]
    base.data.splits = Splits(tuple(rows), base.data.splits.validation, base.data.splits.test)
    base.data.fingerprint = "uneven"
    base.data.domains = base.data.splits.domains()
    return base


def trial(**settings) -> TrialSpec:
    return tiny.trial("lora", **{"learning_rate": 1e-3, "batch_size": 4, **settings})


def attempts(cases):
    base = uneven()
    return [scenarios.attempt(spec, folder, base=base, **fate) for spec, folder, fate in cases]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """For each way: through, broken off in the middle of an epoch, and resumed; on two workers."""
    folder = tmp_path_factory.mktemp("runs")
    specs = {
        (name, stage): trial(workers=2, steps=6, evaluations=2, zero_stage=stage, **way)
        for name, way in WAYS.items()
        for stage in (0, 3)
    }
    found = {}
    for run, fate in [("through", {}), ("broken", {"fail_at": 3}), ("resumed", {})]:
        place = "through" if run == "through" else "broken"
        cases = [
            (spec, folder / "-".join(map(str, key)) / place, fate) for key, spec in specs.items()
        ]
        results = scenarios.run(attempts, 2, cases)[0]
        found[run] = dict(zip(specs, results, strict=True))
    yield found
    shutil.rmtree(folder)


@pytest.mark.parametrize("stage", [0, 3])
@pytest.mark.parametrize("way", list(WAYS))
def test_a_trial_that_resumes_gives_bit_for_bit_the_later_losses(runs, way, stage):
    outcome, _, losses, reports = runs["through"][way, stage]
    resumed, steps, losses_after, reports_after = runs["resumed"][way, stage]
    assert runs["broken"][way, stage][1] == [1, 2, 3]
    assert steps == [4, 5, 6]
    assert losses_after == losses[3:]
    assert reports_after == reports
    assert resumed.resumed_at == 3
    assert resumed.train_tokens == outcome.train_tokens


@pytest.mark.parametrize("way", list(WAYS))
def test_zero_changes_no_batch(runs, way):
    plain, sharded = (runs["through"][way, stage][2] for stage in (0, 3))
    assert sharded == pytest.approx(plain, rel=SUM_ORDER)


def test_bucketing_draws_other_batches_and_packing_the_same(runs, tmp_path):
    case: Any = (trial(workers=2, steps=6, evaluations=2), tmp_path, {})
    plain = scenarios.run(attempts, 2, [case])[0][0]
    through = {way: runs["through"][way, 0] for way in WAYS}
    assert through["packed"][2] == pytest.approx(plain[2], rel=SUM_ORDER)
    assert through["both"][2] == pytest.approx(through["bucketed"][2], rel=SUM_ORDER)
    assert through["packed"][0].train_tokens == plain[0].train_tokens
    assert through["bucketed"][0].train_tokens != plain[0].train_tokens


def test_two_workers_give_the_losses_of_one_that_accumulates(runs, tmp_path):
    cases: list[Any] = [
        (trial(gradient_accumulation=2, steps=6, evaluations=2, **way), tmp_path / name, {})
        for name, way in WAYS.items()
    ]
    alone = scenarios.run(attempts, 1, cases)[0]
    for name, (outcome, _, losses, _) in zip(WAYS, alone, strict=True):
        other, _, others, _ = runs["through"][name, 0]
        assert losses == pytest.approx(others, rel=SUM_ORDER)
        assert outcome.train_tokens == other.train_tokens


def test_what_is_cut_is_told(runs):
    outcome = runs["through"]["both", 0][0]
    assert (outcome.examples, outcome.prompts_cut, outcome.answers_cut) == told()


def told():
    """Counted anew: a prompt, an answer and the token that ends it must be 16 at most."""
    rows = [(n * 5 % 13, 1 + n * 7 % 9) for n in range(30)] + [(30, 2), (2, 30)]
    long = [(prompt, answer) for prompt, answer in rows if prompt + answer + 1 > 16]
    room = 16
    prompts = sum(2 * (a + 1) < room or 2 * p >= room for p, a in long)
    answers = sum(2 * (a + 1) >= room for p, a in long)
    return len(rows), prompts, answers


def test_trials_of_one_seed_have_the_same_batches_whatever_else_they_have():
    table = uneven().data.train_tokens(16)
    orders = [DataOrder(table, seed=3, bucket=4) for _ in range(2)]
    assert [orders[0].batch(step, 8) for step in range(9)] == [
        orders[1].batch(step, 8) for step in range(9)
    ]


def refused(spec, folder, model):
    base = uneven()
    base.model = model()
    return scenarios.attempt(spec, folder, base=base)[0]


def no_positions():
    from transformers import BloomConfig, BloomForCausalLM

    torch.manual_seed(0)
    model = BloomForCausalLM(BloomConfig(vocab_size=20, hidden_size=32, n_layer=1, n_head=4))
    return model.eval().requires_grad_(False)


def test_a_model_that_cannot_be_packed_fails_the_trial(tmp_path):
    (error,) = scenarios.run(refused, 1, trial(packing=True), tmp_path, no_positions)
    assert error.startswith("DataError: train.packing is true, but BloomForCausalLM")


def test_a_method_that_cannot_be_packed_is_no_trial():
    settings = trial(packing=True).model_dump()
    with pytest.raises(ValueError, match="set packing to false"):
        TrialSpec.model_validate({**settings, "method": PromptTuningSpec(virtual_tokens=3)})


CHAT = (
    "{{ bos_token }}{% for m in messages %}{{ m.content }}"
    "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
)


def chats() -> FrozenBase:
    """The tiny base with sums that are asked one after another, in one chat."""
    base = tiny.base()
    base.tokenizer.chat_template = CHAT
    rows = []
    for n in range(4):
        said = [("user", f"{n}+{n}="), ("assistant", f"{2 * n}"), ("user", f"{n}-{n}=")] * (n + 1)
        messages = [{"role": role, "content": text} for role, text in said]
        rows.append(MessagesFormat().read({"messages": messages}, where="here"))
    base.data.splits = Splits(tuple(rows), tuple(rows), tuple(rows))
    base.data.fingerprint = "chats"
    base.data.domains = base.data.splits.domains()
    return base


def train_chats(folder):
    """The loss of the first step, with and without packing, and by hand."""
    base = chats()
    losses, tokens = 0.0, 0
    for own in base.data.train_tokens(64):
        logits = base.model(input_ids=torch.tensor([own.ids])).logits[0, :-1]
        ids = torch.tensor(own.ids[1:])
        mask = torch.tensor(own.mask or [n >= own.answer_start for n in range(len(own.ids))])[1:]
        losses += float(torch.nn.functional.cross_entropy(logits[mask], ids[mask], reduction="sum"))
        tokens += int(mask.sum())
    found = [
        scenarios.attempt(
            trial(steps=1, evaluations=1, max_length=64, packing=packing),
            folder / str(packing),
            base=base,
        )[2][0]
        for packing in (False, True)
    ]
    return tokens, losses / tokens, found


def test_of_a_chat_every_turn_of_the_assistant_is_learnt(tmp_path):
    [(tokens, wanted, found)] = scenarios.run(train_chats, 1, tmp_path)
    # A digit or two and the end of the turn: of 1, 2, 3 and 4 turns.
    assert tokens == 2 * (1 + 2 + 3 + 4)
    assert found == pytest.approx([wanted, wanted], rel=SUM_ORDER)
