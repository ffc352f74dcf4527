"""What refuses a sweep, how often the data is looked at, and what is said."""

import json
import logging
from dataclasses import replace

import pytest

from sweeper.data import EmbeddedDataSpec, JsonlDataSpec, TasksDataSpec
from sweeper.data.hygiene import Finding, HygieneSpec, Shown, check_data, checking, require_clean
from sweeper.errors import DataError


@pytest.fixture
def data(tmp_path, examples):
    """A function that writes data of which so many rows are held by training rows."""

    def write(*, tests=0, validation=0, from_validation=0):
        rows = {"train": examples(300), "validation": examples(40), "test": examples(200)}
        for row in range(tests):
            held = rows["test"][row]
            rows["train"][2 * row] = replace(held, prompt=f"Please solve. {held.prompt.upper()}")
        for row in range(validation):
            rows["train"][100 + row] = rows["validation"][row]
        for row in range(from_validation):
            rows["test"][100 + row] = rows["validation"][row]
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        for split, made in rows.items():
            lines = [json.dumps({"prompt": e.prompt, "answer": e.answer.strip()}) for e in made]
            (folder / f"{split}.jsonl").write_text("\n".join(lines))
        return JsonlDataSpec.model_validate(
            {
                "path": str(folder),
                "format": {"name": "fields", "prompt": "{prompt}", "answer": " {answer}"},
            }
        )

    return write


def demand(data, **settings):
    require_clean(data, HygieneSpec(**settings), fingerprint=data.fingerprint())


def refusal(data):
    with pytest.raises(DataError) as caught:
        demand(data)
    return str(caught.value)


def check(data, **settings):
    return check_data(
        data, HygieneSpec(**settings), max_length=64, tokenizer=None, no_tokenizer="none here"
    )


def counts(found):
    return {f.where: (f.count, f.limit) for f in found.findings if f.kind == "contamination"}


def test_clean_data_is_demanded_and_said_nothing_about(data, caplog):
    demand(data())
    demand(EmbeddedDataSpec())
    assert caplog.records == []


def test_a_hundredth_of_the_test_rows_is_told_and_more_are_refused(data, caplog):
    with caplog.at_level(logging.WARNING):
        demand(data(tests=2))
    assert "2 of 240 evaluation rows are in the training rows" in caplog.text
    with pytest.raises(DataError, match=r"3 of 200 rows \(1.5%\) of test are in the .* at most 2"):
        demand(data(tests=3))


def test_the_refusal_shows_both_rows_and_what_to_do(data):
    with pytest.raises(DataError) as caught:
        demand(data(tests=50))
    message = str(caught.value)
    assert "50 of 200 rows (25.0%) of test" in message
    assert "test row 0 'Question: " in message
    assert "train row 0 'Please solve. QUESTION: " in message
    assert "70% of its own words" in message
    assert "--set hygiene.contamination=allow" in message


def test_a_tenth_of_the_validation_rows_may_be_held(data):
    demand(data(validation=4))
    with pytest.raises(DataError, match=r"5 of 40 rows \(12.5%\) of validation"):
        demand(data(validation=5))


def test_test_rows_may_not_be_validation_rows_either(data):
    with pytest.raises(DataError, match=r"8 of 200 rows \(4.0%\) of test .* validation row 0 "):
        demand(data(from_validation=8))


def test_what_is_allowed_is_the_settings_matter(data):
    found = data(tests=50)
    demand(found, contamination="allow")
    demand(found, test_share=0.25)
    with pytest.raises(DataError, match="at most 49"):
        demand(found, test_share=0.244)
    with pytest.raises(DataError, match="at most 0 may"):
        demand(data(tests=1), test_share=0)


def test_the_same_data_is_looked_at_once(data, cache, monkeypatch):
    found = data(tests=50)
    message = refusal(found)
    assert len(list(cache.rglob("*.json"))) == 1
    looked = []

    def look(*rows, threshold):
        looked.append(threshold)
        return []

    monkeypatch.setattr(checking, "find_overlaps", look)
    # Neither a second time nor with other limits.
    assert refusal(found) == message
    demand(found, test_share=0.5)
    assert looked == []
    # But with another measure, or other rows.
    demand(found, overlap=0.9)
    assert len(looked) == 2
    demand(data(tests=50))
    assert len(looked) == 4


def test_what_the_command_found_is_not_looked_for_again(data, monkeypatch):
    found = data(tests=50)
    assert check(found).is_refused
    monkeypatch.setattr(checking, "find_overlaps", None)
    with pytest.raises(DataError, match="50 of 200"):
        demand(found)


def test_a_damaged_cache_is_looked_past(data, cache, caplog):
    found = data()
    demand(found)
    [path] = cache.rglob("*.json")
    for content in ("{", '{"findings": [{}]}', "[]"):
        path.write_text(content)
        caplog.clear()
        demand(found)
        assert "is damaged" in caplog.text
        assert json.loads(path.read_text())["findings"]


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(data, cache, caplog):
    cache.write_text("a file in the folder's place")
    demand(data())
    assert "the result of the data check cannot be cached" in caplog.text


def test_all_that_is_found_is_in_the_document(data):
    found = check(data(tests=3))
    assert counts(found) == {"validation": (0, 4), "test": (3, 2)}
    document = found.document()
    assert json.loads(json.dumps(document)) == document
    assert document["is_refused"]
    assert document["rows"] == {"train": 300, "validation": 40, "test": 200}
    assert document["not_looked_at"] == ["rows longer than train.max_length: none here"]
    held = document["findings"][1]
    assert (held["kind"], held["where"], held["share"]) == ("contamination", "test", 0.015)
    assert held["shown"][0]["place"] == "test row 0"
    assert held["shown"][0]["other_place"] == "train row 0"
    assert len(held["shown"]) == 3
    assert not check(data(tests=3), contamination="allow").is_refused


def test_a_finding_survives_its_document():
    finding = Finding("contamination", "test", 1, 4, (Shown("a", "b"),), limit=1)
    assert Finding.of(json.loads(json.dumps(finding.document()))) == finding


def test_each_task_has_its_own_test_rows(shared):
    found = check(
        TasksDataSpec(root=str(shared), train=("openbookqa",), evaluate=("openbookqa", "siqa"))
    )
    assert {f.where: f.rows for f in found.findings if f.kind == "contamination"} == {
        "validation": 200,
        "test of openbookqa": 500,
        "test of siqa": 1954,
    }


@pytest.mark.parametrize("field", ["overlap", "test_share", "validation_share"])
def test_shares_are_between_0_and_1(field):
    with pytest.raises(ValueError, match=field):
        HygieneSpec.model_validate({field: 1.5})
