"""Every task whose data is in the shared folder: counts, and one row written out by hand."""

from collections import Counter

import pytest

from sweeper.data import TasksDataSpec
from sweeper.data.tasks import TASKS
from sweeper.data.tasks.bbh import BBH_TASKS
from sweeper.data.tasks.mmlu import MMLU_GROUPS

# Alpaca's words, before an instruction of LLM-Adapters and after it.
BEFORE = (
    "Below is an instruction that describes a task. Write a response that appropriately completes "
    "the request.\n\n### Instruction:\n"
)
AFTER = "\n\n### Response:\n"

# Of each task and split: rows; where in the order the known one stands; the end of its prompt; its
# answer.
KNOWN = [
    (
        "dolly",
        "train",
        2489,
        0,
        "Give me a list of the teams that have won the English Premier League\n\nAnswer:",
        " - Manchester United (13 times, most recently 2012-13)\n"
        "- Blackburn Rovers (Once, 1994-95)\n"
        "- Arsenal (Three times, most recently 2003-04)\n"
        "- Chelsea (Five times, most recently 2016-17)\n"
        "- Manchester City (Six times, most recently 2021-22)\n"
        "- Leicester City (Once, 2015-16)\n"
        "- Liverpool (Once, 2019-20)",
    ),
    (
        "dolly",
        "test",
        80,
        0,
        "What are some common mushrooms used in cooking?\n\nAnswer:",
        " Common mushrooms used in cooking include white button, cremini, portobello, shiitake, "
        "oyster, porcini, morel, and enoki.",
    ),
    (
        "gsm8k",
        "train",
        7473,
        0,
        "Question: Natalia sold clips to 48 of her friends in April, and then she sold half as "
        "many clips in May. How many clips did Natalia sell altogether in April and May?\nAnswer:",
        " Natalia sold 48/2 = <<48/2=24>>24 clips in May.\n"
        "Natalia sold 48+24 = <<48+24=72>>72 clips altogether in April and May.\n#### 72",
    ),
    (
        "gsm8k",
        "test",
        1119,
        0,
        "How much in dollars does she make every day at the farmers' market?\nAnswer:",
        " Janet sells 16 - 3 - 4 = <<16-3-4=9>>9 duck eggs a day.\n"
        "She makes 9 * 2 = $<<9*2=18>>18 every day at the farmer\u2019s market.\n#### 18",
    ),
    (
        "gsm8k_choice",
        "train",
        2000,
        0,
        "The following are multiple-choice questions about mathematical reasoning. Please select "
        "the correct answer.\n\nNatalia sold clips to 48 of her friends in April, and then she "
        "sold half as many clips in May. How many clips did Natalia sell altogether in April and "
        "May?\nA. 96\nB. 72\nC. 36.0\nD. 144\nAnswer:",
        " B",
    ),
    (
        "gsm8k_choice",
        "test",
        1119,
        0,
        "every day at the farmers' market?\nA. 10\nB. 12\nC. 16\nD. 18\nAnswer:",
        " D",
    ),
    (
        "fineval",
        "train",
        1056,
        0,
        "the total fair value of the above production equipment of Company A is ____.\n"
        "A. RMB 16.4 million\nB. RMB 16.5 million\nC. RMB 17.3 million\nD. RMB 17.4 million\n"
        "Answer:",
        " C",
    ),
    (
        "fineval",
        "test",
        265,
        0,
        "The salary level strategy adopted by Taiqi Company is ____.\nA. Leading strategy\n"
        "B. Matching strategy\nC. Lagging strategy\nD. Mixed strategy\nAnswer:",
        " A",
    ),
    ("mmlu", "train", 285, None, "", ""),
    ("mmlu", "validation", 1531, None, "", ""),
    (
        "mmlu",
        "test",
        13652,
        0,
        "The following are multiple choice questions (with answers) about abstract algebra.\n\n"
        "Find the degree for the given field extension Q(sqrt(2), sqrt(3), sqrt(18)) over Q.\n"
        "A. 0\nB. 4\nC. 2\nD. 6\nAnswer:",
        " B",
    ),
    (
        "mmlu_law",
        "test",
        1483,
        0,
        "The following are multiple choice questions (with answers) about international law.\n\n"
        "Which State ordinarily exercises jurisdiction in respect of crimes committed on board "
        "vessels?\nA. The coastal State\nB. The flag State\nC. All States enjoy such jurisdiction\n"
        "D. The International Tribunal for the Law of the Sea\nAnswer:",
        " B",
    ),
    # Of 6,359 rows one has an answer that is no letter, and one a single option.
    ("bbh", "test", 6357, 0, "not ( True ) and ( True ) is\nA. True\nB. False\nAnswer:", " B"),
    ("bbh_free", "test", 6361, 0, "Q: not ( True ) and ( True ) is\nA:", " False"),
    (
        "humaneval",
        "test",
        164,
        0,
        '    >>> has_close_elements([1.0, 2.8, 3.0, 4.0, 5.0, 2.0], 0.3)\n    True\n    """\n',
        "    for idx, elem in enumerate(numbers):\n"
        "        for idx2, elem2 in enumerate(numbers):\n"
        "            if idx != idx2:\n"
        "                distance = abs(elem - elem2)\n"
        "                if distance < threshold:\n"
        "                    return True\n\n"
        "    return False\n",
    ),
    (
        "openorca",
        "train",
        284,
        0,
        "While performing the task think step-by-step and justify your steps.\n\n"
        "MM. Georges Colombier, Samad Seyidov (pour un rappel au Règlement), M. Davit Harutyunyan "
        "et M. Serhiy Holovaty.\n\nTranslate to English\n\nAnswer:",
        None,
    ),
    ("boolq", "train", 2000, None, "", ""),
    (
        "boolq",
        "test",
        3070,
        0,
        f"{BEFORE}"
        "Please answer the following question with true or false, question: does ethanol take more "
        f"energy make that produces?\n\nAnswer format: true/false{AFTER}",
        "the correct answer is false",
    ),
    (
        "piqa",
        "train",
        2000,
        0,
        f"{BEFORE}"
        "Please choose the correct solution to the question: When boiling butter, when it's ready, "
        "you can\n\nSolution1: Pour it onto a plate\n\nSolution2: Pour it into a jar\n\n"
        f"Answer format: solution1/solution2{AFTER}",
        "the correct answer is solution2",
    ),
    (
        "piqa_cloze",
        "train",
        2000,
        0,
        "Question: When boiling butter, when it's ready, you can\nAnswer:",
        " Pour it into a jar",
    ),
    ("piqa", "test", 1838, None, "", ""),
    (
        "siqa",
        "test",
        1954,
        0,
        f"{BEFORE}"
        "Please choose the correct answer to the question: Tracy didn't go home that evening and "
        "resisted Riley's attacks. What does Tracy need to do before this?\n\nAnswer1: make a new "
        "plan Answer2: Go home and see Riley Answer3: Find somewhere to go\n\n"
        f"Answer format: answer1/answer2/answer3{AFTER}",
        "the correct answer is answer3",
    ),
    ("siqa", "train", 2000, None, "", ""),
    (
        "siqa_cloze",
        "test",
        1954,
        0,
        "Question: Tracy didn't go home that evening and resisted Riley's attacks. What does Tracy "
        "need to do before this?\nAnswer:",
        " Find somewhere to go",
    ),
    (
        "hellaswag",
        "test",
        1000,
        0,
        f"{BEFORE}"
        "Please choose the correct ending to complete the given sentence: Roof shingle removal: A "
        "man is sitting on a roof. he\n\nEnding1: is using wrap to wrap a pair of skis. Ending2: "
        "is ripping level tiles off. Ending3: is holding a rubik's cube. Ending4: starts pulling "
        f"up roofing on a roof.\n\nAnswer format: ending1/ending2/ending3/ending4{AFTER}",
        "the correct answer is ending4",
    ),
    ("hellaswag", "train", 2000, None, "", ""),
    (
        "hellaswag_cloze",
        "test",
        1000,
        0,
        "Roof shingle removal: A man is sitting on a roof. he",
        " starts pulling up roofing on a roof.",
    ),
    (
        "winogrande",
        "test",
        1267,
        0,
        f"{BEFORE}"
        "Please choose the correct answer to fill in the blank to complete the given sentence: "
        "Sarah was a much better surgeon than Maria so _ always got the easier cases.\n\n"
        f"Option1: Sarah Option2: Maria Answer format: option1/option2{AFTER}",
        "the correct answer is option2",
    ),
    ("winogrande", "train", 2000, None, "", ""),
    (
        "winogrande_cloze",
        "test",
        1267,
        0,
        "Sarah was a much better surgeon than Maria so",
        " Maria always got the easier cases.",
    ),
    (
        "arc_easy",
        "train",
        2000,
        0,
        f"{BEFORE}"
        "Please choose the correct answer to the question: "
        "Which factor will most likely cause a person to develop a fever?\n\nAnswer1: a leg muscle "
        "relaxing after exercise Answer2: a bacterial population in the bloodstream Answer3: "
        "several viral particles on the skin Answer4: carbohydrates being digested in the "
        f"stomach\n\nAnswer format: answer1/answer2/answer3/answer4{AFTER}",
        "the correct answer is answer2",
    ),
    (
        "arc_easy_cloze",
        "test",
        2376,
        0,
        "Question: Which statement best explains why photosynthesis is the foundation of most food "
        "webs?\nAnswer:",
        " Sunlight is the source of energy for nearly all ecosystems.",
    ),
    (
        "arc_challenge",
        "train",
        1119,
        0,
        f"{BEFORE}"
        "Please choose the correct answer to the question: George wants to warm his hands quickly "
        "by rubbing them. Which skin surface will produce the most heat?\n\nAnswer1: dry palms "
        "Answer2: wet palms Answer3: palms covered with oil Answer4: palms covered with lotion\n\n"
        f"Answer format: answer1/answer2/answer3/answer4{AFTER}",
        "the correct answer is answer1",
    ),
    ("arc_challenge_cloze", "test", 972, None, "", ""),
    (
        "openbookqa",
        "train",
        2000,
        0,
        f"{BEFORE}"
        "Please choose the correct answer to the question: The sun is responsible for\n\n"
        "Answer1: puppies learning new tricks Answer2: children growing up and getting old "
        "Answer3: flowers wilting in a vase Answer4: plants sprouting, blooming and wilting\n\n"
        f"Answer format: answer1/answer2/answer3/answer4{AFTER}",
        "the correct answer is answer4",
    ),
    (
        "openbookqa_cloze",
        "train",
        2000,
        0,
        "The sun is responsible for",
        " plants sprouting, blooming and wilting",
    ),
    ("openbookqa", "test", 500, None, "", ""),
    (
        "boolq_cloze",
        "test",
        3070,
        0,
        "Question: does ethanol take more energy make that produces?\nAnswer:",
        " false",
    ),
]


