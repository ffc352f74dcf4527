"""A trial keeps the chat template that it was trained with; its users get that one."""

import io
import json
import re
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from transformers import AutoTokenizer
from typer.testing import CliRunner

from sweeper.analysis.lookup import find_trial
from sweeper.analysis.trial_evaluation import EvaluationRequest, evaluate_trial
from sweeper.cli import app
from sweeper.cli.commands import chat
from sweeper.data import FieldsFormat, MessagesFormat, RowsDataSpec
from sweeper.errors import DamagedFileError
from sweeper.evaluation.adapter import as_trained, hold_base_of, kept_template, note_template
from sweeper.evaluation.chat import ChatRequest, open_chat
from sweeper.export import export_trial
from sweeper.models import load_base
from sweeper.report.terminal import export_view
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.training.trial import train
from tests.sweeper import exported, scenarios, talking
from tests.sweeper.data.tokens.chat_templates import CHATML

OTHER = CHATML.replace("<|im_start|>", "<|im_start|>my ")
PROMPT = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
CHANGED = (
    r"own\.jinja has changed since the trial's training: its hash is \w{12}…; the trial was "
    r"trained with the hash \w{12}…, which is kept in .*chat_template\.jinja and is used here"
)


def chats(template, path="nowhere"):
    return RowsDataSpec(path=str(path), format=MessagesFormat(template=str(template)))


def once(home):
    """The document of one answer."""
    found, shown, asked = find_trial("talks", home=home), [], ChatRequest()
    out = SimpleNamespace(as_json=True, show=lambda document, view: shown.append(document))
    with open_chat(found.spec(), found.adapter(), asked) as speaking:
        chat._answer_once(speaking, out, found, asked, "hi")  # type: ignore[arg-type]
    return shown[0]


def evaluation(home):
    return evaluate_trial(find_trial("talks", home=home), EvaluationRequest()).document()


def rendered(view):
    text = io.StringIO()
    Console(file=text, width=500).print(view)
    return text.getvalue()


def printed(command, home, *options, typed=""):
    words = [command, "talks", *options, "--home", str(home)]
    result = CliRunner().invoke(app, words, input=typed)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def train_one(root):
    """Trains the trial; for a worker process."""
    spec = talking.trial(root, data=chats(root / "own.jinja", root))
    base = load_base(
        spec.model, spec.data, precision="fp32", max_length=32, device=torch.device("cpu")
    )
    sweep = SweepFolder.create(root / "sweeps", "talks", document=exported.DOCUMENT)
    folder = exported.add(sweep, spec, number=0)
    folder.begin()
    train(spec, base, folder=folder.path, progress=exported._Report(folder))
    folder.complete()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trial that was trained on chats whose template is in a file of its own."""
    root = tmp_path_factory.mktemp("world")
    exported.write_model(root / "model", talking.model())
    talking.tokenizer().save_pretrained(root / "model")
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    for split, count in (("train", 8), ("validation", 4), ("test", 4)):
        rows = [
            json.dumps({"messages": [*turns[:-1], turns[-1] | {"content": str(n)}]})
            for n in range(count)
        ]
        (root / f"{split}.jsonl").write_text("\n".join(rows))
    (root / "own.jinja").write_text(CHATML)
    assert scenarios.run(train_one, 1, root) == [None]
    (folder,) = SweepFolder(root / "sweeps" / "talks").trial_folders()
    return folder


@pytest.fixture
def own(trained):
    """The template's file, which a test may change."""
    path = trained.path.parents[3] / "own.jinja"
    yield path
    path.write_text(CHATML)


@pytest.fixture
def home(trained):
    return trained.path.parents[2]


def test_an_unchanged_template_is_used_from_its_file(trained, home, own):
    assert kept_template(trained.adapter).read_text() == own.read_text()
    found = find_trial("talks", home=home)
    assert (found.spec(), found.notes()) == (trained.trial_spec(), ())
    assert once(home)["notes"] == []


def test_chat_asks_in_the_trained_form_and_says_that_the_file_has_changed(home, own):
    before = once(home)
    own.write_text(OTHER)
    after = once(home)
    assert after["prompt"] == before["prompt"] == PROMPT
    assert after["answer"] == before["answer"]
    (note,) = after["notes"]
    assert re.search(CHANGED, note)
    assert note.endswith("to use another one, train a trial with it")
    assert note in printed("chat", home, "--once", "hi")
    assert note in printed("chat", home, typed="hi\n")


def test_a_template_that_has_gone_away_is_the_kept_one_and_a_broken_one_too(home, own):
    own.unlink()
    found = once(home)
    assert found["prompt"] == PROMPT
    assert "own.jinja does not exist" in found["notes"][0]
    own.write_text("  ")
    assert "own.jinja is empty" in once(home)["notes"][0]


def test_an_evaluation_has_the_trained_form(home, own):
    before = evaluation(home)
    own.write_text(OTHER)
    after = evaluation(home)
    assert after["metrics"] == before["metrics"]
    assert before["notes"] == []
    assert re.search(CHANGED, after["notes"][0])
    assert "has changed since the trial's training" in printed("evaluate", home)
    # Otherwise it would be a poor test.
    own.write_text(CHATML)
    spec = find_trial("talks", home=home).spec()
    frozen = [hold_base_of(spec)]
    own.write_text(OTHER)
    frozen.append(hold_base_of(spec))
    ids = [base.data.questions(max_length=64)[0].candidates[0].ids for base in frozen]
    assert ids[0] != ids[1]


@pytest.mark.parametrize("form", ["peft", "merged"])
def test_an_export_has_the_template_and_its_card_says_so(home, own, tmp_path, form):
    own.write_text(OTHER)
    found = export_trial(find_trial("talks", home=home), form, output=tmp_path / "out")
    assert re.search(CHANGED, found.notes[0])
    assert "chat_template.jinja" in found.files
    assert found.notes[0] in " ".join(rendered(export_view(found.document())).split())
    assert (tmp_path / "out" / "chat_template.jinja").read_text() == CHATML
    card = (tmp_path / "out" / "README.md").read_text()
    assert "template: chat_template.jinja" in card
    assert "`chat_template.jinja` in this folder is the chat template that it was trained" in card
    if form == "merged":
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
        asked = [{"role": "user", "content": "hi"}]
        text = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        assert text == PROMPT


def test_what_is_kept_is_replaced_with_the_adapter(tmp_path):
    folder = tmp_path / "adapter"
    note_template(folder, CHATML)
    assert kept_template(folder).read_text() == CHATML
    note_template(folder, "")
    assert kept_template(folder) is None
    data = chats(tmp_path / "gone.jinja")
    assert as_trained(data, folder) == (data, ())


def test_a_kept_template_that_is_damaged_is_told(tmp_path):
    folder = tmp_path / "adapter"
    for damage in (b"", b"\xff\xfe"):
        (tmp_path / "chat_template.jinja").write_bytes(damage)
        with pytest.raises(DamagedFileError, match=r"chat_template\.jinja is damaged"):
            as_trained(chats(tmp_path / "own.jinja"), folder)
    # Rows that are no chats have no template.
    fields = RowsDataSpec(path="nowhere", format=FieldsFormat())
    assert as_trained(fields, folder) == (fields, ())
