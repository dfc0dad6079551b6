"""One sample of Full-Duplex-Bench as plain values, from a folder of files (`workbench.exports.fdb_folder`) or from a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from workbench.errors import InputError
from workbench.packets import AGENT_AUDIO
from workbench.scoring.reading import people_spans, sound_spans, where_from
from workbench.spoken import agent_words
from workbench.trace import Trace

Mode: TypeAlias = Literal["compatible", "clean"]
Span: TypeAlias = tuple[float, float]
MODES: tuple[Mode, ...] = ("compatible", "clean")


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word of the agent, seconds from the start of the file; recognisers leave the end of a last word open now and then (None)."""

    text: str
    start_s: float
    end_s: float | None

    @property
    def until_s(self) -> float:
        """Its end, or its start where the end is open: what the official scorer takes."""
        return self.start_s if self.end_s is None else self.end_s


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What the scorers read of one sample, all times in seconds of its files, which share one clock.

    `words`: the agent's, in the order of output.json. `duration_s`: of output.wav. `voice` and `user_voice`: where a detector finds voice
    in output.wav and input.wav. `marks`: the annotation, i.e. the pauses, the end of the user's turn, the interruption or the overlapping
    event. `relevance`: a judge's 0 to 5, where there is one, and `rated_by` whose it is. `reference`: the histogram of human back-channels,
    where there is one. `source` says where words and voice come from (recogniser, detector), which moves the scores.
    """

    id: str
    words: tuple[Word, ...]
    duration_s: float
    marks: tuple[Span, ...] = ()
    voice: tuple[Span, ...] = ()
    user_voice: tuple[Span, ...] = ()
    relevance: float | None = None
    rated_by: str = ""
    reference: tuple[float, ...] = ()
    source: str = "unknown"

    def mark(self) -> Span:
        """The first annotated span. Raises InputError when there is none."""
        if not self.marks:
            raise InputError(f"sample {self.id!r} has no annotated time; this subset needs one, e.g. in interrupt.json or turn_taking.json")
        return self.marks[0]


def sample_of(trace: Trace, name: str, marks: Sequence[Span] = ()) -> Sample:
    """A trace as a sample: the agent's own word times instead of a recogniser's, sound above a peak instead of a voice detector.

    Where people speak is known from their true words; in a trace without any, sound stands for them.
    """
    people, how = people_spans(trace)
    words = tuple(Word(text=w.text, start_s=w.start_s, end_s=w.end_s) for w in agent_words(trace))
    clock = trace.header.clock
    return Sample(
        id=name,
        words=words,
        duration_s=trace.duration_s,
        marks=tuple(marks),
        voice=sound_spans(trace.audio(AGENT_AUDIO), clock),
        user_voice=people,
        source=f"word times of the trace; {where_from(how)}",
    )


def heard_from(words: Sequence[Word], from_s: float) -> tuple[Word, ...]:
    """The words that a recogniser could hear in the sound from `from_s` on, as the benchmark cuts it at the end of an interruption.

    A word that sounds across the cut counts from the cut.
    """
    return tuple(
        Word(text=word.text, start_s=max(word.start_s, from_s), end_s=word.end_s)
        for word in words
        if word.start_s >= from_s or word.until_s > from_s
    )


def joined(spans: Sequence[Span], gap_s: float) -> list[Span]:
    """Spans in order of their start, those no further apart than `gap_s` as one."""
    done: list[Span] = []
    for start_s, end_s in sorted(spans):
        if done and start_s - done[-1][1] <= gap_s:
            done[-1] = (done[-1][0], max(done[-1][1], end_s))
        else:
            done.append((start_s, end_s))
    return done
