"""English as its learners speak it: the sounds and the rhythm that people carry over from their first language.

Most people who speak English learned another language first, and a model trained on native accents mishears them: of the recorded sums of
one speaker of French two in three were lost. Each first language here names what is said for a sound of English,
where tradition knows several, all of them; whether its syllables are of even length; and whether voiced consonants lose their voice at
the end of a word. An accent keeps some of these habits and has got rid of others.

The habits are those that handbooks for teachers tell of (Swan and Smith, "Learner English", Cambridge University Press, 2nd ed. 2001, has
a chapter for each language), in the phonemes of espeak-ng and as far as those go; they were not compared with recordings of each group.
The choice and the shares are ours, unpublished; LOG.md tells how it was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

KEPT = (0.5, 1.0)  # share of the habits that an accent keeps, drawn for each

# One sound of English under all the names that the engine has for it, weak forms among them.
_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "a": ("a", "a#", "aa"),
        "V": ("V", "02"),
        "0": ("0", "0#"),
        "O:": ("O:", "O"),
        "O@": ("O@", "o@"),
        "A:": ("A:", "A@"),
        "E": ("E", "E#", "E2"),
        "I": ("I", "I#", "I2", "I2#"),
        "oU": ("oU", "oU#"),
        "i@": ("i@", "i@3"),
        "@": ("@", "@2", "@5", "@L", "3"),
    }
)
_DEVOICED = (("z", "s"), ("d", "t"), ("v", "f"), ("b", "p"), ("g", "k"), ("dZ", "tS"))
_ANYWHERE, _WORD_END = "00", "01"

_FIVE_VOWELS = (
    "a a, V a, 0 o O:, O: o o:, O@ o o:, A: a, E e E, I i i:, i: i, eI eI e e:, oU o o:, u: u, U u, 3: e E o e@, e@ e e:, i@ i i:, @ a e o"
)


@dataclass(frozen=True, kw_only=True)
class FirstLanguage:
    """What its speakers say for sounds of English (each one of the sounds given), how even their syllables are (0 to 1), and whether
    they say no voiced consonant at the end of a word."""

    said: Mapping[str, tuple[str, ...]]
    even: float
    devoices: bool = False


def _habits(*tables: str) -> Mapping[str, tuple[str, ...]]:
    """From "w v v#, T s t" what is said for each sound: {"w": ("v", "v#"), "T": ("s", "t")}; a later table overrides an earlier one."""
    habits = (habit.split() for table in tables for habit in table.split(","))
    return MappingProxyType({one: tuple(others) for one, *others in habits})


# "T" and "D" begin "thin" and "this"; "I", "i:", "V", "0", "3:" are in "bit", "beat", "but", "lot", "bird"; "R" is rolled, "*" is one tap
# of it, r" and Q" are said in the throat, "t[" and "d[" at the teeth; NULL is nothing at all.
LANGUAGES: Mapping[str, FirstLanguage] = MappingProxyType(
    {
        "ar": FirstLanguage(
            said=_habits(
                "p b, v f, r R *, T s t[ T, D z d[ D, I E i, E I a, 0 o, O: o:, oU o:, eI e:, V a, 3: E i@, O@ o:, @ a E",
            ),
            even=0.3,
        ),
        "de": FirstLanguage(
            said=_habits(
                'T s t f, D z d, w v v#, v f v, r r" Q" R2, a E, V a, 0 O: o, oU o:, eI e: eI, dZ tS, Z S, 3: 3: e@, O@ o: O@',
            ),
            even=0.2,
            devoices=True,
        ),
        "el": FirstLanguage(
            said=_habits(
                _FIVE_VOWELS,
                "S s, Z z, h x C, r * R, t t[, d d[, N n",
            ),
            even=0.7,
        ),
        "es": FirstLanguage(
            said=_habits(
                _FIVE_VOWELS,
                "v b B, z s, h x, r R *, D d[, T T t[ s, S tS s, dZ j tS, j dZ j, t t[, d d[, w B w",
            ),
            even=0.9,
        ),
        "fr": FirstLanguage(
            said=_habits(
                "I i i:, i: i, U u, u: u, V a 3: o, a a, 0 o O:, O: o O:, oU o o:, eI e e: E, 3: 3: e@, O@ o O:, e@ E e:, "
                'i@ i, @ 3: e a, h NULL, T s t[ f, D z d[ v, r r" Q", tS S tS, dZ Z dZ, t t[, d d[, N n^ n',
            ),
            even=1.0,
        ),
        "hi": FirstLanguage(
            said=_habits(
                "w v# v, v w v#, T t[, D d[, eI e:, oU o:, 0 A: O:, r * R, z dZ z, V V @, a E a, 3: VR 3:, O@ o: O:, f p f, Z z",
            ),
            even=0.8,
        ),
        "it": FirstLanguage(
            said=_habits(
                _FIVE_VOWELS,
                "h NULL, T t[ f, D d[, r R, t t[, d d[, N n",
            ),
            even=0.8,
        ),
        "ja": FirstLanguage(
            said=_habits(
                _FIVE_VOWELS,
                "3: a A:, l * l, r * l, v b, T s, D z d, f h f",
            ),
            even=1.0,
        ),
        "ko": FirstLanguage(
            said=_habits(
                "f p, v b, z dZ s, r * l, l * l, T s t, D d, I i, V o a, a E, 0 o, O: o, oU o, eI e: eI, U u, O@ o, 3: o 3:, Z dZ",
            ),
            even=0.9,
        ),
        "pt": FirstLanguage(
            said=_habits(
                "I i, U u, V a, a E, h NULL x, r * x R, T t[ f s, D d[ z, 0 O: o, oU o oU, 3: E e, t t[, d d[, N n, @ a e",
            ),
            even=0.6,
        ),
        "ru": FirstLanguage(
            said=_habits(
                "I i i:, U u, T s f t[, D z d[, w v, h x, r R *, a E, V a, 0 o, O: o, oU o oU, eI e eI, 3: E o, O@ o, t t[, "
                "d d[, N n, @ a E",
            ),
            even=0.4,
            devoices=True,
        ),
        "sv": FirstLanguage(
            said=_habits(
                "z s, w v, T t T, D d, dZ j dZ, tS S, Z S, r R r, V a 3:, oU o: u:, eI e: E",
            ),
            even=0.2,
        ),
        "tr": FirstLanguage(
            said=_habits(
                "w v, T t s, D d z, r *, a E a, V a, 0 o, oU o, eI e eI, 3: E 3:, I i I, @ a E, N n",
            ),
            even=0.8,
            devoices=True,
        ),
        "zh": FirstLanguage(
            said=_habits(
                "T s, D d z, v w f, z s z, r r/ l w, h x, I i I, V a, a E a, 0 o O:, eI E eI, U u, Z S, l l r/, O@ o",
            ),
            even=1.0,
            devoices=True,
        ),
    }
)


def replacements(language: FirstLanguage, rng: np.random.Generator) -> Iterator[str]:
    """The habits that a drawn speaker has kept, as `replace` lines of a voice file of espeak-ng."""
    kept = float(rng.uniform(*KEPT))
    for one, others in language.said.items():
        other = str(rng.choice(others))
        if rng.random() < kept and other != one:
            yield from (f"replace {_ANYWHERE} {name} {other}" for name in _NAMES.get(one, (one,)))
    if language.devoices and rng.random() < kept:
        yield from (f"replace {_WORD_END} {voiced} {other}" for voiced, other in _DEVOICED)
