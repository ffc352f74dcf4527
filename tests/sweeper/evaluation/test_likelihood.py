"""Candidates that share the row of their prompt score what they score each in a row of its own."""

import pytest
import torch
from transformers import LlamaConfig, MistralConfig

from sweeper.data import Example
from sweeper.data.questions import questions_of
from sweeper.data.tokens.encoding import Tokens
from sweeper.evaluation import likelihood
from sweeper.evaluation.likelihood import can_share_prompts, score_candidates
from sweeper_adapters import set_task_ids
from tests.adapters.specs import SPECS, on
from tests.sweeper import scenarios, tiny

# Sums of float32 numbers in another order; on one machine they mostly agree to the bit.
ROUNDING = 2e-5
CPU = torch.device("cpu")

EXAMPLES = [
    Example("12+12=", "24", choices=("24", "2", "241", "-24"), domain="sum"),
    Example("7 ", "a", choices=("a", "b", "cab"), domain="letter"),
    Example("1+1=", "2", domain="sum"),
    Example("12345678901 0 ", "abc", choices=("abc", "b"), domain="letter"),
    # Longer ones cut their own prompt, so that there is none in common.
    Example("12345678901234567890", "1", choices=("1", "22222"), domain="sum"),
    Example("3", "bb", choices=("aa", "bb"), domain="letter"),
]


def candidates():
    questions = questions_of(EXAMPLES, tiny.tokenizer(), 20, domains=("letter", "sum"))
    assert len(questions) == len(EXAMPLES)
    return [question.candidates for question in questions]


def lively(seed=1):
    """A model whose answers depend on all that it has read."""
    model = tiny.model()
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)
    return model


def counted(model, inputs):
    """The model, and a list that gets the shape of each batch."""

    def forward(*, domains, **batch):
        set_task_ids(model, domains)
        inputs.append(tuple(batch["input_ids"].shape))
        return model(**batch).logits

    return forward


def scores(model, *, shares_prompts, found=None):
    inputs = [] if found is None else found
    with torch.no_grad():
        return score_candidates(
            counted(model, inputs),
            candidates(),
            pad_id=0,
            device=CPU,
            shares_prompts=shares_prompts,
        )


def assert_alike(found, expected):
    assert [len(question) for question in found] == [len(question) for question in expected]
    for question, wanted in zip(found, expected, strict=True):
        for one, other in zip(question, wanted, strict=True):
            assert one.loss == pytest.approx(other.loss, rel=ROUNDING)
            assert one.text_loss == pytest.approx(other.text_loss, rel=ROUNDING, abs=ROUNDING)
            assert (one.tokens, one.is_greedy) == (other.tokens, other.is_greedy)


@pytest.mark.parametrize("budget", [1, 40, 10_000])
def test_a_shared_prompt_changes_no_score(budget, monkeypatch):
    monkeypatch.setattr(likelihood, "TOKEN_BUDGET", budget)
    model = lively()
    alone: list[tuple[int, int]] = []
    together: list[tuple[int, int]] = []
    expected = scores(model, shares_prompts=False, found=alone)
    assert_alike(scores(model, shares_prompts=True, found=together), expected)
    # 4 + 3 + 1 + 2 + 2 + 2 candidates; one row for each question, but two where prompts differ.
    assert sum(rows for rows, _ in alone) == 14
    assert sum(rows for rows, _ in together) == 7


def test_scores_of_shared_prompts_are_those_of_single_texts():
    model = lively()
    found = scores(model, shares_prompts=True)
    for question, rows in zip(found, candidates(), strict=True):
        for score, tokens in zip(question, rows, strict=True):
            with torch.no_grad():
                chances = model(torch.tensor([tokens.ids])).logits.log_softmax(-1)[0]
            places = range(tokens.answer_start, len(tokens.ids))
            losses = [-float(chances[i - 1, tokens.ids[i]]) for i in places]
            assert score.loss == pytest.approx(sum(losses), rel=ROUNDING)
            assert score.text_loss == pytest.approx(sum(losses[:-1]), rel=ROUNDING)
            assert score.tokens == len(losses)


