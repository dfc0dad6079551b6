"""TimeSpeak and CueSpeak in our families: credit where the one expected meaning came within ± 0.25, 0.5 and 1.0 s of its moment.

TML's tests of the same names (blog, 2026-05-11) give credit only if meaning and time are both right, macro-averaged over tasks; their data
and their window widths are not published, so ours are stated: the moment is the middle of the published window of the family, the words
are known exactly, and a word too many takes the credit of the nearest moment (`workbench.scoring.wanted`). TimeSpeak asks for moments on
the clock, CueSpeak for acts at something that is said or seen while it goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.events import TruthExpect
from workbench.scoring.interaction import outcomes
from workbench.scoring.measured import TICKS, Measured, Moment, bootstrap, drawn_how, mean_of
from workbench.scoring.reading import words_from
from workbench.trace import Trace
from workbench.version import VERSION

CURVE_S = (0.25, 0.5, 1.0)
TIME = ("timer", "every_n")
CUE = ("cue_word", "user_mistake", "warning", "listener", "tell_when")


@dataclass(frozen=True)
class Aimed:
    """One moment at which one thing was to be said: when, whether the meaning was right, and how far off it was (None: never said)."""

    at_s: float
    meaning: bool
    error_s: float | None

    def hit(self, within_s: float) -> bool:
        return self.meaning and self.error_s is not None and abs(self.error_s) <= within_s + 1e-6


@dataclass(frozen=True)
class AimedSession:
    """The moments of one session, with the family it is of."""

    family: str
    aimed: tuple[Aimed, ...]


def aimed_session(trace: Trace) -> AimedSession:
    """Every expectation of a moment in a trace, in order."""
    middle = {e.id: e.anchor_s + (e.from_s + e.to_s) / 2 for _, e in trace.events(TruthExpect)}
    found = tuple(Aimed(middle[o.id], o.meaning, o.error_s) for o in outcomes(trace) if o.what in ("time", "moment"))
    return AimedSession(str(trace.header.labels.get("family", "")), found)


def speak_curve(name: str, families: Sequence[str], sessions: Mapping[str, AimedSession], seed: int = 0) -> list[Measured]:
    """The macro-average over families at each half-width of CURVE_S; families without a moment are named in the setup and left out."""
    by_family = {family: [s for s in sessions.items() if s[1].family == family and s[1].aimed] for family in families}
    present = [family for family, found in by_family.items() if found]
    scores = []
    for within_s in CURVE_S:
        strata = [[(float(sum(a.hit(within_s) for a in s.aimed)), float(len(s.aimed))) for _, s in by_family[f]] for f in present]
        missed = [(key, a) for f in present for key, s in by_family[f] for a in s.aimed if not a.hit(within_s)]
        moments = tuple(Moment(session=key, start_s=a.at_s - within_s, end_s=a.at_s + within_s) for key, a in missed)
        scores.append(
            Measured(
                name=f"{name} within {within_s:g} s",
                value=mean_of(strata) if strata else float("nan"),
                explanation=f"right meaning within {within_s:g} s of its moment, macro-average of {', '.join(present) or 'no family'}",
                evidence=tuple(TICKS.tick_at(max(0.0, m.start_s)) for m in moments),
                n=sum(len(s.aimed) for s in sessions.values()),
                interval=bootstrap(strata, seed, kind="share") if strata else None,
                sessions=len(sessions),
                moments=moments,
                setup={
                    "benchmark": name,
                    "revision": f"microturn {VERSION}",
                    "source": words_from(),
                    "families": present,
                    "left out": [f for f in families if f not in present],
                    "moments shown": "missed",
                    "bootstrap": drawn_how(seed, "share", "sessions within each family"),
                },
            )
        )
    return scores
