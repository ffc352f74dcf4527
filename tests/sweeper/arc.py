"""Questions in the layout of ARC on the Hub, for our loader and for lm-evaluation-harness."""

import json
from pathlib import Path

# Question, options, position of the right one. Options of several lengths, one the beginning of
# another, one with a letter of two bytes, and questions with three to five of them.
QUESTIONS = [
    ("What do plants need to grow?", ("light", "light and water", "stones", "noise"), 1),
    ("Which animal can fly?", ("a dog", "a bird", "a fish", "a horse"), 1),
    ("What is ice made of?", ("salt", "sand", "water"), 2),
    ("Where do most fish live?", ("in water", "in the sky", "under the bed", "in a book"), 0),
    ("What do we drink in a café?", ("a table", "a café au lait", "coffee", "a chair"), 2),
    ("Which of these is hot?", ("snow", "the sun", "ice", "a cold day", "rain"), 1),
    ("What do birds build?", ("nests", "nests of wood and grass", "cars", "ships"), 0),
    ("How many legs has a spider?", ("2", "4", "6", "8"), 3),
    ("What falls from clouds?", ("rain", "milk", "gold", "old shoes"), 0),
    ("What does a cow eat?", ("meat", "grass", "iron", "plastic bags"), 1),
    ("When is it dark?", ("at noon", "at night", "in the morning"), 1),
    ("What is the colour of grass?", ("blue", "green", "red", "black and white"), 1),
    ("What do we hear with?", ("our eyes", "our hands", "our ears", "our feet"), 2),
    ("What melts in the sun?", ("a stone", "ice", "a tree", "a house"), 1),
    ("Who makes honey?", ("bees", "cats", "men who make honey", "trees"), 0),
    ("What pulls an apple to the ground?", ("wind", "gravity", "the tree", "light"), 1),
]


def rows(start: int = 0, stop: int | None = None) -> list[dict[str, object]]:
    """Rows of the Hub; every third one labels its options with numbers, as a few of ARC do."""
    found: list[dict[str, object]] = []
    for number, (question, options, right) in enumerate(QUESTIONS[start:stop], start):
        labels = ("ABCDE" if number % 3 else "12345")[: len(options)]
        choices = {"text": list(options), "label": list(labels)}
        found.append(
            {
                "id": f"row {number}",
                "question": question,
                "choices": choices,
                "answerKey": labels[right],
            }
        )
    return found


def write_rows(path: Path, found) -> Path:
    """Writes rows, one a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return path


def write_task(folder: Path, name: str, file: Path, **changes) -> None:
    """Writes a task of the harness: its own ``arc_easy``, of a local file."""
    task = {
        "task": name,
        "dataset_path": "json",
        # The cache of datasets is chosen at import, and a test must leave the user's alone.
        "dataset_kwargs": {
            "data_files": {"test": str(file)},
            "cache_dir": str(folder / "cache" / name),
        },
        "output_type": "multiple_choice",
        "test_split": "test",
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_target": "{{choices.label.index(answerKey)}}",
        "doc_to_choice": "{{choices.text}}",
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True}
            for metric in ("acc", "acc_norm")
        ],
    } | changes
    folder.mkdir(parents=True, exist_ok=True)
    # JSON is YAML, too.
    (folder / f"{name}.yaml").write_text(json.dumps(task), encoding="utf-8")