def test_a_candidate_does_not_see_another():
    """With one candidate changed the scores of the others stay, to the bit."""
    model = lively()
    before = scores(model, shares_prompts=True)
    changed = candidates()
    first = changed[0][0]
    other = Tokens((*first.ids[:-2], 9, first.ids[-1]), first.answer_start, domain=first.domain)
    changed[0] = (other, *changed[0][1:])
    with torch.no_grad():
        after = score_candidates(
            counted(model, []), changed, pad_id=0, device=CPU, shares_prompts=True
        )
    assert after[0][0].loss != before[0][0].loss
    assert after[0][1:] == before[0][1:]
    assert after[1:] == before[1:]


def test_without_a_prompt_each_candidate_has_its_own_row():
    rows = [Tokens((5, 6, 2), 0), Tokens((7, 2), 0)]
    shapes: list[tuple[int, int]] = []
    with torch.no_grad():
        (found,) = score_candidates(
            counted(lively(), shapes), [rows], pad_id=0, device=CPU, shares_prompts=True
        )
    # The first token of each is not predicted.
    assert [score.tokens for score in found] == [2, 1]
    assert shapes == [(2, 3)]


@pytest.mark.parametrize("name", [name for name in SPECS if "tuning" not in name])
def test_every_method_that_reads_token_by_token_can_share_prompts(name):
    spec = on(SPECS[name], *tiny.TARGETS)
    model = spec.inject(tiny.model(), seed=0).eval()
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    assert_alike(scores(model, shares_prompts=True), scores(model, shares_prompts=False))


def test_which_models_can_share_prompts():
    def config(cls=LlamaConfig, attention="sdpa", **settings):
        made = cls(**settings)
        made._attn_implementation = attention
        return made

    assert can_share_prompts(tiny.model().config, max_length=16)
    assert not can_share_prompts(config(attention="eager"), max_length=16)
    windowed = config(MistralConfig, sliding_window=100)
    assert can_share_prompts(windowed, max_length=100)
    assert not can_share_prompts(windowed, max_length=101)
    unknown = config()
    unknown.model_type = "bloom"
    assert not can_share_prompts(unknown, max_length=16)


def score_on_workers(budget):
    likelihood.TOKEN_BUDGET = budget
    shapes: list[tuple[int, int]] = []
    return scores(lively(), shares_prompts=True, found=shapes), len(shapes)


def test_workers_run_equally_many_passes_and_have_the_same_scores():
    ((alone, passes),) = scenarios.run(score_on_workers, 1, 25)
    assert passes > 3
    several = scenarios.run(score_on_workers, 3, 25)
    assert [found for found, _ in several] == [alone] * 3
    assert {count for _, count in several} == {-(-passes // 3)}


def evaluate_in_training(stage, method):
    """Metrics of the last evaluation, with shared prompts and without."""
    from sweeper.training import trainer

    spec = tiny.trial(method, workers=2, zero_stage=stage, steps=1, evaluations=1)
    found = scenarios.train_one(spec)
    setattr(trainer, "can_share_prompts", lambda *_, **__: False)  # noqa: B010 - in a process of its own
    return found, scenarios.train_one(spec)


@pytest.mark.parametrize(("stage", "method"), [(0, "masa"), (2, "lora"), (3, "masa")])
def test_in_training_with_zero_the_metrics_are_the_same(stage, method):
    for shared, single in scenarios.run(evaluate_in_training, 2, stage, method):
        assert shared == pytest.approx(single, rel=ROUNDING)


def test_a_large_batch_takes_no_row_that_would_be_mostly_padding(monkeypatch):
    rows = [[Tokens((*(5,) * (length - 1), 2), 1)] for length in (9, 20, 40, 39, 10)]

    def shapes(budget):
        monkeypatch.setattr(likelihood, "TOKEN_BUDGET", budget)
        found: list[tuple[int, int]] = []
        with torch.no_grad():
            score_candidates(counted(tiny.model(), found), rows, pad_id=0, device=CPU)
        return found

    assert shapes(160) == [(2, 40), (2, 20), (1, 9)]
    # A small one takes them all: a pass of its own would cost more.
    assert shapes(1000) == [(5, 40)]
