"""What a trial answers is what its evaluation would generate; and so is what its base answers."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch

from sweeper.analysis.lookup import find_trial
from sweeper.errors import BadInputError, TrialError
from sweeper.evaluation.adapter import with_adapter
from sweeper.evaluation.chat import ChatRequest, open_chat, speaking
from sweeper.evaluation.generation import generate
from sweeper.evaluation.scoring import frozen_forward
from sweeper.models import hold_base
from tests.sweeper import talking

ROWS = {
    talking.CHATS: {"message": "hi"},
    talking.FIELD: {"question": "hi"},
    talking.FIELDS: {"question": "hi", "context": ""},
    talking.TEXT: {"text": "Once upon"},
    talking.BY_DOMAIN: {"prompt": "1+1="},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return talking.make_world(tmp_path_factory.mktemp("world")).home


def opened(home, trial_id, **asked):
    found = find_trial(trial_id, home=home)
    return open_chat(found.spec(), found.adapter(), ChatRequest(**asked))


def answered(chat, row, speaker="trial"):
    return list(chat.answer(chat.prompt(row), speaker))


@torch.no_grad()
def expected(home, trial_id, prompts):
    """Texts of the trial and of its base, by the functions of the evaluation."""
    found = find_trial(trial_id, home=home)
    spec = found.spec()
    needs_data = spec.method.needs_task_ids
    base = hold_base(spec.model, spec.data, precision="fp32", device="cpu", reads_data=needs_data)
    write = partial(
        generate, tokenizer=base.tokenizer, device=base.device, max_new_tokens=talking.NEW_TOKENS
    )
    frozen = write(frozen_forward(base), prompts)
    with with_adapter(spec, base, found.adapter()) as adapted:
        own = write(adapted.forward, prompts, uses_cache=adapted.virtual_tokens == 0)
    return [one.text for one in own], [one.text for one in frozen]


@pytest.mark.parametrize("trial_id", ROWS, ids=["chats", "pissa", "fields", "prompt", "domains"])
def test_it_is_what_the_evaluation_generates(home, trial_id):
    domain = "sum" if trial_id == talking.BY_DOMAIN else ""
    (name,) = [name for name, text in ROWS[trial_id].items() if text]
    rows = [{**ROWS[trial_id], name: text} for text in ("hi", "1+1=", "Once upon", "?", "b a !")]
    with opened(home, trial_id, has_base=True, domain=domain) as chat:
        prompts = [chat.prompt(row) for row in rows]
        own, frozen = expected(home, trial_id, [prompt.tokens for prompt in prompts])
        # Otherwise it would be a poor test.
        assert own != frozen
        for speaker, texts in (("trial", own), ("base", frozen), ("trial", own)):
            assert [list(chat.answer(x, speaker))[-1].text for x in prompts] == texts


def test_an_answer_is_given_as_it_is_written(home):
    with opened(home, talking.CHATS) as chat:
        parts = answered(chat, ROWS[talking.CHATS])
    assert [len(one.ids) for one in parts] == [1, 2, 3, 4, 5, 6]
    assert [one.end for one in parts] == ["", "", "", "", "", "length"]
    assert all(after.text.startswith(one.text) for one, after in pairwise(parts))


def test_each_domain_has_its_part_of_the_adapter(home):
    texts = set()
    for domain in ("sum", "letter"):
        with opened(home, talking.BY_DOMAIN, domain=domain) as chat:
            prompt = chat.prompt({"prompt": "1+1="})
            assert prompt.tokens.domain == ("letter", "sum").index(domain)
            texts.add(list(chat.answer(prompt))[-1].text)
    assert len(texts) == 2


def test_a_seed_draws_the_same_again(home):
    texts = []
    for seed in (1, 1, 2):
        with opened(home, talking.CHATS, temperature=3.0, seed=seed) as chat:
            texts.append([answered(chat, ROWS[talking.CHATS])[-1].text for _ in range(2)])
    assert texts[0] == texts[1] != texts[2]
    assert texts[0][0] != texts[0][1]


def test_a_low_temperature_takes_the_likeliest():
    logits = torch.tensor([[1.0, 3.0, 2.0]])
    assert speaking._choose(ChatRequest())(logits) == [1]
    assert speaking._choose(ChatRequest(temperature=1e-9))(logits) == [1]
    draw = speaking._choose(ChatRequest(temperature=1.0))
    drawn = [draw(logits)[0] for _ in range(2000)]
    shares = torch.softmax(logits[0], dim=0)
    for token, share in enumerate(shares.tolist()):
        # Four standard deviations of a share of 2,000 draws.
        assert drawn.count(token) / 2000 == pytest.approx(share, abs=0.045)


def test_outputs_that_are_no_numbers_fail():
    with pytest.raises(TrialError, match="not finite"):
        speaking._choose(ChatRequest(temperature=1.0))(torch.tensor([[1.0, float("nan")]]))


def test_limits_are_those_of_the_request_then_of_the_trial(home):
    with opened(home, talking.CHATS, max_new_tokens=9) as chat:
        assert chat.ending.max_new_tokens == 9
    found = find_trial(talking.EMBEDDED, home=home)
    free = found.spec().evaluation.model_copy(update={"max_new_tokens": None, "stop": ("no",)})
    spec = found.spec().model_copy(update={"evaluation": free})
    with open_chat(spec, found.adapter(), ChatRequest()) as chat:
        assert chat.ending == replace(chat.ending, max_new_tokens=256, stop_strings=("no",))


@pytest.mark.parametrize(
    ("trial_id", "asked", "message"),
    [
        (talking.CHATS, {"temperature": -1.0}, "temperature: got -1.0"),
        (talking.CHATS, {"temperature": float("nan")}, "temperature: got nan"),
        (talking.CHATS, {"max_new_tokens": 5000}, "5000 tokens but the model has 4096 positions"),
        (talking.TEXT, {"max_new_tokens": 4092}, "model has 4092 positions .* 2046"),
        (talking.CHATS, {"domain": "sum"}, "domain: got 'sum', but an adapter of lora"),
        (talking.BY_DOMAIN, {}, "domain: none is given, .* letter, sum; .* --domain"),
        (talking.BY_DOMAIN, {"domain": "sums"}, "domain: got 'sums'"),
        (talking.FIELD, {"system": "x"}, "system: got 'x'"),
    ],
)
def test_what_does_not_fit_the_trial_is_refused(home, trial_id, asked, message):
    with pytest.raises(BadInputError, match=message), opened(home, trial_id, **asked):
        pass
