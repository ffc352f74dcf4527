"""Mixtures of tasks: shares, limits, splits that share nothing, and every way to get them wrong."""

import json
import logging
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from sweeper.data import DataSpec, TasksDataSpec
from sweeper.data.splitting import key_of, share_counts
from sweeper.data.tasks import MIXTURES, TASKS, expand, find_task
from sweeper.errors import DataError, MissingError


def spec(**fields):
    return TasksDataSpec.model_validate(fields)


def write(root, path, rows):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def numbers(start, stop):
    return [
        {"question": f"{n} + 1?", "answer": f"It is {n + 1}.\n#### {n + 1}"}
        for n in range(start, stop)
    ]


@pytest.fixture
def root(tmp_path):
    """100 rows of gsm8k, 40 of codefeedback, 60 of lawyer_instruct; tests of gsm8k."""
    write(tmp_path, "gsm8k/train.jsonl", numbers(0, 100))
    write(tmp_path, "gsm8k/test.jsonl", numbers(200, 220))
    write(
        tmp_path,
        "codefeedback/train.jsonl",
        [{"query": f"code {n}", "answer": "x"} for n in range(40)],
    )
    write(
        tmp_path,
        "lawyer_instruct/train.jsonl",
        [{"instruction": f"law {n}", "input": "", "output": "y"} for n in range(60)],
    )
    return tmp_path


def shares(examples):
    return Counter(example.task for example in examples)


def test_a_list_takes_all_rows(root):
    data = spec(root=str(root), train=["gsm8k", "codefeedback"], evaluate=["gsm8k"])
    data.require_available()
    splits = data.load()
    assert shares(splits.train) == {"gsm8k": 90, "codefeedback": 36}
    assert shares(splits.validation) == {"gsm8k": 10, "codefeedback": 4}
    assert shares(splits.test) == {"gsm8k": 20}
    assert splits.domains() == ("codefeedback", "gsm8k")
    assert [example.prompt for example in splits.test[:1]] == ["Question: 200 + 1?\nAnswer:"]


def test_shares(root):
    train = {"gsm8k": 3, "codefeedback": 1, "lawyer_instruct": 1}
    splits = spec(root=str(root), train=train, evaluate=["gsm8k"]).load()
    # 90 rows of gsm8k are three fifths of 150; the 36 and 54 of the others hold a fifth each.
    assert shares(splits.train) == {"gsm8k": 90, "codefeedback": 30, "lawyer_instruct": 30}
    limited = spec(
        root=str(root), train=train, evaluate=["gsm8k"], train_rows=50, eval_rows=5
    ).load()
    assert shares(limited.train) == {"gsm8k": 30, "codefeedback": 10, "lawyer_instruct": 10}
    assert shares(limited.validation) == {"gsm8k": 3, "codefeedback": 1, "lawyer_instruct": 1}
    assert len(limited.test) == 5
    assert set(limited.train) < set(splits.train)
    order = dict(reversed(train.items()))
    assert spec(root=str(root), train=order, evaluate=["gsm8k"]).load() == splits


@given(
    st.lists(st.tuples(st.integers(1, 500), st.floats(0.01, 100)), min_size=1, max_size=5),
    st.one_of(st.none(), st.integers(1, 900)),
)
def test_counts_fit_and_have_their_shares(pools, most):
    sizes, weights = zip(*pools, strict=True)
    counts = share_counts(sizes, weights, most)
    assert all(0 <= count <= size for count, size in zip(counts, sizes, strict=True))
    assert most is None or sum(counts) <= most
    for count, weight in zip(counts, weights, strict=True):
        # Each is a whole number next to its share of a total that is at most one more.
        assert abs(count - weight / sum(weights) * sum(counts)) <= 1 + 1e-6


def test_the_seed_decides(root):
    first, again, other = (
        spec(root=str(root), train=["gsm8k"], train_rows=30, seed=seed).load() for seed in (0, 0, 1)
    )
    assert first == again
    assert first.train != other.train
    assert first.validation != other.validation
    assert first.test == other.test


