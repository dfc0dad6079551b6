"""Why the agent spoke, stayed silent, gave way, changed course or had a tool called at a moment: words and numbers from the trace alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from workbench.clock import Tick
from workbench.errors import InputError
from workbench.events import Decision, Gate, ModelYielded, TruthExpect, TruthWithdrawn, gates_in
from workbench.explain_work import Cause, causes_at, evidence_of, told_by
from workbench.packets import AGENT_AUDIO, AGENT_TEXT
from workbench.spoken import AGENT, Spoken, agent_words, heard_words, phrases, spoken_words, typed_texts
from workbench.trace import Trace

HEARD_S = 3.0  # how far back the words that led to a decision are shown
SOUND_PEAK = 1e-3  # an agent sample above this counts as sound
TURN_S = 2.0  # words so soon after a yield are what it turned to


@dataclass(frozen=True)
class Explanation:
    """Why one tick came out as it did.

    `outcome` is spoke, kept speaking, yielded or stayed silent, or of slow work: asked for slow work, changed course, called a tool, was
    handed a result and so on; `headline` says it in one sentence and `reasons` give the numbers.
    `heard` are the words up to that moment, `evidence` the ticks that show it. `decision` is None when the agent left no record.
    """

    at_s: float
    tick: int
    outcome: str
    headline: str
    reasons: tuple[str, ...]
    heard: tuple[Spoken, ...]
    evidence: tuple[int, ...]
    decision: Decision | None

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready object with the same fields."""
        body = {name: getattr(self, name) for name in ("at_s", "tick", "outcome", "headline")}
        lists = {"reasons": list(self.reasons), "heard": [asdict(w) for w in self.heard], "evidence": list(self.evidence)}
        decision = None if self.decision is None else {**asdict(self.decision), "kind": Decision.kind}
        return {**body, **lists, "decision": decision}

    def __str__(self) -> str:
        return "\n".join([self.headline, *(f"  - {reason}" for reason in self.reasons), f"  evidence: ticks {_ticks(self.evidence)}"])


@dataclass(frozen=True)
class Row:
    """One line of what was said when and why; times in seconds, `ticks` the first and last tick."""

    start_s: float
    end_s: float
    ticks: tuple[int, int]
    who: str
    what: str
    why: str


def why(trace: Trace, at_s: float) -> Explanation:
    """Why the agent did what it did in the micro-turn that contains `at_s`. Raises InputError when the session did not last that long."""
    clock = trace.header.clock
    tick = clock.tick_at(at_s)
    if not 0 <= tick < len(trace):
        raise InputError(f"{at_s:g} s is outside this session; it runs from 0 to {trace.duration_s:g} s")
    turn = trace.turns[tick]
    decision, gates = _decision(trace, tick), gates_in(turn.events)
    yielded = next((e for e in turn.events if isinstance(e, ModelYielded)), None)
    said = turn.text(AGENT_TEXT) or (decision.said if decision else "")
    sounding = bool(abs(turn.audio(AGENT_AUDIO, 1)).max(initial=0.0) > SOUND_PEAK)
    everything = _people(trace)
    now_s = clock.seconds(tick)
    causes = causes_at(trace, tick, [word for word in everything if word.tick <= tick])
    outcome = "yielded" if yielded else "spoke" if said else next((c.outcome for c in causes if c.outcome), "")
    outcome = outcome or ("kept speaking" if sounding else "stayed silent")
    causes += told_by(trace, tick, said)
    heard = tuple(word for word in everything if at_s - HEARD_S <= word.end_s and word.start_s <= now_s)
    reasons = [
        *_numbers(decision),
        *_yield_reason(yielded, decision, gates),
        *_turned_to(trace, tick, yielded),
        *_sound_reason(trace, tick, outcome),
    ]
    because = reason_of(decision) if decision else told(gates)
    headline = _headline(now_s, outcome, said, because, causes) if yielded is None else _gave_way(now_s, yielded, decision, gates)
    if gates and (gated := told(gates)) not in headline:
        reasons.append(gated)
    reasons += [text for text in dict.fromkeys(cause.text for cause in causes) if text not in headline]
    reasons += [*_heard_reason(heard), *_expected(trace, tick)]
    evidence = sorted({tick, *(word.tick for word in heard if word.tick <= tick)} | evidence_of(causes))
    return Explanation(at_s, tick, outcome, headline, tuple(reasons), heard, tuple(evidence), decision)


