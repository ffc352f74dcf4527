"""Data made of tasks: each scored by its own metrics, their averages worked out by hand."""

import math
from dataclasses import replace
from statistics import fmean, stdev

import pytest
import torch

from sweeper.data import EmbeddedDataSpec, Example, TasksDataSpec
from sweeper.data.questions import questions_of
from sweeper.data.tasks import TASKS
from sweeper.errors import BadInputError, MissingError, SweeperError
from sweeper.estimates import Estimate, mean_estimate, to_metrics
from sweeper.evaluation import scoring as evaluation
from sweeper.evaluation.answers import GenerationSettings, most_new_tokens
from sweeper.evaluation.generation import Generation, generate, prompts_of
from sweeper.evaluation.measures import WrittenMetrics
from sweeper.evaluation.metrics import METRICS
from sweeper.evaluation.protocol import generation_settings, rung_protocol
from sweeper.evaluation.scoring import evaluate, evaluate_base
from sweeper.experiment.trial import EvaluationSpec
from sweeper.preflight.metrics import require_metrics
from tests.sweeper import scenarios, tiny
from tests.sweeper.evaluation.test_likelihood import ROUNDING, lively

CPU = torch.device("cpu")


def choice(number, task="letters", *, group="", domain="one", gold="a"):
    return Example(
        f"{number} ",
        gold,
        choices=("a", "b", "c"),
        task=task,
        group=group,
        domain=domain,
        metrics=("choice",),
    )


def written(number, task="sums", metrics=("exact",), *, domain="two"):
    return Example(
        f"{number}+{number}=", str(2 * number), task=task, metrics=metrics, domain=domain
    )


def base(*examples, model=None):
    made = tiny.base()
    made.data.splits = replace(made.data.splits, validation=tuple(examples), test=())
    if model is not None:
        made.model = model
    return made


def ask(found, spec=None, **settings):
    return evaluate_base(found, max_length=16, spec=spec, **settings)


def answers(monkeypatch, texts):
    """Has the questions that are written answered as told, in their order."""
    told = iter(texts)

    def write(forward, questions, writing, *, device):
        assert writing.max_length == 16
        return {
            index: Generation(next(told), (), "length")
            for index, question in enumerate(questions)
            if question.example.is_written
        }

    monkeypatch.setattr(evaluation, "write_answers", write)


def right_ones(found):
    """Of each choice of a base's validation split, whether it is right, one text at a time."""
    right = []
    for example in found.data.splits.validation:
        if example.choices:
            losses = []
            (question,) = questions_of([example], found.tokenizer, 16, domains=found.data.domains)
            for tokens in question.candidates:
                with torch.no_grad():
                    chances = found.model(torch.tensor([tokens.ids])).logits.log_softmax(-1)[0]
                places = range(tokens.answer_start, len(tokens.ids) - 1)
                losses.append(-sum(float(chances[i - 1, tokens.ids[i]]) for i in places))
            right.append(float(losses.index(min(losses)) == question.gold))
    return right


def standard_error(values):
    return stdev(values) / math.sqrt(len(values))


def test_each_task_has_its_scores_and_both_averages_are_those_of_the_papers(monkeypatch):
    letters = [choice(n, gold="abc"[n % 3]) for n in range(8)]
    sums = [written(n) for n in range(4)]
    found = base(*letters, *sums, model=lively())
    right = right_ones(found)
    assert 0 < fmean(right) < 1
    answers(monkeypatch, ["0", "3", "4", "6"])
    metrics = ask(found, EvaluationSpec(generates=True))
    exact = [1.0, 0.0, 1.0, 1.0]
    assert metrics["letters/accuracy"] == pytest.approx(fmean(right))
    assert metrics["letters/accuracy_se"] == pytest.approx(standard_error(right))
    assert metrics["sums/exact"] == 0.75
    assert metrics["sums/exact_se"] == pytest.approx(standard_error(exact))
    # Over examples: 12 of them; over tasks: two.
    assert metrics["accuracy"] == pytest.approx((sum(right) + 3) / 12)
    assert metrics["accuracy_macro"] == pytest.approx((fmean(right) + 0.75) / 2)
    errors = standard_error(right), standard_error(exact)
    assert metrics["accuracy_macro_se"] == pytest.approx(math.hypot(*errors) / 2)
    assert metrics["accuracy_se"] == pytest.approx(math.hypot(8 * errors[0], 4 * errors[1]) / 12)
    assert set(metrics) == {
        f"{name}{suffix}"
        for name in (
            *("eval_loss", "letters/loss", "sums/loss"),
            *("letters/accuracy", "letters/accuracy_per_character"),
            "sums/exact",
            *("accuracy", "accuracy_macro"),
        )
        for suffix in ("", "_se")
    }


