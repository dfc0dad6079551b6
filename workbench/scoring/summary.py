"""Many outcomes as the tables people read: rates with intervals, latencies with the events they run between, and false starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.scenarios import FAMILIES, GROUPS
from workbench.scenarios.timer import CURVE_S
from workbench.scoring.score import Outcome, Score, mean_interval, quantile, wilson

NO_GROUP = ""  # of sessions that are no family's: recordings, medleys


@dataclass(frozen=True)
class Rate:
    """A named share of outcomes: which count, and which of them hit."""

    name: str
    counts: Callable[[Outcome], bool]
    hits: Callable[[Outcome], bool]

    def of(self, outcomes: Iterable[Outcome]) -> Score | None:
        """The rate with its interval in the explanation; None when nothing counts."""
        counted = [o for o in outcomes if self.counts(o)]
        if not counted:
            return None
        hits = sum(self.hits(o) for o in counted)
        low, high = wilson(hits, len(counted))
        text = f"{hits} of {len(counted)}, 95 % interval {low:.3f} to {high:.3f}"
        return Score(name=self.name, value=hits / len(counted), explanation=text, n=len(counted))


@dataclass(frozen=True)
class Latency:
    """A named time between two events, in seconds."""

    name: str
    start: str
    end: str
    value: Callable[[Outcome], float | None]

    def of(self, outcomes: Iterable[Outcome]) -> dict[str, Any] | None:
        """Median, 95th percentile and number, with the events it runs from and to; None without values."""
        values = [v for o in outcomes if (v := self.value(o)) is not None]
        if not values:
            return None
        return {"median": quantile(values, 0.5), "p95": quantile(values, 0.95), "n": len(values), "from": self.start, "to": self.end}


def _is(what: str, *tags: str) -> Callable[[Outcome], bool]:
    return lambda o: o.what == what and all(tag in o.tags for tag in tags)


def _right(o: Outcome) -> bool:
    return o.meaning


def _carried(o: Outcome) -> bool:
    return bool(o.carried)


def _within(limit_s: float) -> Callable[[Outcome], bool]:
    return lambda o: o.meaning and o.error_s is not None and abs(o.error_s) <= limit_s + 1e-6


def _both(o: Outcome) -> bool:
    return o.both


def _to_be_seen(o: Outcome) -> bool:
    return o.what == "moment" and ("seen" in o.tags or "repetition" in o.tags)


RATES: tuple[Rate, ...] = (
    Rate("replies within 1.0 s", _is("reply"), lambda o: o.acted),
    Rate("silent through thinking pauses", _is("silent", "pause"), _right),
    Rate("sum right, plain", _is("reply", "plain"), _right),
    Rate("sum right, after a thinking pause", _is("reply", "after_pause"), _right),
    Rate("sum right, after self-correction", _is("reply", "corrected"), _right),
    Rate("sum right, corrected at once", _is("reply", "corrected", "fast"), _right),
    Rate("sum right, corrected late", _is("reply", "corrected", "late"), _right),
    Rate("yes or no right, when invited", _is("reply", "invited"), _right),
    Rate("silent on a statement until invited", _is("silent", "before_invitation"), _right),
    Rate("silent on a statement without an invitation", _is("silent", "uninvited"), _right),
    Rate("asks after five seconds of silence", _is("time", "long_silence"), _both),
    Rate("sum right, after a long silence", _is("reply", "after_silence"), _right),
    Rate("quiet within 1.0 s of stop", _is("yield", "stop"), _both),
    Rate("quiet within 0.8 s of a new question", _is("yield", "new_question"), _both),
    Rate("sum right, asked during a count", _is("reply", "new_question"), _right),
    Rate("changes a count on its way", _is("amend"), _carried),
    Rate("sum right, asked again and again", _is("reply", "impatient"), _right),
    Rate("keeps counting through back-channels", _is("count", "backchannel"), _carried),
    Rate("keeps counting through other-directed speech", _is("count", "other_directed"), _carried),
    Rate("keeps counting through background sounds", _is("count", "background"), _carried),
    Rate("keeps counting when a bystander says stop", _is("count", "bystander_order"), _carried),
    Rate("silent on other-directed speech", _is("silent", "other_directed"), _right),
    Rate("silent on background sounds", _is("silent", "background"), _right),
    Rate("silent on a bystander's order", _is("silent", "bystander_order"), _right),
    Rate("murmurs at the end of a part of a story", _is("moment", "listener"), _both),
    Rate("speaks at a cue", _is("moment", "cue_word"), _both),
    Rate("corrects a mistake at once", _is("moment", "user_mistake"), _both),
    Rate("warns when the limit is passed", _is("moment", "warning"), _both),
    Rate("counts alone to the end", _is("count", "undisturbed"), _carried),
    *(Rate(f"timer within {limit_s} s", _is("time", "timer"), _within(limit_s)) for limit_s in CURVE_S),
    *(Rate(f"every N seconds, moments within {limit_s} s", _is("moment", "every_n"), _within(limit_s)) for limit_s in CURVE_S),
    Rate("length of speech or silence right", _is("reply", "how_long"), _right),
    Rate("translated words right", _is("moment", "translate"), _right),
    Rate("counts together with the user", _is("moment", "along"), _both),
    Rate("refuses what is not allowed", _is("reply", "disallowed"), _right),
    Rate("answers what only begins like it", _is("reply", "allowed"), _right),
    Rate("what is seen called out within 1.0 s", _is("moment", "seen"), _both),
    Rate("silent until it is seen", _is("silent", "watching"), _right),
    Rate("change remembered when asked later", _is("reply", "seen_before"), _right),
    Rate("repetitions called within 1.0 s", _is("moment", "repetition"), _both),
    Rate("repetitions counted within one", _is("tally"), _right),
    Rate("repetitions counted exactly", _is("tally"), _carried),
    Rate("asks the background rightly", _is("delegate"), _both),
    Rate("asks rightly for a change, or an end", lambda o: o.what == "delegate" and bool({"corrected", "called_off"} & set(o.tags)), _both),
    Rate("says the result", _is("result"), _both),
    Rate("says the result of the correction", _is("result", "corrected"), _right),
    Rate("sum right, while work runs", _is("reply", "meanwhile"), _right),
    Rate("silent once work is called off", _is("silent", "called_off"), _right),
)


def _when(counts: Callable[[Outcome], bool]) -> Callable[[Outcome], float | None]:
    return lambda o: o.latency_s if counts(o) else None


def _off(counts: Callable[[Outcome], bool]) -> Callable[[Outcome], float | None]:
    return lambda o: abs(o.error_s) if counts(o) and o.error_s is not None else None


LATENCIES: tuple[Latency, ...] = (
    Latency("reply", "end of the question", "start of the first word", _when(_is("reply"))),
    Latency("count", "end of the request", "start of the first word", _when(_is("count"))),
    Latency("yield", "end of the word stop", "last agent sound", _when(_is("yield", "stop"))),
    Latency(
        "yield_from_onset",
        "start of the word stop",
        "last agent sound",
        lambda o: o.onset_latency_s if _is("yield", "stop")(o) else None,
    ),
    Latency("yield_to_question", "end of the question's second word", "last agent sound", _when(_is("yield", "new_question"))),
    Latency("amend", "end of the correction", "start of the first number of the new kind", _when(_is("amend"))),
    Latency("murmur", "end of a part of the story", "start of the murmur", _when(_is("moment", "listener"))),
    Latency("cue", "end of the cue", "start of the word", _when(_is("moment", "cue_word"))),
    Latency("correction", "end of the wrong number", "start of the right one", _when(_is("moment", "user_mistake"))),
    Latency("warning", "end of the number that passes", "start of the warning", _when(_is("moment", "warning"))),
    Latency("translation", "end of the English words", "start of a Spanish word", _when(_is("moment", "translate"))),
    Latency("timer_error", "the moment asked for", "start of the first word, early or late", _off(_is("time", "timer"))),
    Latency("every_n_error", "the moment asked for", "start of the word, early or late", _off(_is("moment", "every_n"))),
    Latency("along_error", "start of the user's number", "start of the agent's, early or late", _off(_is("moment", "along"))),
    Latency("request", "end of the user's request", "request to the background", _when(_is("delegate"))),
    Latency("call", "the moment it is to be seen", "start of the word", _when(_to_be_seen)),
)


def rates(outcomes: Sequence[Outcome]) -> list[Score]:
    """Every rate that has cases, in the order of RATES."""
    return [score for rate in RATES if (score := rate.of(outcomes)) is not None]


def latencies(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    """Every latency that has values, by name."""
    return {latency.name: found for latency in LATENCIES if (found := latency.of(outcomes)) is not None}


def table(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Counts and shares of one family: n, meaning, timing, both, and the 95 % interval of both; `tags` the same per tag."""
    tags = sorted({tag for o in outcomes for tag in o.tags})
    return {**_shares(outcomes), "tags": {tag: _shares([o for o in outcomes if tag in o.tags]) for tag in tags}}


