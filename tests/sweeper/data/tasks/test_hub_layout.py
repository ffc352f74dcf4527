"""Rows in the Hub's layout, written by the test, become the examples that one would write."""

import pytest

from sweeper.data import Example
from sweeper.data.tasks import TASKS
from sweeper.data.tasks.bbh import BBH_TASKS
from sweeper.errors import DataError, MissingError
from sweeper.evaluation.metrics import METRICS


def load(name, split, root):
    loaded = TASKS[name].load(split, root)
    assert loaded.refused == ()
    return loaded.examples


def test_lawyer_instruct(hub):
    rows = [
        {"instruction": "May a tenant sublet?", "input": "", "output": "Only with consent."},
        {"instruction": "Sum this up.", "input": "A long brief.", "output": "Brief."},
    ]
    root = hub("Alignment-Lab-AI/Lawyer-Instruct", "train", rows)
    first, second = load("lawyer_instruct", "train", root)
    assert first == Example(
        prompt="May a tenant sublet?\n\nAnswer:",
        answer=" Only with consent.",
        domain="lawyer_instruct",
        task="lawyer_instruct",
        metrics=("rouge_l",),
    )
    assert second.prompt == "Sum this up.\nA long brief.\n\nAnswer:"


@pytest.mark.parametrize("masked", [["A <mask> binds both."], "A [MASK] binds both."])
def test_us_terms_trains_on_the_only_split_that_there_is(hub, masked):
    row = {
        "masked_sentences": masked,
        "obj_label": "contract",
        "legal_topic": "contract law",
    }
    root = hub("lexlms/legal_lama", "test", [row], subset="us_terms")
    [example] = load("us_terms", "train", root)
    assert example == Example(
        prompt="Which legal term belongs in the place of [MASK]?\nA [MASK] binds both.\nAnswer:",
        answer=" contract",
        domain="contract law",
        task="us_terms",
        metrics=("exact",),
        references=("contract",),
    )
    with pytest.raises(DataError, match="us_terms has no test split; it has train"):
        TASKS["us_terms"].load("test", root)


def test_metamath_keeps_the_wordings_of_a_question_together(hub):
    rows = [
        {
            "query": query,
            "response": "6 and 7 make 1,342.\n#### 1342\nThe answer is: 1,342",
            "type": "GSM_Rephrased",
            "original_question": "What is it?",
        }
        for query in ("What is it?", "Tell what it is.")
    ]
    root = hub("meta-math/MetaMathQA", "train", rows)
    first, second = load("metamath", "train", root)
    assert first == Example(
        prompt="Question: What is it?\nAnswer:",
        answer=" 6 and 7 make 1,342.\n#### 1342\nThe answer is: 1,342",
        domain="GSM_Rephrased",
        task="metamath",
        metrics=("final_answer",),
        references=("1,342",),
        unit="What is it?",
    )
    assert second.unit == first.unit


def test_answers_of_metamath_that_are_no_numbers_are_scored_with_those_that_are(hub):
    finals = ["\\frac{1}{2}", "(-1, 3)", "1,342", "Eve"]
    rows = [
        {"query": f"Question {n}?", "response": f"I think.\nThe answer is: {final}"}
        for n, final in enumerate(finals)
    ]
    examples = load("metamath", "train", hub("meta-math/MetaMathQA", "train", rows))
    assert {example.metrics for example in examples} == {("final_answer",)}
    references = [example.references[0] for example in examples]
    right = [example.answer for example in examples]
    wrong = ["The answer is: 2", *right[1:]]
    for texts, share in ((right, 1.0), (wrong, 0.75)):
        found = METRICS["final_answer"].measure(texts, references)
        assert (found.value, found.count) == (share, 4)


def test_a_response_of_metamath_without_an_answer(hub):
    rows = [{"query": f"{n}?", "response": "The answer is: 1"} for n in range(20)]
    rows += [{"query": "a", "response": "b"}, {"query": "a", "response": "The answer is: "}]
    root = hub("meta-math/MetaMathQA", "train", rows)
    loaded = TASKS["metamath"].load("train", root)
    assert len(loaded.examples) == 20
    assert len(loaded.refused) == 2
    assert "row 20: the response 'b' has no answer after 'The answer is:'" in loaded.refused[0]


def test_codefeedback(hub):
    row = {"query": "Sort a list.", "answer": "Use sorted().", "resource": "x", "lang": "python"}
    root = hub("m-a-p/CodeFeedback-Filtered-Instruction", "train", [row])
    [example] = load("codefeedback", "train", root)
    assert (example.prompt, example.answer) == ("Sort a list.\n\nAnswer:", " Use sorted().")
    assert example.domain == "python"


