"""The desk: the participant that has slow work done, and hands over what comes of it at the right moment.

In every tick, in this order: it takes up what the agent told it, and what the background has sent; it ends what has become too old; it
looks which results have been heard; it hands over at most one thing that is to be spoken; and it begins queued work. It never waits.
Barge-in stops speech, not work: only a request to cancel, in the user's own words, or a guard ends a task. Of the user's sound and
pictures it hears only what its background agent has wished for (`recent.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from workbench.background.backends import Backend
from workbench.background.ledger import DeskSpec, Ledger, deliver
from workbench.background.notes import Note, bodies, lines
from workbench.background.parts import TYPED, USER_SPEECH, NeedsConsent, Word
from workbench.background.recent import NOTHING, Past, Senses, senses_of
from workbench.background.tasks import COMPLETED, DELIVERED, DELIVERING, QUEUED, RUNNING, Saying, Task
from workbench.background.telling import told_of, words_of
from workbench.background.words import spoken_words
from workbench.clock import ClockSpec, Tick
from workbench.events import Decision, ModelSpeechStarted, ModelSpeechStopped, ModelYielded, UserSpeechStarted, UserSpeechStopped
from workbench.events_background import ConsentGiven, ConsentUncounted, DelegationNote, DelegationRequested, DelegationResult
from workbench.events_rules import GuardActed
from workbench.packets import AGENT_TASKS, BACKGROUND_SHOWN, BACKGROUND_TEXT, USER_CONSENT, USER_PLAYBACK, USER_TEXT, MicroTurn, Packet
from workbench.session import Said

YES = frozenset("yes yeah yep sure okay ok go ahead".split())
NO = frozenset("no not don't nope never stop cancel wait".split())
SETTLE_S = 0.6  # an answer to a question of consent counts once nothing was added to it for so long
VOICE_HOLD_S = 1.0  # after something short was handed over, nothing else is for so long, so that the agent can say it


@dataclass(frozen=True)
class Desk:
    """Slow work for one agent, which is wrapped in `Delegating`. `backend` says where it is done."""

    backend: Backend
    settings: DeskSpec = field(default_factory=DeskSpec)
    name: str = "background"
    speaks: tuple[str, ...] = (BACKGROUND_TEXT, BACKGROUND_SHOWN)

    @cached_property
    def senses(self) -> Senses:
        """What of the recent past goes along with every task. Raises InputError when the agent says so with anything but Senses."""
        return senses_of(getattr(self.backend, "agent", None))

    @cached_property
    def hears(self) -> tuple[str, ...]:
        return (AGENT_TASKS, USER_TEXT, USER_PLAYBACK, USER_CONSENT, *self.senses.streams)

    def spec(self) -> Mapping[str, Any]:
        settings = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self.settings).items()}
        senses = {} if self.senses == NOTHING else {"senses": asdict(self.senses)}
        return {"class": "Desk", "backend": dict(self.backend.spec()), **settings, **senses}

    def start(self, clock: ClockSpec, seed: int) -> Ledger:
        return Ledger(self.settings, clock, self.backend.start(clock, seed), Past(self.senses, clock))

    def step(self, state: Ledger, tick: Tick, heard: MicroTurn) -> tuple[Said, Ledger]:
        state.tick = tick
        state.events, state.notes, state.shown = [], [], []
        for told in _listen(state, heard):
            if isinstance(told, DelegationRequested):
                state.request(told)
            else:
                state.guarded(told)
        for arrival in state.run.collect(tick, self.settings.parts_per_tick):
            state.arrive(arrival)
        state.grow_old()
        _look_what_was_heard(state)
        _look_for_consent(state, heard)
        _hand_over(state)
        state.begin_work()
        state.forget()
        packets = [Packet(BACKGROUND_TEXT, tick, lines(state.notes))] if state.notes else []
        packets += [Packet(BACKGROUND_SHOWN, tick, lines(state.shown))] if state.shown else []
        return Said(tuple(packets), tuple(state.events)), state


def _listen(ledger: Ledger, heard: MicroTurn) -> list[DelegationRequested | GuardActed]:
    """Take up what was said, heard and seen, and who speaks; the requests in it, and what a guard found."""
    told = told_of(heard)
    ledger.past = ledger.past.with_turn(heard)
    at_s, end_s = ledger.clock.seconds(max(0, heard.tick)), ledger.now_s
    typed = [Word(TYPED, word, at_s, end_s) for word in spoken_words(heard.text(USER_TEXT))]
    ledger.hear([*typed, *words_of(told)])
    playback = heard.text(USER_PLAYBACK)
    if playback.replace(".", "", 1).isdigit():
        ledger.reported_s = float(playback)
    talked = ledger.user_talks or ledger.agent_talks
    for event in told:
        match event:
            case UserSpeechStarted():
                ledger.user_talks, talked = True, True
            case UserSpeechStopped():
                ledger.user_talks = False
            case ModelSpeechStarted():
                ledger.agent_talks, talked = True, True
            case ModelSpeechStopped():
                ledger.agent_talks = False
            case ModelYielded(at_s=cut_s):
                ledger.cut(cut_s)
            case Decision(gates=gates):
                for gate in gates:
                    ledger.unsaid(gate)
            case _:
                pass
    if talked:
        ledger.quiet_since_s = max(ledger.quiet_since_s, ledger.now_s)
    return [event for event in told if isinstance(event, DelegationRequested | GuardActed)]


# --- what has been heard ----------------------------------------------------------------------------------------------------------


def _heard(ledger: Ledger, saying: Saying) -> bool:
    """Whether so much of the words as has to be has left the loudspeaker."""
    return len(saying.unheard(ledger.heard_s)) <= (1 - ledger.spec.said_share) * len(saying.words) + 1e-9


def _look_what_was_heard(ledger: Ledger) -> None:
    for task in ledger.in_state(DELIVERING):
        assert task.saying is not None
        if _heard(ledger, task.saying):
            without = f", without what the agent cannot say: {' '.join(task.saying.without)}" if task.saying.without else ""
            ledger.move(task, DELIVERED, f"heard to its end by {ledger.heard_s:g} s{without}")
            continue
        last_s = max([task.saying.since_s, *(word.end_s for word in task.saying.said)])
        if ledger.now_s - last_s > ledger.spec.say_s and not ledger.agent_talks:
            ledger.back(task, f"not said within {ledger.spec.say_s:g} s")


# --- consent ----------------------------------------------------------------------------------------------------------------------


def _look_for_consent(ledger: Ledger, heard: MicroTurn) -> None:
    """Take up clicks, and spoken answers to a question that has been heard; what nobody answers in its time is not agreed to."""
    clicks = {str(body.get("question")): body.get("given") is True for body in bodies(heard.text(USER_CONSENT))}
    for task in ledger.in_state(QUEUED):
        if task.consent is None:
            continue
        if task.question in clicks:
            _answered(ledger, task, task.consent, clicks[task.question], "click", ())
        elif task.consent.how == "click":
            if ledger.for_s(task) >= ledger.spec.click_s:
                _answered(ledger, task, task.consent, False, "silence", ())
            else:
                _tell_uncounted(ledger, task, "click", (USER_SPEECH, TYPED))
        elif task.saying is not None:
            words = _reply(ledger, task.saying)
            if words:
                _answered(ledger, task, task.consent, _agrees(words), "voice", words)
            elif ledger.now_s - task.saying.since_s > ledger.spec.consent_s:
                _answered(ledger, task, task.consent, False, "silence", ())
            else:
                _tell_uncounted(ledger, task, "voice", (TYPED,))


def _reply(ledger: Ledger, question: Saying) -> tuple[str, ...]:
    """The user's words since the question was heard, once they hold a yes or a no and nothing was added for a while."""
    if not _heard(ledger, question):
        return ()
    asked_s = max([question.since_s, *(word.end_s for word in question.said)]) - 0.5  # people answer into the last word
    reply = _settled(ledger, (USER_SPEECH,), asked_s)
    words = tuple(word.word for word in reply)
    return words if (YES | NO) & set(words) else ()