def test_losses_of_tasks_are_means_over_their_own_examples():
    found = base(*[choice(n) for n in range(5)], *[written(n) for n in range(3)])
    metrics = ask(found)
    together = 5 * metrics["letters/loss"] + 3 * metrics["sums/loss"]
    assert metrics["eval_loss"] == pytest.approx(together / 8)
    alone = ask(base(*[choice(n) for n in range(5)]))
    assert alone["letters/loss"] == pytest.approx(metrics["letters/loss"], rel=ROUNDING)


def test_groups_and_domains_have_the_tasks_first_metric():
    parts = [("stem", "maths"), ("stem", "physics"), ("other", "law")]
    examples = [
        choice(n, group=group, domain=domain, gold="abc"[n % 3])
        for n, (group, domain) in enumerate(parts * 4)
    ]
    # One subject is larger than the others, so that the two means differ.
    examples += [choice(n, group="other", domain="law", gold="b") for n in range(20, 25)]
    found = base(*examples, model=lively())
    right = right_ones(found)
    metrics = ask(found)

    def mean_of(**wanted):
        chosen = [
            r
            for r, e in zip(right, examples, strict=True)
            if all(getattr(e, name) == value for name, value in wanted.items())
        ]
        return fmean(chosen), standard_error(chosen)

    for name in ("stem", "other"):
        expected = mean_of(group=name)
        assert metrics[f"letters/{name}"] == pytest.approx(expected[0])
        assert metrics[f"letters/{name}_se"] == pytest.approx(expected[1])
    subjects = [mean_of(domain=name) for name in ("law", "maths", "physics")]
    for name, (value, _) in zip(("law", "maths", "physics"), subjects, strict=True):
        assert metrics[f"letters/{name}"] == pytest.approx(value)
    assert metrics["letters/accuracy_macro"] == pytest.approx(fmean(v for v, _ in subjects))
    errors = math.sqrt(sum(e**2 for _, e in subjects)) / 3
    assert metrics["letters/accuracy_macro_se"] == pytest.approx(errors)
    assert metrics["accuracy"] == pytest.approx(fmean(right))
    assert metrics["letters/accuracy_macro"] != pytest.approx(metrics["accuracy"])
    # With one task there is nothing to average over tasks.
    assert "accuracy_macro" not in metrics


def test_several_metrics_of_one_answer_and_none_that_is_no_share_in_the_average(monkeypatch):
    examples = [written(n, "talk", ("rouge_l", "exact")) for n in range(3)]
    found = base(*examples, *[choice(n) for n in range(3)])
    answers(monkeypatch, ["0", "2", "7"])
    metrics = ask(found, EvaluationSpec(generates=True))
    assert metrics["talk/rouge_l"] == metrics["talk/exact"] == pytest.approx(2 / 3)
    assert metrics["accuracy"] == metrics["letters/accuracy"]
    assert "accuracy_macro" not in metrics