@pytest.mark.parametrize(
    ("name", "split", "rows", "position", "prompt", "answer"),
    KNOWN,
    ids=[f"{name}-{split}" for name, split, *_ in KNOWN],
)
def test_a_known_row(shared, name, split, rows, position, prompt, answer):
    loaded = TASKS[name].load(split, shared)
    assert len(loaded.examples) == rows
    assert all(example.task == name and example.answer.strip() for example in loaded.examples)
    assert all(not e.choices or e.answer in e.choices for e in loaded.examples)
    if position is None:
        return
    example = loaded.examples[position]
    assert example.prompt.endswith(prompt)
    if answer is not None:
        assert example.answer == answer


def test_every_task_with_shared_data_has_a_known_row(shared):
    there = set()
    for name, task in TASKS.items():
        if any(list(shared.glob(files.pattern)) for files in task.files.values()):
            there.add(name)
    assert there - {name for name, *_ in KNOWN} == {"convai2"}
    assert set(TASKS) - there == {"lawyer_instruct", "us_terms", "metamath", "codefeedback"}


def test_mmlu_has_its_subjects_and_groups(shared):
    examples = TASKS["mmlu"].load("test", shared).examples
    assert len({e.domain for e in examples}) == 57
    # Of the whole test split humanities have 4,705, the social sciences 3,077, STEM 3,018 (50 of
    # astronomy are cut) and the others 3,242 (60 of marketing).
    expected = {"humanities": 4425, "social_sciences": 3077, "stem": 2968, "other": 3182}
    assert Counter(e.group for e in examples) == expected
    assert [len(names) for names in MMLU_GROUPS.values()] == [18, 13, 12, 14]
    law = TASKS["mmlu_law"].load("test", shared).examples
    assert Counter(e.domain for e in law) == {
        "international_law": 81,
        "jurisprudence": 68,
        "professional_law": 1334,
    }
    assert {e.group for e in law} == {"humanities"}


