"""Why slow work was asked for, changed, answered or dropped, and a tool called or not: what the events of a tick say, and what led to it.

Each cause is a sentence with its numbers and the ticks that show it, so that it can be checked in the trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.asking import CANCEL, REPERTOIRE, SORRY, WANTED_CHARS
from workbench.background.authority import source_of
from workbench.background.parts import MISHEARD, NOBODY, OTHER_SPEECH, USER_SPEECH, Word
from workbench.background.words import spoken_words as words_of
from workbench.clock import Tick
from workbench.events import AgentHeld, Decision, Event, SettingChanged
from workbench.events_background import (
    BackgroundDropped,
    ConsentAsked,
    ConsentClicked,
    ConsentGiven,
    ConsentUncounted,
    ConsentWithdrawn,
    DelegationChanged,
    DelegationCreated,
    DelegationMerged,
    DelegationNote,
    DelegationRefused,
    DelegationRequested,
    DelegationResult,
    ToolUsed,
)
from workbench.events_rules import GuardActed, IntentEstimated
from workbench.spoken import Spoken
from workbench.trace import Trace

TOLD_S = 12.0  # a result is looked for among those that were handed over so long before the agent's words
SHOWN_ARGUMENTS = 120  # characters


@dataclass(frozen=True)
class Cause:
    """One thing that happened, in a sentence; `outcome` names it where the tick is about it, `ticks` show it."""

    text: str
    ticks: tuple[int, ...]
    outcome: str = ""


def causes_at(trace: Trace, tick: int, heard: Sequence[Spoken]) -> list[Cause]:
    """The causes of a tick, in the order of its events. `heard` are the words of people up to then."""
    return [cause for event in trace.turns[tick].events for cause in _of(trace, tick, event, heard)]


def told_by(trace: Trace, tick: int, said: str) -> list[Cause]:
    """Where the words that the agent begins to say come from, if it was handed them."""
    words = words_of(said)
    if not words:
        return []
    first = max(0, tick - trace.header.clock.ticks_in(TOLD_S))
    if words == (SORRY,):
        return _sorry(trace, tick, first)
    for at in range(tick, first - 1, -1):
        for event in trace.turns[at].events:
            if isinstance(event, DelegationResult | DelegationNote) and _holds(words_of(event.text), words):
                what = "the result" if isinstance(event, DelegationResult) else f"the {event.what}"
                told = f'"{event.text[:SHOWN_ARGUMENTS]}"'
                text = f"its words are of {what} of task {event.task}, which it was handed at {_at(trace, at)}: {told}"
                return [Cause(text, (at,)), *_origin(trace, at, event.task)]
    return []


def _sorry(trace: Trace, tick: int, first: int) -> list[Cause]:
    """Why the agent was told that there is no result: there was a problem, or the result was none that it can say."""
    unsayable: set[str] = set()
    for at in range(tick, first - 1, -1):
        for event in trace.turns[at].events:
            match event:
                case Decision(gates=gates):
                    unsayable |= {gate.wanted for gate in gates if gate.name == REPERTOIRE and gate.done == CANCEL}
                case DelegationNote(task=task, what="problem", text=text):
                    cause = f'it was told at {_at(trace, at)} that there is no result of task {task}: "{text[:SHOWN_ARGUMENTS]}"'
                    return [Cause(cause, (at,)), *_origin(trace, at, task)]
                case DelegationResult(task=task, text=text) if text[:WANTED_CHARS] in unsayable:
                    told = f'"{text[:SHOWN_ARGUMENTS]}"'
                    cause = f"the result of task {task}, which it was handed at {_at(trace, at)}, is none that it can say: {told}"
                    return [Cause(cause, (at,)), *_origin(trace, at, task)]
                case _:
                    pass
    return []


def _holds(text: Sequence[str], words: Sequence[str]) -> bool:
    """Whether these words follow one another in the text."""
    return any(tuple(text[i : i + len(words)]) == tuple(words) for i in range(len(text) - len(words) + 1))


def _at(trace: Trace, tick: int) -> str:
    return f"{trace.header.clock.seconds(Tick(tick)):.1f} s (tick {tick})"


def _of(trace: Trace, tick: int, event: Event, heard: Sequence[Spoken]) -> Iterator[Cause]:
    match event:
        case DelegationRequested():
            yield from _requested(trace, tick, event, heard)
        case DelegationRefused(act=act, ask=ask, cause=cause):
            yield Cause(f'the request to {act} "{ask}" was refused: {cause}', (tick,), "refused")
        case DelegationCreated() as made:
            yield Cause(
                f"task {made.task} was opened on the evidence up to tick {made.origin_tick}: {made.words} words and {made.earlier} earlier "
                f"results went along; source {made.source}, to be handed over {made.schedule}, of use until {made.expires_at_s:g} s",
                (made.origin_tick, tick),
            )
        case DelegationMerged(task=task, ask=ask):
            yield Cause(f'"{ask}" had been asked already; there is one answer to both, that of task {task}', (tick,))
        case DelegationChanged():
            yield from _changed(trace, tick, event)
        case ToolUsed():
            yield from _tool(trace, tick, event)
        case ConsentAsked(tool=tool, how=how, task=task):
            yield Cause(f"task {task} needs the user's consent by {how} before it may call {tool}", (tick,), "asked for consent")
        case ConsentClicked(question=question, given=given, text=text, version=version, shown_s=shown_s):
            button = "allow" if given else "refuse"
            yield Cause(
                f'they pressed {button} for question {question}, which the page had shown since {shown_s:.1f} s: "{text}" ({version})',
                (tick,),
            )
        case ConsentWithdrawn(question=question, cause=cause):
            yield Cause(f"question {question} was withdrawn: {cause}", (tick,))
        case ConsentUncounted():
            yield _uncounted(tick, event)
        case ConsentGiven(task=task, given=given, how=how, words=words):
            said = f' ("{" ".join(words)}")' if words else ""
            yield Cause(f"the user {'agreed' if given else 'did not agree'} to the call of task {task}, by {how}{said}", (tick,))
            yield from (_uncounted(at, e) for at, e in trace.events(ConsentUncounted) if at <= tick and e.question == event.question)
        case DelegationResult() | DelegationNote() | BackgroundDropped():
            yield from _handed(trace, tick, event)
        case GuardActed() | IntentEstimated() | SettingChanged() | AgentHeld():
            yield from _ruled(tick, event, heard)
        case _:
            pass


def _uncounted(tick: int, event: ConsentUncounted) -> Cause:
    words = " ".join(event.words)
    return Cause(f'"{words}" left question {event.question} of task {event.task} open: {event.cause}', (tick,), "was answered in vain")


def _requested(trace: Trace, tick: int, event: DelegationRequested, heard: Sequence[Spoken]) -> Iterator[Cause]:
    """Whose words a request repeats, and in which ticks they were heard."""
    before = [word for word in heard if word.start_s <= event.at_s]
    sides = [(USER_SPEECH if word.speaker == "user" else OTHER_SPEECH, word) for word in before]
    known = [Word(side, part, word.start_s, word.end_s) for side, word in sides for part in words_of(word.text)]
    wanted = set(words_of(event.ask))
    shown = [word for word in before if wanted & set(words_of(word.text))]
    found = {part for word in shown for part in words_of(word.text)} & wanted
    source = event.source or source_of(event.ask, known, event.at_s)
    act = {"open": "asked for slow work", "amend": "changed course", "cancel": "called slow work off"}.get(event.act, event.act)
    whose = f"{len(found)} of its {len(wanted)} words were heard before" + (f", the last at {shown[-1].end_s:.2f} s" if shown else "")
    misheard = "the user spoke last, and nobody else said any of it; it may change work, which has no authority from then on"
    authority = {NOBODY: "nobody answers for it", MISHEARD: misheard}.get(source, f"it repeats {source}")
    about = f" about task {event.task}" if event.task else ""
    yield Cause(
        f'it wanted to {event.act} slow work{about}, "{event.ask}", with evidence up to {event.at_s:.1f} s: {whose}; {authority}',
        (*dict.fromkeys(word.tick for word in shown), tick),
        act,
    )


def _changed(trace: Trace, tick: int, event: DelegationChanged) -> Iterator[Cause]:
    """A change of state, and how long the state before had lasted."""
    earlier = [(at, e) for at, e in _back(trace, tick, (DelegationChanged, DelegationCreated)) if e.task == event.task]
    place = next(i for i, (_, e) in enumerate(earlier) if e is event)
    began = next((at for at, _ in earlier[place + 1 :]), None)
    lasted = "" if began is None else f" after {trace.header.clock.seconds(Tick(tick - began)):.1f} s"
    amended = event.cause.startswith("amended")
    outcome = "changed course" if amended else "ended slow work" if event.after in ("failed", "cancelled", "stale") else ""
    run = f", run {event.run}" if event.run > 1 else ""
    yield Cause(
        f"task {event.task} went from {event.before} to {event.after}{lasted}{run}: {event.cause}",
        (*([] if began is None else [began]), tick),
        outcome,
    )
    if outcome:
        yield from _origin(trace, tick, event.task)


def _tool(trace: Trace, tick: int, event: ToolUsed) -> Iterator[Cause]:
    """A call, its permission, and what it was for."""
    did = {"ran": "called a tool", "failed": "called a tool", "asked": "asked for consent", "refused": "was refused a tool"}[event.done]
    given = ", ".join(f"{name}={value!r}" for name, value in event.arguments.items())[:SHOWN_ARGUMENTS]
    back = f", {event.chars} characters came back" if event.done == "ran" else ""
    text = f"task {event.task} wanted {event.tool}({given}): permission {event.permission}, it {event.done}{back}, because {event.reason}"
    yield Cause(text, (tick,), did)
    yield from _origin(trace, tick, event.task)


def _handed(trace: Trace, tick: int, event: DelegationResult | DelegationNote | BackgroundDropped) -> Iterator[Cause]:
    match event:
        case DelegationResult(task=task, text=text, schedule=schedule, waited_s=waited_s, sources=sources):
            rests = f", resting on {'; '.join(sources)}" if sources else ""
            late = ", with its ask, because it came late" if event.about else ""
            yield Cause(
                f'the result of task {task}, "{text[:SHOWN_ARGUMENTS]}", was handed over ({schedule}) {waited_s:.1f} s after it was asked '
                f"for{late}{rests}",
                (tick,),
                "was handed a result",
            )
            yield from _origin(trace, tick, task)
        case DelegationNote(task=task, what=what, text=text):
            yield Cause(f'it was handed the {what} of task {task}: "{text[:SHOWN_ARGUMENTS]}"', (tick,), f"was handed the {what}")
        case BackgroundDropped(task=task, cause=cause):
            yield Cause(f"what came for task {task} was thrown away: {cause}", (tick,))


def _ruled(tick: int, event: GuardActed | IntentEstimated | SettingChanged | AgentHeld, heard: Sequence[Spoken]) -> Iterator[Cause]:
    match event:
        case GuardActed(direction=direction, phrase=phrase, did=did):
            found = [word for word in heard if set(words_of(word.text)) & set(words_of(phrase))] if direction == "in" else []
            where = "in what was asked" if direction == "in" else "in what it was about to say"
            ticks = (*dict.fromkeys(word.tick for word in found), tick)
            yield Cause(f'a guard acted ({did}) because of "{phrase}" {where}', ticks, f"was {did} by a guard")
        case IntentEstimated(words=words, top=top):
            shown = ", ".join(f"{intent} {p:.2f}" for intent, p in top)
            yield Cause(f'what the user seemed to ask for, after "{words}": {shown}', (tick,))
        case SettingChanged(name=name, value=value):
            yield Cause(f"from this tick on {name} is {value:g}", (tick,), "was set anew")
        case AgentHeld(reason=reason):
            yield Cause(f"it was passed over in this tick: {reason}", (tick,), "was passed over")


def _origin(trace: Trace, tick: int, task: str) -> Iterator[Cause]:
    """What a task is about: the request it came of, and what was said of it since."""
    made = next(((at, e) for at, e in _back(trace, tick, DelegationCreated) if e.task == task), None)
    if made is None:
        return
    at, event = made
    changes = [e.cause for changed, e in trace.events(DelegationChanged) if changed <= tick and e.task == task]
    amended = [cause.removeprefix("amended: ") for cause in changes if cause.startswith("amended: ")]
    since = f', since then amended by "{"; ".join(amended)}"' if amended else ""
    asked = f'task {task} is "{event.ask}", asked for by {event.source} at {_at(trace, event.origin_tick)}{since}'
    yield Cause(asked, (event.origin_tick, at))


def _back(trace: Trace, tick: int, kind: type[Any] | tuple[type[Any], ...]) -> Iterator[tuple[int, Any]]:
    """The events of these kinds up to a tick, the last first."""
    for at in range(tick, -1, -1):
        yield from ((at, event) for event in reversed(trace.turns[at].events) if isinstance(event, kind))


def evidence_of(causes: Iterable[Cause]) -> set[int]:
    """The ticks that show these causes."""
    return {tick for cause in causes for tick in cause.ticks}