def _settled(ledger: Ledger, sources: Sequence[str], from_s: float) -> list[Word]:
    """The words of these sources that began at `from_s` or later, once nothing was added to them for a while."""
    reply = [word for word in ledger.words if word.source in sources and word.start_s >= from_s]
    return reply if reply and ledger.now_s - reply[-1].end_s >= SETTLE_S and not ledger.user_talks else []


def _agrees(words: Sequence[str]) -> bool:
    return not NO & set(words) and bool(YES & set(words))


def _tell_uncounted(ledger: Ledger, task: Task, how: str, sources: Sequence[str]) -> None:
    """Tell of a yes or a no in the words of these sources, which do not answer a question by `how`."""
    reply = _settled(ledger, sources, max(task.uncounted_s, ledger.clock.seconds(task.since)))
    if not reply:
        return
    ledger.tasks[task.id] = replace(task, uncounted_s=reply[-1].end_s)
    words = tuple(word.word for word in reply)
    source = next((word.source for word in reply if word.word in YES | NO), None)
    if source is not None:
        answer = f"a {'typed' if source == TYPED else 'spoken'} {'yes' if _agrees(words) else 'no'}"
        cause = f"{answer} does not answer a question by {how}"
        ledger.events.append(ConsentUncounted(task=task.id, question=task.question, words=words, source=source, cause=cause))


