"""Every task whose data is in the shared folder, scored, against plain loops over one text each.

The model is a real one of 260 thousand parameters that knows stories alone. Of most tasks the first
row asked is the known one of ``test_shared.py``.
"""

import re
from itertools import islice
from statistics import fmean

import pytest
import torch

from sweeper.data import Splits
from sweeper.data.reading.hub import Split
from sweeper.data.tasks import TASKS
from sweeper.errors import MissingError
from sweeper.evaluation import scoring as evaluation
from sweeper.evaluation.answers import write_answers
from sweeper.evaluation.generation import Generation
from sweeper.evaluation.likelihood import can_share_prompts, score_candidates
from sweeper.evaluation.protocol import generation_settings
from sweeper.evaluation.scoring import evaluate_base, frozen_forward
from sweeper.experiment.trial import EvaluationSpec
from sweeper.models import FolderModelSpec
from tests.sweeper import tiny

ABSENT = {"lawyer_instruct", "us_terms", "metamath", "codefeedback"}
SCORED = [name for name in TASKS if name not in ABSENT]
CHOSEN = [name for name in SCORED if "choice" in TASKS[name].metrics]
WRITTEN = [name for name in SCORED if name not in CHOSEN]

ROWS = 3
# Of the model, for prompt and answer together.
POSITIONS = 512
NEW_TOKENS = 12
SPEC = EvaluationSpec(generates=True, max_new_tokens=NEW_TOKENS)
# Sums of up to some hundred float32 log-probabilities, of batches that are padded differently.
ROUNDING = 1e-5

ALL_OR_NOTHING = {"exact", "final_number", "option", "pass_at_1"}
NEED_ENCODER = {"bert_score", "bert_score_recall", "bert_score_precision", "dialogue_mean"}

# What a model might write that is right without being the answer of the data, with the reference in
# it; of the other tasks that answer itself.
RIGHT = {
    "gsm8k": "Add them: 1 + 1 = 2. In all it is ${0}.00.",
    "bbh_free": " The  {0}.",
    "convai2": "{0}",
}


@pytest.fixture(scope="module")
def stories(shared):
    """The model, without data."""
    spec = FolderModelSpec(path=str(shared / "models" / "stories260K" / "hf"))
    try:
        spec.require_available()
    except MissingError as error:
        pytest.skip(str(error))
    return spec, spec.load("fp32")


@pytest.fixture
def asked(shared, stories):
    """A function that returns the model with the first rows of a task that need not be cut."""
    spec, loaded = stories

    def tokens(text):
        return len(loaded.tokenizer(text)["input_ids"])

    def fits(example):
        answers = {example.answer, *example.choices}
        return tokens(example.prompt) + max(map(tokens, answers)) <= POSITIONS - NEW_TOKENS

    def ask(name, rows=ROWS):
        task = TASKS[name]
        split: Split = "test" if "test" in task.splits(shared) else "train"
        short = (example for example in task.load(split, shared).examples if fits(example))
        return tiny.base_of(spec, loaded, Splits((), tuple(islice(short, rows)), ()), called=name)

    return ask


class NoSynonyms:
    """In the place of nltk's WordNet, which not every machine has."""

    def ensure_loaded(self):
        """Does nothing: there is nothing to load."""

    def synsets(self, word):
        return []


@pytest.fixture
def wordnet(monkeypatch):
    import nltk.corpus
    from nltk.translate.meteor_score import meteor_score

    old, new = nltk.corpus.wordnet, NoSynonyms()
    monkeypatch.setattr(nltk.corpus, "wordnet", new)
    defaults = tuple(new if value is old else value for value in meteor_score.__defaults__)
    monkeypatch.setattr(meteor_score, "__defaults__", defaults)


def log_probabilities(base, prompt, answer):
    """Of each token of an answer, its end-of-text token included, by one pass over one text."""
    start = base.tokenizer(prompt)["input_ids"]
    # This tokenizer puts a space before each text by itself.
    rest = base.tokenizer(answer.removeprefix(" "), add_special_tokens=False)["input_ids"]
    ids = [*start, *rest, base.tokenizer.eos_token_id]
    with torch.no_grad():
        chances = base.model(torch.tensor([ids])).logits[0].log_softmax(dim=-1)
    return [float(chances[place - 1, ids[place]]) for place in range(len(start), len(ids))]


def loss_by_hand(base):
    """The mean over the examples of the loss per token of the right answer."""
    losses = []
    for example in base.data.splits.validation:
        found = log_probabilities(base, example.prompt, example.answer)
        losses.append(-sum(found) / len(found))
    return fmean(losses)


def greedy_text(base, prompt, stops):
    """What the model writes, each token by a pass over all that come before it."""
    start = ids = base.tokenizer(prompt)["input_ids"]
    while len(ids) < len(start) + NEW_TOKENS:
        with torch.no_grad():
            likeliest = int(base.model(torch.tensor([ids])).logits[0, -1].argmax())
        if likeliest == base.tokenizer.eos_token_id:
            break
        ids = [*ids, likeliest]
    before, whole = (base.tokenizer.decode(x, skip_special_tokens=True) for x in (start, ids))
    assert whole.startswith(before)
    text = whole[len(before) :]
    return text[: min((text.find(stop) for stop in stops if stop in text), default=len(text))]


def test_every_task_with_shared_data_is_scored(shared):
    there = {
        name
        for name, task in TASKS.items()
        if any(list(shared.glob(files.pattern)) for files in task.files.values())
    }
    assert {*CHOSEN, *WRITTEN} == there
    assert len(there) == 27


def best(likelihoods):
    return likelihoods.index(max(likelihoods))


