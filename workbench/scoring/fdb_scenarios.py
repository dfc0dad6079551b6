"""What a trace of one of our scenarios is in Full-Duplex-Bench: of which task it is a sample, and where the annotated event lies.

A trace gives at most one sample a task, so that a session is a case, as in the benchmark. Its annotations are the ground truth of the
scenario; where the user's voice sounds is known from the true words. The data are ours and no others: numbers on them are not to be set
beside numbers on the benchmark's recordings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from workbench.events import TruthWord
from workbench.scenarios.world import BACKCHANNELS
from workbench.scoring.fdb_sample import Sample, Span, sample_of
from workbench.scoring.fdb_v15 import Labelled, behaviour
from workbench.scoring.reading import Opened, Reading, read, speech_runs
from workbench.sounds import NOISE
from workbench.trace import Trace

V1_FAMILIES = ("think_pause", "answer", "new_question", "listener")
V15_FAMILIES = ("stop", "new_question", "backchannel", "other_directed", "bystander_order", "background")


def v1_samples(trace: Trace, name: str) -> dict[str, Sample]:
    """The samples of a trace by task of v1; none where it holds no such situation.

    pause_handling: the first silence wanted in a pause of the user. turn_taking: a question that comes first of all. user_interruption:
    the first question into what the agent is doing. backchannel: the whole of a session in which murmurs are wanted. Each ends where the
    user goes on to something else.
    """
    reading = read(trace)
    whole = sample_of(trace, name)
    found: dict[str, Sample] = {}
    for task, opened, mark in _situations(reading):
        if task not in found:
            found[task] = until(replace(whole, marks=(mark,)), whole.duration_s if task == "backchannel" else opened.closes_s)
    return found


def _situations(reading: Reading) -> Iterator[tuple[str, Opened, Span]]:
    for place, opened in enumerate(reading.opened):
        expect = opened.expect
        if expect.what == "silent" and "pause" in expect.tags:
            yield "pause_handling", opened, (expect.anchor_s, expect.anchor_s + expect.to_s)
        elif expect.what == "moment" and "listener" in expect.tags:
            yield "backchannel", opened, (expect.anchor_s, expect.anchor_s + expect.to_s)
        elif expect.what == "reply" and place == 0:
            yield "turn_taking", opened, (expect.anchor_s, expect.anchor_s + expect.to_s)
        elif expect.what == "reply" and any(o.expect.what == "yield" and o.begins_s == opened.begins_s for o in reading.opened):
            yield "user_interruption", opened, (opened.begins_s, expect.anchor_s)


def until(sample: Sample, end_s: float) -> Sample:
    """The sample as a file that ends at `end_s`: words that begin later are gone, voice that goes on is cut."""

    def cut(spans: Sequence[Span]) -> tuple[Span, ...]:
        return tuple((start_s, min(stop_s, end_s)) for start_s, stop_s in spans if start_s < end_s)

    words = tuple(word for word in sample.words if word.start_s < end_s)
    return replace(sample, words=words, duration_s=end_s, voice=cut(sample.voice), user_voice=cut(sample.user_voice))


def v15_sample(trace: Trace, name: str) -> tuple[str, Sample, Labelled] | None:
    """The scenario of v1.5, the sample with its event, and the label that the truth gives; None where nobody speaks into a count.

    The event is the first stretch of one person's speech after the request for a count. Another person's voice is background speech; of
    the user's, what asks for something is an interruption, back-channel words alone are a back-channel, and the rest is said to others.
    The sample ends where somebody speaks again.
    """
    reading = read(trace)
    words = _event_words(reading)
    if not words:
        return None
    event = (words[0].start_s, words[-1].end_s)
    asks = any(o.expect.what in ("yield", "amend", "reply") and event[0] <= o.begins_s <= event[1] for o in reading.opened)
    if words[0].speaker != "user":
        scenario = "background_speech"
    elif asks:
        scenario = "user_interruption"
    else:
        scenario = "user_backchannel" if all(w.word in BACKCHANNELS for w in words) else "talking_to_other"
    ends_s = min((w.start_s for w in reading.truth if w.start_s > event[1]), default=trace.duration_s)
    return scenario, until(sample_of(trace, name, [event]), ends_s), behaviour(reading, name, event)


def _event_words(reading: Reading) -> list[TruthWord]:
    asked = min((o.expect.anchor_s for o in reading.opened if o.expect.what == "count"), default=None)
    runs = speech_runs([w for w in reading.truth if asked is not None and w.start_s >= asked and w.word != NOISE])
    return runs[0] if runs else []