def summary(trace: Trace) -> list[Row]:
    """What was said when and why: a row for every phrase of everybody and for every yield, in order of time."""
    clock = trace.header.clock
    rows = []
    for phrase in phrases(spoken_words(trace)):
        ticks = (phrase.tick, max(phrase.tick, clock.tick_at(max(phrase.start_s, phrase.end_s - 1e-6))))
        reason = _why_said(trace, phrase) if phrase.speaker == AGENT else _why_heard(trace, phrase)
        rows.append(Row(phrase.start_s, phrase.end_s, ticks, phrase.speaker, phrase.text, reason))
    for tick, event in trace.events(ModelYielded):
        unsaid = f", unsaid: {event.unsaid}" if event.unsaid else ""
        cut = forced_by(event, gates_in(trace.turns[tick].events))
        reason = f"{event.reason}, p(yield) {event.p_yield:.2f}" if cut is None else f"cut by {cut.name}: {cut.reason}"
        rows.append(Row(event.at_s, event.at_s, (tick, tick), AGENT, "<yield>", f"{reason}{unsaid}"))
    return sorted(rows, key=lambda row: (row.start_s, row.who))


def reason_of(decision: Decision) -> str:
    """Why a decision came out as it did, in one line with its numbers."""
    if decision.gates:
        return told(decision.gates)
    side = "reached" if decision.p_speak >= decision.threshold else "stayed below"
    return f"p(speak) {decision.p_speak:.2f} {side} its threshold {decision.threshold:.2f}"


def told(gates: Sequence[Gate]) -> str:
    """What rules did and why, in one line; empty without any."""
    return "; ".join(f"{g.name} gate: wanted {g.wanted or 'nothing'}, did {g.done or 'nothing'} ({g.reason})" for g in gates)


def forced_by(event: ModelYielded, gates: Sequence[Gate]) -> Gate | None:
    """Of the gates of its tick that of the rule that cut the agent off where it gave up the floor; None where it gave way by itself.

    The agent's p(yield) stands in its decision: in traces of earlier versions such a yield has one that nobody had.
    """
    return next((gate for gate in gates if event.reason in (f"{gate.name}: {gate.reason}", gate.reason)), None)


def _decision(trace: Trace, tick: int) -> Decision | None:
    return next((event for event in trace.turns[tick].events if isinstance(event, Decision)), None)


def _gave_way(at_s: float, event: ModelYielded, decision: Decision | None, gates: Sequence[Gate]) -> str:
    cut = forced_by(event, gates)
    if cut is not None:
        return f"At {at_s:.1f} s the agent was cut by {cut.name}: {cut.reason}."
    return f"At {at_s:.1f} s the agent gave up the floor: " + (f"p(yield) {decision.p_yield:.2f}." if decision else f"{event.reason}.")


def _headline(at_s: float, outcome: str, said: str, because: str, causes: Sequence[Cause]) -> str:
    what = f'began to say "{said}"' if outcome == "spoke" else outcome
    about = next((cause.text for cause in causes if cause.outcome == outcome), "")
    if about:
        return f"At {at_s:.1f} s the agent {what}: {about}."
    return f"At {at_s:.1f} s the agent {what}" + (f" because {because}." if because else "; it left no decision record.")


def _numbers(decision: Decision | None) -> list[str]:
    if decision is None:
        return ["no decision record in this tick: an agent without one was at work, or it was erased"]
    d = decision
    lines = [
        f"floor state {d.floor}; p(speak) {d.p_speak:.3f}, threshold {d.threshold:.2f}, p(yield) {d.p_yield:.3f}, "
        f"p(back-channel) {d.p_backchannel:.3f}, p(user is speaking) {d.p_user_speaking:.3f}"
    ]
    if d.top:
        lines.append("top candidates: " + ", ".join(f"{word} {p:.3f}" for word, p in d.top))
    return lines


