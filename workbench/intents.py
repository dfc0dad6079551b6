"""What the user seems to be asking for while they still speak, as probabilities of a few intents, from the words that the agent has heard.

A guess for those who look on, and for rules: nothing here decides anything. It is a naive Bayes reader of words and word pairs, made of a
handful of example sentences for each intent; a word counts for as much as the agent was sure of having heard it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from math import exp, log

from workbench.background.words import read_number
from workbench.clock import ClockSpec, Tick
from workbench.events import Event, TranscriptDelta
from workbench.events_rules import IntentEstimated
from workbench.packets import MicroTurn
from workbench.session import Said
from workbench.wrapped import Wrapped, WrappedState

OPEN_S = 1.2  # an utterance is over when nothing was added to it for so long
SMOOTHING, TOLD = 0.3, 3

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "work out a sum": (
        "what is two plus three",
        "tell me seven plus five",
        "how much is five times seven",
        "add zero and four",
        "the sum of",
    ),
    "count": ("count to seventeen", "can you count from one to ten please", "okay count to twenty three", "count with me to six"),
    "stop": ("stop", "please stop", "okay that is enough", "stop counting please", "be quiet"),
    "remind": ("remind me in four seconds", "say now every two seconds", "tell me in nine seconds", "set a timer"),
    "look up": ("look up john please", "can you look up maria", "search for the river", "find out where"),
    "draw": ("plot the total by city", "draw a chart", "please make it black", "make the bars red"),
    "correct": ("no i mean emma", "no sorry six", "no the other one", "actually four", "i mean two"),
    "call off": ("never mind", "forget it", "cancel that", "please cancel it"),
    "translate": ("say it in spanish", "please translate", "translate what i say into spanish"),
    "watch for": (
        "tell me when it turns red",
        "warn me when it passes six",
        "whenever i say blue say two",
        "correct me if i make a mistake",
    ),
    "tell": (
        "let me tell you a story",
        "i think john called on monday",
        "my brother bought two onions at the market",
        "right",
        "okay",
        "mhm",
    ),
}


def intents_of(words: Sequence[tuple[str, float]], top: int = TOLD) -> tuple[tuple[str, float], ...]:
    """The likeliest intents of words, each with how sure it was heard: (intent, probability), the first the most; empty without words."""
    if not words:
        return ()
    counts, seen = _model()
    said = [_plain(word) for word, _ in words]
    features = [*said, *(" ".join(pair) for pair in pairwise(said))]
    sure = [p for _, p in words]
    weights = [*sure, *(min(pair) for pair in pairwise(sure))]
    scores = {}
    for intent, count in counts.items():
        total = sum(count.values()) + SMOOTHING * seen
        scores[intent] = sum(w * log((count[f] + SMOOTHING) / total) for f, w in zip(features, weights, strict=True))
    most = max(scores.values())
    likely = {intent: exp(score - most) for intent, score in scores.items()}
    whole = sum(likely.values())
    ranked = sorted(likely.items(), key=lambda item: -item[1])
    return tuple((intent, round(p / whole, 4)) for intent, p in ranked[:top])


def _plain(word: str) -> str:
    """The word, all numbers alike."""
    return "#" if read_number([word]) else word


@lru_cache(maxsize=1)
def _model() -> tuple[dict[str, Counter[str]], int]:
    """How often each word and pair stands in the examples of each intent, and how many there are."""
    counts = {}
    for intent, sentences in EXAMPLES.items():
        plain = [[_plain(word) for word in sentence.split()] for sentence in sentences]
        counts[intent] = Counter(feature for words in plain for feature in (*words, *(" ".join(pair) for pair in pairwise(words))))
    return counts, len({feature for count in counts.values() for feature in count})


@dataclass(frozen=True)
class GuessingState(WrappedState):
    """The agent's state, and the words of the utterance that goes on, each with how sure it was heard."""

    words: tuple[tuple[str, float], ...] = ()
    last_s: float = 0.0


@dataclass(frozen=True)
class Guessing(Wrapped):
    """An agent beside which an estimate of the user's intent is noted in every tick that brings words."""

    def start(self, clock: ClockSpec, seed: int) -> GuessingState:
        return GuessingState(clock, self.agent.start(clock, seed))

    def step(self, state: GuessingState, tick: Tick, heard: MicroTurn) -> tuple[Said, GuessingState]:
        said, agent = self.agent.step(state.agent, tick, heard)
        new = [event for event in said.events if isinstance(event, TranscriptDelta) and event.side == "user"]
        state = replace(state, agent=agent)
        if not new:
            return said, state
        before = state.words if new[0].start_s - state.last_s <= OPEN_S else ()
        words = (*before, *((event.word, event.probability) for event in new))
        estimate: Event = IntentEstimated(at_s=state.clock.seconds(tick), words=" ".join(word for word, _ in words), top=intents_of(words))
        return replace(said, events=(*said.events, estimate)), replace(state, words=words, last_s=new[-1].end_s)
