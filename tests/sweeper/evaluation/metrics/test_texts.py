"""Metrics of generated texts, against values worked out by hand and the libraries' own."""

import math
import os
import random
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from statistics import fmean, stdev

import pytest

from sweeper.errors import BadInputError, DataError, MissingError
from sweeper.evaluation.metrics.averages import joint_average
from sweeper.evaluation.metrics.bleu import bleu
from sweeper.evaluation.metrics.exact import exact_match, normalised
from sweeper.evaluation.metrics.final_number import final_number, final_number_of
from sweeper.evaluation.metrics.meteor import meteor
from sweeper.evaluation.metrics.registry import METRICS
from sweeper.evaluation.metrics.rouge_l import rouge_l

# What two ways of summing float64 differ by.
ROUNDING = 1e-12


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The Answer.", "answer"),
        ("  an\n apple , a day ", "apple day"),
        ("theatre", "theatre"),
        ("A", "a"),
        ("+", "+"),
        ("Élan!", "élan"),
        ("", ""),
    ],
)
def test_texts_are_normalised_as_in_squad(text, plain):
    assert normalised(text) == plain


def test_exact_match_is_a_share_with_its_error():
    found = exact_match(["The cat", "dog", "+", ""], ["cat!", "a cat", "-", "x"])
    assert found.value == 0.25
    # Sample deviation of (1, 0, 0, 0) is 1/2.
    assert found.standard_error == pytest.approx(0.25, rel=ROUNDING)
    assert found.count == 4


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("She pays $1,200.50.", "1200.5"),
        ("so 12 + 30 = 42.", "42"),
        ("#### -5", "-5"),
        ("it is 3 #### $7,000\n\nQuestion: 9 #### 11", "7000"),
        ("3 apples #### none", "3"),
        ("- 3 apples", "3"),
        ("from 10-3", "3"),
        ("x=-3", "-3"),
        ("a loss of -$4", "-4"),
        ("a loss of $-4", "-4"),
        ("\u22127 degrees", "-7"),
        ("half is .5", "0.5"),
        ("€ 5 or 12%", "12"),
        ("1,234,567 people", "1234567"),
        ("the pairs 1,2000", "2000"),
        ("007", "7"),
    ],
)
def test_the_final_number_of_a_text(text, number):
    assert final_number_of(text) == Decimal(number)


def test_a_text_without_a_number_has_none():
    assert final_number_of("none at all ####") is None


def test_final_numbers_are_compared_as_numbers():
    found = final_number(
        ["It is 1200.0", "The answer is: 7", "no idea"],
        ["5+5 #### 1,200", "#### 8", "#### 0"],
    )
    assert found.value == pytest.approx(1 / 3)
    assert found.standard_error == pytest.approx(1 / 3)


def test_a_reference_without_a_number_is_refused():
    with pytest.raises(DataError, match="reference 1 has no number: got 'none'"):
        final_number(["1", "2"], ["#### 1", "none"])


def ngrams(words, n):
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def bleu_by_hand(pairs):
    """Papineni et al. 2002, equations 1 to 3, for texts that are words and spaces."""
    pairs = [(got.split(), want.split()) for got, want in pairs]
    total = 0.0
    for n in range(1, 5):
        right = sum((ngrams(g, n) & ngrams(w, n)).total() for g, w in pairs)
        total += math.log(right / sum(ngrams(g, n).total() for g, _ in pairs)) / 4
    got, want = (sum(len(pair[side]) for pair in pairs) for side in (0, 1))
    return math.exp(min(0.0, 1 - want / got) + total)


SENTENCES = [
    ("the cat sat on the mat today", "the cat sat on a mat today with us"),
    ("it is a guide to action which ensures", "it is a guide to action that ensures"),
    ("he read the book because he was", "he read the book because he was interested"),
    ("nothing in common at all here", "some other words were expected instead now"),
]


def test_bleu_is_that_of_the_corpus():
    found = bleu(*zip(*SENTENCES, strict=True))
    assert found.value == pytest.approx(bleu_by_hand(SENTENCES), rel=1e-9)
    assert found.count == 4


def deviation_over_drawn_corpora(pairs, statistic):
    draw = random.Random(1)
    return stdev(statistic(draw.choices(pairs, k=len(pairs))) for _ in range(400))


def test_the_error_of_bleu_is_the_deviation_over_drawn_corpora():
    pairs = SENTENCES * 12
    found = bleu(*zip(*pairs, strict=True))
    # A deviation over n draws has an error of 1/sqrt(2n) of itself: 4 % with 400.
    deviation = deviation_over_drawn_corpora(pairs, bleu_by_hand)
    assert found.standard_error == pytest.approx(deviation, rel=0.15)


def test_the_error_of_a_joint_average_is_the_deviation_over_drawn_corpora():
    pairs = SENTENCES * 12
    metrics = [bleu(*zip(*pairs, strict=True)), rouge_l(*zip(*pairs, strict=True))]
    of_each = {pair: rouge_l([pair[0]], [pair[1]]).value for pair in SENTENCES}

    def average(drawn):
        return (bleu_by_hand(drawn) + fmean(of_each[pair] for pair in drawn)) / 2

    found = joint_average(metrics)
    assert found.value == pytest.approx(average(pairs), rel=1e-9)
    deviation = deviation_over_drawn_corpora(pairs, average)
    assert found.standard_error == pytest.approx(deviation, rel=0.15)
    # As if they were independent it would be a third less.
    apart = math.hypot(*(metric.standard_error or math.nan for metric in metrics)) / 2
    assert apart < 0.75 * deviation