def _yield_reason(event: ModelYielded | None, decision: Decision | None, gates: Sequence[Gate]) -> list[str]:
    if event is None:
        return []
    unsaid = f'; unsaid: "{event.unsaid}"' if event.unsaid else ""
    if forced_by(event, gates) is not None:
        chance = f": p(yield) {decision.p_yield:.3f}" if decision else ""
        return [f"cut at {event.at_s:.2f} s, not by its own choice{chance}{unsaid}"]
    return [f"yielded at {event.at_s:.2f} s: {event.reason}, p(yield) {event.p_yield:.3f}{unsaid}"]


def _turned_to(trace: Trace, tick: int, event: ModelYielded | None) -> list[str]:
    """What it began to say soon after it had given way."""
    last = min(len(trace), tick + trace.header.clock.ticks_in(TURN_S))
    after = [] if event is None else [(at, trace.turns[at].text(AGENT_TEXT)) for at in range(tick, last)]
    turned = next(((at, words) for at, words in after if words), None)
    if turned is None:
        return []
    at, words = turned
    return [f'it turned to "{words}" at {trace.header.clock.seconds(Tick(at)):.1f} s (tick {at})']


def _sound_reason(trace: Trace, tick: int, outcome: str) -> list[str]:
    if outcome != "kept speaking":
        return []
    at_s = trace.header.clock.seconds(tick)
    word = next((w for w in agent_words(trace) if w.start_s < at_s < w.end_s), None)
    return [f'"{word.text}", begun at {word.start_s:.2f} s, is still sounding until {word.end_s:.2f} s'] if word else []


def _heard_reason(heard: Sequence[Spoken]) -> list[str]:
    if not heard:
        return [f"no words heard in the {HEARD_S:g} s before"]
    shown = " ".join(f"{w.text}" if w.speaker == "user" else f"({w.speaker}: {w.text})" for w in heard)
    return [f'words in the {HEARD_S:g} s before: "{shown}", the last one ending at {max(w.end_s for w in heard):.2f} s']


def _expected(trace: Trace, tick: int) -> list[str]:
    """What a perfect agent was expected to do at that time, where the trace knows."""
    begin_s, end_s = trace.header.clock.seconds(tick), trace.header.clock.seconds(tick + 1)
    gone = {e.id: e.at_s for _, e in trace.events(TruthWithdrawn)}
    lines = []
    for at, e in trace.events(TruthExpect):
        opens_s, closes_s = e.anchor_s + e.from_s, min(e.anchor_s + e.to_s, gone.get(e.id, float("inf")))
        if at <= tick and opens_s < end_s and begin_s <= closes_s:
            words = f' "{" ".join(e.words)}"' if e.words else ""
            lines.append(f"expected: {e.what}{words} between {opens_s:.2f} and {closes_s:.2f} s ({e.anchor} at {e.anchor_s:.2f} s)")
    return lines


def _people(trace: Trace) -> list[Spoken]:
    """The words as the agent heard them; as they really sounded when it does not say what it heard."""
    typed = typed_texts(trace)
    if heard := heard_words(trace):
        return sorted(heard + typed, key=lambda word: word.start_s)
    return [word for word in spoken_words(trace) if word.speaker != AGENT]


def _why_said(trace: Trace, phrase: Spoken) -> str:
    first = phrase.text.split()[0]
    for tick in range(phrase.tick, max(-1, phrase.tick - 10), -1):
        for event in trace.turns[tick].events:
            if isinstance(event, Decision) and first in event.said.split():
                return reason_of(event)
    return "no decision record"


def _why_heard(trace: Trace, phrase: Spoken) -> str:
    """How a person's phrase arrived: what the agent made of it."""
    heard = [w.text for w in heard_words(trace) if phrase.start_s - 0.3 <= w.end_s <= phrase.end_s + 0.4]
    return f'agent heard "{" ".join(heard)}"' if heard else ""


def _ticks(ticks: Sequence[int]) -> str:
    return ", ".join(map(str, ticks))
