"""Methods of one's own in files: methods like any other, by the class that the file has."""

import hashlib
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from sweeper_adapters.methods import (
    LoraSpec,
    Method,
    OwnMethodError,
    _own,
    identity_content,
    is_own,
    kind_of,
    label_of,
    own_kind,
    size_fields_of,
    without_running,
)
from tests.adapters.own_method import CLASS, SOURCE, forget_methods, write_method
from tests.adapters.shapes import TINY

METHODS: TypeAdapter = TypeAdapter(Method)


@pytest.fixture
def named(tmp_path):
    return write_method(tmp_path)


def test_it_is_read_as_the_class_says_and_written_with_its_file(named):
    spec = METHODS.validate_python({"python": named, "rank": 3})
    assert (spec.label, spec.rank, spec.python) == ("narrow", 3, named)
    assert spec.sha256 == hashlib.sha256(SOURCE.encode()).hexdigest()
    assert METHODS.validate_json(METHODS.dump_json(spec)) == spec
    assert METHODS.validate_python(spec) is spec
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert is_own(type(spec))
    assert not is_own(LoraSpec)
    # What says which one it is is no parameter that trials are compared by.
    assert spec.parameters() == {"targets": list(spec.targets), "rank": 3}
    lora = LoraSpec(rank=3)
    assert spec.count(TINY) == lora.count(TINY)
    assert spec.resized(TINY, lora.count(TINY) + 1) == spec
    assert (label_of({"python": named}), size_fields_of({"python": named})) == (
        "narrow",
        ("rank",),
    )
    assert kind_of({"python": named}) is type(spec)
    assert kind_of({"python": "nowhere.py:A"}) is None


def test_another_process_has_the_same_one_by_its_fields(named):
    spec = METHODS.validate_python({"python": named, "rank": 3})
    code = (
        "import sys; from pydantic import TypeAdapter; from sweeper_adapters.methods import Method;"
        "print(TypeAdapter(Method).validate_json(sys.argv[1]).model_dump_json())"
    )
    command = [sys.executable, "-c", code, spec.model_dump_json()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
    assert json.loads(done.stdout) == spec.model_dump(mode="json")


def test_its_identity_has_the_code_and_not_the_folder(tmp_path):
    contents = []
    for folder, change in (("a", ""), ("b", ""), ("c", "  ")):
        (tmp_path / folder).mkdir()
        named = write_method(tmp_path / folder, ("rank: int =", f"rank: int {change}="))
        contents.append(identity_content(METHODS.validate_python({"python": named})))
    assert contents[0] == contents[1]
    assert contents[0]["python"] == "mine.py:NarrowSpec"
    assert contents[2] == contents[0] | {"sha256": contents[2]["sha256"]}
    assert contents[2] != contents[0]
    assert identity_content(LoraSpec()) == LoraSpec().model_dump(mode="json")


def test_a_file_that_has_changed_is_another_method_and_not_the_old_one(tmp_path):
    named = write_method(tmp_path)
    old = METHODS.validate_python({"python": named})
    write_method(tmp_path, ("default=2", "default=5"))
    assert METHODS.validate_python({"python": named}).rank == 5
    # This process still has the class of the old file; another one is told.
    assert METHODS.validate_python({"python": named, "sha256": old.sha256}).rank == 2
    message = r"mine\.py is not the file that the sweep .* its hash is .* and was ffffffffffff…; "
    with pytest.raises(ValidationError, match=message + "all trials .*; bring the file back, or"):
        METHODS.validate_python({"python": named, "sha256": "f" * 64})


def test_the_errors_of_its_fields_are_told_together_with_what_it_knows(named):
    with pytest.raises(ValidationError) as caught:
        METHODS.validate_python({"python": named, "rnk": 3, "rank": 0})
    found = {error["loc"]: error["msg"] for error in caught.value.errors()}
    assert found.keys() == {("rank",), ("rnk",)}
    assert found["rnk",] == (
        "unknown field 'rnk' of NarrowSpec; known: name, rank, targets; did you mean 'rank'?"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("class NarrowSpec", "class OtherSpec"), "defines no 'NarrowSpec'; .* it has OtherSpec; "),
        (("class NarrowSpec(MethodSpec)", "class NarrowSpec"), "is no class made of MethodSpec"),
        (('Literal["narrow"] = "narrow"', 'str = "narrow"'), "its field name must be a literal"),
        (('Literal["narrow"] = "narrow"', 'Literal["lora"] = "lora"'), "the name 'lora', which is"),
        (("def count", "def number"), "is no method: it lacks count; it must"),
        (("    source:", "    origin:"), "it lacks source, a text"),
        (("    source:", '    size_field: ClassVar[str] = "k"\n    source:'), "names k, which is"),
        (("rank: int", "python: int = 3\n    rank: int"), "its fields python are those that"),
        (("from pydantic", "from pydantik"), "ModuleNotFoundError: .*, in line 4: from pydantik"),
        (
            ("        return True", "        return ("),
            "run: SyntaxError: .* in line 21: r",
        ),
        (("class NarrowSpec", "raise SystemExit(3)\nclass NarrowSpec"), "run: SystemExit: 3, in l"),
    ],
)
def test_a_file_without_such_a_method_is_refused(tmp_path, change, message):
    named = write_method(tmp_path, change)
    with pytest.raises(ValueError, match=message) as caught:
        own_kind(named)
    assert str(tmp_path / "mine.py") in str(caught.value)
    assert re.search(r"; (it must|each method|docs)", str(caught.value))
    with pytest.raises(ValidationError):
        METHODS.validate_python({"python": named})