def summarise(by_family: Mapping[str, Sequence[Outcome]]) -> dict[str, Any]:
    """The families table, groups, rates and latencies of outcomes by family, ready for JSON; means are over families with cases."""
    everything = [o for found in by_family.values() for o in found]
    families = {name: {"group": _group(name), **table(found)} for name, found in by_family.items()}
    both = [(row["both"], (row["ci95"][0], row["ci95"][1])) for row in families.values() if row["n"]]
    groups = {group: [row["both"] for row in families.values() if row["n"] and row["group"] == group] for group in (*GROUPS, NO_GROUP)}
    named = {r.name: {"value": r.value, "n": r.n, "ci95": list(wilson(round(r.value * r.n), r.n))} for r in rates(everything)}
    return {
        "families": families,
        "groups": {group: {"families": len(found), "mean_both": sum(found) / len(found)} for group, found in groups.items() if found},
        "mean_both": sum(rate for rate, _ in both) / len(both) if both else 0.0,
        "mean_ci95": list(mean_interval(both)),
        "rates": named,
        "latency_s": latencies(everything),
    }


def _group(family: str) -> str:
    return FAMILIES[family].group if family in FAMILIES else NO_GROUP


def _shares(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    n = len(outcomes)
    both = sum(o.both for o in outcomes)
    return {
        "n": n,
        "meaning": sum(o.meaning for o in outcomes) / n if n else 0.0,
        "timing": sum(o.timing for o in outcomes) / n if n else 0.0,
        "both": both / n if n else 0.0,
        "ci95": list(wilson(both, n)),
    }