def test_without_generation_nothing_is_called_by_the_name_of_what_generation_measures():
    examples = [written(n, "numbers", ("final_number",)) for n in range(4)]
    found = base(*examples, *[choice(n) for n in range(3)])
    metrics = ask(found)
    assert metrics["numbers/greedy_exact"] == 0.0
    assert "numbers/final_number" not in metrics
    # A mean over one of the two tasks would pass for that over both.
    assert not {"accuracy", "accuracy_macro"} & set(metrics)


def test_bert_score_is_left_out_without_an_encoder(monkeypatch):
    examples = [written(n, "talk", ("bert_score", "exact")) for n in range(2)]
    answers(monkeypatch, ["0", "2"])
    metrics = ask(base(*examples), EvaluationSpec(generates=True))
    assert metrics["talk/exact"] == 1.0
    assert "talk/bert_score" not in metrics


def test_the_mean_of_dialogue_is_over_what_was_measured_of_the_same_answers(monkeypatch):
    names = TASKS["convai2"].metrics
    texts = {"texts": [0.25, 0.75, 0.5], "encoder": [0.5, 0.75, 1.0]}
    calls = []

    def measuring(name, values):
        def measure(*_, **settings):
            calls.append(name)
            return mean_estimate(values)

        return measure

    for name in names:
        values = texts.get(METRICS[name].takes)
        if values:
            changed = replace(METRICS[name], measure=measuring(name, values))
            monkeypatch.setitem(METRICS, name, changed)
    monkeypatch.setattr("sweeper.evaluation.measures.Matcher", lambda *_, **__: object())
    found = base(*[written(n, "talk", names) for n in range(3)])
    answers(monkeypatch, ["0", "2", "7"])
    metrics = ask(found, EvaluationSpec(generates=True, encoder="anywhere"))
    # Three of the six each; the mean of each answer is that of both lists.
    means = [0.375, 0.75, 0.75]
    assert metrics["talk/dialogue_mean"] == pytest.approx(fmean(means))
    assert metrics["talk/dialogue_mean_se"] == pytest.approx(standard_error(means))
    assert sorted(calls) == sorted(set(names) - {"dialogue_mean"})


def test_perplexity_is_that_of_the_right_answers():
    found = base(*[written(n, "text", ("perplexity",)) for n in range(10, 14)])
    metrics = ask(found)
    nats = tokens = 0.0
    for question in found.data.questions(max_length=16):
        (row,) = question.candidates
        with torch.no_grad():
            chances = found.model(torch.tensor([row.ids])).logits.log_softmax(-1)[0]
        for place in range(row.answer_start, len(row.ids)):
            nats -= float(chances[place - 1, row.ids[place]])
            tokens += 1
    assert metrics["text/perplexity"] == pytest.approx(math.exp(nats / tokens), rel=1e-4)


def write_plainly(found, spec):
    prompts = prompts_of(found.data.splits.validation, found.tokenizer, max_length=16)

    def forward(*, domains, **inputs):
        return found.model(**inputs).logits

    with torch.no_grad():
        return generate(
            forward,
            prompts,
            tokenizer=found.tokenizer,
            device=CPU,
            max_new_tokens=spec.max_new_tokens,
            stop_strings=spec.stop or (),
        )


@pytest.mark.parametrize("stop", [None, ("1", "b")])
def test_the_spec_says_how_answers_are_written(stop, monkeypatch):
    """What is measured is what the model writes under the settings of the spec."""
    spec = EvaluationSpec(generates=True, max_new_tokens=5, stop=stop)
    examples = [written(n) for n in range(10, 16)]
    found = base(*examples, model=lively())
    seen = []
    exact = METRICS["exact"]

    def measure(predictions, references):
        seen.append((list(predictions), list(references)))
        return exact.measure(predictions, references)

    monkeypatch.setitem(METRICS, "exact", replace(exact, measure=measure))
    ask(found, spec)
    texts = [one.text for one in write_plainly(found, spec)]
    assert len(set(texts)) > 1
    assert seen == [(texts, ["20", "22", "24", "26", "28", "30"])]


