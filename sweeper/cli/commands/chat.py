"""The command that answers what a user types with a trained adapter."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper._environment import hide_progress_bars
from sweeper.cli.options import AsJson, Home, Trial, opened_home
from sweeper.cli.output import INTERRUPTED, Output, opened_output
from sweeper.errors import BadInputError

if TYPE_CHECKING:
    from sweeper.analysis.lookup import FoundTrial
    from sweeper.evaluation.chat import Chat, ChatRequest, Prompt
    from sweeper.evaluation.generation import Generation

__all__ = ["chat"]


def chat(  # noqa: PLR0913 - a parameter for each option
    run_or_trial: Trial,
    once: Annotated[
        str | None,
        typer.Option(
            "--once",
            help="Answer this text and end. Where a prompt has several fields, a JSON object.",
        ),
    ] = None,
    system: Annotated[
        str, typer.Option("--system", help="System message of the conversation (chat data only).")
    ] = "",
    domain: Annotated[
        str,
        typer.Option(
            "--domain",
            help="Domain of the data whose part of the adapter answers (methods that have some).",
        ),
    ] = "",
    has_base: Annotated[
        bool, typer.Option("--base", help="Also answer with the frozen base.")
    ] = False,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-new-tokens",
            min=1,
            help="Most tokens of an answer (default: as the trial's evaluation, else 256).",
        ),
    ] = None,
    temperature: Annotated[
        float,
        typer.Option(
            "--temperature", help="Draw tokens at this temperature; 0 takes the likeliest."
        ),
    ] = 0.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the drawn tokens.")] = 0,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Answer what you type with a trained adapter, in the prompt form that it was trained with.

    Lines are read from standard input until its end or /quit. Chat data goes on with the
    conversation; /reset begins it anew. Ctrl-C ends an answer; a second one ends the program.
    """
    with opened_output(as_json) as out:
        if as_json and once is None:
            raise BadInputError(
                "json: got --json without --once; a document is printed for one answer; add "
                "--once TEXT"
            )
        from sweeper.analysis.lookup import find_trial
        from sweeper.evaluation.chat import ChatRequest, open_chat

        asked = ChatRequest(system, domain, has_base, max_new_tokens, temperature, seed)
        found = find_trial(run_or_trial, home=opened_home(home))
        hide_progress_bars()
        with ExitStack() as held:
            with out.console.status(f"Loading {found.title} …"):
                opened = open_chat(found.spec(), found.adapter(), asked)
                speaking = held.enter_context(opened)
            if once is None:
                _Session(speaking, out, found).run()
            else:
                _answer_once(speaking, out, found, asked, once)


def _answer_once(
    speaking: Chat, out: Output, found: FoundTrial, asked: ChatRequest, text: str
) -> None:
    prompt = speaking.prompt(_row_of(text, speaking.form.fields))
    if not out.as_json:
        _say(*found.notes(), *prompt.notes)
        _speak(speaking, out, prompt, _Said())
        return
    answers: dict[str, Generation] = {}
    for speaker in speaking.speakers:
        *_, answers[speaker] = speaking.answer(prompt, speaker)
    documents = {
        speaker: {"answer": one.text, "answer_tokens": len(one.ids), "end": one.end}
        for speaker, one in answers.items()
    }
    document = {
        "trial": found.trial.id,
        "sweep": found.sweep.name,
        "method": found.record.method,
        "chosen": found.reason,
        "prompt": prompt.text,
        "prompt_tokens": len(prompt.tokens.ids),
        "notes": [*found.notes(), *prompt.notes],
        **documents["trial"],
        "base": documents.get("base"),
        "max_new_tokens": speaking.ending.max_new_tokens,
        "temperature": asked.temperature,
        "seed": asked.seed,
        "device": speaking.device,
    }
    out.show(document, "")


def _row_of(text: str, fields: Mapping[str, str]) -> dict[str, str]:
    """Returns the fields of a prompt that is given at once.

    Raises:
        BadInputError: there are several, and it is no JSON object of them.
    """
    if len(fields) == 1:
        return dict.fromkeys(fields, text)
    names = ", ".join(fields)
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not found.keys() <= fields.keys():
        raise BadInputError(
            f"once: got {text!r}, but a prompt of this trial is made of {names}; it must be a JSON "
            f"object with some of them; give --once '{_as_json(dict.fromkeys(fields, '…'))}'"
        )
    values = {name: found.get(name, "") for name in fields}
    return {name: x if isinstance(x, str) else _as_json(x) for name, x in values.items()}


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


