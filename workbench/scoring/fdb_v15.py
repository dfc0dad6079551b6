"""Full-Duplex-Bench v1.5 (Lin et al., 2025, arXiv 2507.23159): what an agent does when somebody speaks over it.

Our code from their definitions.

*compatible* timing takes every overlap and every gap of the whole file, as the official script lists them: the user's voice joined over
gaps of 0.6 s, the agent's over 0.5 s; a stop latency is the length of an overlap, a response latency the gap from an end of the user to
the agent's next start. It says little about one event: an agent that talks through it "stops" when the user does.

*clean* timing looks at the annotated event only: from its start until the agent, which was speaking then, falls silent (also after the
event is over), and from its end to the agent's next start; nothing where the agent was silent or never spoke again.

Behaviour labels come from a judge (`Labelled` from content_tag.json) or, where a trace knows what was expected, from that (`behaviour`).
The average is the mean of four rates: RESPOND to an interruption, RESUME after the three others (inferred; two replications agree). An
agent that never stops talking can reach 75.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from workbench.errors import InputError
from workbench.scoring.fdb_sample import Mode, Sample, Span, joined
from workbench.scoring.fdb_v1 import REVISION
from workbench.scoring.interaction import judged
from workbench.scoring.measured import TICKS, Case, Measured, Moment, bootstrap, drawn_how, mean, mean_of
from workbench.scoring.reading import Reading

BENCHMARK = {"benchmark": "Full-Duplex-Bench v1.5", "revision": REVISION}
USER_JOIN_S, AGENT_JOIN_S = 0.6, 0.5
Label: TypeAlias = Literal["C_RESPOND", "C_RESUME", "C_UNCERTAIN_HANDLING", "C_UNKNOWN"]
LABELS: tuple[Label, ...] = get_args(Label)
DESIRED: Mapping[str, Label] = {
    "user_interruption": "C_RESPOND",
    "user_backchannel": "C_RESUME",
    "talking_to_other": "C_RESUME",
    "background_speech": "C_RESUME",
}
ASKS_AGAIN = frozenset({"pardon", "sorry", "what", "repeat", "again"})


def overlaps(user: Sequence[Span], agent: Sequence[Span]) -> list[Span]:
    """Every stretch in which both sound, in order of its end; of those that end in the same millisecond the shortest."""
    kept: dict[int, Span] = {}
    for u in user:
        for a in agent:
            start_s, end_s = max(u[0], a[0]), min(u[1], a[1])
            at = round(end_s * 1000)
            if start_s < end_s and (at not in kept or end_s - start_s < kept[at][1] - kept[at][0]):
                kept[at] = (start_s, end_s)
    return [kept[at] for at in sorted(kept)]


def response_gaps(user: Sequence[Span], agent: Sequence[Span]) -> list[Span]:
    """From each end of the user to the agent's next start strictly after it; of several to the same start the shortest."""
    kept: dict[float, float] = {}
    for _, end_s in user:
        start_s = min((start for start, _ in agent if start > end_s), default=None)
        if start_s is not None:
            kept[start_s] = max(end_s, kept.get(start_s, end_s))
    return [(end_s, start_s) for start_s, end_s in sorted(kept.items())]


def stops(sample: Sample, mode: Mode) -> list[Span]:
    """The stretches whose lengths are the stop latencies of a sample."""
    agent = joined(sample.voice, AGENT_JOIN_S)
    if mode == "compatible":
        return overlaps(joined(sample.user_voice, USER_JOIN_S), agent)
    at_s = sample.mark()[0]
    return [(at_s, end_s) for start_s, end_s in agent if start_s < at_s < end_s]


def responses(sample: Sample, mode: Mode) -> list[Span]:
    """The stretches whose lengths are the response latencies of a sample."""
    agent = joined(sample.voice, AGENT_JOIN_S)
    return response_gaps(joined(sample.user_voice, USER_JOIN_S) if mode == "compatible" else [sample.mark()], agent)


