"""Generated texts against the likeliest token worked out one prompt at a time."""

import functools

import pytest
import torch
from tokenizers import decoders

from sweeper.data import Example
from sweeper.data.questions import questions_of
from sweeper.data.tokens.encoding import Tokens
from sweeper.errors import DataError
from sweeper.evaluation import generation
from sweeper.evaluation.generation import Ending, generate, prompts_of, write
from sweeper.experiment.trial import EngineSpec
from sweeper.training import engine
from sweeper_adapters.methods import LoraSpec, MtlLoraSpec, PromptTuningSpec
from tests.sweeper import scenarios, tiny
from tests.whole import few

CPU = torch.device("cpu")
NEW_TOKENS = 9


@functools.cache
def tokenizer():
    """The tiny one, whose texts have no spaces between tokens."""
    made = tiny.tokenizer()
    made.backend_tokenizer.decoder = decoders.Fuse()
    return made


@pytest.fixture(scope="module")
def model():
    return lively(tiny.model())


def lively(model):
    """Larger weights, so that it does not write the same character forever."""
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.4)
    return model


def forward_of(model):
    def forward(*, domains, **inputs):
        del domains
        return model(**inputs).logits

    return forward


@pytest.fixture(scope="module")
def prompts():
    texts = ["1+1=", "2", "12+34=", "abc", "a b c 1 2 3 + ", "7-7", "cc", "99+99=" * 3, "b", "="]
    return prompts_of([Example(text, "") for text in texts], tokenizer(), max_length=30)


def naive(model, prompt, *, new_tokens=NEW_TOKENS):
    """Tokens one by one, each from the whole text, up to the end-of-text token."""
    ids = list(prompt.ids)
    with torch.no_grad():
        for _ in range(new_tokens):
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == tokenizer().eos_token_id:
                return tuple(ids[len(prompt.ids) : -1]), "end_of_text"
    return tuple(ids[len(prompt.ids) :]), "length"


def run(model, prompts, **settings):
    settings = {"max_new_tokens": NEW_TOKENS, **settings}
    with torch.no_grad():
        return generate(forward_of(model), prompts, tokenizer=tokenizer(), device=CPU, **settings)


@pytest.mark.parametrize("uses_cache", [True, False], ids=["cache", "no cache"])
@pytest.mark.parametrize("budget", [1, 60, 10_000], ids=["single", "some", "all at once"])
def test_each_text_is_the_likeliest_token_after_token(
    model, prompts, uses_cache, budget, monkeypatch
):
    monkeypatch.setattr(generation, "TOKEN_BUDGET", budget)
    found = run(model, prompts, uses_cache=uses_cache)
    expected = [naive(model, prompt) for prompt in prompts]
    assert [(one.ids, one.end) for one in found] == expected
    # Otherwise it would be a poor test.
    assert len({ids for ids, _ in expected}) == len(prompts)
    assert {end for _, end in expected} == {"length", "end_of_text"}


def test_it_is_what_transformers_generates(model, prompts):
    for prompt, found in zip(prompts, run(model, prompts), strict=True):
        ids = torch.tensor([prompt.ids])
        whole = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
            use_cache=True,
        )
        written = [int(x) for x in whole[0, len(prompt.ids) :]]
        assert tuple(x for x in written if x != tokenizer().eos_token_id) == found.ids


def test_batches_keep_to_the_budget_and_run_no_longer_than_needed(model, prompts, monkeypatch):
    monkeypatch.setattr(generation, "TOKEN_BUDGET", 60)
    shapes = []

    def forward(*, domains, **inputs):
        shapes.append((tuple(inputs["input_ids"].shape), inputs["attention_mask"].shape[1]))
        return model(**inputs).logits

    with torch.no_grad():
        generate(forward, prompts, tokenizer=tokenizer(), device=CPU, max_new_tokens=NEW_TOKENS)
    starts = [shape for shape, total in shapes if shape[1] == total]
    assert sum(rows for rows, _ in starts) == len(prompts)
    assert all(rows == 1 or rows * (width + NEW_TOKENS) <= 60 for rows, width in starts)
    # After the prompts each pass sees one token of each row.
    assert all(shape[1] == 1 for shape, total in shapes if shape[1] != total)
    assert len(shapes) <= len(starts) * NEW_TOKENS