def test_bbh_tells_which_rows_it_leaves_out(shared):
    loaded = TASKS["bbh"].load("test", shared)
    assert {e.domain for e in loaded.examples} == set(BBH_TASKS)
    assert {e.domain for e in TASKS["bbh_free"].load("test", shared).examples} == set(BBH_TASKS)
    assert [text.rpartition("/")[2].split(":")[0] for text in loaded.refused] == [
        "movie_recommendation.csv",
        "snarks.csv",
    ]
    assert "the answer is 'o' but the options are A, B, C, D, E" in loaded.refused[0]
    # Three objects to choose from in some, eighteen in others.
    assert {len(e.choices) for e in loaded.examples} >= {2, 3, 5, 18}


def test_how_each_task_is_scored(shared):
    def first(name):
        task = TASKS[name]
        return task.load(task.splits(shared)[-1], shared).examples[0]

    by_choice = {"gsm8k_choice", "mmlu", "mmlu_law", "bbh", "fineval"}
    by_choice |= {name for name in TASKS if name.endswith("_cloze")}
    missing = {"lawyer_instruct", "us_terms", "metamath", "codefeedback"}
    for name in set(TASKS) - missing:
        assert first(name).scoring == ("choice" if name in by_choice else "generate"), name
        assert first(name).metrics == TASKS[name].metrics
    assert first("gsm8k").references == ("18",)
    test, entry_point = first("humaneval").references
    assert entry_point == "has_close_elements"
    assert "def check(candidate):" in test


