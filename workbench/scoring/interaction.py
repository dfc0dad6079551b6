"""The interaction suite: credit only where the meaning is right and the act came inside its window.

Every expectation that a scripted user left in the trace becomes one `Outcome`. Definitions, ours, in the manner of TimeSpeak and
CueSpeak:

- reply: the first agent word after the end of the question, before the next beat that asks for something. Meaning: it is the right word.
  Timing: it begins inside the reply window.
- silent: no agent word and no agent sound begins inside the window.
- count: the agent's words since the request are one, two, ... to the end, or up to the moment of the stop. Timing: the first is in its
  window and no two starts are further apart than 1.4 s.
- yield: latency from the end of "stop" to the end of the last agent sound before the next beat. Meaning: no word begins after the window.
- time: the first agent word after the request is the one asked for; its error is measured from the moment asked for.
- moment: one of a series (every N seconds, at every cue, word by word). Meaning: the right word, within half a second of the window and
  taken by no earlier moment, and no word too many nearer to this moment than to any other. Timing: it begins inside the window.
- tally: the words said since the request are one, two, ... up to the last number wanted, one more or one less. Timing: none begins after
  the window. `carried` tells whether the last number was right to one.
- delegate: the requests made of the background from the anchor until the next beat that asks for something, or the end of the window.
  Meaning: there is one, with these words and of this kind. Timing: it is made inside the window.
- result: the first agent words from 0.3 s before the window on that answer nothing else, as many as the result has (one, or, of a late
  one, those of its request too). Meaning: they are the result. Timing: the first begins inside the window, none while the user speaks.
- only: all that the agent says and does from the anchor until the next beat that asks for something. Meaning: it says these words and no
  others, does not give way, and after the window asks the background for nothing. Timing: the first word begins inside the window.
  `carried` tells whether it did more than was asked for: more words than these, or one of these acts.
- amend: the count goes on by the old rule up to a word that begins inside the window, and from there by the new one to its end. Timing:
  no two starts since the request are further apart than 1.4 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from workbench.asking import written
from workbench.errors import InputError
from workbench.events import TranscriptDelta
from workbench.scenarios.long_count import GAP_S
from workbench.scenarios.script import onward
from workbench.scenarios.world import counting
from workbench.scoring.reading import Opened, Reading, read
from workbench.scoring.score import Outcome, Score
from workbench.scoring.wanted import Wanted, wanted
from workbench.trace import Trace

SLACK_S = 1e-6  # times are rounded to the microsecond


def outcomes(trace: Trace) -> list[Outcome]:
    """One outcome for every expectation of the trace, in order; those whose window reaches past the end of the trace are left out."""
    return judged(read(trace))


def judged(reading: Reading) -> list[Outcome]:
    """The same from what was read of the trace."""
    answering = wanted(reading)
    return [judge(reading, o, answering) for o in reading.opened if o.expect.anchor_s + o.expect.to_s <= reading.end_s]


def scores(trace: Trace) -> list[Score]:
    """The outcomes as scores of 1 (right and in time) or 0, each explained in a sentence."""
    return [Score(name=f"{o.what} {o.id}", value=float(o.both), explanation=explain(o), evidence=o.evidence) for o in outcomes(trace)]


def judge(reading: Reading, opened: Opened, answering: Wanted) -> Outcome:
    """How one expectation was met."""
    match opened.expect.what:
        case "reply":
            return _reply(reading, opened)
        case "silent":
            return _silent(reading, opened)
        case "count":
            return _count(reading, opened, answering)
        case "yield":
            return _yield(reading, opened)
        case "time":
            return _time(reading, opened)
        case "moment":
            return _moment(reading, opened, answering)
        case "amend":
            return _amend(reading, opened)
        case "tally":
            return _tally(reading, opened)
        case "delegate":
            return _delegate(reading, opened)
        case "result":
            return _result(reading, opened, answering)
        case "only":
            return _only(reading, opened)
        case what:
            known = "reply, silent, count, amend, moment, tally, delegate, result, only, yield and time"
            raise InputError(f"expectation {opened.expect.id!r} asks for {what!r}; this suite knows {known}")


def explain(outcome: Outcome) -> str:
    """The outcome in a sentence."""
    wanted = " ".join(outcome.wanted) or "silence"
    said = " ".join(outcome.said) or "nothing"
    when = "" if outcome.latency_s is None else f" {outcome.latency_s:.2f} s after the anchor"
    verdict = "right and in time" if outcome.both else "right, but not in time" if outcome.meaning else "not what was wanted"
    return f"{outcome.what}: wanted {wanted}, got {said}{when}: {verdict}"


def _reply(reading: Reading, opened: Opened) -> Outcome:
    expect = opened.expect
    words = reading.words_in(expect.anchor_s, opened.closes_s)
    first = words[0] if words else None
    latency_s = None if first is None else first.start_s - expect.anchor_s
    in_time = latency_s is not None and _inside(latency_s, expect.from_s, expect.to_s)
    return Outcome(
        id=expect.id,
        what="reply",
        tags=expect.tags,
        meaning=first is not None and first.word in (*expect.words, *expect.accepts),
        timing=in_time,
        acted=in_time,
        latency_s=latency_s,
        wanted=expect.words,
        **_said(reading, words[:1], expect.anchor_s),
    )


def _silent(reading: Reading, opened: Opened) -> Outcome:
    expect = opened.expect
    from_s, to_s = expect.anchor_s + expect.from_s, min(expect.anchor_s + expect.to_s, opened.closes_s)
    words = reading.words_in(from_s, to_s)
    onsets = reading.onsets_in(from_s, to_s)
    quiet = not words and not onsets
    first_s = min([w.start_s for w in words] + onsets, default=None)
    return Outcome(
        id=expect.id,
        what="silent",
        tags=expect.tags,
        meaning=quiet,
        timing=quiet,
        acted=not quiet,
        latency_s=None if first_s is None else first_s - expect.anchor_s,
        **_said(reading, words, from_s if first_s is None else first_s),
    )


def _count(reading: Reading, opened: Opened, answering: Wanted) -> Outcome:
    expect = opened.expect
    results = {id(word) for words in answering.results.values() for word in words}
    words = [word for word in reading.words_in(expect.anchor_s, opened.closes_s) if id(word) not in results]
    said = tuple(word.word for word in words)
    starts = [word.start_s for word in words]
    latency_s = starts[0] - expect.anchor_s if starts else None
    meaning = bool(said) and said == (expect.words[: len(said)] if opened.withdrawn else expect.words)
    unfinished = len(said) < len(expect.words)
    moments = [*starts, opened.closes_s] if opened.withdrawn and unfinished else starts
    even = bool(starts) and all(b - a <= GAP_S + SLACK_S for a, b in pairwise(moments))
    return Outcome(
        id=expect.id,
        what="count",
        tags=expect.tags,
        meaning=meaning,
        timing=even and latency_s is not None and _inside(latency_s, expect.from_s, expect.to_s),
        acted=bool(said),
        carried=meaning and even,
        latency_s=latency_s,
        wanted=expect.words,
        **_said(reading, words, expect.anchor_s),
    )


def _yield(reading: Reading, opened: Opened) -> Outcome:
    expect = opened.expect
    anchor_s = expect.anchor_s
    onset_s = min((w.start_s for w in reading.truth if abs(w.end_s - anchor_s) < 0.002), default=anchor_s)
    talking = any(start < anchor_s and end > opened.begins_s - GAP_S for start, end in reading.sounds)
    ends = [min(end, opened.closes_s) for start, end in reading.sounds if start < opened.closes_s and end > opened.begins_s]
    last_s = max(ends, default=anchor_s)
    latency_s = max(0.0, last_s - anchor_s) if talking else None
    late = reading.words_in(anchor_s + expect.to_s, opened.closes_s)
    return Outcome(
        id=expect.id,
        what="yield",
        tags=expect.tags,
        meaning=talking and not late,
        timing=latency_s is not None and latency_s <= expect.to_s + SLACK_S,
        acted=talking,
        latency_s=latency_s,
        onset_latency_s=max(0.0, last_s - onset_s) if talking else None,
        **_said(reading, reading.words_in(anchor_s, opened.closes_s), max(anchor_s, last_s - 1e-3)),
    )


def _time(reading: Reading, opened: Opened) -> Outcome:
    expect = opened.expect
    words = reading.words_in(expect.anchor_s, opened.closes_s)
    first = words[0] if words else None
    wanted_s = (expect.from_s + expect.to_s) / 2
    latency_s = None if first is None else first.start_s - expect.anchor_s
    error_s = None if latency_s is None else latency_s - wanted_s
    return Outcome(
        id=expect.id,
        what="time",
        tags=expect.tags,
        meaning=first is not None and (first.word,) == expect.words,
        timing=latency_s is not None and _inside(latency_s, expect.from_s, expect.to_s),
        acted=first is not None,
        latency_s=latency_s,
        error_s=error_s,
        wanted=expect.words,
        **_said(reading, words[:1], expect.anchor_s + wanted_s),
    )


def _moment(reading: Reading, opened: Opened, answering: Wanted) -> Outcome:
    expect = opened.expect
    word = answering.taken.get(expect.id)
    wanted_s = (expect.from_s + expect.to_s) / 2
    latency_s = None if word is None else word.start_s - expect.anchor_s
    return Outcome(
        id=expect.id,
        what="moment",
        tags=expect.tags,
        meaning=word is not None and expect.id not in answering.spoiled,
        timing=latency_s is not None and _inside(latency_s, expect.from_s, expect.to_s),
        acted=word is not None,
        latency_s=latency_s,
        error_s=None if latency_s is None else latency_s - wanted_s,
        wanted=expect.words,
        **_said(reading, [] if word is None else [word], expect.anchor_s + wanted_s),
    )


def _amend(reading: Reading, opened: Opened) -> Outcome:
    expect = opened.expect
    counts = [o.expect for o in reading.opened if o.expect.what == "count" and o.expect.anchor_s < expect.anchor_s]
    if not counts:
        raise InputError(f"expectation {expect.id!r} amends a count, and none was asked for before it; let a beat expect a count first")
    count = max(counts, key=lambda e: e.anchor_s)
    words = reading.words_in(count.anchor_s, opened.closes_s)
    said = tuple(word.word for word in words)
    begun, over = (len(reading.words_in(count.anchor_s, until_s)) for until_s in (expect.anchor_s, expect.anchor_s + expect.to_s))
    changes = [at for at in range(max(1, begun), over + 1) if said[:at] == count.words[:at]]
    right = [at for at in changes if said[at:] == onward(expect.words, said[at - 1], expect.step)]
    even = bool(words) and all(b.start_s - a.start_s <= GAP_S + SLACK_S for a, b in pairwise(words))
    since = words[right[0] if right else begun :]
    return Outcome(
        id=expect.id,
        what="amend",
        tags=expect.tags,
        meaning=bool(right),
        timing=even,
        acted=bool(since),
        carried=bool(right) and even,
        latency_s=since[0].start_s - expect.anchor_s if since else None,
        wanted=onward(expect.words, said[begun - 1], expect.step) if begun else expect.words,
        **_said(reading, since, expect.anchor_s),
    )


def _tally(reading: Reading, opened: Opened) -> Outcome:
    expect = opened.expect
    words = reading.words_in(expect.anchor_s, opened.closes_s)
    said = tuple(word.word for word in words)
    longest = counting(len(expect.words) + 1)
    return Outcome(
        id=expect.id,
        what="tally",
        tags=expect.tags,
        meaning=bool(said) and said in (longest, longest[:-1], longest[:-2]),
        timing=bool(words) and words[-1].start_s - expect.anchor_s <= expect.to_s + SLACK_S,
        acted=bool(said),
        carried=said == expect.words,
        wanted=expect.words,
        **_said(reading, words, expect.anchor_s + expect.to_s),
    )


def _delegate(reading: Reading, opened: Opened) -> Outcome:
    expect = opened.expect
    made = [
        r for r in reading.requests if expect.anchor_s <= r.at_s <= expect.anchor_s + max(expect.to_s, opened.closes_s - expect.anchor_s)
    ]
    texts = tuple(written(request) for request in made)
    latency_s = made[0].at_s - expect.anchor_s if made else None
    return Outcome(
        id=expect.id,
        what="delegate",
        tags=expect.tags,
        meaning=texts == expect.words,
        timing=latency_s is not None and _inside(latency_s, expect.from_s, expect.to_s),
        acted=bool(made),
        latency_s=latency_s,
        wanted=expect.words,
        said=texts,
        said_start_s=tuple(request.at_s for request in made),
        evidence=tuple(reading.clock.tick_at(request.at_s) for request in made) or (reading.clock.tick_at(expect.anchor_s + expect.to_s),),
    )


def _result(reading: Reading, opened: Opened, answering: Wanted) -> Outcome:
    expect = opened.expect
    words = answering.results.get(expect.id, ())
    latency_s = words[0].start_s - expect.anchor_s if words else None
    over = any(t.speaker == "user" and t.start_s <= word.start_s < t.end_s for word in words for t in reading.truth)
    return Outcome(
        id=expect.id,
        what="result",
        tags=expect.tags,
        meaning=bool(words) and tuple(word.word for word in words) == expect.words,
        timing=latency_s is not None and not over and _inside(latency_s, expect.from_s, expect.to_s),
        acted=bool(words),
        carried=over,
        latency_s=latency_s,
        wanted=expect.words,
        **_said(reading, words, expect.anchor_s + expect.from_s),
    )


def _only(reading: Reading, opened: Opened) -> Outcome:
    expect = opened.expect
    words = reading.words_in(expect.anchor_s, opened.closes_s)
    said = tuple(word.word for word in words)
    latency_s = words[0].start_s - expect.anchor_s if words else None
    acts_s = [at_s for at_s in reading.yields_s if expect.anchor_s <= at_s < opened.closes_s]
    acts_s += [r.at_s for r in reading.requests if expect.anchor_s + expect.to_s + SLACK_S < r.at_s < opened.closes_s]
    return Outcome(
        id=expect.id,
        what="only",
        tags=expect.tags,
        meaning=said == expect.words and not acts_s,
        timing=latency_s is not None and _inside(latency_s, expect.from_s, expect.to_s),
        acted=bool(words),
        carried=len(said) > len(expect.words) or bool(acts_s),
        latency_s=latency_s,
        wanted=expect.words,
        **_said(reading, words, expect.anchor_s),
    )


def _inside(value_s: float, from_s: float, to_s: float) -> bool:
    return from_s - SLACK_S <= value_s <= to_s + SLACK_S


def _said(reading: Reading, words: Sequence[TranscriptDelta], otherwise_s: float) -> dict[str, Any]:
    """What was said with its starts, and the ticks to look at: those of the words, else the one of the moment in question."""
    starts = tuple(word.start_s for word in words)
    ticks = [reading.clock.tick_at(at_s) for at_s in starts or (otherwise_s,)]
    return {"said": tuple(w.word for w in words), "said_start_s": starts, "evidence": tuple(dict.fromkeys(ticks))}