@pytest.mark.parametrize("text", ["mine:NarrowSpec", "mine.py", "mine.py:", "a\0.py:A", ""])
def test_what_names_no_class_of_a_file_is_refused(text):
    with pytest.raises(ValueError, match=r"is named FILE\.py:CLASS; write, for example, my_method"):
        own_kind(text)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"gone\.py cannot be read \(No such file .*; correct the"):
        own_kind(f"{tmp_path / 'gone.py'}:{CLASS}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("return self.rank *", "return self.rnk *"),
            r"in count: AttributeError: .*, in line 25",
        ),
        (
            ("yield from", "yield from 1 / 0 or"),
            r"in problems: ZeroDivisionError: .*, in line 33: yield from",
        ),
    ],
)
def test_a_method_that_fails_is_told_with_its_line(tmp_path, change, message):
    spec = METHODS.validate_python({"python": write_method(tmp_path, change)})
    with pytest.raises(OwnMethodError, match=message):
        spec.problems(TINY)


def test_a_size_that_is_none_is_told(tmp_path):
    spec = METHODS.validate_python(
        {"python": write_method(tmp_path, ("return self.rank *", "return 0.5 *"))}
    )
    [(field, message)] = spec.problems(TINY)
    assert field == "python"
    assert re.search(r"count of NarrowSpec returned \d.*; it must be how many .*; correct", message)


def test_a_validator_that_fails_is_told_with_its_line(tmp_path):
    check = (
        "    @field_validator('rank')\n    @classmethod\n    def _check(cls, rank):\n"
        "        return rank.nothing\n\n    @property\n    def exports_lora"
    )
    named = write_method(tmp_path, ("    @property\n    def exports_lora", check))
    message = r"failed in checking its fields: AttributeError: .*, in line 22: return rank\.nothing"
    with pytest.raises(ValidationError, match=message):
        METHODS.validate_python({"python": named, "rank": 2})


def test_what_lies_beside_it_can_be_imported_when_an_adapter_is_made(tmp_path):
    (tmp_path / "beside_mine.py").write_text("RANK = 7\n")
    named = write_method(tmp_path, ("r=self.rank", "r=__import__('beside_mine').RANK"))
    assert METHODS.validate_python({"python": named}).peft_config().r == 7
    assert Path(str(sys.modules["beside_mine"].__file__)) == tmp_path / "beside_mine.py"


def test_nothing_is_run_where_that_is_not_wanted(tmp_path, monkeypatch):
    mark = tmp_path / "was-run"
    touch = f"open({str(mark)!r}, 'w').close()\n\n\nclass NarrowSpec"
    entry = METHODS.validate_python(
        {"python": write_method(tmp_path, ("class NarrowSpec", touch))}
    ).model_dump(mode="json")
    mark.unlink()
    forget_methods(monkeypatch)
    _own._run.cache_clear()
    # What it is called stands beside its file.
    assert label_of(entry) == "narrow"
    with without_running():
        assert kind_of(entry) is None
        with pytest.raises(ValidationError, match=r"mine\.py is not run to say how a sweep stands"):
            METHODS.validate_python(entry)
    assert not mark.exists()
    assert kind_of(entry) is not None
    assert mark.exists()
    with without_running():
        assert METHODS.validate_python(entry).label == "narrow"


def test_it_is_called_by_its_name_whatever_its_class_says(tmp_path):
    call = "@classmethod\n    def label_of(cls, entry):\n        return 'other'\n\n    @property"
    spec = METHODS.validate_python({"python": write_method(tmp_path, ("@property", call))})
    assert spec.label == label_of(spec.model_dump()) == "narrow"