def test_one_sentence_has_no_error():
    assert bleu(["a b c d"], ["a b c d"]).standard_error is None
    assert bleu(["a b c d"], ["a b c d"]).value == pytest.approx(1.0)


def test_rouge_l_is_the_longest_common_subsequence():
    # "the cat … mat" of 4 and 5 words: precision 3/4, recall 3/5.
    found = rouge_l(["the cat ate mat", "nothing"], ["the big cat on mat", "else"])
    first = 2 * (3 / 4) * (3 / 5) / (3 / 4 + 3 / 5)
    assert found.value == pytest.approx(first / 2)
    assert found.standard_error == pytest.approx(first / 2)


SYNSETS = {"noun": [("car", "auto"), ("boy", "lad")], "verb": [], "adj": [], "adv": []}


def write_wordnet(folder: Path) -> None:
    """Two synsets in WordNet's own files (its manual, wndb(5WN))."""
    folder.mkdir(parents=True)
    index: dict[str, list[str]] = {}
    for part, synsets in SYNSETS.items():
        # A line is found by its offset, and those of the licence begin with spaces.
        data = "  1 made for a test; WordNet Release 3.0\n"
        entries = []
        for words in synsets:
            offset = f"{len(data):08d}"
            listed = " ".join(f"{word} 0" for word in words)
            data += f"{offset} 03 n {len(words):02x} {listed} 000 | a meaning\n"
            entries += [f"{word} n 1 0 1 0 {offset}  \n" for word in words]
        (folder / f"data.{part}").write_text(data)
        index[part] = sorted(entries)
        (folder / f"index.{part}").write_text("".join(index[part]))
        (folder / f"{part}.exc").write_text("")
    (folder / "lexnames").write_text(
        "00\tadj.all\t3\n01\tadj.pert\t3\n02\tadv.all\t4\n03\tnoun.Tops\t1\n"
    )
    (folder / "index.sense").write_text("")
    (folder / "cntlist.rev").write_text("")


METEOR = """
import sys, nltk.data
nltk.data.path[:] = sys.argv[1:]
from sweeper.evaluation.metrics.meteor import meteor
print(meteor([{got!r}], [{want!r}]).value)
"""


def meteor_with(folder: Path, got: str, want: str) -> float:
    """In a process of its own: nltk keeps the WordNet that it has found."""
    code = METEOR.format(got=got, want=want)
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def meteor_by_hand(matches: int, chunks: int, got: int, want: int) -> float:
    """Banerjee and Lavie 2005, section 2.2."""
    precision, recall = matches / got, matches / want
    mean = 10 * precision * recall / (recall + 9 * precision)
    return mean * (1 - 0.5 * (chunks / matches) ** 3)


def test_meteor_matches_words_stems_and_synonyms(tmp_path):
    write_wordnet(tmp_path / "corpora" / "wordnet")
    # "auto" is a car, "driving" has the stem of "drives"; "fast" stands alone. One chunk of four,
    # "the auto driving home": the texts have five words and four.
    value = meteor_with(tmp_path, "the auto driving home fast", "the car drives home")
    assert value == pytest.approx(meteor_by_hand(4, 1, got=5, want=4))


def test_meteor_tells_a_full_stop_from_a_word(tmp_path):
    write_wordnet(tmp_path / "corpora" / "wordnet")
    value = meteor_with(tmp_path, "my lad.", "my boy")
    assert value == pytest.approx(meteor_by_hand(2, 1, got=3, want=2))


def test_meteor_without_wordnet_says_how_to_get_it(tmp_path, monkeypatch):
    import nltk.corpus
    import nltk.data

    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    # As nltk has it before it has found one.
    fresh = nltk.corpus.LazyCorpusLoader("wordnet", nltk.corpus.WordNetCorpusReader, None)
    monkeypatch.setattr(nltk.corpus, "wordnet", fresh)
    with pytest.raises(MissingError, match=r"run: python -m nltk\.downloader wordnet"):
        meteor(["a"], ["a"])


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("bleu", "sacrebleu", "sacrebleu"),
        ("rouge_l", "rouge_score", "rouge-score"),
        ("meteor", "nltk", "nltk"),
    ],
)
def test_a_missing_library_is_named(name, module, package, monkeypatch):
    for loaded in [loaded for loaded in sys.modules if loaded.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingError, match=rf"{package}, which .*sweeper\[metrics\]'"):
        METRICS[name].measure(["a"], ["a"])


@pytest.mark.parametrize("name", [n for n, m in METRICS.items() if m.takes == "texts"])
def test_texts_must_belong_together(name):
    with pytest.raises(BadInputError, match=r"different lengths: 2 and 1; .* pass equally many"):
        METRICS[name].measure(["1", "2"], ["1"])
    with pytest.raises(BadInputError, match="got 0 examples"):
        METRICS[name].measure([], [])


def test_metrics_import_nothing_heavy():
    # numpy comes with the records, whose rows it reads.
    heavy = "torch transformers sacrebleu nltk rouge_score scipy"
    code = (
        f"import sys, sweeper.evaluation.metrics; print(*set(sys.modules) & set({heavy.split()!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.split() == []


def test_numbers_keep_their_sign_and_their_point():
    pairs = [("50", "-50"), ("15", "1.5"), ("1,000.", "1000"), ("+7", "7"), ("-3", "-3.")]
    got, want = zip(*pairs, strict=True)
    assert [normalised(a) == normalised(b) for a, b in pairs] == [False, False, True, True, True]
    assert exact_match(got, want).value == 0.6