def test_a_tasks_own_settings_count_where_the_spec_has_none():
    writing = generation_settings(tiny.base(), EvaluationSpec(), max_length=16)
    example = Example("1", "2", task="convai2", metrics=("exact",))
    assert (most_new_tokens(writing.spec, example), writing.stops(example)) == (48, ("\n",))
    over = replace(writing, spec=EvaluationSpec(max_new_tokens=3, stop=()))
    assert (most_new_tokens(over.spec, example), over.stops(example)) == (3, ())


def test_an_answer_that_leaves_no_position_for_its_prompt_is_refused():
    spec = EvaluationSpec(generates=True, max_new_tokens=64)
    with pytest.raises(BadInputError, match="64 tokens but the model has 64 positions"):
        ask(base(written(1)), spec)


def test_a_prompt_makes_room_for_the_answer(monkeypatch):
    found = base(written(1))
    lengths = []

    def note(examples, tokenizer, *, max_length, domains):
        lengths.append(max_length)
        return prompts_of(examples, tokenizer, max_length=max_length, domains=domains)

    monkeypatch.setattr("sweeper.evaluation.answers.prompts_of", note)
    ask(found, EvaluationSpec(generates=True, max_new_tokens=60))
    ask(found, EvaluationSpec(generates=True, max_new_tokens=3))
    assert lengths == [4, 16]


def test_old_data_is_scored_as_it_was_whatever_the_spec_says():
    found = tiny.base()
    to_metrics = evaluate_base(found, max_length=16)
    assert evaluate_base(found, max_length=16, spec=EvaluationSpec(generates=True)) == to_metrics


def test_choices_that_are_to_be_generated_are_not_scored_by_likelihood():
    example = replace(choice(1), metrics=("exact",))
    (question,) = questions_of([example], tiny.tokenizer(), 16)
    assert not question.is_choice
    assert example.is_written
    assert not choice(1).is_written
    assert not Example("1+1=", "2").is_written


def test_the_record_says_what_was_asked():
    found = base(*[choice(n) for n in range(4)], *[written(n) for n in range(4)])
    train = tiny.trial(eval_examples=4).train
    protocol = rung_protocol(found, train, EvaluationSpec(generates=True, stop=("a",)))
    assert protocol == {
        "split": "validation",
        "rows_in_split": 8,
        "rows": 4,
        "rows_left_out": 0,
        "rows_without_loss": 0,
        "task_rows": {"letters": 2, "sums": 2},
        "task_rows_left_out": {},
        "by_likelihood_of_choices": 2,
        "generation": {"sums": {"max_new_tokens": 32, "stop": ["a"]}},
        "max_length": 16,
    }
    assert rung_protocol(found, train, EvaluationSpec())["generation"] == {}


# Several workers.


def score_mixture():
    found = base(*[choice(n) for n in range(7)], *[written(n) for n in range(5)], model=lively())
    # Rows of no task, with metrics of their own.
    sums = [replace(written(n, metrics=("exact", "perplexity")), task="") for n in range(5)]
    spec = EvaluationSpec(generates=True, max_new_tokens=4)
    own = ask(base(*sums, model=lively()), spec)
    return ask(found, spec) | {f"own {name}": value for name, value in own.items()}


def test_a_mixture_has_the_same_metrics_on_any_number_of_workers():
    (alone,) = scenarios.run(score_mixture, 1)
    assert {"letters/accuracy", "sums/exact", "own exact", "own perplexity"} <= set(alone)
    assert scenarios.run(score_mixture, 2) == [alone] * 2


def fail_to_measure():
    def without(*args, **kwargs):
        raise MissingError("no library")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WrittenMetrics, "of", without)
        try:
            score_mixture()
        except SweeperError as error:
            return f"{type(error).__name__}: {error}"


def test_what_worker_0_cannot_measure_is_an_error_on_all():
    first, second = scenarios.run(fail_to_measure, 2)
    assert first == "MissingError: no library"
    assert second == "SweeperError: worker 0 could not score the generated answers: " + first


