"""When an agent may be heard, as rules. Each looks at one tick and objects, or not; `workbench.policies` does what follows from that."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from math import inf
from typing import Any, Literal, Protocol, TypeAlias, get_args, runtime_checkable

from workbench.errors import InputError, TraceError

DAY_S = 24 * 3600
BACKCHANNELS = ("mhm", "yeah", "okay", "right", "uhuh")


@dataclass(frozen=True, kw_only=True)
class View:
    """What a rule may go by, in one tick.

    Attributes:
        now_s, tick_s: when the tick begins, and how long it is.
        user_talks: whether the user speaks, as the agent perceives it and tells (`user.speech.started`, a decision); of one that tells
            nothing of the user never, so that rules about them do not act on it.
        begins: whether an utterance begins in this tick; otherwise it goes on.
        words: what the agent begins to say in this tick.
        word_end_s: when the word that sounds now ends.
        p_speak: of the agent's decision, 1 where it left none.
        overlap_s: how long both have spoken at once since the user began to speak, pauses between the agent's words left out.
        talked_over: whether the user began to speak while the agent was heard, and has not fallen silent since.
        cut_short: whether it was cut since the user began to speak.
        spoken_s: how long the agent has been heard in all.
        before, ahead: what it has said before, and what is held back and would be heard next.
    """

    now_s: float
    tick_s: float
    user_talks: bool
    begins: bool
    words: tuple[str, ...]
    word_end_s: float
    p_speak: float
    overlap_s: float
    spoken_s: float
    before: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()
    talked_over: bool = False
    cut_short: bool = False


@runtime_checkable
class Policy(Protocol):
    """A rule: why the agent may not be heard now, or nothing if it may."""

    @property
    def name(self) -> str: ...
    def objection(self, view: View) -> str: ...


Over: TypeAlias = Literal["never", "backchannel", "on_cue", "always"]
AtBargeIn: TypeAlias = Literal["at_once", "finish_word", "hold"]
SPEAK_OVER: tuple[Over, ...] = get_args(Over)
BARGE_IN: tuple[AtBargeIn, ...] = get_args(AtBargeIn)


@dataclass(frozen=True)
class SpeakOver:
    """Whether an utterance may begin while the user speaks: never, with a back-channel only, with a word of `cues` only, or always."""

    mode: Over = "always"
    cues: tuple[str, ...] = ()
    name: str = "speak over"

    def __post_init__(self) -> None:
        if self.mode not in SPEAK_OVER:
            raise InputError(f"speak over {self.mode!r} is no rule; give one of {', '.join(SPEAK_OVER)}")
        if self.mode == "on_cue" and not self.cues:
            raise InputError("speak over on_cue has no words that may be said over the user; give some, e.g. watch+stop")

    def objection(self, view: View) -> str:
        allowed = {"never": (), "backchannel": BACKCHANNELS, "on_cue": self.cues}.get(self.mode)
        if not (view.begins and view.user_talks) or allowed is None:
            return ""
        fine = bool(view.words) and set(view.words) <= set(allowed)
        may = f"only {', '.join(allowed)} may" if allowed else "nothing may"
        return "" if fine else f"the user speaks, and {may} be said over them"


@dataclass(frozen=True)
class BargeIn:
    """What happens to speech while the user talks too: it ends at once, after the word that sounds, or it is held.

    What the user began to talk over, or was cut, does not go on with the next word, which may well be an utterance of its own: none begins
    until the user falls silent. Whether one may begin over the user otherwise, such as a back-channel, is for `SpeakOver` to say.
    """

    mode: AtBargeIn = "hold"
    name: str = "barge-in"

    def __post_init__(self) -> None:
        if self.mode not in BARGE_IN:
            raise InputError(f"barge-in {self.mode!r} is no rule; give one of {', '.join(BARGE_IN)}")

    def objection(self, view: View) -> str:
        if self.mode == "hold" or not view.user_talks or not view.overlap_s:
            return ""
        if view.begins:
            began = "the user began to speak over it, and" if view.talked_over else "it was cut, and the user" if view.cut_short else ""
            return f"{began} has not fallen silent" if began else ""
        if self.mode == "finish_word" and view.now_s < view.word_end_s - 1e-9:
            return ""
        speaks = "the user began to speak" if view.talked_over else "the user speaks"
        return speaks + (", and the word is finished" if self.mode == "finish_word" else "")


@dataclass(frozen=True)
class MaxOverlap:
    """How long both may speak at once, in all, from when the user begins to speak until they fall silent."""

    seconds: float
    name: str = "max overlap"

    def __post_init__(self) -> None:
        if not 0 <= self.seconds < inf:
            raise InputError(f"max overlap of {self.seconds:g} s is no length of time; give seconds, zero or more")

    def objection(self, view: View) -> str:
        over = view.overlap_s >= self.seconds - 1e-9 and view.user_talks
        return f"both have spoken for {view.overlap_s:.1f} s, {self.seconds:g} s are allowed" if over else ""


@dataclass(frozen=True)
class QuietHours:
    """From one second of the session to another the agent is not heard."""

    from_s: float
    to_s: float
    name: str = "quiet hours"

    def __post_init__(self) -> None:
        if not 0 <= self.from_s < self.to_s < inf:
            rule = "give two seconds of the session, the earlier one first, e.g. 600-900"
            raise InputError(f"quiet hours from {self.from_s:g} to {self.to_s:g} s are never; {rule}")

    def objection(self, view: View) -> str:
        return f"it is to be quiet from {self.from_s:g} to {self.to_s:g} s" if self.from_s <= view.now_s < self.to_s else ""


@dataclass(frozen=True)
class QuietTimes:
    """From one time of every day to another, in seconds since midnight, the agent is not heard.

    `began_s` is the time of day at which the session began, by the clock on the wall; a session that is paced by it puts it there.
    """

    from_s: float
    to_s: float
    began_s: float | None = None
    name: str = QuietHours.name

    def __post_init__(self) -> None:
        times = [self.from_s, self.to_s, self.began_s or 0.0]
        if not all(0 <= at_s < DAY_S for at_s in times) or self.from_s == self.to_s:
            days = f"quiet hours from {self.from_s:g} to {self.to_s:g} s of the day, in a session from {self.began_s} s on"
            raise InputError(f"{days}: a time of day is from 00:00 to 23:59, and two of them must differ, e.g. 22:00-07:00")

    def check_bound(self) -> None:
        """Raises InputError where it is not known at what time of day the session began."""
        if self.began_s is None:
            says = f"quiet hours from {self} go by the clock on the wall, and a simulated session has none"
            raise InputError(f"{says}; give seconds of the session, e.g. quiet=600-900")

    def __str__(self) -> str:
        return f"{_time_of_day(self.from_s)} to {_time_of_day(self.to_s)}"

    def objection(self, view: View) -> str:
        self.check_bound()
        at_s = ((self.began_s or 0.0) + view.now_s) % DAY_S
        within = self.from_s <= at_s < self.to_s if self.from_s < self.to_s else not self.to_s <= at_s < self.from_s
        return f"it is to be quiet from {self}, and it is {_time_of_day(at_s)}" if within else ""


def _time_of_day(at_s: float) -> str:
    return f"{int(at_s) // 3600:02}:{int(at_s) % 3600 // 60:02}"


@dataclass(frozen=True)
class SpeechBudget:
    """How many seconds the agent may be heard in all; an utterance that has begun is finished."""

    seconds: float
    name: str = "budget"

    def __post_init__(self) -> None:
        if not 0 <= self.seconds < inf:
            raise InputError(f"budget of {self.seconds:g} s is no length of time; give seconds, zero or more")

    def objection(self, view: View) -> str:
        over = view.begins and view.spoken_s >= self.seconds - 1e-9
        return f"{view.spoken_s:.1f} s have been spoken, {self.seconds:g} s are allowed" if over else ""


@dataclass(frozen=True)
class MinConfidence:
    """How sure the agent must be to begin to speak."""

    p: float
    name: str = "confidence"

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise InputError(f"confidence {self.p:g} is no probability; give a number from 0 to 1")

    def objection(self, view: View) -> str:
        return f"p(speak) {view.p_speak:.2f} < {self.p:.2f}" if view.begins and view.p_speak < self.p else ""


@dataclass(frozen=True)
class Guard:
    """What may not be asked and what may not be said, as phrases, and the words that are said instead.

    A phrase is found where its words stand in order with no more than `GAP` others between two of them, so that one that is completed late
    ("open the ... uh ... safe") is found when its last word comes. What is asked, spoken or typed, is looked at whoever speaks; what is
    said, as far as it is known: with what is held back a phrase is stopped before its first word is heard.
    """

    asks: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    refusal: str = "sorry i can not help with that"
    name: str = "guard"

    def __post_init__(self) -> None:
        if any(not phrase_words(phrase) for phrase in (*self.asks, *self.says)) or not phrase_words(self.refusal):
            raise InputError(f"{self}: every phrase, and the refusal, needs a word")

    def objection(self, view: View) -> str:
        found = found_in(self.says, (*view.before, *view.words, *view.ahead))
        return f"{found!r} may not be said" if found else ""


@dataclass(frozen=True, kw_only=True)
class Hold:
    """What is decided is heard `ticks` later. An utterance begins only once the user has been silent for `patience_s`, and is given up
    when the user goes on before it was heard; a back-channel is not made to wait.
    """

    ticks: int = 0
    patience_s: float = 0.0

    def __post_init__(self) -> None:
        if self.ticks < 0 or not 0 <= self.patience_s < inf:
            raise InputError(f"{self}: ticks and patience_s are zero or more")


NOT_TO_BE_ASKED = "guard: it may not be asked"  # why slow work was refused or ended
GAP = 2
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


def phrase_words(text: str) -> tuple[str, ...]:
    """The words of a text, lower-case, without punctuation."""
    return tuple(_WORD.findall(text.lower()))


def found_in(phrases: Sequence[str], words: Sequence[str]) -> str:
    """The first of the phrases whose words stand among these in order and close together; empty when none does."""
    text = " ".join(word for each in words for word in phrase_words(each))
    between = rf"(?:\s\S+){{0,{GAP}}}\s"
    return next((p for p in phrases if re.search(rf"(?<!\S){between.join(map(re.escape, phrase_words(p)))}(?!\S)", text)), "")


POLICIES: Mapping[str, Callable[..., Policy]] = {
    rule.__name__: rule for rule in (SpeakOver, BargeIn, MaxOverlap, QuietHours, QuietTimes, SpeechBudget, MinConfidence, Guard)
}


def spec_of(policy: Policy) -> dict[str, Any]:
    """The rule as JSON, of which `policy_of` makes it again."""
    rule: Any = policy
    body: dict[str, Any] = asdict(rule) if is_dataclass(rule) and not isinstance(rule, type) else {}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in body.items()}
    return {"class": type(policy).__name__, **plain}


def policy_of(spec: Mapping[str, Any]) -> Policy:
    """The rule that a spec describes. Raises KeyError for a spec without a class, TraceError for a rule that is not known."""
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in spec.items() if key != "class"}
    name = str(spec["class"])
    if name not in POLICIES:
        mine = "one of your own is made again where POLICIES of workbench.rules has it"
        raise TraceError(f"the rule {name!r} is none of {', '.join(POLICIES)}; {mine}")
    return POLICIES[name](**settings)
