"""The rules of `workbench.policies` that a person sets with one number while an agent talks; at `off` a dial's rule does not exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import InputError
from workbench.rules import BargeIn, MaxOverlap, MinConfidence, Policy, SpeakOver, SpeechBudget


@dataclass(frozen=True, kw_only=True)
class Dial:
    """One number of a rule, from `low` to `high` in steps of `step`; `choices` names the whole numbers where it is none of degree."""

    rule: Callable[[float], Policy]
    says: str
    low: float = 0.0
    high: float
    step: float = 1.0
    off: float
    unit: str = ""
    choices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """That of the rule."""
        return self.rule(self.low).name

    def check(self, value: float) -> None:
        """Raises InputError for a value that it cannot be set to."""
        if not self.low <= value <= self.high or (self.choices and value != round(value)):
            which = "a whole number" if self.choices else "a number"
            raise InputError(f"{self.name} cannot be {value:g}; give {which} from {self.low:g} to {self.high:g}")

    def told(self, value: float) -> dict[str, Any]:
        """What a page needs to show it, at `value`."""
        numbers = {"low": self.low, "high": self.high, "step": self.step, "off": self.off, "value": value}
        return {"name": self.name, "says": self.says, "unit": self.unit, "choices": list(self.choices), **numbers}


DIALS: Mapping[str, Dial] = {
    dial.name: dial
    for dial in (
        Dial(
            rule=lambda value: SpeakOver(("never", "backchannel", "always")[round(value)]),
            says="May it begin to speak while you do?",
            high=2,
            off=2,
            choices=("never", "with a back-channel", "always"),
        ),
        Dial(
            rule=lambda value: BargeIn(("at_once", "finish_word", "hold")[round(value)]),
            says="When you begin to speak while it does:",
            high=2,
            off=2,
            choices=("it is cut at once", "it ends the word", "it decides"),
        ),
        Dial(rule=MaxOverlap, says="Both at once for at most", low=0.2, high=5.0, step=0.2, off=5.0, unit="s"),
        Dial(rule=MinConfidence, says="It begins with p(speak) of at least", high=1.0, step=0.01, off=0.0),
        Dial(rule=SpeechBudget, says="It speaks in all, from now on, for at most", high=120.0, step=5.0, off=120.0, unit="s"),
    )
}


def moved(policies: tuple[Policy, ...], name: str, value: float) -> tuple[Policy, ...]:
    """The rules with the one of this dial at that value, in the order of the dials."""
    dial = DIALS[name]
    rules = {policy.name: policy for policy in policies} | {name: dial.rule(value)}
    if value == dial.off:
        del rules[name]
    order = [*DIALS, *rules]
    return tuple(sorted(rules.values(), key=lambda policy: order.index(policy.name)))