@dataclass
class _Said:
    """What the trial has said to a prompt until now."""

    text: str = ""


class _Session:
    """Questions and answers until the input ends."""

    def __init__(self, speaking: Chat, out: Output, found: FoundTrial) -> None:
        self._chat = speaking
        self._out = out
        title = found.title[:1].upper() + found.title[1:]
        self._opening = (found.reason, f"{title}.", speaking.form.about, *found.notes())
        self._is_typed = sys.stdin.isatty()
        self._was_interrupted = False

    def run(self) -> None:
        """Answers line by line.

        Raises:
            KeyboardInterrupt: two interrupts, without a whole answer or a typed line between them.
            BadInputError: a line has no answer, and nobody is there to type another one.
        """
        _say(*filter(None, self._opening))
        with _ended_by_sigterm():
            while True:
                try:
                    row = self._read()
                    if row is None:
                        return
                    self._answer(row)
                    self._was_interrupted = False
                except KeyboardInterrupt:
                    if self._was_interrupted:
                        raise
                    self._was_interrupted = True
                    _say("Interrupted; Ctrl-C again ends the program.")
                except BadInputError as error:
                    if not self._is_typed:
                        raise
                    _say(f"error: {error}")

    def _answer(self, row: Mapping[str, str]) -> None:
        prompt = self._chat.prompt(row)
        _say(*prompt.notes)
        said = _Said()
        try:
            _speak(self._chat, self._out, prompt, said)
        finally:
            # Also what was said until an interrupt.
            if said.text:
                self._chat.form.keep(row, said.text)

    def _read(self) -> dict[str, str] | None:
        """Returns what was typed, by field; None at the end of the input."""
        fields = self._chat.form.fields
        while True:
            row: dict[str, str] = {}
            for name, how in fields.items():
                label = f"{name} ({how}): " if how else f"{name}: "
                text = self._line("> " if len(fields) == 1 else label)
                if text is None or text.strip() == "/quit":
                    return None
                if text.strip() == "/reset":
                    self._reset()
                    break
                row[name] = text
            # A line without a text is not answered.
            if len(row) == len(fields) and any(text.strip() for text in row.values()):
                return row

    def _reset(self) -> None:
        self._chat.form.reset()
        has_turns = self._chat.form.has_turns
        _say("The conversation begins anew." if has_turns else "There is no conversation to reset.")

    def _line(self, label: str) -> str | None:
        """Returns a line without its end; None at the end of the input."""
        try:
            if self._is_typed and sys.stdout.isatty():
                line = _edited(label) + "\n"
            else:
                typer.echo(label if self._is_typed else "", nl=False, err=True)
                line = sys.stdin.readline()
        except EOFError:
            _say("")
            return None
        except KeyboardInterrupt:
            _say("")
            raise
        except UnicodeDecodeError as error:
            raise BadInputError(
                f"standard input: it cannot be read as text ({error}); it must be UTF-8; convert it"
            ) from error
        # Whoever types goes on; lines of a file would come by themselves.
        self._was_interrupted &= not self._is_typed
        return line.rstrip("\r\n") if line else None


def _edited(label: str) -> str:
    """Returns a line of the terminal, which can be edited where Python can do that."""
    with suppress(ImportError):
        import readline  # noqa: F401 - it changes how `input` reads
    return input(label)


def _speak(speaking: Chat, out: Output, prompt: Prompt, said: _Said) -> None:
    """Prints the answers to a prompt as they are written."""
    for speaker in speaking.speakers:
        out.write(f"{speaker}: " if len(speaking.speakers) > 1 else "")
        shown = ""
        try:
            with closing(speaking.answer(prompt, speaker)) as answer:
                for one in answer:
                    text = one.text if speaking.form.keeps_spaces else one.text.lstrip()
                    if speaker == "trial":
                        said.text = text
                    out.write(text[len(shown) :])
                    shown = text
        finally:
            out.write("\n")
        if not shown.strip():
            _say("The answer has no text.")


def _say(*sentences: str) -> None:
    """Prints what is no answer to standard error."""
    for sentence in sentences:
        typer.echo(sentence, err=True)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Ends the program at the first SIGTERM, which elsewhere is as good as a Ctrl-C."""

    def end(*_: object) -> None:
        raise SystemExit(INTERRUPTED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
