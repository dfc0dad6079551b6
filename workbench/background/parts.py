"""What goes to a background agent and what comes back: an envelope, and parts of an answer. All are values and survive JSON.

The exception is `recent` of an envelope, sound and a picture as arrays: an envelope survives JSON without it (`replace(envelope,
recent=None)`), and whoever sends it elsewhere encodes it, as `media.py` does. No event holds an envelope, so none holds sound or pictures.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

from workbench.background.recent import Recent
from workbench.background.sizes import within
from workbench.errors import InputError

USER_SPEECH = "user.speech"  # said by the session's user, to the agent
AGENT_SPEECH = "agent.speech"
OTHER_SPEECH = "other.speech"  # said by somebody else, or not to the agent
TYPED = "user.text"
BACKGROUND = "background.text"
MISHEARD = "user.misheard"  # the user spoke last, and nobody was heard to say it
NOBODY = "nobody"

Stop: TypeAlias = Callable[[], bool]
"""Whether the work is no longer wanted; asked between parts and inside tools."""


@dataclass(frozen=True)
class Word:
    """One word with its time (seconds on the session clock) and whose it was: `source` is user.speech, agent.speech, user.text, ..."""

    source: str
    word: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Earlier:
    """A task that was answered before. `foreign` tells that its text came out of documents or from a server, not from the user."""

    task: str
    ask: str
    text: str
    foreign: bool
    shown: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """All that a background agent is given: the ask, its evidence up to the cut-off, and how long the answer is of use.

    Attributes:
        session, task, run: whose work this is; `run` counts how often it was begun.
        origin_tick, origin_s: the evidence cut-off, the moment the agent began to ask.
        ask, amendments: what is wanted, and what was said about it since.
        transcript: the words of everyone up to the cut-off.
        heard_s: how much of the agent's own stream the user had really heard.
        earlier: tasks that were answered before, oldest first.
        recent: sound and picture up to the cut-off, as far as the agent's `senses` ask for them (`recent.py`); else None.
        source: whose words the ask repeats.
        authority: whether the user answers for it; work without has no authority to call tools.
        consents: names of the calls that the user has agreed to.
        refusals: names of the calls that the user has not agreed to.
        resume: what an agent that asked for consent wants back.

    When the user amends a task its evidence is taken anew, up to the moment of the amendment: `transcript`, `earlier` and `recent` alike. A
    run after a question of consent has the evidence of the run before.
    """

    session: str
    task: str
    run: int
    origin_tick: int
    origin_s: float
    ask: str
    amendments: tuple[str, ...] = ()
    transcript: tuple[Word, ...] = ()
    heard_s: float = 0.0
    earlier: tuple[Earlier, ...] = ()
    recent: Recent | None = None
    source: str = USER_SPEECH
    authority: bool = True
    schedule: str = "when_idle"
    urgency: str = "normal"
    expires_at_s: float = 60.0
    consents: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    resume: Mapping[str, Any] = field(default_factory=dict)

    def trusted(self) -> Envelope:
        """The same without what nobody answers for: words of others, results that quote documents, what may repeat those, and `recent`.

        A microphone picks up whoever speaks near it, and a camera whatever is held before it, so neither is the user's word.
        """
        foreign = any(earlier.foreign for earlier in self.earlier) or any(
            w.source not in (USER_SPEECH, AGENT_SPEECH) for w in self.transcript
        )
        words = tuple(word for word in self.transcript if word.source == USER_SPEECH or not foreign)
        return dataclasses.replace(self, transcript=words, earlier=tuple(e for e in self.earlier if not e.foreign), recent=None)


@dataclass(frozen=True, kw_only=True)
class Partial:
    """A piece of the answer; more will come. `after_s` is the time since the part before, in simulated time."""

    tag: ClassVar[str] = "partial"
    text: str
    after_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer, which ends the work.

    Attributes:
        text: what is known now.
        say: the words to be spoken, if not those of `text`.
        sources: passages and rows that it rests on.
        shown: something to show besides, as {"kind": "figure" | "table" | "text" | "image", ...} (`shown.py`).
        continues: whether it goes on from the partials before it, of which those not yet handed over are then said first.
        foreign: whether text of documents or of a server is in it, which has no authority.
        tokens: that a model has read and written for it.
        due_s: not to be handed over before this second of the session (a reminder).
    """

    tag: ClassVar[str] = "answer"
    text: str
    say: str = ""
    sources: tuple[str, ...] = ()
    shown: Mapping[str, Any] | None = None
    continues: bool = False
    foreign: bool = False
    tokens: int = field(default=0, compare=False)
    due_s: float = 0.0
    after_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Failure:
    """The work ended without an answer, and why."""

    tag: ClassVar[str] = "failure"
    cause: str
    tokens: int = field(default=0, compare=False)
    after_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class NeedsConsent:
    """The work cannot go on before the user has agreed to a call; it ends, and is begun again with `resume` once there is an answer."""

    tag: ClassVar[str] = "consent"
    call: str
    tool: str
    arguments: Mapping[str, Any]
    how: str
    text: str
    resume: Mapping[str, Any] = field(default_factory=dict)
    after_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Used:
    """A tool was called, or was not allowed to be."""

    tag: ClassVar[str] = "used"
    tool: str
    arguments: Mapping[str, Any]
    permission: str
    done: str
    reason: str
    chars: int = 0
    after_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """The work was ended because nobody wanted it any more."""

    tag: ClassVar[str] = "stopped"
    after_s: float = 0.0


