"""Metrics against what can be worked out one example at a time, and for any number of workers."""

import math
from statistics import fmean, stdev

import pytest
import torch

from sweeper.data import Example
from sweeper.data.questions import questions_of
from sweeper.data.tokens.encoding import Tokens, collate
from sweeper.estimates import to_metrics
from sweeper.evaluation import likelihood
from sweeper.evaluation.likelihood import answer_logits, score_candidates
from sweeper.evaluation.protocol import generation_settings
from sweeper.evaluation.scoring import (
    RowBlocks,
    evaluate,
    evaluate_base,
    evaluate_on,
    frozen_forward,
)
from sweeper.experiment.trial import EvaluationSpec
from tests.sweeper import scenarios, tiny

# Batches of several rows round sums of float32 otherwise than single rows do.
ROUNDING = 1e-5


@pytest.fixture(scope="module")
def base():
    return tiny.base()


@pytest.fixture(scope="module")
def metrics(base):
    return evaluate_base(base, max_length=16)


def loss_of(base, tokens):
    """Summed loss of an answer and its end, from transformers' own mean."""
    batch = {name: x.to(base.device) for name, x in collate([tokens], 0).items()}
    with torch.no_grad():
        mean = base.model(**batch).loss
    return float(mean) * (len(tokens.ids) - tokens.answer_start)


def text_loss_of(base, tokens):
    """Summed loss of an answer without its end, from the log-probabilities of its tokens."""
    with torch.no_grad():
        chances = base.model(torch.tensor([tokens.ids])).logits.log_softmax(-1)[0]
    places = range(tokens.answer_start, len(tokens.ids) - 1)
    return -sum(float(chances[i - 1, tokens.ids[i]]) for i in places)


def test_the_loss_is_the_mean_over_examples_of_the_loss_per_token(base, metrics):
    losses = []
    for question in base.data.questions(max_length=16):
        gold = question.candidates[question.gold]
        losses.append(loss_of(base, gold) / (len(gold.ids) - gold.answer_start))
    assert metrics["eval_loss"] == pytest.approx(fmean(losses), rel=ROUNDING)
    standard_error = stdev(losses) / math.sqrt(len(losses))
    assert metrics["eval_loss_se"] == pytest.approx(standard_error, rel=ROUNDING)


def test_choices_are_scored_by_likelihood(base, metrics):
    right = []
    for question in base.data.questions(max_length=16):
        if question.is_choice:
            losses = [text_loss_of(base, tokens) for tokens in question.candidates]
            right.append(float(losses.index(min(losses)) == question.gold))
    assert len(right) == 10
    assert metrics["accuracy/letter"] == pytest.approx(fmean(right))
    assert metrics["accuracy/letter_se"] == pytest.approx(stdev(right) / math.sqrt(10))


def test_each_metric_has_a_standard_error_and_each_domain_a_score(metrics):
    assert set(metrics) == {
        f"{name}{suffix}"
        for name in ("eval_loss", "accuracy", "accuracy/letter", "accuracy/sum")
        for suffix in ("", "_se")
    }


def test_both_accuracies_are_there_when_all_questions_have_choices(base):
    questions = [q for q in base.data.questions(max_length=16) if q.is_choice]

    def forward(**inputs):
        return base.model(**inputs).logits

    with torch.no_grad():
        found = to_metrics(evaluate(forward, questions, pad_id=0, device=base.device))
    right, right_texts = [], []
    for question in questions:
        by_character, by_text = [], []
        for tokens, characters in zip(question.candidates, question.characters, strict=True):
            by_text.append(text_loss_of(base, tokens))
            by_character.append(by_text[-1] / characters)
        right.append(float(by_character.index(min(by_character)) == question.gold))
        right_texts.append(float(by_text.index(min(by_text)) == question.gold))
    assert found["accuracy"] == pytest.approx(fmean(right_texts))
    assert found["accuracy_per_character"] == pytest.approx(fmean(right))
    assert "accuracy/letter" not in found


def test_losses_that_overflow_do_not_hide_as_another_error(base):
    def forward(**inputs):
        return base.model(**inputs).logits * 1e38

    questions = base.data.questions(max_length=16, count=4)
    with torch.no_grad():
        found = to_metrics(evaluate(forward, questions, pad_id=0, device=base.device))
    assert found["eval_loss"] > 1e30


def oracle(answers):
    """A model that continues each prompt, up to its `=`, as it was told, whatever follows."""
    vocabulary = tiny.tokenizer().get_vocab()

    def forward(*, input_ids, attention_mask, logits_to_keep, domains):
        logits = torch.zeros(*input_ids.shape, len(vocabulary))
        for row, ids in enumerate(input_ids.tolist()):
            start = ids.index(vocabulary["="])
            prompt = "".join(tiny.tokenizer().convert_ids_to_tokens(ids[: start + 1]))
            wanted = [vocabulary[c] for c in answers[prompt]] + [vocabulary["</s>"]]
            for offset, token in enumerate(wanted[: len(ids) - start - 1]):
                logits[row, start + offset, token] = 1.0
        return logits[logits_to_keep]

    return forward


