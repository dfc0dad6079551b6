"""Pure tables of a trace: what the pictures draw and what tests read. Every time is in seconds on the session clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from widgets.work import HandedOver, TaskSpan, handed_over, task_spans
from workbench.events import (
    Decision,
    Edited,
    FloorOverlap,
    Gate,
    ModelYielded,
    TickCost,
    TranscriptDelta,
    TruthExpect,
    TruthWithdrawn,
    TruthWord,
    gates_in,
)
from workbench.explain import forced_by, reason_of
from workbench.inside import Attribution
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO, USER_CAMERA, Audio, Frames
from workbench.spoken import typed_texts
from workbench.trace import Trace

ENVELOPE_MS = 20
LONG_S = 300.0
CLOSE = 0.2  # this near its bar, a probability was a close call
_JOIN_S = 1e-6  # spans closer than this touch
PICTURE_S = 0.6  # a picture is shown for this long at least, so that neighbours do not lie on each other
_BLOCKS, _MOVED, _SHARE = 8, 40.0, 0.03  # a picture is another one when 3 % of its 8 x 8 blocks have moved by 40 of 256 levels


@dataclass(frozen=True)
class WordSpan:
    """One word: who said it, when it sounded, and how sure its source is (1 for ground truth)."""

    speaker: str
    word: str
    start_s: float
    end_s: float
    probability: float = 1.0


@dataclass(frozen=True)
class Span:
    """A stretch of time with a label."""

    label: str
    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True)
class DecisionRow:
    """The decision record of one tick, with the time at which the tick begins."""

    tick: int
    at_s: float
    decision: Decision
    yielded: ModelYielded | None = None

    @property
    def reason(self) -> str:
        """Why the tick came out as it did, in one line."""
        if self.yielded:
            unsaid, cut = f"; unsaid: {self.yielded.unsaid}" if self.yielded.unsaid else "", forced_by(self.yielded, self.decision.gates)
            if cut is not None:
                return f"was cut by {cut.name}: {cut.reason}; its own p(yield) was {self.decision.p_yield:.2f}{unsaid}"
            return f"gave up the floor at p(yield) {self.yielded.p_yield:.2f}, {self.yielded.reason}{unsaid}"
        return reason_of(self.decision)


@dataclass(frozen=True)
class GateMark:
    """A rule that changed the outcome of a tick."""

    tick: int
    at_s: float
    gate: Gate


@dataclass(frozen=True)
class YieldMark:
    """The agent gave up the floor."""

    at_s: float
    p_yield: float
    reason: str
    unsaid: str


@dataclass(frozen=True)
class ExpectSpan:
    """The window in which a perfect agent acts; `withdrawn_s` is when the expectation was dropped, if it was."""

    what: str
    anchor: str
    anchor_s: float
    start_s: float
    end_s: float
    words: tuple[str, ...]
    withdrawn_s: float | None


@dataclass(frozen=True)
class CostRow:
    """Milliseconds one tick took, by stage."""

    tick: int
    at_s: float
    stages_ms: Mapping[str, float]

    @property
    def total_ms(self) -> float:
        return sum(self.stages_ms.values())


@dataclass(frozen=True)
class Envelope:
    """Lowest and highest sample of each bin of `bin_s` seconds; `at_s` is where the bin begins."""

    at_s: npt.NDArray[np.float64]
    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]
    bin_s: float

    @property
    def peak(self) -> float:
        return float(max(np.max(self.high, initial=0.0), -np.min(self.low, initial=0.0)))


@dataclass(frozen=True)
class Picture:
    """What the camera saw from `start_s` on, and went on seeing with no more than small changes until `end_s`; uint8 (height, width, 3)."""

    start_s: float
    end_s: float
    pixels: Frames


@dataclass(frozen=True)
class SessionView:
    """All tables of one session: what `charts.timeline` draws."""

    title: str
    tick_s: float
    duration_s: float
    user_wave: Envelope
    agent_wave: Envelope
    user_words: tuple[WordSpan, ...]
    heard_words: tuple[WordSpan, ...]
    agent_words: tuple[WordSpan, ...]
    floor: tuple[Span, ...]
    decisions: tuple[DecisionRow, ...]
    gates: tuple[GateMark, ...]
    yields: tuple[YieldMark, ...]
    expected: tuple[ExpectSpan, ...]
    overlaps: tuple[Span, ...]
    costs: tuple[CostRow, ...]
    edits_s: tuple[float, ...]
    attribution: Attribution | None = None
    pictures: tuple[Picture, ...] = ()
    typed: tuple[WordSpan, ...] = ()
    tasks: tuple[TaskSpan, ...] = ()
    results: tuple[HandedOver, ...] = ()


def session_view(trace: Trace, attribution: Attribution | None = None) -> SessionView:
    """Every table of a trace, and of what made it decide when that was looked into. An empty trace gives empty tables.

    The waves of a session longer than `LONG_S` are outlined per tick.
    """
    clock = trace.header.clock
    rate, bin_ms = clock.sample_rate, ENVELOPE_MS if trace.duration_s <= LONG_S else clock.tick_ms
    return SessionView(
        title=title(trace),
        tick_s=trace.header.clock.tick_s,
        duration_s=trace.duration_s,
        user_wave=envelope(trace.audio(USER_AUDIO), rate, bin_ms),
        agent_wave=envelope(trace.audio(AGENT_AUDIO), rate, bin_ms),
        user_words=user_words(trace),
        heard_words=heard_words(trace),
        agent_words=agent_words(trace),
        floor=floor_spans(trace),
        decisions=decisions(trace),
        gates=gates(trace),
        yields=yields(trace),
        expected=expected(trace),
        overlaps=overlaps(trace),
        costs=costs(trace),
        edits_s=tuple(trace.header.clock.seconds(tick) for tick, _ in trace.events(Edited)),
        attribution=attribution,
        pictures=pictures(trace),
        typed=typed(trace),
        tasks=task_spans(trace),
        results=handed_over(trace),
    )


def title(trace: Trace) -> str:
    """A heading of family and seed, as in `stop · seed 7`, or `session · seed 0` when no family is known; no seed where it says nothing."""
    labels, specs = trace.header.labels, trace.header.participants.values()
    family = labels.get("family") or next((spec["family"] for spec in specs if spec.get("family")), "")
    if not family and (labels.get("live") or labels.get("recording")):
        return "live session" if labels.get("live") else "recording"
    return f"{str(family or 'session').replace('_', ' ')} · seed {trace.header.seed}"


def envelope(samples: Audio, sample_rate: int, bin_ms: int = ENVELOPE_MS) -> Envelope:
    """The outline of a wave: one low and one high per `bin_ms`; the last bin may be shorter."""
    size = max(1, sample_rate * bin_ms // 1000)
    count = -(-len(samples) // size)
    padded = np.pad(samples, (0, count * size - len(samples)), mode="edge" if len(samples) else "constant").reshape(count, size)
    at_s = np.arange(count, dtype=np.float64) * (size / sample_rate)
    low = padded.min(axis=1) if count else np.zeros(0, np.float32)
    high = padded.max(axis=1) if count else np.zeros(0, np.float32)
    return Envelope(at_s, low, high, size / sample_rate)


def user_words(trace: Trace) -> tuple[WordSpan, ...]:
    """The words that really sounded at the microphone, of everybody present; empty for a recording without ground truth."""
    return tuple(WordSpan(e.speaker, e.word, e.start_s, e.end_s) for _, e in trace.events(TruthWord))


def typed(trace: Trace) -> tuple[WordSpan, ...]:
    """What the user typed, a message at the tick in which it was sent."""
    return tuple(WordSpan("user", sent.text, sent.start_s, sent.end_s) for sent in typed_texts(trace))


def heard_words(trace: Trace) -> tuple[WordSpan, ...]:
    """The user's words as the agent heard them, with its certainty."""
    return tuple(WordSpan("user", e.word, e.start_s, e.end_s, e.probability) for _, e in trace.events(TranscriptDelta) if e.side == "user")


