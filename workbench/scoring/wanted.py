"""Which of the agent's words answer which expectation, and which answer none.

A moment takes the first word that is its own and begins within REACH_S of its window, each word once, in the order of time. A word that
answers nothing while moments are open spoils the moment nearest to it: who talks all the time hits every moment and gets no credit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.events import TranscriptDelta
from workbench.scoring.reading import Opened, Reading

EARLY_S = 0.3  # before its window a word may take a result's place
REACH_S = 0.5  # beyond the window on either side: a word there is the right one at the wrong time


@dataclass(frozen=True)
class Wanted:
    """`words` are the ids (of the objects) of the agent's words that answer something; `taken` is the word of each moment, by its id;
    `spoiled` are the moments that lost their credit to a word too many; `results` are the words in the place of each result, by its id."""

    words: frozenset[int]
    taken: Mapping[str, TranscriptDelta]
    spoiled: frozenset[str]
    results: Mapping[str, Sequence[TranscriptDelta]]


def wanted(reading: Reading) -> Wanted:
    """The first word after a question or timer, as many of a count as were asked for, the words of moments, and those before a yield."""
    moments = sorted((o for o in reading.opened if o.expect.what == "moment"), key=_target_s)
    taken = _taken(reading, moments)
    kept = {id(word) for word in taken.values()}
    for opened in reading.opened:
        expect = opened.expect
        words = reading.words_in(expect.anchor_s, opened.closes_s)
        if expect.what in ("reply", "time"):
            kept |= {id(word) for word in words[:1]}
        elif expect.what in ("count", "amend"):
            kept |= {id(word) for word in words[: len(expect.words)]}
        elif expect.what == "yield":
            kept |= {id(word) for word in reading.words_in(opened.begins_s, min(opened.closes_s, expect.anchor_s + expect.to_s))}
    results = _results(reading, kept)
    kept |= {id(word) for words in results.values() for word in words}
    return Wanted(frozenset(kept), taken, _spoiled(reading, moments, kept), results)


def _results(reading: Reading, kept: set[int]) -> dict[str, Sequence[TranscriptDelta]]:
    """Of every result the first words near its window that answer nothing else, as many as it has."""
    found: dict[str, Sequence[TranscriptDelta]] = {}
    gone = set(kept)
    for opened in reading.opened:
        expect = opened.expect
        if expect.what == "result":
            near = reading.words_in(expect.anchor_s + expect.from_s - EARLY_S, expect.anchor_s + expect.to_s)
            found[expect.id] = [word for word in near if id(word) not in gone][: len(expect.words)]
            gone |= {id(word) for word in found[expect.id]}
    return found


def _taken(reading: Reading, moments: list[Opened]) -> dict[str, TranscriptDelta]:
    taken: dict[str, TranscriptDelta] = {}
    for word in reading.words:
        for moment in moments:
            expect = moment.expect
            after_s = word.start_s - expect.anchor_s
            if expect.id not in taken and (word.word,) == expect.words and expect.from_s - REACH_S <= after_s <= expect.to_s + REACH_S:
                taken[expect.id] = word
                break
    return taken


def _spoiled(reading: Reading, moments: list[Opened], kept: set[int]) -> frozenset[str]:
    spoiled = set()
    for word in reading.words:
        near = [m for m in moments if m.begins_s <= word.start_s < m.closes_s and id(word) not in kept]
        if near:
            spoiled.add(min(near, key=lambda m: abs(word.start_s - _target_s(m))).expect.id)
    return frozenset(spoiled)


def _target_s(moment: Opened) -> float:
    return moment.expect.anchor_s + (moment.expect.from_s + moment.expect.to_s) / 2
