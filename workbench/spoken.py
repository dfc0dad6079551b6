"""Who said what when, as it sounded: the words of a trace, and the phrases they make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from workbench.events import ModelYielded, TranscriptDelta, TruthWord
from workbench.packets import USER_TEXT
from workbench.trace import Trace

AGENT = "agent"
TYPING = "user, typing"
PHRASE_GAP_S = 0.8  # a longer silence between two words of one speaker begins a new phrase


@dataclass(frozen=True)
class Spoken:
    """One word, or a phrase of several: who, what, from when to when (seconds on the session clock), and the tick in which it began."""

    speaker: str
    text: str
    start_s: float
    end_s: float
    tick: int


def spoken_words(trace: Trace) -> list[Spoken]:
    """Every word, in order of its start.

    People's words are those that really sounded where the trace knows them, else those that the agent heard. The agent's words end where
    a yield cut them. What was typed is there too, whole.
    """
    people = [Spoken(e.speaker, e.word, e.start_s, e.end_s, tick) for tick, e in trace.events(TruthWord)]
    words = (people or heard_words(trace)) + typed_texts(trace) + agent_words(trace)
    return sorted(words, key=lambda word: (word.start_s, word.speaker))


def heard_words(trace: Trace) -> list[Spoken]:
    """The user's words as the agent heard them."""
    return [Spoken("user", e.word, e.start_s, e.end_s, tick) for tick, e in trace.events(TranscriptDelta) if e.side == "user"]


def typed_texts(trace: Trace) -> list[Spoken]:
    """What the user typed, each text in the tick in which it was sent."""
    clock = trace.header.clock
    sent = [(turn.tick, turn.text(USER_TEXT)) for turn in trace.turns]
    return [Spoken(TYPING, text, clock.seconds(tick), clock.seconds(tick + 1), tick) for tick, text in sent if text]


def agent_words(trace: Trace) -> list[Spoken]:
    """The agent's words as they sounded, cut where it yielded."""
    cuts = [e.at_s for _, e in trace.events(ModelYielded)]
    words = []
    for tick, e in trace.events(TranscriptDelta):
        if e.side == "model":
            end_s = min([e.end_s, *(cut for cut in cuts if e.start_s < cut)])
            words.append(Spoken(AGENT, e.word, e.start_s, end_s, tick))
    return words


def phrases(words: Iterable[Spoken], gap_s: float = PHRASE_GAP_S, most_words: int = 12) -> list[Spoken]:
    """Words of one speaker that follow each other within `gap_s` as one phrase of at most `most_words`, in order of their start."""
    done: list[Spoken] = []
    open_: dict[str, list[Spoken]] = {}
    for word in sorted(words, key=lambda w: w.start_s):
        said = open_.get(word.speaker, [])
        if said and (word.start_s - said[-1].end_s > gap_s or len(said) >= most_words):
            done.append(_joined(said))
            said = []
        open_[word.speaker] = [*said, word]
    done.extend(_joined(said) for said in open_.values())
    return sorted(done, key=lambda phrase: (phrase.start_s, phrase.speaker))


def _joined(words: list[Spoken]) -> Spoken:
    first, last = words[0], words[-1]
    return Spoken(first.speaker, " ".join(w.text for w in words), first.start_s, last.end_s, first.tick)