def test_openorca_and_its_mixtures(hub):
    rows = [
        {
            "id": "niv.242684",
            "system_prompt": "",
            "question": "Two and two?",
            "response": "Four.",
        },
        {
            "id": "cot.1",
            "system_prompt": "You are kind.",
            "question": "Two and two?",
            "response": "Four.",
        },
    ]
    root = hub("Open-Orca/OpenOrca", "train", rows)
    first, second = load("openorca", "train", root)
    assert (first.prompt, first.answer, first.domain) == (
        "Two and two?\n\nAnswer:",
        " Four.",
        "niv",
    )
    assert (second.prompt, second.domain) == (
        "You are kind.\n\nTwo and two?\n\nAnswer:",
        "cot",
    )


COMMONSENSE = {
    "boolq": (
        ("google/boolq", "validation", ""),
        {"question": "is ice cold", "answer": True, "passage": "Ice is water."},
        "Please answer the following question with true or false, question: is ice cold?\n\n"
        "Answer format: true/false\n\n",
        "the correct answer is true",
    ),
    "piqa": (
        ("baber/piqa", "validation", ""),
        {"goal": "melt ice", "sol1": "warm it", "sol2": "cool it", "label": 0},
        "Please choose the correct solution to the question: melt ice\n\nSolution1: warm it\n\n"
        "Solution2: cool it\n\nAnswer format: solution1/solution2\n\n",
        "the correct answer is solution1",
    ),
    "siqa": (
        ("lighteval/siqa", "validation", ""),
        {
            "context": "Kim fell.",
            "question": "How is Kim?",
            "answerA": "glad",
            "answerB": "hurt",
            "answerC": "asleep",
            "label": "2",
        },
        "Please choose the correct answer to the question: Kim fell. How is Kim?\n\nAnswer1: glad "
        "Answer2: hurt Answer3: asleep\n\nAnswer format: answer1/answer2/answer3\n\n",
        "the correct answer is answer2",
    ),
    "hellaswag": (
        ("Rowan/hellaswag", "validation", ""),
        {
            "activity_label": "Ice",
            "ctx": "A man skates. he",
            "endings": ["falls.", "sings.", "sleeps.", "flies."],
            "label": "3",
        },
        "Please choose the correct ending to complete the given sentence: Ice: A man skates. he\n\n"
        "Ending1: falls. Ending2: sings. Ending3: sleeps. Ending4: flies.\n\n"
        "Answer format: ending1/ending2/ending3/ending4\n\n",
        "the correct answer is ending4",
    ),
    "winogrande": (
        ("allenai/winogrande", "validation", "winogrande_xl"),
        {"sentence": "Ann beat Bea as _ ran.", "option1": "Ann", "option2": "Bea", "answer": "1"},
        "Please choose the correct answer to fill in the blank to complete the given sentence: Ann "
        "beat Bea as _ ran.\n\nOption1: Ann Option2: Bea Answer format: option1/option2\n\n",
        "the correct answer is option1",
    ),
    "arc_easy": (
        ("allenai/ai2_arc", "test", "ARC-Easy"),
        {
            "question": "What is ice?",
            "choices": {"text": ["sand", "water", "air"], "label": ["1", "2", "3"]},
            "answerKey": "2",
        },
        "Please choose the correct answer to the question: What is ice?\n\nAnswer1: sand Answer2: "
        "water Answer3: air\n\nAnswer format: answer1/answer2/answer3\n\n",
        "the correct answer is answer2",
    ),
    "arc_challenge": (
        ("allenai/ai2_arc", "test", "ARC-Challenge"),
        {
            "question": "What is ice?",
            "choices": {"text": ["sand", "water"], "label": ["A", "B"]},
            "answerKey": "B",
        },
        "Please choose the correct answer to the question: What is ice?\n\nAnswer1: sand Answer2: "
        "water\n\nAnswer format: answer1/answer2\n\n",
        "the correct answer is answer2",
    ),
    "openbookqa": (
        ("allenai/openbookqa", "test", "main"),
        {
            "question_stem": "Ice is",
            "choices": {"text": ["sand", "water"], "label": ["A", "B"]},
            "answerKey": "B",
        },
        "Please choose the correct answer to the question: Ice is\n\nAnswer1: sand Answer2: water"
        "\n\nAnswer format: answer1/answer2\n\n",
        "the correct answer is answer2",
    ),
}