Part: TypeAlias = Partial | Answer | Failure | NeedsConsent | Used | Stopped
PARTS: Mapping[str, type[Part]] = {part.tag: part for part in (Partial, Answer, Failure, NeedsConsent, Used, Stopped)}
LAST = (Answer, Failure, NeedsConsent, Stopped)  # after one of these nothing more comes


@runtime_checkable
class BackgroundAgent(Protocol):
    """Does slow work: takes an envelope and gives parts, the last of which is an Answer, a Failure or a NeedsConsent.

    `work` runs where it may take its time, never in the tick loop. It should ask `stop` now and then; what it keeps from one task to the
    next must not change an answer. One that wants sound or pictures of the recent past says so in an attribute `senses` (`recent.py`). What
    it puts of them into a part of its answer stands in the trace. One that may work for long says so in an attribute `longest_s`, for
    which a desk waits whose settings are `patient_with` it.
    """

    @property
    def name(self) -> str: ...
    def spec(self) -> Mapping[str, Any]: ...
    def work(self, envelope: Envelope, stop: Stop) -> Iterable[Part]: ...


def part_json(part: Part) -> dict[str, Any]:
    """A JSON-ready object of a part, its tag under "part"."""
    body = {f.name: getattr(part, f.name) for f in fields(part)}
    return {"part": part.tag, **{key: list(value) if isinstance(value, tuple) else value for key, value in body.items()}}


def part_of(body: Mapping[str, Any]) -> Part:
    """The part of such an object. Raises InputError when it is none."""
    cls: Any = PARTS.get(str(body.get("part")))
    if cls is None:
        raise InputError(f"part {body.get('part')!r} is not known; a part is one of {', '.join(PARTS)}")
    try:
        part: Part = cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in body.items() if key != "part"})
    except TypeError as error:
        raise InputError(f"{dict(body)!r} is no {cls.__name__}: {error}") from error
    return part


def checked(part: object, most_chars: int) -> Part:
    """The part itself if it is one, of no more than `most_chars` as JSON, with every field of its type; else the Failure that it is."""
    if not isinstance(part, Partial | Answer | Failure | NeedsConsent | Used | Stopped):
        return Failure(cause=f"garbage: the agent gave a {type(part).__name__}, which is no part of an answer")
    try:
        if not within(vars(part), most_chars):
            return _too_large(part, most_chars)
        text = json.dumps(part_json(part), allow_nan=False)
        fits = _typed(part) and part_of(json.loads(text)) == part
    except (TypeError, ValueError, RecursionError) as error:
        return Failure(cause=f"garbage: the agent's {part.tag} is not JSON ({str(error)[:80]})")
    if not fits:
        return Failure(cause=f"garbage: the agent's {part.tag} has fields of the wrong type")
    return part if len(text) <= most_chars else _too_large(part, most_chars)


def _too_large(part: Part, most_chars: int) -> Failure:
    return Failure(cause=f"too large: the agent's {part.tag} has more than the {most_chars} characters that are taken")


def _typed(part: Part) -> bool:
    kinds: dict[str, Any] = {"str": str, "bool": bool, "int": int, "float": (int, float), "tuple[str, ...]": tuple}
    for f in fields(part):
        kind, value = kinds.get(str(f.type)), getattr(part, f.name)
        if kind is not None and (not isinstance(value, kind) or (isinstance(value, tuple) and not all(isinstance(v, str) for v in value))):
            return False
        if str(f.type).startswith("Mapping") and value is not None and not isinstance(value, Mapping):
            return False
    return True