def timing(samples: Sequence[Sample], mode: Mode = "compatible", seed: int = 0) -> list[Measured]:
    """Stop and response latency in seconds, means over all intervals of all samples. The stop is meaningful for interruptions only."""
    whole = mode == "compatible"
    stop = "start to end of an overlap of both voices" if whole else "start of the event to the end of the agent's voice"
    response = f"end of {'any of the user' if whole else 'the event'}'s voice to the agent's next start"
    setup = {
        **BENCHMARK,
        "mode": mode,
        "join_s": {"user": USER_JOIN_S, "agent": AGENT_JOIN_S},
        "source": sorted({sample.source for sample in samples}),
    }
    found = []
    for name, says, spans in (("stop latency", stop, stops), ("response latency", response, responses)):
        cases = [Case(session=s.id, value=b - a, moment=(a, b)) for s in samples for a, b in spans(s, mode)]
        found.append(mean(name, cases, [s.id for s in samples], says=says, unit="s", setup=setup, seed=seed))
    return found


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """What the agent did about one overlapping event: of which sample, when the event was, and who says so (a judge, or the truth)."""

    id: str
    label: Label
    event: Span
    by: str = "scenario truth"

    def __post_init__(self) -> None:
        if self.label not in LABELS:
            raise InputError(f"sample {self.id!r} is labelled {self.label!r}; the rubric knows {', '.join(LABELS)}")


def behaviour(reading: Reading, name: str, event: Span) -> Labelled:
    """The label that a trace's own expectations give, without a judge.

    RESPOND: a reply, a yield or a change that the event asked for was done. RESUME: what was asked for before the event was carried on to
    the end, some of it since the event began. UNCERTAIN_HANDLING: the first word after the event asks again. UNKNOWN: anything else, or no
    word after the event.
    """
    anchors = reading.anchors_s
    found = [(anchors[o.id], o) for o in judged(reading)]
    since, after = ([word.word for word in reading.words if word.end_s > at_s] for at_s in event)
    asked = [o for at_s, o in found if event[0] <= at_s <= event[1] + 1e-6]
    if any(o.meaning and (o.what in ("yield", "amend") or (o.what == "reply" and after)) for o in asked):
        return Labelled(id=name, label="C_RESPOND", event=event)
    if since and any(o.carried for at_s, o in found if o.what == "count" and at_s < event[0]):
        return Labelled(id=name, label="C_RESUME", event=event)
    return Labelled(id=name, label="C_UNCERTAIN_HANDLING" if after and after[0] in ASKS_AGAIN else "C_UNKNOWN", event=event)


def behaviour_rates(scenario: str, found: Sequence[Labelled], mode: Mode = "compatible", seed: int = 0) -> list[Measured]:
    """The rate of every label in one scenario; compatible: rounded to two decimals, as the official script prints it."""
    setup = {**BENCHMARK, "mode": mode, "scenario": scenario, "labels by": sorted({one.by for one in found})}
    rates = []
    for label in LABELS:
        cases = [Case(session=one.id, value=float(one.label == label), moment=one.event if one.label == label else None) for one in found]
        names = [one.id for one in found]
        rate = mean(f"{scenario}, {label}", cases, names, says="events so labelled", kind="share", setup=setup, seed=seed)
        rates.append(rate.rounded(2) if mode == "compatible" else rate)
    return rates


def four_task_average(found: Mapping[str, Sequence[Labelled]], seed: int = 0) -> Measured:
    """100 times the unweighted mean of the four desired rates; its moments are the events without the desired label.

    Raises InputError unless all four scenarios have labels.
    """
    missing = [scenario for scenario in DESIRED if not found.get(scenario)]
    if missing:
        raise InputError(f"the four-task average has no labels for {', '.join(missing)}; a mean of fewer tasks is another number")
    strata = [[(100.0 * (one.label == wanted), 1.0) for one in found[scenario]] for scenario, wanted in DESIRED.items()]
    value, interval = mean_of(strata), bootstrap(strata, seed, kind="percentage")
    shares = ", ".join(
        f"{scenario} {wanted} {mean_of([part]):.1f}" for (scenario, wanted), part in zip(DESIRED.items(), strata, strict=True)
    )
    count = sum(map(len, strata))
    missed = [one for scenario, wanted in DESIRED.items() for one in found[scenario] if one.label != wanted]
    return Measured(
        name="v1.5 average",
        value=value,
        explanation=f"mean of {shares}",
        evidence=tuple(TICKS.tick_at(one.event[0]) for one in missed),
        moments=tuple(Moment(session=one.id, start_s=one.event[0], end_s=one.event[1]) for one in missed),
        n=count,
        interval=interval,
        sessions=count,
        setup={
            **BENCHMARK,
            "desired": dict(DESIRED),
            "labels by": sorted({one.by for part in found.values() for one in part}),
            "bootstrap": drawn_how(seed, "percentage", "sessions within each scenario"),
        },
    )