@pytest.mark.parametrize("name", COMMONSENSE)
def test_commonsense(hub, name):
    (source, split, subset), row, prompt, answer = COMMONSENSE[name]
    root = hub(source, split, [row], subset=subset)
    [example] = load(name, "test", root)
    assert example.prompt == (
        "Below is an instruction that describes a task. Write a response that appropriately "
        f"completes the request.\n\n### Instruction:\n{prompt}### Response:\n"
    )
    assert (example.answer, example.metrics) == (answer, ("option",))
    assert answer in example.choices
    assert example.domain == name


@pytest.mark.parametrize("name", ["hellaswag", "hellaswag_cloze"])
def test_the_rows_of_a_clip_of_hellaswag_belong_together(hub, name):
    endings = ["falls.", "sings.", "sleeps.", "flies."]
    asked = {"activity_label": "Ice", "ctx": "A man skates. he", "endings": endings, "label": "3"}
    rows = [{**asked, "source_id": f"activitynet~v_{clip}"} for clip in "aab"]
    root = hub("Rowan/hellaswag", "train", rows)
    assert [e.unit[-3:] for e in load(name, "train", root)] == ["v_a", "v_a", "v_b"]


def test_commonsense_from_the_hub_is_what_llm_adapters_has(hub, shared):
    """Its own rows and those that we make of the raw ones are the same, each character."""
    from sweeper.data.reading.files import read_rows

    for name, folder, source, subset in (
        ("piqa", "piqa", "baber/piqa", ""),
        ("siqa", "social_i_qa", "lighteval/siqa", ""),
        ("winogrande", "winogrande", "allenai/winogrande", "winogrande_xl"),
    ):
        path = shared / "commonsense" / folder / "train_docs.jsonl"
        rows = [row for _, row in read_rows(path)]
        assert len(rows) == 500
        root = hub(source, "train", rows, subset=subset)
        assert load(name, "train", root) == TASKS[name].load("train", shared).examples[:500]


def test_mmlu(hub):
    row = {
        "question": "What is ice?",
        "subject": "college_physics",
        "choices": ["sand", "water", "air", "fire"],
        "answer": 1,
    }
    law = {**row, "subject": "jurisprudence"}
    root = hub("cais/mmlu", "test", [row, law], subset="all")
    first, second = load("mmlu", "test", root)
    assert first.prompt == (
        "The following are multiple choice questions (with answers) about college physics.\n\n"
        "What is ice?\nA. sand\nB. water\nC. air\nD. fire\nAnswer:"
    )
    assert (first.answer, first.domain, first.group) == (" B", "college_physics", "stem")
    assert (second.domain, second.group) == ("jurisprudence", "humanities")
    assert [e.domain for e in load("mmlu_law", "test", root)] == ["jurisprudence"]


def test_the_subsets_of_bbh(hub):
    for name in BBH_TASKS:
        row = {"input": f"Do {name}.", "target": "yes"}
        root = hub("SaylorTwift/bbh", "test", [row], subset=name)
    examples = load("bbh_free", "test", root)
    assert [e.domain for e in examples] == list(BBH_TASKS)
    assert examples[0].prompt == "Q: Do boolean_expressions.\nA:"
    assert examples[0].references == ("yes",)


def test_gsm8k_dolly_and_humaneval(hub):
    row = {"question": "6 times 200?", "answer": "It is 1,200.\n#### 1,200"}
    root = hub("openai/gsm8k", "test", [row], subset="main")
    [example] = load("gsm8k", "test", root)
    assert example.references == ("1200",)
    row = {"instruction": "Sing.", "context": "", "response": "La.", "category": "open_qa"}
    root = hub("databricks/databricks-dolly-15k", "train", [row])
    [example] = load("dolly", "train", root)
    assert (example.prompt, example.domain) == ("Sing.\n\nAnswer:", "open_qa")
    row = {
        "prompt": "def f():\n",
        "canonical_solution": "    return 1\n",
        "test": "def check(c):\n    assert c() == 1\n",
        "entry_point": "f",
    }
    root = hub("openai/openai_humaneval", "test", [row])
    [example] = load("humaneval", "test", root)
    assert (example.prompt, example.references) == ("def f():\n", (row["test"], "f"))


def test_fineval_in_chinese(hub):
    row = {
        "instruction": "以下是中国关于会计考试的单项选择题。",
        "input": "资产是 A. 甲 B. 乙 C. 丙 D. 丁",
        "output": "C. 丙",
    }
    root = hub("FinGPT/fingpt-fineval", "train", [row])
    [example] = load("fineval", "train", root)
    assert example.prompt == (
        "以下是中国关于会计考试的单项选择题。\n\n资产是\nA. 甲\nB. 乙\nC. 丙\nD. 丁\nAnswer:"
    )
    assert (example.answer, example.domain) == (" C", "fineval")


