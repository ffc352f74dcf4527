"""At most so many examples of a task, drawn by a seed, the same from files as from the Hub."""

import json

from sweeper.data.tasks import TASKS
from sweeper.data.tasks.bbh import BBH_TASKS


def test_rows_are_drawn_by_seed(hub):
    rows = [{"query": f"{n} and 1?", "answer": str(n + 1), "lang": "python"} for n in range(40)]
    root = hub("m-a-p/CodeFeedback-Filtered-Instruction", "train", rows)
    task = TASKS["codefeedback"]
    first, again, other = (
        [e.prompt for e in task.load("train", root, rows=10, seed=seed).examples]
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other
    assert len(set(first)) == 10
    whole = [e.prompt for e in task.load("train", root).examples]
    assert first == [prompt for prompt in whole if prompt in first]


def bbh_rows(name, count):
    return [{"input": f"{name} {n}.", "target": "yes"} for n in range(count)]


def test_a_limit_is_of_the_task_not_of_each_subset_and_the_same_for_files(hub):
    files = hub("SaylorTwift/bbh", "test", [], subset="x").parent / "files"
    (files / "bbh").mkdir(parents=True)
    for count, name in enumerate(BBH_TASKS, start=1):
        rows = bbh_rows(name, count)
        root = hub("SaylorTwift/bbh", "test", rows, subset=name)
        (files / "bbh" / f"{name}.json").write_text(json.dumps({"examples": rows}))
    task = TASKS["bbh_free"]
    drawn, again, other = (
        task.load("test", root, rows=40, seed=seed).examples for seed in (0, 0, 1)
    )
    assert len(drawn) == len(other) == 40
    assert drawn == again != other
    assert drawn == task.load("test", files, rows=40, seed=0).examples
    whole = task.load("test", root).examples
    assert len(whole) == 27 * 28 / 2
    assert drawn == tuple(example for example in whole if example in drawn)


def test_bad_rows_that_are_drawn_are_replaced(hub):
    rows = [{"query": f"{n}?", "answer": "1"} for n in range(100)]
    for n in range(0, 100, 20):
        rows[n] = {"query": f"{n}?"}
    root = hub("m-a-p/CodeFeedback-Filtered-Instruction", "train", rows)
    for most in (80, 94, 95, 99):
        loaded = TASKS["codefeedback"].load("train", root, rows=most)
        prompts = [example.prompt for example in loaded.examples]
        assert len(set(prompts)) == len(prompts) == min(most, 95)
        assert prompts == sorted(prompts, key=lambda prompt: int(prompt.partition("?")[0]))
        assert loaded.refused


def persona_chat(dialogues, turns):
    return [
        {
            "personality": [f"i am {n} ."],
            "utterances": [
                {"candidates": [f"reply {n} {k}"], "history": [f"hello {n} {k}"]}
                for k in range(turns)
            ],
        }
        for n in range(dialogues)
    ]


def test_a_limit_is_of_replies_not_of_dialogues(hub):
    root = hub("AlekseyKorshuk/persona-chat", "validation", persona_chat(10, 6))
    files = root.parent / "files"
    (files / "convai2").mkdir(parents=True)
    lines = [
        line
        for n in range(10)
        for line in (
            f"1 your persona: i am {n} .",
            *(f"{k + 2} hello {n} {k}\treply {n} {k}" for k in range(6)),
        )
    ]
    for name in ("train", "valid"):
        path = files / "convai2" / f"{name}_self_original_no_cands.txt"
        path.write_text("\n".join(lines) + "\n")
    task = TASKS["convai2"]
    drawn = task.load("test", root, rows=20, seed=3).examples
    assert len(drawn) == 20
    assert len({example.unit for example in drawn}) > 5
    from_files = task.load("test", files, rows=20, seed=3).examples
    assert [e.answer for e in from_files] == [e.answer for e in drawn]
