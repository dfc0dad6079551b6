"""Look up: the user asks for somebody's number, or for a product; the agent has it found out and says it when it is there.

A perfect agent says "okay" with the first tick that starts 0.28 s or more after the request, asks the background in the same tick, and
says the number in the tick after it was told, which is in a pause. What is in no list it is sorry for. How long it takes is a
fact of the script, one to three and a half seconds. Difficulty changes nothing but the surroundings.

    time   0    1    2    3    4    5    6
    user   ..look up anna....................
    agent  .................okay.......twelve
                                   |<--------->| result window: from when it is known to 3.0 s later
    tasks                    [ look up anna ]
"""

from __future__ import annotations

import numpy as np

from workbench.scenarios.answer import reply
from workbench.scenarios.facts import Facts
from workbench.scenarios.script import END, REPLY_DELAY_S, Anchor, Beat, Expect, Order, Piece, Trigger
from workbench.scenarios.world import MAX_NUMBER, NAMES, number_word, spoken_number

ASKED_S = (0.0, 1.2)  # of the request to the background, after the end of the user's
RESULT_S = 3.0  # how long a result may take from when it can be known
TAKES_S = 2.4  # from the end of a request to that of a result that is known at once
UNSAID = "sorry"

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


def piece(lead: Trigger, rng: np.random.Generator, difficulty: float) -> Piece:
    """A number to look up (two of three), or a product."""
    facts = Facts.of(rng)
    if rng.random() < 2 / 3:
        name = NAMES[int(rng.integers(len(NAMES)))]
        text, ask, word, tag = look_up(rng, name), f"look up {name}", facts.number(name) or UNSAID, "look_up"
        tag = tag if word != UNSAID else "unknown"
    else:
        a = int(rng.integers(2, 10))
        b = int(rng.integers(2, min(9, MAX_NUMBER // a) + 1))
        text = PRODUCTS[int(rng.integers(len(PRODUCTS)))].format(a=spoken_number(a), b=spoken_number(b))
        ask, word, tag = f"{spoken_number(a)} times {spoken_number(b)}", number_word(a * b), "product"
    return Piece((request(rng, lead, text, ask, word, facts.works_s(ask), tag),), agent_last=False)


def episode(lead: Trigger, rng: np.random.Generator, difficulty: float) -> list[Piece]:
    """Two such requests."""
    first = piece(lead, rng, difficulty)
    return [first, piece(first.after(float(rng.uniform(0.8, 2.0))), rng, difficulty)]
