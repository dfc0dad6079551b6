"""Events: a closed union of frozen dataclasses tagged by `kind`, with a JSON round trip that keeps unknown fields.

Names follow the vocabularies of the peers (OpenAI Live, Gemini Live, Pipecat, LiveKit) where one exists; `decision`, `tick.cost`
and the `truth.*` events are ours. Times in events are seconds on the session clock, so `1.2` is sample 19,200 at 16 kHz.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, TypeAlias, get_args

from workbench.errors import TraceError
from workbench.events_background import BackgroundEvent
from workbench.events_base import EventBase as _Base
from workbench.events_peer import PeerEvent
from workbench.events_rules import IntentEstimated, RulesEvent

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True, kw_only=True)
class UserSpeechStarted(_Base):
    """The user's voice begins, as the agent (or a detector named in `by`) perceives it."""

    kind: ClassVar[str] = "user.speech.started"
    at_s: float
    by: str = "model"


@dataclass(frozen=True, kw_only=True)
class UserSpeechStopped(_Base):
    """The user's voice ends, as the agent (or a detector named in `by`) perceives it."""

    kind: ClassVar[str] = "user.speech.stopped"
    at_s: float
    by: str = "model"


@dataclass(frozen=True, kw_only=True)
class ModelSpeechStarted(_Base):
    """The first sample of the agent's voice leaves."""

    kind: ClassVar[str] = "model.speech.started"
    at_s: float


@dataclass(frozen=True, kw_only=True)
class ModelSpeechStopped(_Base):
    """The last sample of the agent's voice has left."""

    kind: ClassVar[str] = "model.speech.stopped"
    at_s: float


@dataclass(frozen=True, kw_only=True)
class ModelYielded(_Base):
    """The agent gave up the floor before it had finished; `unsaid` is what was cut off or never begun, when known."""

    kind: ClassVar[str] = "model.yielded"
    at_s: float
    p_yield: float
    reason: str
    unsaid: str = ""


@dataclass(frozen=True, kw_only=True)
class FloorOverlap(_Base):
    """User and agent sound at the same time within one tick."""

    kind: ClassVar[str] = "floor.overlap"
    at_s: float
    duration_s: float


@dataclass(frozen=True, kw_only=True)
class TranscriptDelta(_Base):
    """One word on one side: `side` is "user" (as heard by the agent) or "model" (as said by the agent).

    An agent that tells voices apart may give "other" for what is said by somebody else, or not to it.
    """

    kind: ClassVar[str] = "transcript.delta"
    side: str
    word: str
    start_s: float
    end_s: float
    probability: float = 1.0


