"""MTR-DuplexBench's conversational features (Zhang et al., arXiv 2511.10262): who speaks when, round after round, without a judge.

Our code from their definitions. The model *speaks* in a range when the words of one of its segments there last 1 s together, or are more
than three. A round of smooth turn-taking succeeds when it does not speak in the user's range and speaks in its own; of interruption, the
same with the interruption's range; of pause handling, when it does not speak from the start of the pause until 1 s after it; of background
speech, when its words cover the range from 0.3 s after its start to its end. Latency runs from the end of the user (of the interruption)
to the model's segment; frequency is short segments (under 3 s, at most two words) for each second spoken in the file.

The encodings are eight tasks: four single scenarios, and 1 to 4 scenarios at once, where the name of a round says which.

*compatible* judges as the official functions return it: only words wholly inside a range count; a model that never answers has latency 0,
and one that talks across the end as well; silence has frequency 0; a pause is succeeded at by silence; of several scenarios smooth
turn-taking goes before interruption, pauses are not looked at, and background only among four; a name that a function does not know has
0, 0, 0, so a single round of background has no latency; times of 0 s count as missing; and speech must outlast the background by 0.1 s, in
one segment. The official pause function imports what no longer exists: ours does what it says.

*clean* judges every part that the name of a round says, and all must succeed: a word counts by the part of it inside the range, the
stretch after a pause ends where the user ends, the pause asks for an answer too, the background may be covered by several segments.
Latency is to the model's first start between the end of the user and the end of its own range, and no case where there is none; frequency
is none of a silent model. Rounds without the times that they are judged by are left out.

The repository has no code that averages: ours takes means over rounds, and over the rounds of each number. Where a time is missing that the
official functions would compare, they break off or, if the comparison is never reached, give 0: ours raises InputError, takes a pause that
is not marked as the user's range, and background that is not marked as not passed over.

Of a session of ours, questions and requests for a count are smooth rounds, and so on; a segment is words of the agent less than 1 s apart.
One short word is no speech by these rules, so a right sum of one word is no success.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal, TypeAlias, get_args

from workbench.errors import InputError
from workbench.scoring.fdb_sample import MODES, Mode, Span
from workbench.scoring.measured import Case, MeanKind, Measured, mean
from workbench.scoring.reading import Opened, Reading, read, speech_runs
from workbench.sounds import NOISE
from workbench.trace import Trace

Task: TypeAlias = Literal["smooth", "interruption", "pause", "background", "1", "2", "3", "4"]
Part: TypeAlias = Literal["smooth", "interruption", "pause", "background"]
TASKS: tuple[Task, ...] = get_args(Task)
NAMES: Mapping[Part, str] = {  # how a round's name says its parts
    "smooth": "smooth-turntaking",
    "interruption": "interruption",
    "pause": "pause-handling",
    "background": "background",
}
NEEDED: Mapping[Part, tuple[str, ...]] = {  # the spans without which the clean reading has no case
    "smooth": ("user", "model"),
    "interruption": ("interruption", "model"),
    "pause": ("user", "model"),
    "background": ("background",),
}
REVISION = "6d7c125"  # of the official functions
SPEAKS_S, SPEAKS_WORDS = 1.0, 3
SHORT_S, SHORT_WORDS = 3.0, 2
AFTER_PAUSE_S, INTO_BACKGROUND_S = 1.0, 0.3
TOLERANCE_S, GAP_S = 0.1, 2.0
SEGMENT_JOIN_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of the model's recognised speech, in seconds of its file, and where each of its words is."""

    start_s: float
    end_s: float
    text: str
    words: tuple[Span, ...]


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round of a dialogue: its task, the name of its scenario, its times in seconds (`user_start` ...), and all the model's speech."""

    number: int
    task: Task
    scenario: str
    times: Mapping[str, float]
    segments: tuple[Segment, ...] = ()
    source: str = "unknown"

    def span(self, of: str) -> Span:
        """From `{of}_start` to `{of}_end`. Raises InputError naming the one that is missing."""
        for name in (f"{of}_start", f"{of}_end"):
            if name not in self.times:
                raise InputError(f"round {self.number} of {self.task!r} has no {name}; a round of {self.scenario!r} is judged by it")
        return self.times[f"{of}_start"], self.times[f"{of}_end"]

    def has(self, *spans: str) -> bool:
        """Whether all these spans have their times."""
        return all(name in self.times for of in spans for name in (f"{of}_start", f"{of}_end"))


