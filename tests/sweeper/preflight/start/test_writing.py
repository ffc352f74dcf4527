"""The file that is written: plan takes it, and nothing is overwritten."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sweeper.errors import BadInputError
from sweeper.experiment.loading import load_sweep
from sweeper.preflight.start import look_at, propose, require_free, search_space_of, write_new
from tests.sweeper.preflight.start.made import make_model, write_lines

AWKWARD = [{"the: question": f"#{n}?\n- yes", "re'ply": f'{n} "it\'s"'} for n in range(60)]


@pytest.fixture(scope="module")
def look(tmp_path_factory):
    folder = tmp_path_factory.mktemp("my rows")
    data = write_lines(folder / "rows.jsonl", AWKWARD)
    prompt, answer = "Q: {the: question}\n\nA:", " {re'ply}"
    return look_at(str(make_model(folder)), str(data), prompt=prompt, answer=answer)


def test_the_file_is_a_whole_search_space(tmp_path, look):
    path = tmp_path / "mine.yaml"
    text = search_space_of(look, propose(look), name="my rows!", file=str(path))
    write_new(path, text)
    sweep = load_sweep(path)
    assert sweep.spec.name == "my-rows"
    assert sweep.spec.data == look.data
    assert sweep.spec.model == look.model
    trial = sweep.space.any_trial()
    assert trial.train.max_length == propose(look).max_length
    assert {x.name for x in sweep.space.methods} == {"masa", "lora"}
    assert sweep.space.budget is not None
    assert sweep.space.budget.alpha_per_rank == 2
    # Every value that was proposed says why.
    assert all(word in text for word in ("median", "passes over", "rule for LoRA", "templates"))
    assert max(map(len, text.splitlines())) < 400


def test_layers_that_are_not_alike_have_no_budget(look):
    proposed = replace(propose(look), is_sized=False, accumulation=2, gpus=1)
    text = search_space_of(look, proposed, name="mine", file="mine.yaml")
    assert "all linear layers of a decoder layer\n" in text
    fewer = replace(proposed, left_out=("up_proj",))
    told = "all linear layers of a decoder layer but up_proj, which can have no adapter\n"
    assert told in search_space_of(look, fewer, name="mine", file="mine.yaml")
    assert "\nbudget:" not in text
    # It needs a budget.
    assert "compare" not in text
    assert text.count("rank: 8") == text.count("alpha: 16") == 2
    assert "gpus_per_worker: 1" in text
    assert "gradient_accumulation: 2" in text


def test_a_name_with_a_line_break_stays_in_its_comment(tmp_path, look):
    path = tmp_path / "mine.yaml"
    awkward = replace(look, told_by="text: the only field, my\nsteps: 3 #\u2028x: 1\r")
    text = search_space_of(awkward, propose(look), name="mine", file="my\nfile: 1.yaml")
    assert len(text.splitlines()) == text.count("\n")
    assert r"# text: the only field, my\nsteps: 3 #\u2028x: 1\r" in text
    write_new(path, text)
    assert load_sweep(path).spec.data == look.data


def test_no_file_is_overwritten(tmp_path):
    path = tmp_path / "mine.yaml"
    require_free(path)
    write_new(path, "one")
    for attempt in (lambda: require_free(path), lambda: write_new(path, "two")):
        with pytest.raises(BadInputError, match="no file is overwritten; name another one"):
            attempt()
    assert path.read_text() == "one"
    with pytest.raises(BadInputError, match="there is no folder"):
        require_free(tmp_path / "nowhere" / "mine.yaml")
