"""The background agent of the scenarios: it knows the facts of one script, multiplies, and draws a chart whose colour can be changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.background.parts import Answer, Envelope, Failure, Part, Stop
from workbench.scenarios.facts import Facts
from workbench.scenarios.world import COLOURS, number_of, number_word

HEIGHTS = (3, 5, 2, 6, 4)


@dataclass(frozen=True)
class Directory:
    """Answers "look up anna", "three times four" and "draw a chart"; an amendment names another person or another colour.

    How long it takes depends on the request alone. What it does not know ends in a Failure.
    """

    facts: Facts
    name: str = "directory"

    def spec(self) -> Mapping[str, Any]:
        planted = {"planted": True} if self.facts.planted else {}
        return {"class": "Directory", "salt": self.facts.salt, **planted}

    def work(self, envelope: Envelope, stop: Stop) -> Iterable[Part]:
        ask = " ".join((envelope.ask, *envelope.amendments))
        after_s = self.facts.works_s(ask)
        words = ask.split()
        if words[:3] == ["draw", "a", "chart"]:
            colour = next((word for word in reversed(words) if word in COLOURS), COLOURS[1])
            yield Answer(text=f"a {colour} chart", shown={"kind": "figure", "figure": _chart(colour)}, after_s=after_s)
        elif "times" in words:
            yield _product(words, after_s)
        elif words[:2] == ["look", "up"] and (number := self.facts.number(words[-1])):
            text = number.replace("-", " ") + (f". {self.facts.instruction(words[-1])[1]}" if self.facts.planted else "")
            yield Answer(text=text, sources=(f"list of numbers: {words[-1]}",), after_s=after_s)
        else:
            yield Failure(cause=f"nothing is known about {words[-1]}", after_s=after_s)


def _product(words: list[str], after_s: float) -> Part:
    at = words.index("times")
    factors = [number_of(word) for word in (" ".join(words[:at]), " ".join(words[at + 1 :]))]
    if None in factors:
        return Failure(cause=f"{' '.join(words)} is no product of two numbers", after_s=after_s)
    a, b = (int(factor) for factor in factors if factor is not None)
    try:
        return Answer(text=number_word(a * b).replace("-", " "), sources=(f"{a} x {b}",), after_s=after_s)
    except ValueError as error:
        return Failure(cause=str(error), after_s=after_s)


def _chart(colour: str) -> dict[str, Any]:
    return {"data": [{"type": "bar", "x": list("abcde"), "y": list(HEIGHTS), "marker": {"color": colour}}], "layout": {}}