# Before a sweep.


def test_a_metric_whose_library_is_missing_is_found_before_training(monkeypatch):
    data = TasksDataSpec(train=("convai2",))

    def measure(predictions, references):
        raise MissingError("pip install it")

    monkeypatch.setitem(METRICS, "meteor", replace(METRICS["meteor"], measure=measure))
    require_metrics(data, EvaluationSpec(), has_final=False)
    with pytest.raises(MissingError, match="pip install it"):
        require_metrics(data, EvaluationSpec(), has_final=True)
    with pytest.raises(MissingError, match="pip install it"):
        require_metrics(data, EvaluationSpec(generates=True), has_final=False)
    require_metrics(EmbeddedDataSpec(), EvaluationSpec(generates=True), has_final=True)


@pytest.mark.parametrize("name", ["boolq", "gsm8k", "us_terms"])
def test_a_metric_that_looks_for_something_in_a_text_can_be_tried(name):
    require_metrics(TasksDataSpec(train=(name,)), EvaluationSpec(generates=True), has_final=False)


def test_an_encoder_that_is_not_there_is_found_before_training(tmp_path):
    spec = EvaluationSpec(encoder=str(tmp_path))
    with pytest.raises(MissingError, match="bert_score needs an encoder"):
        require_metrics(TasksDataSpec(train=("convai2",)), spec, has_final=True)


@pytest.fixture
def measured(monkeypatch):
    """Metrics of texts that need no library; the names and settings of those of an encoder."""
    settings = []

    def note(predictions, references, **given):
        settings.append(given)
        return Estimate(0.0, None, 1)

    for name in TASKS["convai2"].metrics:
        monkeypatch.setitem(METRICS, name, replace(METRICS[name], measure=note))
    return settings


def test_what_is_left_out_without_an_encoder_is_told_before_training(measured, caplog):
    require_metrics(TasksDataSpec(train=("convai2",)), EvaluationSpec(), has_final=True)
    assert measured == [{}] * 3
    [record] = caplog.records
    assert record.levelname == "WARNING"
    names = "bert_score, bert_score_precision, bert_score_recall, dialogue_mean"
    assert f"these metrics are not computed: {names}; to compute them" in record.getMessage()
    assert "--set evaluation.encoder=FOLDER" in record.getMessage()
    caplog.clear()
    # Of nothing that is generated nothing is left out.
    require_metrics(TasksDataSpec(train=("convai2",)), EvaluationSpec(), has_final=False)
    require_metrics(TasksDataSpec(train=("gsm8k",)), EvaluationSpec(), has_final=True)
    assert caplog.records == []


def test_the_encoder_is_tried_with_the_layer_of_the_spec(measured, monkeypatch, caplog):
    made = []

    def matcher(folder, **settings):
        made.append((folder, settings))
        return made[-1]

    monkeypatch.setattr("sweeper.evaluation.measures.Matcher", matcher)
    spec = EvaluationSpec(encoder="anywhere", encoder_layer=17)
    require_metrics(TasksDataSpec(train=("convai2",)), spec, has_final=True)
    assert made == [("anywhere", {"layer": 17, "device": "cpu"})]
    assert measured.count({"matcher": made[0]}) == 3
    assert caplog.records == []


def test_writing_knows_that_virtual_tokens_take_positions():
    found = tiny.base()
    writing = generation_settings(found, EvaluationSpec(), max_length=16, virtual_tokens=5)
    assert isinstance(writing, GenerationSettings)
    assert (writing.positions, writing.uses_cache) == (59, False)


def test_questions_and_model_alone_are_enough():
    found = base(*[choice(n) for n in range(4)])

    def forward(*, domains, **inputs):
        return found.model(**inputs).logits

    with torch.no_grad():
        metrics = evaluate(
            forward, found.data.questions(max_length=16), pad_id=0, device=CPU, shares_prompts=True
        )
    assert to_metrics(metrics) == ask(found)