@dataclass(frozen=True)
class Judged:
    """What became of a round. Latency in seconds and frequency in short segments a spoken second; None where there is no case."""

    success: bool
    latency_s: float | None
    frequency: float | None


NOTHING = Judged(False, 0.0, 0.0)


def judge(one: Round, mode: Mode) -> Judged | None:
    """A round judged; None where the clean reading has no case. Raises InputError for a missing time without which nothing can be said."""
    return _compatible(one) if mode == "compatible" else _clean(one)


def speaks(segments: Iterable[Segment], within: Span, mode: Mode = "compatible") -> bool:
    """Whether the words of any segment inside the range last SPEAKS_S together, or are more than SPEAKS_WORDS."""
    return any(
        len(inside) > SPEAKS_WORDS or _added(end_s - start_s for start_s, end_s in inside) >= SPEAKS_S
        for one in segments
        if one.start_s < within[1] and one.end_s > within[0] and (inside := _inside(one.words, within, mode))
    )


def _inside(words: Sequence[Span], within: Span, mode: Mode) -> list[Span]:
    if mode == "compatible":
        return [(start_s, end_s) for start_s, end_s in words if start_s >= within[0] and end_s <= within[1]]
    return [(max(s, within[0]), min(e, within[1])) for s, e in words if s < within[1] and e > within[0]]


def _added(values: Iterable[float]) -> float:
    """The sum from left to right; sum() rounds in another way from Python 3.12 on, which moves cases at a limit."""
    total = 0.0
    for value in values:
        total += value
    return total


def frequency(segments: Sequence[Segment]) -> float | None:
    """Short segments for each second spoken; None where nothing is spoken."""
    short = [one for one in segments if one.end_s - one.start_s < SHORT_S and _count(one.text) <= SHORT_WORDS]
    spoken_s = _added(one.end_s - one.start_s for one in segments)
    return len(short) / spoken_s if spoken_s else None


def _count(text: str) -> int:
    """The words of a text; what is punctuation alone, brackets excepted, is none."""
    return sum(any(sign.isalnum() or sign in "_[]" for sign in word) for word in text.split())


def covered(segments: Iterable[Segment], within: Span, mode: Mode = "compatible") -> bool:
    """Whether the model talks through a range without a gap over GAP_S: in one segment that outlasts it, or (clean) in several."""
    if within[0] >= within[1]:
        return False
    if mode == "clean":
        return _cover(sorted(word for one in segments for word in one.words), within, TOLERANCE_S)
    over = [one for one in segments if one.start_s <= within[0] and within[1] <= one.end_s - TOLERANCE_S]
    return any(_cover(sorted(one.words, key=lambda word: word[0]), within, 0.0) for one in over)


def _cover(words: Sequence[Span], within: Span, early_s: float) -> bool:
    """Whether words in order of their start cover the range; `early_s` is how much later than it they may begin."""
    found = [(start_s, end_s) for start_s, end_s in words if end_s > within[0] and start_s < within[1] + TOLERANCE_S]
    if not found or found[0][0] > within[0] + early_s or found[-1][1] < within[1] - TOLERANCE_S:
        return False
    return all(later[0] - before[1] <= GAP_S for before, later in pairwise(found))


def _compatible(one: Round) -> Judged:
    turn = _turn(one)
    held = one.has("background") and covered(one.segments, _background(one))
    if one.task == "background":
        return replace(turn, success=held)
    return replace(turn, success=turn.success and (held or one.task != "4" or NAMES["background"] not in one.scenario))


def _background(one: Round) -> Span:
    start_s, end_s = one.span("background")
    return start_s + INTO_BACKGROUND_S, end_s


def official_part(one: Round) -> Part | None:
    """By which part the official function of a task judges the turn of a round; None where it does not know the name."""
    if one.task in ("smooth", "1"):
        return "smooth"
    if one.task == "pause":
        return "pause"
    if one.task not in ("interruption", "2") and NAMES["pause"] not in one.scenario:
        return None
    floor: tuple[Part, ...] = ("smooth", "interruption")
    return next((part for part in floor if NAMES[part] in one.scenario), None)


def _turn(one: Round) -> Judged:
    """Success, latency and frequency of a round without its background, as the official functions have them."""
    part, often = official_part(one), frequency(one.segments) or 0.0
    if part == "pause":
        silent = not speaks(one.segments, _pause(one))
        return Judged(silent, _late(one, "user_end"), often)
    if part == "smooth" and all(one.times.get(name) for name in ("user_end", "model_start", "model_end")):
        return Judged(_takes_turn(one, "user", "compatible"), _late(one, "user_end"), often)
    if part == "interruption" and one.has("interruption"):
        return Judged(_takes_turn(one, "interruption", "compatible"), _late(one, "interruption_end"), often)
    return NOTHING


