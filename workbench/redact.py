"""What stays of a decision, a gate or a yield when words are erased that its texts may repeat: its numbers, and what tells of the agent.

A gate may quote what the user asked (a guard) or what the background found (a repertoire), and a rule of one's own may quote anything. So a
text stays only where it is known to be about the agent itself: those of `OWN`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from workbench.events import Decision, GatesActed, ModelYielded
from workbench.rules import BargeIn, MaxOverlap, MinConfidence, QuietHours, SpeakOver, SpeechBudget

ERASED = "(erased)"  # stands where a text stood
KINDS = (Decision.kind, GatesActed.kind, ModelYielded.kind)
OWN = frozenset(  # gates, and reasons of yields, that tell of the agent's own words and of numbers
    {
        "threshold",
        "hold-back",
        "the agent chose to yield",
        "the user took the floor",
        *(SpeakOver.name, BargeIn.name, MaxOverlap.name, QuietHours.name, SpeechBudget.name, MinConfidence.name),
    }
)
_REQUEST = re.compile(r"(<(?!yield>)\w+>)\s+\S.*", re.DOTALL)  # a control token and the words of what it asks for
_CONTROL = re.compile(r"<\w+>")
_QUOTED = re.compile(r"['\"]")  # a guard quotes what it found, whatever it is called


def redacted(body: Mapping[str, Any]) -> dict[str, Any]:
    """The stored body of an event of `KINDS` without what may repeat the words of others; equal to it where there is nothing of that."""
    if body["kind"] == ModelYielded.kind:
        name = str(body["reason"]).partition(": ")[0]
        return {**body, "reason": body["reason"] if _is_own(name, body["reason"]) else ERASED}
    gates = [_gate(gate) for gate in body.get("gates", ())]
    if body["kind"] == GatesActed.kind:
        return {**body, "gates": gates}
    top = [[_asks_nothing(word), p] for word, p in body.get("top", ())]
    return {**body, "said": _asks_nothing(body["said"]), "top": top, "gates": gates}


def _gate(gate: Mapping[str, str]) -> dict[str, str]:
    wanted, done = _asks_nothing(gate["wanted"]), _asks_nothing(gate["done"])
    if _is_own(gate["name"], gate["reason"]):
        return {**gate, "wanted": wanted, "done": done}
    return {**gate, "wanted": ERASED, "done": done if _CONTROL.fullmatch(done) else ERASED, "reason": ERASED}


def _is_own(name: str, reason: str) -> bool:
    return name in OWN and not _QUOTED.search(reason)


def _asks_nothing(text: str) -> str:
    """A text of the agent without the words that it writes to the background."""
    return _REQUEST.sub(rf"\1 {ERASED}", text)