def test_a_question_whose_options_cannot_be_told_apart(hub):
    row = {"instruction": "Choose.", "input": "1) one 2) two", "output": "B"}
    root = hub("FinGPT/fingpt-fineval", "train", [row])
    [example] = load("fineval", "train", root)
    assert example.prompt == "Choose.\n\n1) one 2) two\nAnswer:"
    assert example.choices == (" A", " B", " C", " D")


def test_convai2_from_the_hub(hub):
    row = {
        "personality": ["i ski .", "i cook ."],
        "utterances": [
            {"candidates": ["no", "i ski a lot"], "history": ["hello"]},
            {"candidates": ["no", "soup"], "history": ["hello", "i ski a lot", "what do you eat"]},
        ],
    }
    root = hub("AlekseyKorshuk/persona-chat", "validation", [row])
    first, second = load("convai2", "test", root)
    assert first.prompt == "Your persona:\ni ski .\ni cook .\n\nDialogue:\nPartner: hello\nYou:"
    assert second.prompt == (first.prompt + " i ski a lot\nPartner: what do you eat\nYou:")
    assert (second.answer, second.references) == (" soup", ("soup",))
    assert second.unit == first.unit


def test_a_card_names_the_files_of_a_subset(hub):
    rows = [{"masked_sentences": ["A [MASK]."], "obj_label": "tort", "legal_topic": "torts"}]
    root = hub("lexlms/legal_lama", "terms", rows)
    card = (
        "---\nconfigs:\n- config_name: us_terms\n  data_files:\n  - split: test\n"
        "    path: terms.jsonl\n---\n"
    )
    (root / "lexlms/legal_lama/README.md").write_text(card)
    [example] = load("us_terms", "train", root)
    assert example.answer == " tort"


def test_missing_data_names_places_and_command(tmp_path, monkeypatch):
    with pytest.raises(
        MissingError,
        match=r"no data for the task metamath .*metamath/train\.jsonl or a folder "
        r"meta-math/MetaMathQA .*hf download --repo-type dataset .*meta-math/MetaMathQA "
        r"--local-dir .*MetaMathQA",
    ):
        TASKS["metamath"].require_available("train", tmp_path)
    with pytest.raises(MissingError, match=r"gsm8k_choice .*get them from .*zyy-2001/CoLA"):
        TASKS["gsm8k_choice"].require_available("train", tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingError, match=r"HF_HUB_OFFLINE forbids .*or export SWEEPER_DATA"):
        TASKS["metamath"].require_available("train")
    with pytest.raises(MissingError, match=r"bbh is not on the Hub and no data root is set"):
        TASKS["bbh"].require_available("test")
    monkeypatch.setenv("SWEEPER_DATA", str(tmp_path))
    with pytest.raises(MissingError, match=r"no data for the task bbh in the data root"):
        TASKS["bbh"].require_available("test")


@pytest.mark.parametrize(
    ("name", "split", "expected"),
    [
        (
            "arc_easy",
            "test",
            {
                "path": "allenai/ai2_arc",
                "revision": "210d026faf9955653af8916fad021475a3f00453",
                "name": "ARC-Easy",
                "split": "test",
            },
        ),
        (
            "piqa",
            "test",
            {
                "path": "baber/piqa",
                "revision": "142f6d7367fd9877f0fb3b5734ea6a545f54cdd1",
                "name": None,
                "split": "validation",
            },
        ),
        (
            "us_terms",
            "train",
            {
                "path": "lexlms/legal_lama",
                "revision": "refs/convert/parquet",
                "data_dir": "us_terms",
                "split": "test",
            },
        ),
    ],
)
def test_what_the_hub_is_asked_for(monkeypatch, tmp_path, name, split, expected):
    """Without a data root; the Hub itself is not asked in a test."""
    import datasets

    asked = []

    def load_dataset(**settings):
        asked.append(settings)
        return datasets.Dataset.from_list([])

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert TASKS[name].load(split).examples == ()
    assert asked == [expected]


def test_a_data_set_that_cannot_be_loaded(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")

    def load_dataset(**settings):
        raise ValueError("no such split")

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    with pytest.raises(
        MissingError, match=r"baber/piqa .*cannot be loaded: no such split; run: hf download"
    ):
        TASKS["piqa"].load("test")