def _takes_turn(one: Round, of: str, mode: Mode) -> bool:
    return not speaks(one.segments, one.span(of), mode) and speaks(one.segments, one.span("model"), mode)


def _pause(one: Round) -> Span:
    """The range of a pause and what follows it; the user's where it is marked with zeros or not at all."""
    start_s, end_s = one.times.get("pause_start", 0.0), one.times.get("pause_end", 0.0)
    return (start_s, end_s + AFTER_PAUSE_S) if start_s or end_s else one.span("user")


def _late(one: Round, name: str) -> float:
    """From the user's end to the earliest segment that is not over by then, 0 where it has begun before or where there is none."""
    end_s = one.times.get(name)
    if end_s is None or "model_start" not in one.times:
        return 0.0
    starts = [segment.start_s for segment in one.segments if segment.end_s > end_s]
    return max(0.0, min(starts) - end_s) if starts else 0.0


def named_parts(one: Round) -> tuple[Part, ...]:
    """The parts of a round: the task's of a single scenario, those in its name of several."""
    if one.task == "1":
        return ("smooth",)
    return tuple(part for part, name in NAMES.items() if part == one.task or (one.task in ("2", "3", "4") and name in one.scenario))


def _clean(one: Round) -> Judged | None:
    parts = named_parts(one)
    if not parts or not all(one.has(*NEEDED[part]) for part in parts):
        return None
    success = all(_part(one, part) for part in parts)
    if parts == ("background",):
        return Judged(success, None, frequency(one.segments))
    end_s = one.times["interruption_end" if "interruption" in parts else "user_end"]
    starts = [segment.start_s for segment in one.segments if end_s <= segment.start_s < one.times["model_end"]]
    return Judged(success, min(starts) - end_s if starts else None, frequency(one.segments))


def _part(one: Round, part: Part) -> bool:
    if part == "background":
        return covered(one.segments, _background(one), "clean")
    if part == "pause":
        start_s, end_s = _pause(one)
        held = (start_s, min(end_s, one.times["user_end"]))
        return not speaks(one.segments, held, "clean") and speaks(one.segments, one.span("model"), "clean")
    return _takes_turn(one, "user" if part == "smooth" else part, "clean")


def rounds_of(trace: Trace) -> tuple[Round, ...]:
    """The rounds of a trace of ours, in their order; none where it holds no such situation.

    A question or a request for a count is a smooth round, a question into a count an interruption, a pause that wants silence a pause, and
    another person's speech into a count background.
    """
    reading = read(trace)
    segments = tuple(_segments(reading))
    found = sorted(_situations(reading), key=lambda one: min(one[1].values()))
    source = f"word times of the trace, segments over {SEGMENT_JOIN_S:g} s; true words and expectations"
    return tuple(
        Round(number=number, task=part, scenario=NAMES[part], times=times, segments=segments, source=source)
        for number, (part, times) in enumerate(found, 1)
    )


def _segments(reading: Reading) -> Iterator[Segment]:
    runs: list[list[tuple[str, Span]]] = []
    for word in reading.words:
        one = (word.word, (word.start_s, word.end_s))
        if runs and word.start_s - runs[-1][-1][1][1] < SEGMENT_JOIN_S:
            runs[-1].append(one)
        else:
            runs.append([one])
    for run in runs:
        words = tuple(span for _, span in run)
        yield Segment(start_s=words[0][0], end_s=words[-1][1], text=" ".join(text for text, _ in run), words=words)


def _situations(reading: Reading) -> Iterator[tuple[Part, Mapping[str, float]]]:
    into = {o.begins_s for o in reading.opened if o.expect.what == "yield"}
    for place, opened in enumerate(reading.opened):
        what, anchor_s = opened.expect.what, opened.expect.anchor_s
        model = {"model_start": anchor_s, "model_end": opened.closes_s}
        if what == "reply" and opened.begins_s in into:
            yield "interruption", {"interruption_start": opened.begins_s, "interruption_end": anchor_s, **model}
        elif what in ("reply", "count"):
            yield "smooth", {"user_start": opened.begins_s, "user_end": anchor_s, **model}
        elif what == "silent" and "pause" in opened.expect.tags:
            yield "pause", _held(opened, reading.opened[place + 1 :])
    counts = [(o.expect.anchor_s, o.closes_s) for o in reading.opened if o.expect.what == "count"]
    for run in speech_runs([word for word in reading.truth if word.speaker != "user" and word.word != NOISE]):
        if any(low <= run[0].start_s < high for low, high in counts):
            yield "background", {"background_start": run[0].start_s, "background_end": run[-1].end_s}