@pytest.mark.parametrize(
    ("said", "accuracy"),
    [("24", 1.0), ("25", 0.0), ("34", 0.0), ("2", 0.0), ("245", 0.0)],
    ids=["right", "last wrong", "first wrong", "too short", "too long"],
)
def test_without_choices_only_the_exact_answer_counts(said, accuracy):
    questions = questions_of([Example("12+12=", "24")], tiny.tokenizer(), 16)
    found = to_metrics(
        evaluate(oracle({"12+12=": said}), questions, pad_id=0, device=torch.device("cpu"))
    )
    assert found["accuracy"] == accuracy
    # One example has no spread.
    assert set(found) == {"eval_loss", "accuracy"}


def test_exact_match_is_what_greedy_decoding_gives(base):
    trained = tiny.model()
    torch.manual_seed(0)
    trained.requires_grad_(True)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-2)
    questions = [q for q in base.data.questions(max_length=16, split="train") if not q.is_choice]
    batch = collate([q.candidates[0] for q in questions], 0)
    for _ in range(20):
        trained(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    right = []
    for question in questions:
        (tokens,) = question.candidates
        prompt = torch.tensor([tokens.ids[: tokens.answer_start]])
        # transformers types the model as a protocol of its own.
        said = trained.generate(  # type: ignore[misc]
            prompt, max_new_tokens=len(tokens.ids), do_sample=False, pad_token_id=0
        )
        right.append(float(tuple(said[0].tolist()) == tokens.ids))
    assert 0 < fmean(right) < 1

    def forward(**inputs):
        return trained(**inputs).logits

    with torch.no_grad():
        found = to_metrics(evaluate(forward, questions, pad_id=0, device=base.device))
    assert found["accuracy"] == pytest.approx(fmean(right))


def test_only_the_answers_tokens_are_projected(base):
    questions = base.data.questions(max_length=16, count=6)
    batch = collate([q.candidates[q.gold] for q in questions], 0)

    def forward(**inputs):
        return base.model(**inputs).logits

    logits, labels = answer_logits(forward, batch)
    full = base.model(batch["input_ids"], batch["attention_mask"]).logits[:, :-1]
    chosen = full[batch["labels"][:, 1:] != -100]
    torch.testing.assert_close(logits, chosen)
    assert labels.tolist() == [label for label in batch["labels"].flatten() if label != -100]


def score_base(budget):
    likelihood.TOKEN_BUDGET = budget
    return evaluate_base(tiny.base(), max_length=16, count=20)


def test_the_metrics_do_not_depend_on_the_number_of_workers():
    # Few tokens a batch, so that three workers do not share the batches evenly.
    alone = scenarios.run(score_base, 1, 60)
    three = scenarios.run(score_base, 3, 60)
    assert alone * 3 == three


def evaluate_sharded(budget):
    likelihood.TOKEN_BUDGET = budget
    return scenarios.train_one(tiny.trial(workers=2, zero_stage=3, steps=1, evaluations=1))


@pytest.mark.parametrize("budget", [40, 10_000])
def test_with_zero_3_workers_without_a_batch_run_along(budget):
    # With the large budget there is one batch for two workers.
    first, second = scenarios.run(evaluate_sharded, 2, budget)
    assert first == second
    assert math.isfinite(first["eval_loss"])


def test_of_a_chat_the_last_turn_counts_and_the_loss_is_over_all():
    # Two answers, of which the model is told only the second.
    chat = Tokens(
        ids=(1, 4, 14, 5, 2, 6, 14, 7, 2),
        answer_start=3,
        mask=(False, False, False, True, True, False, False, True, True),
    )
    logits = torch.zeros(1, 9, len(tiny.tokenizer().get_vocab()))
    for place in (6, 7):
        logits[0, place, chat.ids[place + 1]] = 1.0

    def forward(*, logits_to_keep, **inputs):
        return logits[logits_to_keep]

    [[score]] = score_candidates(forward, [[chat]], pad_id=0, device=torch.device("cpu"))
    assert score.is_greedy
    assert score.tokens == 4
    size = logits.shape[-1]
    even, told = math.log(size), math.log(size - 1 + math.e) - 1
    assert score.loss == pytest.approx(2 * even + 2 * told)
    logits[0, 7] = 0.0
    logits[0, 7, 3] = 1.0
    [[score]] = score_candidates(forward, [[chat]], pad_id=0, device=torch.device("cpu"))
    assert not score.is_greedy


def test_rows_can_be_asked_in_blocks_for_as_long_as_somebody_wants_more(base):
    questions = base.data.questions(max_length=16)
    settings = generation_settings(base, EvaluationSpec(), max_length=16)
    order = [*range(1, len(questions)), 0]
    parts = [order[:7], order[7:20], order[20:]]
    seen: list[dict[int, float]] = []

    def ask(most):
        def goes_on(losses):
            seen.append(dict(losses))
            return len(seen) < most

        seen.clear()
        blocks = RowBlocks(parts, goes_on)
        with torch.no_grad():
            return evaluate_on(base, frozen_forward(base), questions, settings, blocks=blocks)

    with torch.no_grad():
        plain = evaluate_on(base, frozen_forward(base), questions, settings)
    whole = ask(most=9)
    assert whole.keys() == plain.keys()
    losses = whole["eval_loss"].contributions
    assert losses == pytest.approx(plain["eval_loss"].contributions, rel=ROUNDING)
    assert whole["accuracy"].value == plain["accuracy"].value
    # Nobody is asked after the last block.
    assert [len(found) for found in seen] == [7, 20]
    assert all(found[row] == losses[row] for found in seen for row in found)
    assert ask(most=2) == {}
    assert [set(found) for found in seen] == [set(order[:7]), set(order[:20])]