def test_a_stop_string_ends_a_text_and_is_not_part_of_it(model, prompts):
    free = run(model, prompts)
    stop = free[0].text[2:4]
    assert len(stop) == 2
    found = run(model, prompts, stop_strings=["no such text", stop])
    hits = 0
    for before, after in zip(free, found, strict=True):
        if stop in before.text:
            hits += 1
            assert after.end == "stop_string"
            assert after.text == before.text[: before.text.index(stop)]
            assert before.ids[: len(after.ids)] == after.ids
        else:
            assert after == before
    assert 0 < hits < len(prompts)


def test_of_two_stop_strings_the_first_in_the_text_counts():
    decoding = generation._Decoding([Tokens((1, 3), 2)], tokenizer(), ["b", "ab"])
    vocabulary = tokenizer().get_vocab()
    for character in "0ab":
        decoding.take([vocabulary[character]])
    (found,) = decoding.generations()
    assert found.end == "stop_string"
    assert found.text == "0"


@pytest.mark.parametrize("uses_cache", [True, False], ids=["cache", "no cache"])
def test_an_answer_that_is_written_is_the_one_that_is_generated(model, prompts, uses_cache):
    stop = run(model, prompts)[0].text[2:4]
    whole = run(model, prompts, stop_strings=[stop], uses_cache=uses_cache)
    ending = Ending(NEW_TOKENS, (stop,))
    for prompt, expected in zip(prompts, whole, strict=True):
        with torch.no_grad():
            given = {"tokenizer": tokenizer(), "device": CPU, "uses_cache": uses_cache}
            *begun, last = write(forward_of(model), prompt, ending, **given)
        assert last == expected
        assert all(expected.text.startswith(one.text) and not one.end for one in begun)
    assert whole[0].end == "stop_string"


def test_what_may_become_a_stop_string_is_held_back(model):
    decoding = generation._Decoding([Tokens((1, 3), 2)], tokenizer(), ["bca"])
    vocabulary, shown = tokenizer().get_vocab(), []
    for character in "abcb":
        decoding.take([vocabulary[character]])
        shown.append(decoding.begun().text)
    assert shown == ["a", "a", "a", "abc"]


def test_other_tokens_may_end_an_answer(model, prompts):
    (free,) = run(model, prompts[:1])
    ending = Ending(NEW_TOKENS, end_ids=frozenset({free.ids[1]}))
    with torch.no_grad():
        *_, last = write(forward_of(model), prompts[0], ending, tokenizer=tokenizer(), device=CPU)
    assert (last.ids, last.end) == (free.ids[:1], "end_of_text")


def test_a_space_at_the_beginning_is_kept():
    class Sentencepiece:
        """Drops the first space of what it decodes, as SentencePiece tokenizers do."""

        eos_token_id = 2

        def decode(self, ids, **settings):
            return "".join(" return"[i % 7] for i in ids).removeprefix(" ")

    decoding = generation._Decoding([Tokens((3, 4), 2)], Sentencepiece(), [])  # type: ignore[arg-type]
    for token in (7, 14, 8):
        decoding.take([token])
    assert decoding.generations()[0].text == "  r"


def test_prompts_are_cut_from_the_left_and_carry_their_domain():
    examples = [Example("12345", "99", domain="b"), Example("1", "", domain="a")]
    long, short = prompts_of(examples, tokenizer(), max_length=3, domains=("a", "b"))
    assert tokenizer().decode(long.ids) == "345"
    assert (long.domain, short.domain) == (1, 0)
    assert short.answer_start == len(short.ids) == 1


def test_a_prompt_without_tokens_is_refused():
    with pytest.raises(DataError, match="example 1: its prompt '' has no tokens"):
        prompts_of([Example("1", ""), Example("", "")], tokenizer(), max_length=5)


def test_the_answer_of_a_question_is_not_seen(model):
    (question,) = questions_of([Example("1+1=", "2")], tokenizer(), 20)
    (prompt,) = prompts_of([Example("1+1=", "2")], tokenizer(), max_length=20)
    assert run(model, question.candidates) == run(model, [prompt])


METHODS = {
    "lora": LoraSpec(rank=4, targets=tiny.TARGETS),
    "mtl_lora": MtlLoraSpec(tasks=2, targets=tiny.TARGETS),
    "prompt_tuning": PromptTuningSpec(virtual_tokens=5),
}