def test_the_domains_of_dolly_and_fineval(shared):
    kinds = Counter(e.domain for e in TASKS["dolly"].load("test", shared).examples)
    assert set(kinds.values()) == {10}
    assert set(kinds) == {
        *("brainstorming", "classification", "closed_qa", "creative_writing", "general_qa"),
        *("information_extraction", "open_qa", "summarization"),
    }
    trained, tested = (
        {e.domain for e in TASKS["fineval"].load(split, shared).examples}
        for split in ("train", "test")
    )
    assert len(tested) == 32
    # The translation names one exam in two ways.
    assert len(trained & tested) >= 30


def test_convai2_parts_its_only_file_by_persona(shared):
    task = TASKS["convai2"]
    assert set(task.splits(shared)) == {"train", "test"}
    train, test = (task.load(split, shared).examples for split in ("train", "test"))
    # 12,284 lines less the lines of personas are the replies.
    path = shared / "convai2" / "valid_self_original_no_cands.txt"
    replies = [line for line in path.read_text().splitlines() if "\t" in line]
    assert len(train) + len(test) == len(replies) == 7801
    assert 0.15 < len(test) / len(replies) < 0.25
    assert not {e.unit for e in train} & {e.unit for e in test}
    known = next(e for e in (*train, *test) if "i read twenty books a year." in e.prompt)
    assert known.prompt == (
        "Your persona:\ni read twenty books a year.\ni'm a stunt double as my second job.\n"
        "i only eat kosher.\ni was raised in a single parent household.\n\nDialogue:\n"
        "Partner: hello what are doing today ?\nYou:"
    )
    assert known.answer == " i am good , i just got off work and tired , i have two jobs ."
    second = next(e for e in (*train, *test) if e.prompt.endswith("watching a horror movie\nYou:"))
    assert second.prompt == (
        known.prompt + known.answer + "\nPartner: i just got done watching a horror movie\nYou:"
    )


@pytest.mark.parametrize("name", ["winogrande", "winogrande_cloze"])
def test_winogrande_never_parts_twins(shared, name):
    splits = TasksDataSpec(root=str(shared), train=(name,), evaluate=(name,)).load()
    units = [{e.unit for e in part} for part in (splits.train, splits.validation)]
    assert not units[0] & units[1]
    assert "" not in units[0]
    # Most sentences of 2,000 have their twin.
    assert len(units[0]) < len(splits.train) / 2