def _held(pause: Opened, later: Sequence[Opened]) -> Mapping[str, float]:
    """The times of a pause: the user's turn goes on until the reply that is wanted next, or ends with the pause."""
    start_s, end_s = pause.expect.anchor_s, pause.expect.anchor_s + pause.expect.to_s
    asked = next((o for o in later if o.expect.what == "reply"), None)
    until_s, closes_s = (asked.expect.anchor_s, asked.closes_s) if asked else (end_s, max(end_s, pause.closes_s))
    times = {"user_start": pause.begins_s, "user_end": until_s, "model_start": until_s, "model_end": closes_s}
    return {**times, "pause_start": start_s, "pause_end": min(end_s, until_s)}


@dataclass(frozen=True)
class _Cases:
    """The rounds of one task by their session, each with what became of it."""

    task: Task
    mode: Mode
    sessions: tuple[str, ...]
    found: tuple[tuple[str, Round, Judged], ...]
    seed: int = 0
    setup: Mapping[str, object] = field(default_factory=dict)


def mtr(sessions: Mapping[str, Sequence[Round]], seed: int = 0) -> list[Measured]:
    """Success, latency (s) and frequency (1/s) of every task in both modes, then the success of each number of round (compatible)."""
    scores: list[Measured] = []
    for task in TASKS:
        rounds = [(key, one) for key, ones in sessions.items() for one in ones if one.task == task]
        if not rounds:
            continue
        judged = {mode: _cases(task, mode, rounds, seed) for mode in MODES}
        scores += [score for cases in judged.values() for score in _scores(cases)]
        scores += _by_number(judged["compatible"])
    return scores


def _cases(task: Task, mode: Mode, rounds: Sequence[tuple[str, Round]], seed: int) -> _Cases:
    found = tuple((key, one, judged) for key, one in rounds if (judged := judge(one, mode)) is not None)
    setup = {
        "benchmark": "MTR-DuplexBench",
        "revision": REVISION,
        "task": task,
        "mode": mode,
        "source": sorted({one.source for _, one in rounds}),
        "names that the official function does not know": sorted({one.scenario for _, one in rounds if _unknown(one)}),
    }
    return _Cases(task, mode, tuple(dict.fromkeys(key for key, _ in rounds)), found, seed, setup)


def _unknown(one: Round) -> bool:
    return one.task != "background" and official_part(one) is None


def _scores(cases: _Cases) -> list[Measured]:
    label = f"{cases.task} scenarios" if cases.task.isdigit() else cases.task
    took = [Case(session=key, value=float(was.success), moment=_moment(one)) for key, one, was in cases.found]
    late = [Case(session=key, value=was.latency_s, moment=_moment(one)) for key, one, was in cases.found if was.latency_s is not None]
    often = [Case(session=key, value=was.frequency, moment=_moment(one)) for key, one, was in cases.found if was.frequency is not None]
    rows: list[tuple[str, list[Case], str, str, MeanKind | None]] = [
        ("success", took, "rounds done rightly", "", "share"),
        ("latency", late, "end of the user to the model's segment", "s", None),
        ("frequency", often, "short segments for each second spoken", "1/s", None),
    ]
    return [
        mean(f"{label}, {name} ({cases.mode})", some, cases.sessions, says=says, unit=unit, kind=kind, setup=cases.setup, seed=cases.seed)
        for name, some, says, unit, kind in rows
    ]


def _by_number(cases: _Cases) -> list[Measured]:
    """The success of the first rounds, the second, and so on, as dialogues grow; nothing where all are of one number."""
    numbers = sorted({one.number for _, one, _ in cases.found})
    if len(numbers) < 2:
        return []
    alone = [replace(cases, found=tuple(case for case in cases.found if case[1].number == number)) for number in numbers]
    firsts = [_scores(one)[0] for one in alone]
    return [replace(one, name=f"{one.name}, round {number}") for number, one in zip(numbers, firsts, strict=True)]


def _moment(one: Round) -> Span:
    return min(one.times.values(), default=0.0), max(one.times.values(), default=0.0)