def agent_words(trace: Trace) -> tuple[WordSpan, ...]:
    """The agent's words as they sound, cut where it yielded; from `agent.text` (one tick long) when it reported no word times."""
    cuts_s = [e.at_s for _, e in trace.events(ModelYielded)]
    spans = []
    for _, e in trace.events(TranscriptDelta):
        if e.side == "model":
            end_s = min((cut_s for cut_s in cuts_s if e.start_s < cut_s < e.end_s), default=e.end_s)
            spans.append(WordSpan("agent", e.word, e.start_s, end_s, e.probability))
    return tuple(spans) or _words_of_text(trace)


def _words_of_text(trace: Trace) -> tuple[WordSpan, ...]:
    clock = trace.header.clock
    spans = []
    for turn in trace.turns:
        words = turn.text(AGENT_TEXT).split()
        for place, word in enumerate(words):
            start_s = clock.seconds(turn.tick) + place * clock.tick_s / len(words)
            spans.append(WordSpan("agent", word, start_s, start_s + clock.tick_s / len(words)))
    return tuple(spans)


def decisions(trace: Trace) -> tuple[DecisionRow, ...]:
    """One row per decision record, in order."""
    yielded = dict(trace.events(ModelYielded))
    return tuple(DecisionRow(tick, trace.header.clock.seconds(tick), d, yielded.get(tick)) for tick, d in trace.events(Decision))


def floor_spans(trace: Trace) -> tuple[Span, ...]:
    """The floor state over time; neighbouring ticks in one state are one span."""
    tick_s = trace.header.clock.tick_s
    return join(Span(row.decision.floor, row.at_s, row.at_s + tick_s) for row in decisions(trace))


def gates(trace: Trace) -> tuple[GateMark, ...]:
    """Every gate that changed an outcome."""
    clock = trace.header.clock
    return tuple(GateMark(turn.tick, clock.seconds(turn.tick), gate) for turn in trace.turns for gate in gates_in(turn.events))