@dataclass(frozen=True)
class Gate:
    """One rule that changed an outcome: what the model wanted, what was done, and why."""

    name: str
    wanted: str
    done: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Decision(_Base):
    """What the agent decided in this tick and against which numbers.

    `floor` is idle, listen, speak, wait or dual. Probabilities are of the model's output distribution at the first output position
    of the cell: `p_speak` of anything but silence, `p_yield` of the yield token, `p_backchannel` of a listener token.
    """

    kind: ClassVar[str] = "decision"
    floor: str
    said: str
    p_speak: float
    p_yield: float
    p_backchannel: float
    threshold: float
    p_user_speaking: float = 0.0
    top: tuple[tuple[str, float], ...] = ()
    gates: tuple[Gate, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GatesActed(_Base):
    """The rules that acted on an agent that left no `Decision` in this tick. There are no numbers of its own to record with them."""

    kind: ClassVar[str] = "gates.acted"
    gates: tuple[Gate, ...]


@dataclass(frozen=True, kw_only=True)
class TickCost(_Base):
    """Where the milliseconds of one tick went (front end, trunk, heads, vocoder, ...); measured, so never replayed.

    Sessions that are stepped together took these milliseconds together, and each tells all of them. `positions` is how many the session's
    own sequence has by now; 0 where the agent has no such sequence, or does not tell.
    """

    kind: ClassVar[str] = "tick.cost"
    volatile: ClassVar[bool] = True
    stages_ms: Mapping[str, float]
    positions: int = 0


@dataclass(frozen=True, kw_only=True)
class DeadlineMissed(_Base):
    """A tick began `late_ms` after it was due on the wall clock, or (`stage` "end") was done `late_ms` after its micro-turn was over."""

    kind: ClassVar[str] = "deadline.missed"
    volatile: ClassVar[bool] = True
    late_ms: float
    stage: str = "begin"


@dataclass(frozen=True, kw_only=True)
class AudioLost(_Base):
    """Microphone samples that had not come when their tick was due; silence of that length stands for them."""

    kind: ClassVar[str] = "audio.lost"
    volatile: ClassVar[bool] = True
    at_s: float
    samples: int


@dataclass(frozen=True, kw_only=True)
class AudioLate(_Base):
    """Microphone samples that came after silence had taken their place, and were thrown away."""

    kind: ClassVar[str] = "audio.late"
    volatile: ClassVar[bool] = True
    at_s: float
    samples: int


@dataclass(frozen=True, kw_only=True)
class AudioDoubled(_Base):
    """Microphone samples that came more than once; the first counted."""

    kind: ClassVar[str] = "audio.doubled"
    volatile: ClassVar[bool] = True
    at_s: float
    samples: int


@dataclass(frozen=True, kw_only=True)
class AudioSkipped(_Base):
    """Microphone samples passed over because so many were waiting that the delay went over its bound."""

    kind: ClassVar[str] = "audio.skipped"
    volatile: ClassVar[bool] = True
    at_s: float
    samples: int


@dataclass(frozen=True, kw_only=True)
class AudioBuffered(_Base):
    """How far the jitter buffer lies behind the newest microphone sample, told once a second."""

    kind: ClassVar[str] = "audio.buffered"
    volatile: ClassVar[bool] = True
    at_s: float
    delay_ms: float


@dataclass(frozen=True, kw_only=True)
class ClockCorrected(_Base):
    """A tick was made of `samples` more captured samples than it has (fewer, if negative), so that the delay stays what it is.

    `ppm` is how much faster the microphone's clock runs than the host's, as fitted so far; 0 before there is a fit.
    """

    kind: ClassVar[str] = "clock.corrected"
    volatile: ClassVar[bool] = True
    at_s: float
    samples: int
    ppm: float


@dataclass(frozen=True, kw_only=True)
class AudioDropped(_Base):
    """The agent yielded: `samples` of its stream, from sample `position` on, were made and never played."""

    kind: ClassVar[str] = "audio.dropped"
    volatile: ClassVar[bool] = True
    at_s: float
    position: int
    samples: int


@dataclass(frozen=True, kw_only=True)
class LinkLost(_Base):
    """The listener is gone; the session goes on in silence for a while."""

    kind: ClassVar[str] = "link.lost"
    volatile: ClassVar[bool] = True
    at_s: float


@dataclass(frozen=True, kw_only=True)
class LinkResumed(_Base):
    """The listener is back after `away_s`."""

    kind: ClassVar[str] = "link.resumed"
    volatile: ClassVar[bool] = True
    at_s: float
    away_s: float


@dataclass(frozen=True, kw_only=True)
class SettingChanged(_Base):
    """From this tick on the agent has another setting; a replay changes it in the same tick."""

    kind: ClassVar[str] = "setting.changed"
    name: str
    value: float


@dataclass(frozen=True, kw_only=True)
class AgentHeld(_Base):
    """The agent was passed over in this tick: it heard nothing and said nothing; a replay passes it over too."""

    kind: ClassVar[str] = "agent.held"
    reason: str


@dataclass(frozen=True, kw_only=True)
class PlaybackPosition(_Base):
    """The listener's loudspeaker has come to second `heard_s` of the agent's stream; `queued_s` of it wait to be played."""

    kind: ClassVar[str] = "playback.position"
    volatile: ClassVar[bool] = True
    heard_s: float
    queued_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TruthWord(_Base):
    """Ground truth: a word sounding at the microphone. `speaker` is "user" or another person present."""

    kind: ClassVar[str] = "truth.word"
    word: str
    start_s: float
    end_s: float
    speaker: str = "user"


@dataclass(frozen=True, kw_only=True)
class TruthExpect(_Base):
    """Ground truth: one thing a perfect agent does, with the window in which it counts.

    `what` is reply, silent, count, amend, moment, tally, time or yield. `anchor_s` is the moment the window is measured from and
    `anchor` its name, e.g. "end of the question". The act must begin in [anchor_s + from_s, anchor_s + to_s]; `words` is the meaning,
    `accepts` what is as right. An amended count goes along `words` by `step`.
    """

    kind: ClassVar[str] = "truth.expect"
    id: str
    what: str
    anchor: str
    anchor_s: float
    from_s: float
    to_s: float
    words: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    step: int = 1
    accepts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TruthWithdrawn(_Base):
    """Ground truth: the expectation `id` no longer holds from `at_s` on (the user corrected or stopped the agent)."""

    kind: ClassVar[str] = "truth.withdrawn"
    id: str
    at_s: float


@dataclass(frozen=True, kw_only=True)
class TruthPiece(_Base):
    """Ground truth: from `at_s` on the conversation is about a situation of this family."""

    kind: ClassVar[str] = "truth.piece"
    family: str
    at_s: float


@dataclass(frozen=True, kw_only=True)
class Edited(_Base):
    """A what-if: at this tick `participant` was made to say something other than it would have."""

    kind: ClassVar[str] = "session.edited"
    participant: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class PayloadErased(_Base):
    """Payloads were erased: of which stream, over which ticks, by whom, why and when."""

    kind: ClassVar[str] = "payload.erased"
    stream: str
    from_tick: int
    to_tick: int
    who: str
    why: str
    when: str
    count: int = 0


@dataclass(frozen=True, kw_only=True)
class Unknown(_Base):
    """An event of a kind this version does not know; kept as it was read."""

    kind: ClassVar[str] = "unknown"
    name: str
    body: Mapping[str, Any] = field(default_factory=dict)


Event: TypeAlias = (
    UserSpeechStarted
    | UserSpeechStopped
    | ModelSpeechStarted
    | ModelSpeechStopped
    | ModelYielded
    | FloorOverlap
    | TranscriptDelta
    | Decision
    | GatesActed
    | TickCost
    | DeadlineMissed
    | AudioLost
    | AudioLate
    | AudioDoubled
    | AudioSkipped
    | AudioBuffered
    | ClockCorrected
    | AudioDropped
    | LinkLost
    | LinkResumed
    | SettingChanged
    | AgentHeld
    | PlaybackPosition
    | TruthWord
    | TruthExpect
    | TruthWithdrawn
    | TruthPiece
    | Edited
    | PayloadErased
    | BackgroundEvent
    | PeerEvent
    | RulesEvent
    | Unknown
)

KINDS: dict[str, type[_Base]] = {
    cls.kind: cls
    for cls in (
        UserSpeechStarted,
        UserSpeechStopped,
        ModelSpeechStarted,
        ModelSpeechStopped,
        ModelYielded,
        FloorOverlap,
        TranscriptDelta,
        Decision,
        GatesActed,
        TickCost,
        DeadlineMissed,
        AudioLost,
        AudioLate,
        AudioDoubled,
        AudioSkipped,
        AudioBuffered,
        ClockCorrected,
        AudioDropped,
        LinkLost,
        LinkResumed,
        SettingChanged,
        AgentHeld,
        PlaybackPosition,
        TruthWord,
        TruthExpect,
        TruthWithdrawn,
        TruthPiece,
        Edited,
        PayloadErased,
        *get_args(BackgroundEvent),
        *get_args(PeerEvent),
        *get_args(RulesEvent),
    )
}


NAMES: Mapping[type, frozenset[str]] = {cls: frozenset(f.name for f in fields(cls)) - {"extra"} for cls in KINDS.values()}
DEFAULTS: Mapping[type, Mapping[str, Any]] = {cls: {f.name: f.default for f in fields(cls) if f.default is not MISSING} for cls in NAMES}
TAGGED: Mapping[type, frozenset[str]] = {cls: names | {"kind"} for cls, names in NAMES.items()}
REQUIRED: Mapping[type, frozenset[str]] = {cls: names - DEFAULTS[cls].keys() for cls, names in NAMES.items()}


def _candidates(value: Any) -> tuple[tuple[str, float], ...]:
    return tuple([(str(word), float(p)) for word, p in value])


def _gates(value: Any) -> tuple[Gate, ...]:
    return tuple([Gate(**gate) for gate in value])


# Fields that are more than JSON says, and how they are made of it; any other list becomes a tuple.
RESTORED: Mapping[type, Mapping[str, Callable[[Any], Any]]] = {
    Decision: {"top": _candidates, "gates": _gates},
    GatesActed: {"gates": _gates},
    IntentEstimated: {"top": _candidates},
}


def kind_of(event: Event) -> str:
    """The tag under which an event is stored; for an unknown event, the tag it was read with."""
    return event.name if isinstance(event, Unknown) else event.kind


def gates_in(events: Iterable[Event]) -> tuple[Gate, ...]:
    """The gates that acted in a micro-turn, whether they stand in the agent's decision or, where it left none, on their own."""
    return tuple(gate for event in events if isinstance(event, Decision | GatesActed) for gate in event.gates)


def to_json(event: Event) -> dict[str, Any]:
    """A JSON-ready object with `kind` first; unknown fields return to where they were."""
    if isinstance(event, Unknown):
        return {"kind": event.name, **event.body}
    body = {f.name: _plain(getattr(event, f.name)) for f in fields(event) if f.name != "extra"}
    return {"kind": event.kind, **body, **event.extra}


def from_json(body: Any) -> Event:
    """The event of a JSON object; an unknown kind gives `Unknown`, unknown fields go to `extra`.

    Raises TraceError when the object has no kind or lacks a field that its kind requires.
    """
    if not isinstance(body, Mapping) or not isinstance(body.get("kind"), str):
        raise TraceError(f"event {body!r} has no 'kind'; every event is an object that carries one, a text")
    cls = KINDS.get(body["kind"])
    if cls is None:
        return Unknown(name=body["kind"], body={key: value for key, value in body.items() if key != "kind"})
    values = {**DEFAULTS[cls], **body}
    del values["kind"]
    newer = body.keys() - TAGGED[cls]
    extra = {key: values.pop(key) for key in body if key in newer} if newer else {}
    try:
        for key, restore in RESTORED.get(cls, {}).items():
            values[key] = restore(values[key])
    except (TypeError, ValueError) as error:
        raise TraceError(f"event {dict(body)!r} does not fit kind {body['kind']!r}: {error}") from error
    for key, value in values.items():
        if type(value) is list:
            values[key] = tuple(value)
    if missing := REQUIRED[cls] - values.keys():
        raise TraceError(f"event {dict(body)!r} does not fit kind {body['kind']!r}: it lacks {', '.join(sorted(missing))}")
    event = object.__new__(cls)  # what a frozen dataclass does in __init__ takes four times as long, and a session has many events
    vars(event).update(values, extra=extra)
    return event  # type: ignore[return-value]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return value
