"""Rules as they are typed at a command line, such as `barge-in=at_once` or `hold=2`, and an agent that is governed by them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import exp, log
from pathlib import Path
from typing import Any, TypeVar

from workbench.errors import InputError
from workbench.intents import Guessing
from workbench.policies import (
    BargeIn,
    Governed,
    Guard,
    Hold,
    MaxOverlap,
    MinConfidence,
    Policy,
    QuietHours,
    QuietTimes,
    SpeakOver,
    SpeechBudget,
)
from workbench.rules import BARGE_IN, SPEAK_OVER, Over
from workbench.session import Participant

Mode = TypeVar("Mode", bound=str)

BARE = "none"
ON_CUE: Over = "on_cue"  # the one mode that is not typed: its words are
POLICY_HELP = (
    f"speak-over={'|'.join(mode for mode in SPEAK_OVER if mode != ON_CUE)}|WORD+WORD, barge-in={'|'.join(BARGE_IN)}, max-overlap=S, "
    "quiet=FROM-TO (seconds of the session, or times of day where somebody talks live: 22:00-07:00), budget=S, confidence=P, "
    "bias=B (log-odds of speaking), hold=TICKS, patience=S, guard=FILE, "
    "intents (notes what the user seems to ask for)"
)


def governed(agent: Participant, text: str) -> Participant:
    """The agent under the rules of one text, joined by commas; the agent itself for "none". Raises InputError as `governed_by` does."""
    return agent if text == BARE else governed_by(agent, text.split(","))


def governed_by(agent: Participant, texts: Sequence[str]) -> Participant:
    """The agent under these rules; itself without any. Raises InputError for a rule or a value that there is not."""
    policies: list[Policy] = []
    hold = Hold()
    for text in texts:
        name, _, value = text.partition("=")
        try:
            if name == "hold":
                hold = replace(hold, ticks=int(value))
            elif name == "patience":
                hold = replace(hold, patience_s=float(value))
            elif text == "intents":
                agent = Guessing(agent)
            elif name == "bias":
                agent = _biased(agent, float(value))
            else:
                policies.append(RULES[name](value))
        except KeyError:
            known = ", ".join((*RULES, "bias", "hold", "patience", "intents"))
            raise InputError(f"--policy {text!r}: there is no rule {name!r}; there are {known}") from None
        except InputError:
            raise
        except ValueError:
            raise InputError(f"--policy {text!r} has no value that fits; {POLICY_HELP}") from None
    return Governed(agent, tuple(policies), hold) if policies or hold != Hold() else agent


def _biased(agent: Participant, bias: float) -> Participant:
    """The agent with `bias` added to its log-odds of speaking: its bar is moved as far the other way."""
    make, bar = getattr(agent, "with_threshold", None), agent_spec(agent).get("threshold")
    if not callable(make) or not isinstance(bar, float) or not 0 < bar < 1:
        raise InputError(f"a speak bias moves the threshold of an agent between 0 and 1, and {agent.name!r} has none; leave bias= out")
    other: Participant = make(1 / (1 + exp(bias - log(bar / (1 - bar)))))
    return other


def agent_spec(agent: Participant) -> Mapping[str, Any]:
    """The spec of the agent itself, without those of what it is wrapped in."""
    spec = agent.spec()
    while isinstance(spec.get("agent"), Mapping):
        spec = spec["agent"]
    return spec


def _one_of(modes: Sequence[Mode], value: str) -> Mode:
    """The mode of this name. Raises ValueError where there is none."""
    return modes[modes.index(value)]


def _speak_over(value: str) -> Policy:
    if value in SPEAK_OVER and value != ON_CUE:
        return SpeakOver(_one_of(SPEAK_OVER, value))
    cues = tuple(value.lower().split("+"))
    if not all(cues) or value == ON_CUE:
        raise InputError(f"--policy speak-over={value}: give the words that may be said over the user, joined by +, e.g. watch+stop")
    return SpeakOver(ON_CUE, cues)


def _quiet(value: str) -> Policy:
    first, _, last = value.partition("-")
    if ":" in value:
        return QuietTimes(_time_of_day_s(first), _time_of_day_s(last))
    return QuietHours(float(first), float(last))


def _time_of_day_s(text: str) -> float:
    """Seconds since midnight, of a text such as 07:30."""
    if not re.fullmatch(r"\d\d?:[0-5]\d", text):
        raise ValueError(text)
    hours, _, minutes = text.partition(":")
    return float(int(hours) * 3600 + int(minutes) * 60)


def guard_of(path: Path) -> Guard:
    """The guard of a file with a line for each phrase: "ask: PHRASE", "say: PHRASE", and perhaps "refusal: WORDS"; # begins a comment.

    Raises InputError where a line is none of these, or the file is not there.
    """
    if not path.is_file():
        raise InputError(f"guard={path}: there is no such file; give one with lines such as 'ask: open the safe'")
    kinds: dict[str, list[str]] = {"ask": [], "say": [], "refusal": []}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        kind, _, phrase = line.partition(":")
        if line.strip() and not line.startswith("#"):
            if kind.strip() not in kinds or not phrase.strip():
                raise InputError(f"{path}:{number}: {line[:60]!r} is not 'ask: PHRASE', 'say: PHRASE' or 'refusal: WORDS'")
            kinds[kind.strip()].append(phrase.strip())
    guard = Guard(tuple(kinds["ask"]), tuple(kinds["say"]))
    return replace(guard, refusal=kinds["refusal"][-1]) if kinds["refusal"] else guard


RULES: Mapping[str, Callable[[str], Policy]] = {
    "speak-over": _speak_over,
    "barge-in": lambda value: BargeIn(_one_of(BARGE_IN, value)),
    "max-overlap": lambda value: MaxOverlap(float(value)),
    "quiet": _quiet,
    "budget": lambda value: SpeechBudget(float(value)),
    "confidence": lambda value: MinConfidence(float(value)),
    "guard": lambda value: guard_of(Path(value)),
}
