"""Accents made for training: some that nobody has, and those of people who learned another language first (see `learners`).

An accent that nobody has is English with its vowels moved to their neighbours, a few consonants said otherwise, and a rhythm of its own.

Voices of one synthesiser share seven accents; a model that has heard only those knows no eighth. "Now" in an accent it never met was "one"
to it. So training invents accents: each moves some of the vowels of one of the seven to neighbours in the mouth, one to one, as the chain
shifts of living languages do, so that words that differed still differ. Ours, unpublished; how it was measured is in LOG.md.

An accent is a voice file of espeak-ng (docs/voices.md of that project): the phoneme table and rules of a known accent, `replace` lines,
lengths of stressed and unstressed syllables, resonances.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from workbench.learners import LANGUAGES, replacements
from workbench.packets import rng_for

PREFIX = "en-x-"  # of names: "en-x-17" is accent 17, "en-x-fr-17" that of speaker 17 of French ("x": for private use, RFC 5646)
MOVED = (0.1, 0.6)  # share of the vowels, drawn for each accent
OTHERWISE = 0.15  # chance of a consonant to be said otherwise

# Phoneme table, pronunciation rules, and lengths of syllables (none: those of the engine) of the accents that training may hear.
_KNOWN: tuple[tuple[str, str, str], ...] = (
    ("en", "", ""),
    ("en-us", "3 6", "140 120 190 170 0 0 255 300"),
    ("en-us-nyc", "3 6", "140 120 190 170 0 0 255 300"),
    ("en-wi", "8", "175 175 175 175 220 220 250 290"),
    ("en-n", "", "160 150 180 180 220 220 290 290"),
    ("en-wm", "6", ""),
    ("en-rp", "", ""),
)
_LENGTHS = "182 140 220 220 0 0 240 260"  # of the engine
EVEN = 200  # of every syllable of a language whose syllables are of even length, as the engine counts it
_NEIGHBOURS: dict[str, tuple[str, ...]] = {
    "a": ("aa", "E", "A:", "V"),
    "aa": ("a", "A:", "O:"),
    "A:": ("aa", "a", "O:", "0"),
    "V": ("U", "a", "0", "E", "VR"),
    "0": ("O", "A:", "V", "O:", "aa"),
    "O:": ("0", "o:", "oU", "A:", "U@"),
    "E": ("e", "a", "I", "e@", "eI"),
    "I": ("e", "E", "i:", "IR"),
    "i:": ("i@", "I", "eI", "e:"),
    "eI": ("e:", "E", "aI", "e@", "i@"),
    "aI": ("OI", "A:", "eI", "aa", "a"),
    "aU": ("A:", "aa", "oU", "a", "O", "u:", "V"),
    "oU": ("o:", "o", "aU", "O:", "u:", "V"),
    "OI": ("aI", "oU", "O:"),
    "u:": ("u", "U", "oU", "o:", "U@"),
    "U": ("u", "u:", "V", "o"),
    "3:": ("e@", "VR", "IR", "E", "O:", "V"),
    "A@": ("A:", "aa", "O@", "a"),
    "o@": ("O:", "o:", "oU", "U@", "0"),
    "O@": ("o:", "O:", "oU", "0", "A@"),
    "e@": ("e:", "E", "3:", "i@", "IR"),
    "i@": ("i:", "e@", "e:", "I"),
}
_OTHERWISE: dict[str, tuple[str, ...]] = {
    "T": ("t[", "t", "f", "s"),
    "D": ("d[", "d", "v", "z"),
    "r": ("R", "R2", "R3", "w"),
    "h": ("NULL", "x"),
    "t": ("t[", "d[", "?"),
    "w": ("v", "w"),
    "l": ("L", "l"),
    "z": ("s", "z"),
    "v": ("f", "w"),
    "d": ("d[", "t["),
}


def name_of(number: int, language: str = "") -> str:
    """The name of accent `number`: of a speaker of this first language, or one that nobody has."""
    return f"{PREFIX}{language}-{number}" if language else f"{PREFIX}{number}"


def voice_file(base: str) -> str | None:
    """The accent of this name as a voice file of espeak-ng, the same text for the same name; None for the name of any other voice."""
    found = re.fullmatch(re.escape(PREFIX) + r"(?:([a-z]+)-)?(\d+)", base)
    if found is None or (found[1] and found[1] not in LANGUAGES):
        return None
    return _learned(found[1], int(found[2])) if found[1] else _moved(int(found[2]))


@lru_cache(maxsize=64)
def _moved(number: int) -> str:
    rng = rng_for(number, 0, "accent")
    table, rules, lengths = _KNOWN[int(rng.integers(len(_KNOWN)))]
    said = {**moved_vowels(rng), **{one: str(rng.choice(_OTHERWISE[one])) for one in _OTHERWISE if rng.random() < OTHERWISE}}
    head = _head(name_of(number), table, rules, (lengths or _LENGTHS).split(), rng)
    return "\n".join([*head, *(f"replace 00 {one} {other}" for one, other in said.items() if one != other), ""])


@lru_cache(maxsize=64)
def _learned(language: str, number: int) -> str:
    rng = rng_for(number, 0, f"accent:{language}")
    first = LANGUAGES[language]
    table, rules, lengths = _KNOWN[int(rng.integers(len(_KNOWN)))]
    own = [int(length) or int(_LENGTHS.split()[0]) for length in (lengths or _LENGTHS).split()]
    share = first.even * float(rng.uniform(0.5, 1.0))
    even = [str(round((1 - share) * length + share * EVEN)) for length in own]
    head = _head(name_of(number, language), table, rules, even, rng)
    return "\n".join([*head, *replacements(first, rng), ""])


def _head(name: str, table: str, rules: str, lengths: Sequence[str], rng: np.random.Generator) -> list[str]:
    stretched = [round(int(length) * float(rng.uniform(0.82, 1.22))) for length in lengths]
    lines = [f"name {name}", "language en", f"phonemes {table}"]
    if rules:
        lines.append(f"dictrules {rules}")
    lines.append("stressLength " + " ".join(map(str, stretched)))
    lines.append(f"intonation {int(rng.integers(1, 5))}")
    return lines + [f"formant {n} {round(100 * float(rng.uniform(0.93, 1.07)))} 100 100" for n in (1, 2, 3)]


def moved_vowels(rng: np.random.Generator) -> dict[str, str]:
    """Some of the vowels and what is said instead; no two vowels are said alike."""
    share = float(rng.uniform(*MOVED))
    said = {one: one for one in _NEIGHBOURS}
    for one in rng.permutation(list(_NEIGHBOURS)).tolist():
        if rng.random() < share:
            free = [other for other in _NEIGHBOURS[one] if other not in said.values()]
            if free:
                said[one] = str(rng.choice(free))
    return {one: other for one, other in said.items() if one != other}