@pytest.mark.parametrize("name", CHOSEN)
def test_choices_are_scored_by_their_likelihood(asked, name):
    base = asked(name)
    examples = base.data.splits.validation
    by_hand = [
        [sum(log_probabilities(base, example.prompt, text)[:-1]) for text in example.choices]
        for example in examples
    ]
    assert can_share_prompts(base.model.config, max_length=POSITIONS)
    with torch.no_grad():
        scores = score_candidates(
            frozen_forward(base),
            [question.candidates for question in base.data.questions(max_length=POSITIONS)],
            pad_id=base.pad_id,
            device=base.device,
            shares_prompts=True,
        )
    right, right_by_character = [], []
    for example, likelihoods, found in zip(examples, by_hand, scores, strict=True):
        assert [-score.text_loss for score in found] == pytest.approx(likelihoods, rel=ROUNDING)
        gold = example.choices.index(example.answer)
        right.append(best(likelihoods) == gold)
        lengths = [len(text.strip()) for text in example.choices]
        means = [x / length for x, length in zip(likelihoods, lengths, strict=True)]
        right_by_character.append(best(means) == gold)
    metrics = evaluate_base(base, max_length=POSITIONS)
    assert len(right) == ROWS
    assert metrics[f"{name}/accuracy"] == pytest.approx(fmean(right))
    assert metrics[f"{name}/accuracy_per_character"] == pytest.approx(fmean(right_by_character))
    assert metrics["accuracy"] == metrics[f"{name}/accuracy"]
    assert metrics[f"{name}/loss"] == pytest.approx(loss_by_hand(base), rel=ROUNDING)


def rouge(text, reference):
    """F-measure of the longest common subsequence of words (Lin 2004, equations 2 to 4)."""
    got, want = (re.findall("[a-z0-9]+", x.lower()) for x in (text, reference))
    longest = [[0] * (len(want) + 1) for _ in range(len(got) + 1)]
    for i, word in enumerate(got):
        for j, other in enumerate(want):
            without = max(longest[i][j + 1], longest[i + 1][j])
            longest[i + 1][j + 1] = longest[i][j] + 1 if word == other else without
    return 2 * longest[-1][-1] / (len(got) + len(want))


def meteor(text, reference):
    """As nltk has it; without synonyms, words are alike where their stems are."""
    from nltk.tokenize import NLTKWordTokenizer
    from nltk.translate.meteor_score import meteor_score

    got, want = map(NLTKWordTokenizer().tokenize, (text, reference))
    return meteor_score([want], got)


def value_by_hand(metric, texts, examples):
    """What a metric must be of what the model wrote."""
    if metric in ALL_OR_NOTHING:
        # A model of stories has no answer to anything.
        return 0.0
    references = [example.answer.strip() for example in examples]
    if metric == "bleu":
        from sacrebleu import corpus_bleu

        return corpus_bleu(texts, [references]).score / 100
    measure = {"rouge_l": rouge, "meteor": meteor}[metric]
    return fmean(map(measure, texts, references))


@pytest.mark.parametrize("name", WRITTEN)
def test_answers_are_written_and_scored(asked, wordnet, monkeypatch, name):
    base = asked(name)
    examples = base.data.splits.validation
    found = {}

    def write(*args, **settings):
        found.update(write_answers(*args, **settings))
        return found

    monkeypatch.setattr(evaluation, "write_answers", write)
    metrics = evaluate_base(base, max_length=POSITIONS, spec=SPEC)
    texts = [greedy_text(base, example.prompt, TASKS[name].stop) for example in examples]
    assert len(texts) == ROWS
    assert all(texts)
    assert [found[index].text for index in range(ROWS)] == texts
    assert metrics[f"{name}/loss"] == pytest.approx(loss_by_hand(base), rel=ROUNDING)
    for metric in TASKS[name].metrics:
        if metric in NEED_ENCODER:
            assert f"{name}/{metric}" not in metrics
        else:
            expected = value_by_hand(metric, texts, examples)
            assert metrics[f"{name}/{metric}"] == pytest.approx(expected), metric


def test_an_answer_ends_where_its_task_says(asked):
    """The question is ``not ( True ) and ( True ) is``, which the model goes on from as a story."""
    base = asked("bbh_free", rows=1)
    writing = generation_settings(base, SPEC, max_length=POSITIONS)
    questions = base.data.questions(max_length=POSITIONS)
    with torch.no_grad():
        found = write_answers(frozen_forward(base), questions, writing, device=base.device)
    assert (found[0].text, found[0].end) == ("\u201cWhat is that?\u201d ", "stop_string")


def full_marks(metric, text):
    # Even one chunk that is the whole text costs something (Banerjee and Lavie 2005, section 2.2).
    cost = 0.5 / len(text.split()) ** 3
    return 1 - {"meteor": cost, "dialogue_mean": cost / 6}.get(metric, 0.0)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_right_answer_has_full_marks(asked, stories, wordnet, monkeypatch, name):
    base = asked(name, rows=1)
    (example,) = base.data.splits.validation
    text = RIGHT[name].format(*example.references) if name in RIGHT else example.answer
    answers = {0: Generation(text, (), "length")}
    monkeypatch.setattr(evaluation, "write_answers", lambda *args, **settings: answers)
    # Whatever it understands: what is the same is as alike as can be.
    spec = EvaluationSpec(generates=True, encoder=stories[0].path)
    metrics = evaluate_base(base, max_length=POSITIONS, spec=spec)
    for metric in TASKS[name].metrics:
        assert metrics[f"{name}/{metric}"] == pytest.approx(full_marks(metric, text)), metric
