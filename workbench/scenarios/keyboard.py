"""A user who types: a script whose requests come as text, each whole in the tick in which it is sent, instead of as speech."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from workbench.packets import rng_for
from workbench.scenarios.script import AfterBegin, Beat, Script


def typed(script: Script, share: float) -> Script:
    """The script with that share of the requests that can be typed typed; the same for the same script and share.

    What can be typed is said by the user in one go, asks the agent for one thing, and is not part of a rhythm. What was expected while
    the user spoke falls away with the speaking.
    """
    rng = rng_for(script.seed, 0, "typed")
    draws = rng.random(len(script.beats))
    beats = tuple(
        _typed(beat) if draws[place] < share and _can_be_typed(script.beats, place) else beat for place, beat in enumerate(script.beats)
    )
    return replace(script, beats=beats)


def _typed(beat: Beat) -> Beat:
    return replace(beat, typed=True, expects=tuple(expect for expect in beat.expects if expect.until is None))


def _can_be_typed(beats: Sequence[Beat], place: int) -> bool:
    beat = beats[place]
    in_one_go = beat.speaker == "user" and beat.sound is None and len(beat.parts) == 1
    asks_once = {"say", "yield"} - {order.act for order in beat.orders} != set()
    in_rhythm = any(isinstance(other.trigger, AfterBegin) for other in beats[place : place + 2])
    return in_one_go and bool(beat.orders) and asks_once and not in_rhythm