def _answered(ledger: Ledger, task: Task, consent: NeedsConsent, given: bool, how: str, words: tuple[str, ...]) -> None:
    ledger.events.append(ConsentGiven(task=task.id, call=consent.call, given=given, how=how, words=words, question=task.question))
    ledger.answered(task, consent, given)


# --- handing over -----------------------------------------------------------------------------------------------------------------


def _hand_over(ledger: Ledger) -> None:
    """What is silent at once, what may interrupt at once, and in a pause one thing that has to be spoken."""
    _show(ledger)
    _hand_over_silently(ledger)
    for task in _due(ledger, "interrupt"):
        for other in ledger.in_state(DELIVERING):
            ledger.back(other, f"made way for task {task.id}")
        _result(ledger, task)
        return
    occupied = ledger.user_talks or ledger.agent_talks or bool(ledger.in_state(DELIVERING)) or _asking(ledger)
    if occupied or ledger.now_s - ledger.quiet_since_s < ledger.spec.quiet_s - 1e-9:
        return
    for task in _due(ledger, "when_idle"):
        _result(ledger, task)
        return
    if _something_short(ledger):
        ledger.quiet_since_s = ledger.now_s + VOICE_HOLD_S


def _due(ledger: Ledger, schedule: str) -> list[Task]:
    done = [task for task in ledger.in_state(COMPLETED) if task.envelope.schedule == schedule]
    return [task for task in done if not task.waits(ledger.now_s)]


def _asking(ledger: Ledger) -> bool:
    """Whether an answer by voice is waited for."""
    waiting = [task for task in ledger.in_state(QUEUED) if task.saying is not None]
    return any(task.consent is not None and task.consent.how == "voice" for task in waiting)


def _show(ledger: Ledger) -> None:
    """Things to look at do not interrupt, so they are shown as soon as they are there."""
    for task in ledger.in_state(COMPLETED):
        answer = task.answer
        if answer is not None and answer.shown is not None and task.since == ledger.tick and not task.offers:
            ledger.shown.append({"task": task.id, "shown": dict(answer.shown), "sources": list(answer.sources)})


def _hand_over_silently(ledger: Ledger) -> None:
    for task in ledger.in_state(RUNNING):
        if task.envelope.schedule == "silent" and task.partials:
            _partial(ledger, task)
    for task in _due(ledger, "silent"):
        _result(ledger, task, silent=True)
    for note in [note for note in ledger.problems if note.schedule == "silent"]:
        ledger.problems.remove(note)
        _note(ledger, note)


def _result(ledger: Ledger, task: Task, *, silent: bool = False) -> None:
    """Hand a result over, with its ask where it comes late or had been cut off."""
    answer, envelope = task.answer, task.envelope
    assert answer is not None
    waited_s = round(ledger.now_s - max(envelope.origin_s, answer.due_s), 6)
    about = envelope.ask if waited_s > ledger.spec.soften_s else ""
    text = answer.say or answer.text
    seen = answer.shown is not None
    note = Note(task=task.id, what="result", text=text, schedule=envelope.schedule, about=about, sources=answer.sources, shown=seen)
    ledger.notes.append(note)
    ledger.events.append(
        DelegationResult(task=task.id, text=text, schedule=envelope.schedule, waited_s=waited_s, about=about, sources=answer.sources)
    )
    if silent:
        ledger.move(task, DELIVERED, "handed over silently; it is not to be spoken")
    else:
        deliver(ledger, task)


def _something_short(ledger: Ledger) -> bool:
    """Hand over a question of consent, a problem, or what has come of work that goes on; whether there was one."""
    for task in ledger.in_state(QUEUED):
        if task.consent is not None and task.saying is None:
            question = replace(task, saying=Saying(spoken_words(task.consent.text), ledger.now_s))
            ledger.tasks[task.id] = question
            _note(ledger, Note(task=task.id, what="ask", text=task.consent.text, about=task.envelope.ask))
            return True
    if ledger.problems:
        _note(ledger, ledger.problems.pop(0))
        return True
    for task in ledger.in_state(RUNNING):
        if task.partials:
            _partial(ledger, task)
            return True
    return False


def _partial(ledger: Ledger, task: Task) -> None:
    """Hand over all that has come so far of a task, as one."""
    _note(ledger, Note(task=task.id, what="partial", text=" ".join(task.partials), schedule=task.envelope.schedule))
    ledger.tasks[task.id] = replace(task, partials=())


def _note(ledger: Ledger, note: Note) -> None:
    ledger.notes.append(note)
    ledger.events.append(DelegationNote(task=note.task, what=note.what, text=note.text, schedule=note.schedule))