def test_splits_share_no_prompt_and_no_unit(root):
    rows = [
        {
            "query": f"wording {n} of {n // 4}",
            "response": "The answer is: 1",
            "original_question": f"question {n // 4}",
        }
        for n in range(200)
    ]
    # A wording that is a question of the other task, too.
    rows += [
        {"query": row["question"], "response": "The answer is: 1", "original_question": "x"}
        for row in numbers(0, 100)
    ]
    write(root, "metamath/train.jsonl", rows)
    splits = spec(root=str(root), train=["metamath", "gsm8k"], evaluate=["gsm8k"]).load()
    keys = [{key_of(e) for e in part} for part in (splits.train, splits.validation, splits.test)]
    assert not keys[0] & keys[1]
    assert not (keys[0] | keys[1]) & keys[2]
    assert len(splits.validation) >= 20


def test_limits_of_rows_read(root):
    splits = spec(root=str(root), train=["gsm8k", "codefeedback"], evaluate=["gsm8k"], task_rows=20)
    assert shares((*splits.load().train, *splits.load().validation)) == {
        "gsm8k": 20,
        "codefeedback": 20,
    }


def test_where_nothing_is_named_to_test_on_it_is_what_is_trained_on(root):
    data = spec(root=str(root), train=["gsm8k"])
    assert [task.name for task in data.evaluated()] == ["gsm8k"]
    data = spec(root=str(root), train=["gsm8k", "codefeedback"])
    with pytest.raises(DataError, match=r"codefeedback has no test split.*data\.evaluate"):
        data.require_available()


def test_a_mixture_stands_for_its_tasks():
    data = spec(train=["commonsense"])
    assert [task.name for task in data.trained()] == list(MIXTURES["commonsense"])
    assert len(expand("commonsense_cloze")) == 8
    assert expand("gsm8k") == (TASKS["gsm8k"],)


def test_the_commonsense_mixture(shared):
    splits = spec(root=str(shared), train=["commonsense"]).load()
    assert len(splits.train) + len(splits.validation) == 7 * 2000 + 1119
    assert abs(len(splits.validation) - 1512) < 10
    assert splits.domains() == tuple(sorted(MIXTURES["commonsense"]))
    assert shares(splits.test) == {
        "boolq": 3070,
        "piqa": 1838,
        "siqa": 1954,
        "hellaswag": 1000,
        "winogrande": 1267,
        "arc_easy": 2376,
        "arc_challenge": 972,
        "openbookqa": 500,
    }
    halves = spec(root=str(shared), train={"boolq": 0.5, "piqa": 0.5}, train_rows=1000).load()
    assert shares(halves.train) == {"boolq": 500, "piqa": 500}


def clip_rows(*contexts, activity="Ice"):
    """Rows as LLM-Adapters has them; ending 2 is right, "``ends``."."""
    head = "Please choose the correct ending to complete the given sentence:"
    last = "Ending1: no. Ending2: ends.\n\nAnswer format: ending1/ending2"
    return [
        {
            "instruction": f"{head} {activity}: {context}\n\n{last}",
            "input": "",
            "output": "the correct answer is ending2",
            "answer": "ending2",
        }
        for context in contexts
    ]


@pytest.mark.parametrize("name", ["hellaswag", "hellaswag_cloze"])
def test_rows_that_continue_each_other_are_of_one_clip(tmp_path, name):
    rows = [
        *clip_rows("A man skates. he", "A man skates. He ends. a dog", "He ends. A dog ends. it"),
        *clip_rows("A man skates. he", activity="Skis"),
        *clip_rows("[header] How to ski [title] Rest [step] Sit.", activity="Sport"),
        *clip_rows("[header] How to ski [title] Go [step] Stand.", activity="Sport"),
        *clip_rows("A cat sits. it", "A dog sits. he"),
    ]
    write(tmp_path, "commonsense/hellaswag/train.jsonl", rows)
    units = [example.unit for example in TASKS[name].load("train", tmp_path).examples]
    numbers = [units.index(unit) for unit in units]
    assert numbers == [0, 0, 0, 3, 4, 4, 6, 7]


def test_hellaswag_validates_on_other_clips_than_it_trains_on(shared):
    loaded = TASKS["hellaswag"].load("train", shared).examples
    units = Counter(example.unit for example in loaded)
    assert len(loaded) == 2000
    assert (len(units), max(units.values())) == (1172, 11)


@pytest.mark.parametrize(
    ("scoring", "name", "expected"),
    [
        ("own", "arc_easy", "generate"),
        ("choice", "arc_easy", "choice"),
        ("own", "arc_easy_cloze", "choice"),
        ("generate", "arc_easy_cloze", "generate"),
        ("generate", "arc_easy", "generate"),
        ("choice", "gsm8k", "generate"),
    ],
)
def test_scoring(shared, scoring, name, expected):
    splits = spec(root=str(shared), train=[name], scoring=scoring, eval_rows=5).load()
    for part in (splits.train, splits.validation, splits.test):
        assert {example.scoring for example in part} == {expected}
    if scoring == "generate":
        # A task that generates anyway keeps its own metric.
        own = ("option",) if name == "arc_easy" else ("exact",)
        assert {example.metrics for example in splits.test} == {own}