def with_engine(name, stage, work):
    """Returns what the work makes of a fresh adapter that changes what the base would write."""
    spec = METHODS[name]
    base = tiny.base()
    lively(base.model)
    model = spec.inject(base.model, seed=0)
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.3)
    training = spec.training(model, steps=1)
    task_ids = spec.task_ids(("a", "b"))
    zero = EngineSpec(zero_stage=stage)
    wrapped = engine.Engine(training, tiny.trial().train, zero, task_ids=task_ids)
    with wrapped.evaluating():
        found = work(wrapped)
    wrapped.close()
    return found


def prompts_with_domains(order="ab"):
    texts = ["1+1=", "2", "12+34=", "abc", "7-7", "99+99=", "="]
    examples = [Example(t, "", domain=order[n % 2]) for n, t in enumerate(texts)]
    return prompts_of(examples, tokenizer(), max_length=30, domains=("a", "b"))


def write_all(name, stage):
    """All texts on this worker, and how many forward passes it ran."""
    passes = []
    prompts = prompts_with_domains()
    # Each in a process of its own.
    generation.TOKEN_BUDGET = 40
    if stage == 3:
        scenarios.keep_nothing_whole()

    def work(model):
        def forward(**inputs):
            passes.append(1)
            return model(**inputs)

        return generate(
            forward,
            prompts,
            tokenizer=tokenizer(),
            device=CPU,
            max_new_tokens=NEW_TOKENS,
            uses_cache=name != "prompt_tuning",
        )

    return with_engine(name, stage, work), len(passes)


def write_singly(name, order="ab"):
    """The same one by one, each token from the whole text."""

    def work(model):
        found = []
        for prompt in prompts_with_domains(order):
            ids = list(prompt.ids)
            while len(ids) < len(prompt.ids) + NEW_TOKENS and ids[-1] != 2:
                is_last = torch.arange(len(ids))[None] == len(ids) - 1
                logits = model(
                    input_ids=torch.tensor([ids]),
                    attention_mask=torch.ones(1, len(ids), dtype=torch.int64),
                    logits_to_keep=is_last,
                    domains=torch.tensor([prompt.domain]),
                )
                ids.append(int(logits.argmax()))
            found.append(tuple(x for x in ids[len(prompt.ids) :] if x != 2))
        return found

    return with_engine(name, 0, work)


@pytest.mark.parametrize("name", few(METHODS, "mtl_lora", "prompt_tuning"))
def test_adapters_and_their_tasks_write_the_same_on_any_number_of_workers(name):
    (expected,) = scenarios.run(write_singly, 1, name)
    assert len(set(expected)) > 3
    if name == "mtl_lora":
        (swapped,) = scenarios.run(write_singly, 1, name, "ba")
        assert swapped != expected
    for workers, stage in ((1, 0), (2, 3)):
        results = scenarios.run(write_all, workers, name, stage)
        for texts, _ in results:
            assert [one.ids for one in texts] == expected
        # Under ZeRO-3 each pass needs all workers.
        assert len({passes for _, passes in results}) == 1


def write_as_told():
    """A model that writes as many letters as the digit it is asked with; its passes are counted."""
    vocabulary = tokenizer().get_vocab()
    letter, end = vocabulary["a"], vocabulary["</s>"]
    counts = {vocabulary[str(n)]: n for n in range(10)}
    passes = []

    def forward(*, input_ids, attention_mask, logits_to_keep, domains):
        passes.append(1)
        logits = torch.zeros(len(input_ids), len(vocabulary))
        for row, (ids, mask) in enumerate(zip(input_ids, attention_mask, strict=True)):
            is_done = int(mask.sum()) > counts[int(ids[0])]
            logits[row, end if is_done else letter] = 1.0
        return logits

    generation.TOKEN_BUDGET = 1
    prompts = [Tokens((vocabulary[str(n)],), 1) for n in (1, 7, 2, 3, 0)]
    settings = {"tokenizer": tokenizer(), "device": CPU, "max_new_tokens": 9}
    found = generate(forward, prompts, uses_cache=False, **settings)
    return [one.text for one in found], len(passes)


def test_workers_whose_texts_end_early_go_on_with_the_others():
    texts = ["a" * n for n in (1, 7, 2, 3, 0)]
    # The last pass of each text finds its end.
    assert scenarios.run(write_as_told, 1) == [(texts, 2 + 8 + 3 + 4 + 1)]
    # Two by two; the last is alone, and runs on both workers.
    assert scenarios.run(write_as_told, 2) == [(texts, 8 + 4 + 1)] * 2
