"""Token ids, masks and batches, against what one writes by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from sweeper.data import Example, FieldsFormat, TextFormat
from sweeper.data.tokens.encoding import Tokens, collate, encode, encode_candidates
from sweeper.errors import DataError

PAD, BOS, EOS, A, B, C, D = range(7)


@pytest.fixture
def tokenizer():
    """One token a letter; begin-of-text before every text."""
    return tokenizer_of(has_begin=True)


def tokenizer_of(*, has_begin):
    backend = Tokenizer(
        models.WordLevel(
            {"<pad>": PAD, "<s>": BOS, "</s>": EOS, "a": A, "b": B, "c": C, "d": D},
            unk_token="<pad>",
        )
    )
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A" if has_begin else "$A",
        special_tokens=[("<s>", BOS)] if has_begin else [],
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")


def test_prompt_answer_end(tokenizer):
    found = encode([Example("ab", "cd"), Example("", "d")], tokenizer, 8)
    assert (found.prompts_cut, found.answers_cut, found.left_out) == ((), (), ())
    assert found.tokens == (
        Tokens(ids=(BOS, A, B, C, D, EOS), answer_start=3, example=0),
        Tokens(ids=(BOS, D, EOS), answer_start=1, example=1),
    )


def test_nothing_to_encode(tokenizer):
    assert encode([], tokenizer, 8).tokens == ()


def test_a_long_prompt_loses_its_left_end(tokenizer):
    found = encode([Example("abcd", "a"), Example("abc", "a")], tokenizer, 6)
    assert found.prompts_cut == (0,)
    assert found.tokens[0].ids == (BOS, B, C, D, A, EOS)
    assert found.tokens[1].ids == (BOS, A, B, C, A, EOS)


def test_a_long_answer_is_an_error(tokenizer):
    assert encode([Example("a", "bcd")], tokenizer, 5).tokens[0].ids == (BOS, B, C, D, EOS)
    with pytest.raises(DataError, match=r"example 1: its answer has 4 tokens.*at most 3"):
        encode([Example("a", "b"), Example("a", "bcda")], tokenizer, 5)


def test_a_long_answer_is_left_out_of_an_evaluation(tokenizer):
    examples = [Example("abcd", "bcd"), Example("a", "bcda"), Example("", "d")]
    found = encode(examples, tokenizer, 5, long_answers="leave_out")
    assert found.left_out == (1,)
    assert found.prompts_cut == (0,)
    assert found.answers_cut == ()
    assert found.tokens == (
        Tokens(ids=(BOS, B, C, D, EOS), answer_start=1, example=0),
        Tokens(ids=(BOS, D, EOS), answer_start=1, example=2),
    )


def test_all_candidates_of_a_question_have_room_or_it_has_none(tokenizer):
    examples = [
        Example("abcd", "b", choices=("b", "bcd")),
        Example("a", "b", choices=("b", "bcda")),
        Example("ab", "bcda"),
        Example("a", "b", choices=("b", "c"), metrics=("exact",), task="letters"),
    ]
    found = encode_candidates(examples, tokenizer, 5)
    cut, whole = Tokens((BOS, C, D, B, EOS), 3), Tokens((BOS, B, C, D, EOS), 1)
    assert found.candidates[:3] == ((cut, whole), (), ())
    assert found.candidates[3] == (Tokens((BOS, A, B, EOS), 2, example=3),)
    # Of a question that cannot be asked nothing is cut.
    assert found.prompts_cut == (0,)


def test_nothing_is_left_of_a_prompt_and_still_something_predicts_the_answer(tokenizer):
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A", special_tokens=[]
    )
    # Without begin-of-text the first token of the answer needs a token of the prompt before it.
    examples = [Example("ab", "cd"), Example("ab", "cda")]
    found = encode(examples, tokenizer, 4, long_answers="leave_out")
    assert found.left_out == (1,)
    assert found.tokens[0].ids == (B, C, D, EOS)
    with pytest.raises(DataError, match=r"example 1: its answer has 3 tokens.*at most 2"):
        encode(examples, tokenizer, 4)


@pytest.mark.parametrize(
    ("prompt", "answer", "ids", "cut"),
    [
        # The room is 8. It is enough.
        ("aaa", "bbbb", [A] * 3 + [B] * 4 + [EOS], (0, 0)),
        # A short answer stays whole.
        ("abcdabcd", "bb", [D, A, B, C, D, B, B, EOS], (1, 0)),
        # A short prompt stays whole, and a cut answer has no end.
        ("abc", "bbbbbbbb", [A, B, C, B, B, B, B, B], (0, 1)),
        # The end-of-text token is the first to go.
        ("abc", "bcdbc", [A, B, C, B, C, D, B, C], (0, 1)),
        # Else both lose in proportion: 8 · 10/16 of the answer's 10 are 5.
        ("abcdab", "bcdbcdbcd", [D, A, B, B, C, D, B, C], (1, 1)),
    ],
)
def test_prompt_and_answer_share_the_room_in_training(tokenizer, prompt, answer, ids, cut):
    found = encode([Example(prompt, answer)], tokenizer, 9, long_answers="cut")
    assert list(found.tokens[0].ids) == [BOS, *ids]
    assert (len(found.prompts_cut), len(found.answers_cut)) == cut
    assert found.left_out == ()


@given(
    prompt=st.integers(0, 40),
    answer=st.integers(0, 40),
    length=st.integers(4, 30),
    has_begin=st.booleans(),
)
def test_every_example_can_be_trained_on(prompt, answer, length, has_begin):
    backend = tokenizer_of(has_begin=has_begin)
    found = encode([Example("a" * prompt, "b" * answer)], backend, length, long_answers="cut")
    (tokens,) = found.tokens
    whole = prompt + answer + 1 + has_begin
    assert len(tokens.ids) == min(whole, length)
    assert tokens.answer_start < len(tokens.ids)
    assert tokens.answer_start > 0 or prompt == 0
    assert bool(found.prompts_cut or found.answers_cut) == (whole > length)


def test_no_begin_of_text_where_the_tokenizer_has_none(tokenizer):
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A", special_tokens=[]
    )
    found = encode([Example("ab", "c")], tokenizer, 8)
    assert found.tokens[0] == Tokens(ids=(A, B, C, EOS), answer_start=2, example=0)


def test_no_token_spans_prompt_and_answer():
    merging = Tokenizer(models.BPE({"<s>": 0, "</s>": 1, "a": 2, "b": 3, "ab": 4}, [("a", "b")]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=merging, bos_token="<s>", eos_token="</s>")
    assert tokenizer("ab")["input_ids"] == [4]
    assert encode([Example("a", "b")], tokenizer, 8).tokens[0].ids == (2, 3, 1)


def test_a_space_that_the_tokenizer_adds_is_not_doubled():
    backend = Tokenizer(models.WordLevel({"</s>": 0, "▁x": 1, "▁": 2, "▁a": 3}, unk_token="</s>"))
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>")
    assert encode([Example("x", " x")], tokenizer, 8).tokens[0].ids == (1, 1, 0)


def test_a_tokenizer_without_end_of_text():
    backend = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    with pytest.raises(DataError, match="no end-of-text token"):
        encode([Example("a", "a")], PreTrainedTokenizerFast(tokenizer_object=backend), 8)


def test_batch():
    first = Tokens(ids=(BOS, A, B, EOS), answer_start=2)
    second = Tokens(ids=(BOS, C, EOS), answer_start=1)
    # Padded with the end-of-text token, which must still be learnt where it ends an answer.
    batch = collate([first, second], EOS)
    assert batch["input_ids"].tolist() == [[BOS, A, B, EOS], [BOS, C, EOS, EOS]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert batch["labels"].tolist() == [[-100, -100, B, EOS], [-100, C, EOS, -100]]
    assert {str(tensor.dtype) for tensor in batch.values()} == {"torch.int64"}


def letters():
    """One token a letter, and two special ones that are written with such letters."""
    known = {letter: number for number, letter in enumerate("?</s>abc|")}
    backend = Tokenizer(models.WordLevel(known, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    backend.add_special_tokens(["<s>", "</s>", "<|a|>"])
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        special_tokens=[("<s>", backend.token_to_id("<s>")), ("</s>", backend.token_to_id("</s>"))],
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")


def encoded(row, *, prompt, answer="{a}"):
    tokenizer = letters()
    example = FieldsFormat(prompt=prompt, answer=answer).read(row, where="here")
    [tokens] = encode([example], tokenizer, 99).tokens
    return tokenizer.convert_ids_to_tokens(list(tokens.ids)), tokens.answer_start


def test_a_special_token_in_a_row_is_text():
    row = {"q": "a</s>b", "a": "<s>c</s>"}
    found, start = encoded(row, prompt="{q}")
    assert found == ["<s>", *"a</s>b", *"<s>c</s>", "</s>"]
    assert start == 7


def test_a_special_token_of_a_template_is_one():
    row = {"q": "b<|a|>", "a": "c"}
    found, _ = encoded(row, prompt="<|a|>{q}<|a|>", answer="{a}")
    assert found == ["<s>", "<|a|>", *"b<|a|>", "<|a|>", "c", "</s>"]
    found, _ = encoded({"role": "a", "q": "b", "a": "c"}, prompt="<|{role}|>{q}")
    assert found == ["<s>", "<|a|>", "b", "c", "</s>"]


def test_begin_and_end_are_there_once():
    found, start = encoded({"q": "b", "a": "c"}, prompt="<s>{q}", answer="{a}</s>")
    assert found == ["<s>", "b", "c", "</s>"]
    assert start == 2
    found, _ = encoded({"q": "<s>", "a": "c</s>"}, prompt="<s>{q}", answer="{a}</s>")
    assert found == ["<s>", *"<s>", "c", *"</s>", "</s>"]


def test_examples_of_no_template_have_no_special_tokens():
    tokenizer = letters()
    [tokens] = encode([Example("</s>", "<|a|>")], tokenizer, 99).tokens
    assert tokenizer.convert_ids_to_tokens(list(tokens.ids)) == ["<s>", *"</s><|a|>", "</s>"]


def document(text):
    return TextFormat().read({"text": text}, where="here")


def test_a_document_is_parted_and_every_token_predicted_once(tokenizer):
    found = encode([document("abcda"), Example("a", "b")], tokenizer, 4, long_answers="cut")
    assert [tokens.ids for tokens in found.tokens] == [
        (BOS, A, B, C),
        (BOS, D, A, EOS),
        (BOS, A, B, EOS),
    ]
    assert [tokens.example for tokens in found.tokens] == [0, 0, 1]
    assert [tokens.loss_tokens for tokens in found.tokens] == [3, 3, 2]
    assert (found.prompts_cut, found.answers_cut, found.left_out) == ((), (), ())


def test_without_a_begin_of_text_the_last_token_comes_again():
    tokenizer = tokenizer_of(has_begin=False)
    found = encode([document("abcda")], tokenizer, 4, long_answers="leave_out")
    assert [tokens.ids for tokens in found.tokens] == [(A, B, C, D), (D, A, EOS)]
    # All but the first token of the document, and its end.
    assert [tokens.loss_tokens for tokens in found.tokens] == [3, 2]
    assert [len(t.ids) for t in encode([document("abc")], tokenizer, 4).tokens] == [4]


def test_a_document_is_asked_part_by_part(tokenizer):
    found = encode_candidates([Example("", "abcd"), document("abcda")], tokenizer, 4)
    assert found.examples == (0, 1, 1)
    assert [len(own) for own in found.candidates] == [0, 1, 1]


def test_a_document_is_as_it_is_written(tokenizer):
    # Names of special tokens are letters, of which this tokenizer knows three.
    [tokens] = encode([document("</s>")], tokenizer, 16).tokens
    assert tokens.ids == (BOS, PAD, PAD, PAD, PAD, EOS)
