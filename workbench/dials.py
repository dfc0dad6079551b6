"""The rules of `workbench.policies` that a person sets with one number while an agent talks; at `off` a dial's rule does not exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, TypeVar

from workbench.errors import InputError
from workbench.policies import Governed
from workbench.rules import (
    BARGE_IN,
    BargeIn,
    MaxOverlap,
    MinConfidence,
    Over,
    Policy,
    QuietHours,
    QuietTimes,
    SpeakOver,
    SpeechBudget,
)

OVER: tuple[Over, ...] = ("never", "backchannel", "always", "on_cue")  # by the number that stands for it in a trace
MINUTE_S = 60.0
Rule = TypeVar("Rule")


@dataclass(frozen=True, kw_only=True)
class Dial:
    """One number of a rule, from `low` to `high` in steps of `step`; `choices` names the whole numbers where it is none of degree.

    `at` reads it of an agent under rules in a second of the session, `to` gives the agent with it at a value from then on. `given` tells in
    words how the rule stands where no value of the dial says it.
    """

    name: str
    says: str
    at: Callable[[Governed, float], float]
    to: Callable[[Governed, float, float], Governed]
    given: Callable[[Governed, float], str] = lambda agent, now_s: ""
    low: float = 0.0
    high: float
    step: float = 1.0
    off: float
    unit: str = ""
    choices: tuple[str, ...] = ()

    def check(self, value: float) -> None:
        """Raises InputError for a value that it cannot be set to."""
        if not self.low <= value <= self.high or (self.choices and value != round(value)):
            which = "a whole number" if self.choices else "a number"
            raise InputError(f"{self.name} cannot be {value:g}; give {which} from {self.low:g} to {self.high:g}")

    def told(self, value: float, given: str = "") -> dict[str, Any]:
        """What a page needs to show it, at `value`, or as `given` until somebody moves it."""
        numbers = {"low": self.low, "high": self.high, "step": self.step, "off": self.off, "value": value}
        return {"name": self.name, "says": self.says, "unit": self.unit, "choices": list(self.choices), "given": given, **numbers}

    def told_of(self, agent: Governed, now_s: float) -> dict[str, Any]:
        """What a page needs to show it as it stands for an agent; a rule beyond its range is given in words."""
        value, given = self.at(agent, now_s), self.given(agent, now_s)
        within = min(max(value, self.low), self.high)
        return self.told(within, given or ("" if value == within else f"{value:g} {self.unit}".strip()))


def dial_of(name: str, agent: Governed) -> Dial:
    """The dial of this name as this agent has it: with words that it may say over the user there is one choice more."""
    dial, cues = DIALS[name], _cues(agent)
    if dial.name != SpeakOver.name or not cues:
        return dial
    return replace(dial, high=float(len(dial.choices)), choices=(*dial.choices, f"with {', '.join(cues)}"))


def dials_told(agent: Governed, now_s: float) -> tuple[dict[str, Any], ...]:
    """What a page needs to show all dials as they stand for an agent in a second of the session."""
    return tuple(dial_of(name, agent).told_of(agent, now_s) for name in DIALS)


def moved(agent: Governed, name: str, value: float, now_s: float) -> Governed:
    """The agent with this dial at that value from a second of the session on."""
    return dial_of(name, agent).to(agent, value, now_s)


def _with(agent: Governed, name: str, rule: Policy | None) -> Governed:
    """The agent with this rule in place of the one of that name, the rules in the order of the dials."""
    rules = {policy.name: policy for policy in agent.policies if policy.name != name}
    if rule is not None:
        rules[name] = rule
    order = [*DIALS, *rules]
    return replace(agent, policies=tuple(sorted(rules.values(), key=lambda policy: order.index(policy.name))))


def _rule(agent: Governed, name: str, kind: type[Rule]) -> Rule | None:
    return next((policy for policy in agent.policies if policy.name == name and isinstance(policy, kind)), None)


def _number(kind: type[MaxOverlap] | type[MinConfidence] | type[SpeechBudget], number: str, *, off: float, **more: Any) -> Dial:
    """The dial of a rule that has one number."""

    def at(agent: Governed, now_s: float) -> float:
        rule = _rule(agent, kind.name, kind)
        return off if rule is None else float(getattr(rule, number))

    def to(agent: Governed, value: float, now_s: float) -> Governed:
        return _with(agent, kind.name, None if value == off else kind(value))

    return Dial(name=kind.name, at=at, to=to, off=off, **more)


def _cues(agent: Governed) -> tuple[str, ...]:
    rule = _rule(agent, SpeakOver.name, SpeakOver)
    return () if rule is None else rule.cues


def _over_at(agent: Governed, now_s: float) -> float:
    rule = _rule(agent, SpeakOver.name, SpeakOver)
    return float(OVER.index("always" if rule is None else rule.mode))


def _over_to(agent: Governed, value: float, now_s: float) -> Governed:
    """A rule with words of its own keeps them, so that it can be turned back to them."""
    mode, cues = OVER[round(value)], _cues(agent)
    return _with(agent, SpeakOver.name, None if mode == "always" and not cues else SpeakOver(mode, cues))


def _barge_at(agent: Governed, now_s: float) -> float:
    rule = _rule(agent, BargeIn.name, BargeIn)
    return float(BARGE_IN.index("hold" if rule is None else rule.mode))


def _barge_to(agent: Governed, value: float, now_s: float) -> Governed:
    mode = BARGE_IN[round(value)]
    return _with(agent, BargeIn.name, None if mode == "hold" else BargeIn(mode))


def _quiet_at(agent: Governed, now_s: float) -> float:
    """How many minutes it is still to be quiet, begun ones whole."""
    rule = _rule(agent, QuietHours.name, QuietHours)
    return float(ceil((rule.to_s - now_s) / MINUTE_S - 1e-9)) if rule is not None and rule.from_s <= now_s < rule.to_s else 0.0


def _quiet_to(agent: Governed, value: float, now_s: float) -> Governed:
    return _with(agent, QuietHours.name, QuietHours(now_s, now_s + value * MINUTE_S) if value else None)


def _quiet_given(agent: Governed, now_s: float) -> str:
    """Quiet hours that no number of minutes from now on says: those to come, and those of every day."""
    times, hours = _rule(agent, QuietHours.name, QuietTimes), _rule(agent, QuietHours.name, QuietHours)
    if times is not None:
        return str(times)
    return f"{hours.from_s:g} to {hours.to_s:g} s" if hours is not None and now_s < hours.from_s else ""


DIALS: Mapping[str, Dial] = {
    dial.name: dial
    for dial in (
        Dial(
            name=SpeakOver.name,
            says="May it begin to speak while you do?",
            at=_over_at,
            to=_over_to,
            high=2,
            off=2,
            choices=("never", "with a back-channel", "always"),
        ),
        Dial(
            name=BargeIn.name,
            says="When you begin to speak while it does:",
            at=_barge_at,
            to=_barge_to,
            high=2,
            off=2,
            choices=("it is cut at once", "it ends the word", "it decides"),
        ),
        _number(MaxOverlap, "seconds", says="Both at once for at most", low=0.2, high=5.0, step=0.2, off=5.0, unit="s"),
        Dial(
            name="patience",
            says="It waits until you have been silent for",
            at=lambda agent, now_s: agent.hold.patience_s,
            to=lambda agent, value, now_s: replace(agent, hold=replace(agent.hold, patience_s=value)),
            high=3.0,
            step=0.2,
            off=0.0,
            unit="s",
        ),
        _number(MinConfidence, "p", says="It begins with p(speak) of at least", high=1.0, step=0.01, off=0.0),
        _number(SpeechBudget, "seconds", says="It speaks in all, from now on, for at most", high=120.0, step=5.0, off=120.0, unit="s"),
        Dial(
            name=QuietHours.name,
            says="It is quiet, from now on, for",
            at=_quiet_at,
            to=_quiet_to,
            given=_quiet_given,
            high=60.0,
            off=0.0,
            unit="min",
        ),
    )
}