def yields(trace: Trace) -> tuple[YieldMark, ...]:
    """Every time the agent gave up the floor."""
    return tuple(YieldMark(e.at_s, e.p_yield, e.reason, e.unsaid) for _, e in trace.events(ModelYielded))


def expected(trace: Trace) -> tuple[ExpectSpan, ...]:
    """The ground-truth windows, cut where they were withdrawn; a window withdrawn before it opened is left out."""
    dropped = {e.id: e.at_s for _, e in trace.events(TruthWithdrawn)}
    spans = []
    for _, e in trace.events(TruthExpect):
        start_s, end_s = e.anchor_s + e.from_s, e.anchor_s + e.to_s
        gone_s = dropped.get(e.id)
        if gone_s is not None and gone_s <= start_s:
            continue
        spans.append(ExpectSpan(e.what, e.anchor, e.anchor_s, start_s, min(end_s, gone_s or end_s), e.words, gone_s))
    return tuple(spans)


def overlaps(trace: Trace) -> tuple[Span, ...]:
    """When both sides sound at once: as reported by events, otherwise where the user's and the agent's words overlap."""
    reported = [Span("overlap", e.at_s, e.at_s + e.duration_s) for _, e in trace.events(FloorOverlap)]
    if reported:
        return join(reported)
    own = [w for w in user_words(trace) or heard_words(trace) if w.speaker == "user"]
    both = [
        Span("overlap", max(u.start_s, a.start_s), min(u.end_s, a.end_s))
        for u in own
        for a in agent_words(trace)
        if min(u.end_s, a.end_s) > max(u.start_s, a.start_s)
    ]
    return join(sorted(both, key=lambda span: span.start_s))


def costs(trace: Trace) -> tuple[CostRow, ...]:
    """Where the milliseconds of each tick went; empty when they were not measured."""
    return tuple(CostRow(tick, trace.header.clock.seconds(tick), e.stages_ms) for tick, e in trace.events(TickCost))


def pictures(trace: Trace) -> tuple[Picture, ...]:
    """What the camera saw, a picture wherever it plainly changed, at most one every PICTURE_S; nothing while the camera was off."""
    clock = trace.header.clock
    found: list[Picture] = []
    for turn in trace.turns:
        frames = turn.frames(USER_CAMERA)
        if frames is None:
            continue
        for number, pixels in enumerate(frames):
            at_s, end_s = (clock.seconds(turn.tick) + place * clock.tick_s / len(frames) for place in (number, number + 1))
            last = found[-1] if found else None
            if last is None or at_s > last.end_s + _JOIN_S or (at_s - last.start_s > PICTURE_S - _JOIN_S and _changed(last.pixels, pixels)):
                found.append(Picture(at_s, end_s, pixels))
            else:
                found[-1] = replace(last, end_s=end_s)
    return tuple(found)


def _changed(before: Frames, after: Frames) -> bool:
    if before.shape != after.shape:
        return True
    moved = np.abs(_blocks(after) - _blocks(before)).max(axis=-1)
    return bool(np.mean(moved > _MOVED) > _SHARE)


def _blocks(pixels: Frames) -> npt.NDArray[np.float64]:
    """The mean colour of each of _BLOCKS x _BLOCKS parts of the picture."""
    rows = [part.mean(axis=0) for part in np.array_split(pixels.astype(np.float64), _BLOCKS, axis=0)]
    return np.stack([np.stack([part.mean(axis=0) for part in np.array_split(row, _BLOCKS)]) for row in rows])


def notable(view: SessionView) -> tuple[DecisionRow, ...]:
    """The ticks worth reading: the agent said or gave up something, a gate acted, or the call was close.

    Close means that p(speak) or p(yield) came within 0.2 of its bar (0.5 for yielding).
    """

    def close(row: DecisionRow) -> bool:
        d = row.decision
        return abs(d.p_speak - d.threshold) < CLOSE or abs(d.p_yield - 0.5) < CLOSE

    return tuple(row for row in view.decisions if row.decision.said or row.decision.gates or row.yielded or close(row))


def rows_of(spans: Iterable[ExpectSpan]) -> tuple[int, ...]:
    """The row of each window, in order, such that windows of one row do not overlap and rows are few; 0 is the first."""
    ends: list[float] = []
    rows = []
    for span in spans:
        row = next((row for row, end_s in enumerate(ends) if end_s <= span.start_s + _JOIN_S), len(ends))
        ends[row : row + 1] = [span.end_s]
        rows.append(row)
    return tuple(rows)


def join(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Neighbouring or overlapping spans of one label as one span; the input is in order of start."""
    joined: list[Span] = []
    for span in spans:
        last = joined[-1] if joined else None
        if last and last.label == span.label and span.start_s <= last.end_s + _JOIN_S:
            joined[-1] = Span(last.label, last.start_s, max(last.end_s, span.end_s))
        else:
            joined.append(span)
    return tuple(joined)
