"""`python -m sweeper chat`: lines in, answers out, and how it ends."""

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from sweeper.analysis.lookup import find_trial
from sweeper.cli import app
from sweeper.cli.commands import chat
from sweeper.cli.output import Output
from sweeper.evaluation.chat import Chat, ChatRequest, open_chat
from tests.sweeper import talking

CHAT_PROMPT = (
    "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n"
    "<|im_start|>user\nand?<|im_end|>\n<|im_start|>assistant\n"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return talking.make_world(tmp_path_factory.mktemp("world")).home


def call(home, *arguments, typed=""):
    words = ["chat", *map(str, arguments), "--home", str(home)]
    return CliRunner().invoke(app, words, input=typed)


def once(home, trial, text, *options):
    """One answer as it is printed."""
    result = call(home, trial, "--once", text, *options)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


def process(home, *arguments):
    """The command in a process of its own, whose standard output --json turns around."""
    command = [sys.executable, "-m", "sweeper", "chat", *map(str, arguments), "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture
def seen(monkeypatch):
    """The prompts that a model got, as text."""
    found = []
    made = Chat.prompt

    def prompt(self, row):
        found.append(made(self, row))
        return found[-1]

    monkeypatch.setattr(Chat, "prompt", prompt)
    return lambda: [one.text for one in found]


def test_a_conversation_goes_on_until_it_is_reset(home, seen):
    result = call(home, "talks", typed="hi\n\nand?\n/reset\nand?\n/quit\nnot read\n")
    assert result.exit_code == 0, result.output
    first, second, third = result.stdout.splitlines()
    assert first.isalpha()
    prompts = seen()
    assert prompts[1] == CHAT_PROMPT.format(answer=first)
    assert prompts[2] == "<|im_start|>user\nand?<|im_end|>\n<|im_start|>assistant\n"
    assert len({first, second, third}) == 3
    # What is no answer is not on standard output.
    assert "Best by validation: trial 0 (lora)" in result.stderr
    assert f"Trial 0 (lora, {talking.CHATS}) of sweep talks." in result.stderr
    assert "The conversation begins anew." in result.stderr


def test_the_system_message_is_said_first(home, seen):
    result = call(home, talking.CHATS, "--system", "Be brief.", typed="hi\nand?")
    assert result.exit_code == 0, result.output
    assert all(x.startswith("<|im_start|>system\nBe brief.<|im_end|>\n") for x in seen())
    assert len(seen()) == 2


def test_the_base_answers_beside_it(home):
    result = call(home, talking.FIELD, "--base", typed="hi\n")
    assert result.exit_code == 0, result.output
    own, frozen = (line.split(": ") for line in result.stdout.splitlines())
    assert (own[0], frozen[0]) == ("trial", "base")
    assert own[1] != frozen[1]
    assert once(home, talking.FIELD, "hi", "--base") == result.stdout
    assert once(home, talking.FIELD, "hi").strip() == own[1]


def test_several_fields_are_asked_one_after_another(home, seen):
    result = call(home, talking.FIELDS, typed="hi\n\nwhy?\nsome words\n\n\nlast\n/reset\nhalf\n")
    assert result.exit_code == 0, result.output
    assert seen() == ["hi\nAnswer:", "why?\nsome words\nAnswer:"]
    assert "There is no conversation to reset." in result.stderr
    text = '{"question": "why?", "context": "some words"}'
    once(home, talking.FIELDS, text)
    once(home, talking.FIELDS, '{"question": "hi"}')
    assert seen()[2:] == seen()[1::-1]


def test_one_answer_is_one_document(home):
    found, asked = find_trial("talks", home=home), ChatRequest(has_base=True)
    shown = []
    out = SimpleNamespace(as_json=True, show=lambda document, view: shown.append(document))
    with open_chat(found.spec(), found.adapter(), asked) as speaking:
        chat._answer_once(speaking, out, found, asked, "hi")  # type: ignore[arg-type]
    (document,) = json.loads(json.dumps(shown))
    assert document["trial"] == talking.CHATS
    assert document["prompt"] == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert document["answer_tokens"] == document["max_new_tokens"] == talking.NEW_TOKENS
    assert (document["end"], document["notes"]) == ("length", [])
    assert document["chosen"].startswith("Best by validation")
    printed = once(home, talking.CHATS, "hi", "--base")
    assert printed == f"trial: {document['answer']}\nbase: {document['base']['answer']}\n"


@pytest.mark.whole
def test_json_is_all_that_is_printed(home):
    done = process(home, "talks", "--once", "hi", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert (document["trial"], document["base"]) == (talking.CHATS, None)


def test_a_document_is_of_one_answer(home):
    done = process(home, "talks", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "json: got --json without --once" in done.stderr


@pytest.mark.whole
def test_tokens_are_drawn_at_a_temperature(home):
    options = [(), *(("--temperature", "3", "--seed", str(seed)) for seed in (1, 2))]
    assert len({once(home, talking.CHATS, "hi", *chosen) for chosen in options}) == 3


def test_what_is_typed_may_be_a_text_or_a_whole_prompt(home, seen):
    assert call(home, talking.TEXT, "--once", " Once").exit_code == 0
    result = call(home, talking.EMBEDDED, typed="Shout!\\nAnswer:\n")
    assert result.exit_code == 0, result.output
    assert seen() == [" Once", "Shout!\nAnswer:"]
    assert "what you type is a whole prompt" in result.stderr


@pytest.mark.whole
def test_a_part_for_each_domain_answers(home):
    answers = [once(home, talking.BY_DOMAIN, "1+", "--domain", x) for x in ("sum", "letter")]
    assert len(set(answers)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["talk"], "did you mean 'talks'"),
        ([talking.UNTRAINED], "is queued and has no adapter"),
        ([talking.FIELDS, "--once", "hi"], "made of question, context; it must be a JSON object"),
        ([talking.FIELDS, "--once", '{"qestion": "hi"}'], "made of question, context"),
        ([talking.CHATS, "--once", " "], "there is no text"),
        ([talking.BY_DOMAIN, "--once", "hi"], "domain: none is given"),
        ([talking.CHATS, "--temperature", "inf"], "temperature: got inf"),
        ([talking.CHATS, "--max-new-tokens", "0"], "greater than or equal"),
        ([talking.TEXT, "--system", "Be brief."], "system: got 'Be brief.'"),
    ],
)
def test_bad_input_ends_in_exit_code_2(home, arguments, message):
    result = call(home, *arguments)
    assert result.exit_code == 2, result.output
    assert re.search(message, " ".join(result.output.split())), result.output
    assert result.stdout == ""


def test_a_reader_that_leaves_ends_the_talk_and_nothing_commands_the_terminal():
    file = io.StringIO()
    Output(as_json=False, stdout=file).write("a\tb\n\x1b[31mc")
    assert file.getvalue() == "a\tb\n\\x1b[31mc"
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream, pytest.raises(typer.Exit) as ended:
        Output(as_json=False, stdout=stream).write("a")
    assert ended.value.exit_code == 0


def test_a_manager_ends_the_program_at_once():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, chat._ended_by_sigterm():
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 130
    assert signal.getsignal(signal.SIGTERM) is before


# A shell starts what is to run in the background with Ctrl-C turned off.
WITH_INTERRUPTS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from sweeper.__main__ import main
main()
"""


class _Terminal:
    """The command at a terminal of its own; its standard output is the terminal, too."""

    def __init__(self, *arguments):
        self.side, other = pty.openpty()
        command = [sys.executable, "-c", WITH_INTERRUPTS, "chat", *map(str, arguments)]
        # Such a terminal is sent no commands, only what is to be read.
        env = {**os.environ, "TERM": "dumb"}
        self.process = subprocess.Popen(
            command, stdin=other, stdout=other, stderr=other, env=env, start_new_session=True
        )
        os.close(other)
        self.text = ""

    def until(self, pattern, *, timeout_s=60):
        """Reads on until what was not yet looked at has a pattern."""
        while not (found := re.search(pattern, self.text)):
            is_there, _, _ = select.select([self.side], [], [], timeout_s)
            assert is_there, self.text
            self.text += os.read(self.side, 4096).decode(errors="replace")
        self.text = self.text[found.end() :]

    def type(self, text):
        os.write(self.side, text.encode())

    def interrupt(self):
        """Sends interrupts until there is something to read.

        Python does not hear one that comes between a prompt and its waiting for what is typed;
        the next one tells it, and both count as one.
        """
        for _ in range(30):
            self.process.send_signal(signal.SIGINT)
            if select.select([self.side], [], [], 2)[0]:
                return
        raise AssertionError("no interrupt was heard")

    def end(self):
        """Sends interrupts until the program has ended; returns its exit code."""
        for _ in range(5):
            self.process.send_signal(signal.SIGINT)
            try:
                # A further one while it ends would end it in another way.
                return self.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                continue
        raise AssertionError("the program goes on")


def test_an_interrupt_ends_an_answer_and_two_the_program(home):
    terminal = _Terminal("talks", "--home", home, "--max-new-tokens", 3900)
    try:
        terminal.until(r"/reset begins it anew\.\r\n")
        terminal.until("> ")
        terminal.type("hi\n")
        # It is there long before it is whole.
        terminal.until(r"hi\r\n[A-Za-z]{3}")
        terminal.process.send_signal(signal.SIGINT)
        terminal.until(r"Interrupted; Ctrl-C again ends the program\.\r\n")
        terminal.until("> ")
        terminal.type("/reset\n")
        terminal.until(r"The conversation begins anew\.\r\n")
        terminal.until("> ")
        terminal.interrupt()
        terminal.until(r"Ctrl-C again ends the program\.\r\n")
        assert terminal.end() == 130
    finally:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.side)
