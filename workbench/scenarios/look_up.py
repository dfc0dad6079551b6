"""Look up: the user asks for somebody's number, or for a product; the agent has it found out and says it when it is there.

A perfect agent says "okay" with the first tick that starts 0.28 s or more after the request, asks the background in the same tick, and
says the number in the tick after it was told, which is in a pause. What is in no list it is sorry for. How long it takes is a
fact of the script, one to three and a half seconds; with difficulty it is one of those that take longer, products have larger factors, and
the next request follows sooner.

    time   0    1    2    3    4    5    6
    user   ..look up anna....................
    agent  .................okay.......twelve
                                   |<--------->| result window: from when it is known to 3.0 s later
    tasks                    [ look up anna ]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.scenarios.answer import NEXT_S, reply
from workbench.scenarios.dial import USUAL, Span, moved
from workbench.scenarios.facts import Facts
from workbench.scenarios.script import END, REPLY_DELAY_S, Anchor, Beat, Expect, Order, Piece, Trigger
from workbench.scenarios.world import MAX_NUMBER, NAMES, number_word, spoken_number

ASKED_S = (0.0, 1.2)  # of the request to the background, after the end of the user's
RESULT_S = 3.0  # how long a result may take from when it can be known
TAKES_S = 2.4  # from the end of a request to that of a result that is known at once
UNSAID = "sorry"
MARGIN_S = 0.3  # before a result is there, whoever changes the request has begun to speak
FACTOR = Span((2, 9), easy=(2, 5), hard=(5, 9))

FORMS = ("look up {n}", "look up {n} please", "please look up {n}", "can you look up {n}", "could you look up {n} please")
PRODUCTS = ("what is {a} times {b}", "how much is {a} times {b}", "what is {a} times {b} please", "tell me {a} times {b}")


def delegating(control: str, ask: str, ack: str = "okay") -> Order:
    """The order to say `ack` and hand the request `ask` to the background."""
    return Order("say", REPLY_DELAY_S, (*ack.split(), f"{control} {ask}"))


def asked(control: str, ask: str, *tags: str) -> Expect:
    """The expectation that this request is made of the background."""
    return Expect("delegate", "end of the request", *ASKED_S, words=(f"{control} {ask}",), tags=tags)


def result(word: str, from_s: float, to_s: float, *tags: str, anchor: Anchor = END) -> Expect:
    """The expectation that the result is said between these moments after the anchor."""
    return Expect("result", "end of the request", from_s, to_s, words=(word,), tags=tags, anchor=anchor)


def request(rng: np.random.Generator, trigger: Trigger, text: str, ask: str, word: str, works_s: float, *tags: str) -> Beat:
    """Somebody asks, and waits until the result has been said."""
    expects = (reply("okay", "acknowledged"), asked("<open>", ask, *tags), result(word, works_s, works_s + RESULT_S, *tags))
    return Beat((text,), trigger, (delegating("<open>", ask),), expects, holds_s=works_s + TAKES_S)


def look_up(rng: np.random.Generator, name: str) -> str:
    """Words in which a user asks for the number of a name."""
    return FORMS[int(rng.integers(len(FORMS)))].format(n=name)


def known(facts: Facts, least_s: float = 0.0) -> list[str]:
    """The names that are in the list and take at least that long, or, where none does, the one that takes longest."""
    listed = [name for name in NAMES if facts.number(name)]
    slow = [name for name in listed if facts.works_s(f"look up {name}") >= least_s]
    return slow or [max(listed or NAMES, key=lambda name: facts.works_s(f"look up {name}"))]


def at_pace(rng: np.random.Generator, names: Sequence[str], facts: Facts, difficulty: float) -> str:
    """One of the names, by difficulty among those that take less time or more."""
    drawn = names[int(rng.integers(len(names)))]
    by_time = sorted(names, key=lambda name: facts.works_s(f"look up {name}"))
    last = len(names) - 1
    span = Span((0, last), easy=(0, last // 2), hard=(last - last // 2, last))
    return by_time[round(moved(by_time.index(drawn), span.usual, span.at(difficulty)))]


def before_told(gap_s: Span, rng: np.random.Generator, difficulty: float, works_s: float) -> float:
    """When somebody takes a request back or changes it, after its end: where difficulty makes that later, still before its result."""
    usual_s = float(rng.uniform(*gap_s.usual))
    now_s = moved(usual_s, gap_s.usual, gap_s.at(difficulty))
    return now_s if difficulty <= USUAL else max(usual_s, min(now_s, works_s - MARGIN_S))


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """A number to look up (two of three), or a product."""
    facts = Facts.of(rng)
    if rng.random() < 2 / 3:
        name = at_pace(rng, NAMES, facts, difficulty)
        text, ask, word, tag = look_up(rng, name), f"look up {name}", facts.number(name) or UNSAID, "look_up"
        tag = tag if word != UNSAID else "unknown"
    else:
        a, b = _factors(rng, difficulty)
        text = PRODUCTS[int(rng.integers(len(PRODUCTS)))].format(a=spoken_number(a), b=spoken_number(b))
        ask, word, tag = f"{spoken_number(a)} times {spoken_number(b)}", number_word(a * b), "product"
    return Piece((request(rng, lead, text, ask, word, facts.works_s(ask), tag),), agent_last=False)


def _factors(rng: np.random.Generator, difficulty: float) -> tuple[int, int]:
    """Two numbers whose product is one of this world."""
    usual = int(rng.integers(2, 10))
    a = round(moved(usual, FACTOR.usual, FACTOR.at(difficulty)))
    b = int(rng.integers(2, _most(usual) + 1))
    return a, round(moved(b, (2, _most(usual)), (2, _most(a))))


def _most(a: int) -> int:
    return min(9, MAX_NUMBER // a)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """Two such requests."""
    first = piece(lead, rng, difficulty)
    return [first, piece(first.after(NEXT_S.draw(rng, difficulty)), rng, difficulty)]
