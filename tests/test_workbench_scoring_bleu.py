"""BLEU equals sacreBLEU's: golden values of version 2.6.0 with its default settings (nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.scoring.bleu import Matches, bleu, bleu_interval, matches, tokens
from workbench.scoring.simultaneous import Translated, simultaneous

FIVE = "uno dos tres cuatro cinco"
MARKS = "Hello, world! It's 3.14, or 1,000 - isn't it? (Yes.)"
MORE_MARKS = 'a&quot;b&amp;c 5-6 x-y <skipped> "q"'
GOLDEN = {
    "the same": ([(FIVE, FIVE)], 100.0),
    "one wrong": ([("uno dos tres seis cinco", FIVE), ("rojo y azul", "rojo y azul")], 51.96449388127061),
    "too short": ([("uno dos", FIVE), ("rojo y azul por favor", "rojo y azul por favor")], 65.14390575310559),
    "too long": ([(f"{FIVE} seis siete ocho", FIVE)], 51.697315395717055),
    "no four in a row": ([("uno dos tres", "uno dos tres")], 0.0),
    "smoothed": ([("uno tres dos cuatro siete", FIVE)], 15.106876986783844),
    "nothing right": ([("a b c d e", FIVE)], 0.0),
    "nothing said": ([("", "uno dos tres cuatro")], 0.0),
    "one of two": ([("", "rojo verde azul"), (FIVE, FIVE)], 54.88116360940266),
    "marks": ([(MARKS, "Hello world! It's 3.14 or 1,000 - is it not? (Yes)."), (MORE_MARKS, 'a"b&c 5-6 x-y "q"')], 61.764093323261726),
    "repeats": ([("the the the the the the the", "the cat is on the mat")], 7.809849842300637),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_corpus_has_the_golden_score(name: str) -> None:
    pairs, score = GOLDEN[name]
    assert bleu(sum((matches(*pair) for pair in pairs), Matches())) == pytest.approx(score, abs=1e-9)


def test_texts_are_cut_as_by_mteval() -> None:
    assert " ".join(tokens(MARKS)) == "Hello , world ! It's 3.14 , or 1,000 - isn't it ? ( Yes . )"
    assert " ".join(tokens(MORE_MARKS)) == 'a " b & c 5 - 6 x-y " q "'


@given(st.lists(st.sampled_from("uno dos tres y , .".split()), min_size=4, max_size=12))
def test_a_text_is_its_own_best_translation(words: list[str]) -> None:
    text = " ".join(words)
    assert bleu(matches(text, text)) == pytest.approx(100.0)
    assert bleu(matches(" ".join(words[:-1]), text)) < 100.0


def test_translations_are_scored_together_with_an_interval_and_what_is_not_right_is_shown() -> None:
    right = Translated(source=2000.0, delays=(500.0,), reference=5, said=FIVE, wanted=FIVE, start_s=1.0)
    silent = Translated(source=1000.0, delays=(), reference=3, said="", wanted="rojo verde azul", start_s=4.0)
    (score,) = [one for one in simultaneous({"a": (right,), "b": (silent,)}) if one.name == "BLEU"]
    assert score.value == pytest.approx(GOLDEN["one of two"][1])
    assert (score.n, score.sessions, [(m.session, m.start_s, m.end_s) for m in score.moments]) == (2, 2, [("b", 4.0, 5.0)])
    assert score.interval is not None
    assert score.interval[0] == 0.0 < score.interval[1] <= 100.0 + 1e-9
    assert bleu_interval([]) is None