def test_bad_rows_are_left_out_and_told(root, caplog):
    write(root, "gsm8k/test.jsonl", [*numbers(0, 20), {"question": "a", "answer": "b"}])
    data = spec(root=str(root), train=["gsm8k"])
    with caplog.at_level(logging.WARNING):
        assert len(data.load().test) == 20
    assert "left out 1 bad rows" in caplog.text
    assert len(data.loaded()[1]) == 1


def test_the_data_root_is_of_the_spec_or_of_the_environment(root, monkeypatch, tmp_path):
    monkeypatch.setenv("SWEEPER_DATA", str(root))
    data = spec(train=["gsm8k"])
    data.require_available()
    assert data.load() == spec(root=str(root), train=["gsm8k"]).load()
    assert data.fingerprint() == spec(root=str(root), train=["gsm8k"]).fingerprint()
    with pytest.raises(MissingError, match="in the data root /nowhere; it may hold files gsm8k/"):
        spec(root="/nowhere", train=["gsm8k"]).require_available()


def test_the_fingerprint_follows_rows_and_tasks(root):
    def fingerprint(**fields):
        return spec(**{"root": str(root), "train": ["gsm8k"], **fields}).fingerprint()

    before = fingerprint()
    assert fingerprint() == before
    assert fingerprint(train=["codefeedback"], evaluate=["gsm8k"]) != before
    write(root, "gsm8k/test.jsonl", numbers(300, 320))
    assert fingerprint() != before
    after = fingerprint()
    write(root, "codefeedback/train.jsonl", [])
    assert fingerprint() == after


def test_on_the_hub_the_fingerprint_is_of_name_and_revision(monkeypatch, tmp_path):
    cached = tmp_path / "datasets--openai--gsm8k" / "snapshots"
    cached.mkdir(parents=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    data = spec(train=["gsm8k"])
    assert data.fingerprint() == data.fingerprint()
    assert len(data.fingerprint()) == 64


def test_an_empty_split(root):
    write(root, "gsm8k/train.jsonl", numbers(0, 1))
    with pytest.raises(DataError, match="the train split is empty: the tasks gsm8k have too few"):
        spec(root=str(root), train=["gsm8k"]).load()


@pytest.mark.parametrize("train", [["gsm8k"], {"gsm8k": 0.5, "codefeedback": 2}])
def test_a_spec_is_read_again_from_json(train):
    data = spec(train=train, evaluate=["mmlu_law"])
    adapter = TypeAdapter(DataSpec)
    assert adapter.validate_json(data.model_dump_json()) == data
    assert adapter.validate_python(data.model_dump(mode="json")) == data


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train": ["gsm8"]}, r"unknown task 'gsm8'; known: .*; did you mean 'gsm8k'\?"),
        ({"train": ["gsm8k"], "evaluate": ["mmlu_lw"]}, r"did you mean 'mmlu_law'\?"),
        ({"train": ["commonsense", "boolq"]}, "boolq would be used twice"),
        ({"train": {"gsm8k": 0}}, "the share of 'gsm8k' is 0; it must be a number above 0"),
        ({"train": {"gsm8k": "half"}}, "the share of 'gsm8k' is 'half'"),
        ({"train": {"gsm8k": float("inf")}}, "the share of 'gsm8k' is inf"),
        ({"train": []}, "give a list of tasks"),
        ({"train": "gsm8k"}, "give a list of tasks"),
        ({"train": ["gsm8k"], "evaluate": "gsm8k"}, "give a list of tasks"),
        ({"train": [3]}, "unknown task '3'"),
        ({"train": ["gsm8k"], "validation_fraction": 0.6}, "less than 0.5"),
    ],
)
def test_bad_specs(fields, message):
    with pytest.raises(ValidationError, match=message):
        spec(**fields)


def test_an_unknown_task():
    with pytest.raises(DataError, match=r"unknown task 'dollie'.*did you mean 'dolly'"):
        find_task("dollie")
    with pytest.raises(DataError, match=r"unknown task 'comonsense'.*did you mean 'commonsense'"):
        expand("comonsense")
