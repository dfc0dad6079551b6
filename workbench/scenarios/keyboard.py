"""A user who types: a script whose requests come as text, each whole in the tick in which it is sent, instead of as speech."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from workbench.packets import rng_for
from workbench.scenarios.script import END, AfterBegin, Beat, Script


def typed(script: Script, share: float) -> Script:
    """The script with that share of the requests that can be typed typed; the same for the same script and share.

    What can be typed is said by the user, asks the agent for one thing, and is not part of a rhythm; if it has pauses, it is one that is
    answered at its end, and they fall away with the speaking, like what was expected while the user spoke.
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
    spoken = beat.speaker == "user" and beat.sound is None
    asks_once = {"say", "yield"} - {order.act for order in beat.orders} != set()
    in_rhythm = any(isinstance(other.trigger, AfterBegin) for other in beats[place : place + 2])
    return spoken and (len(beat.parts) == 1 or _answered_at_its_end(beat)) and bool(beat.orders) and asks_once and not in_rhythm


def _answered_at_its_end(beat: Beat) -> bool:
    answers = [order for order in beat.orders if order.anchor == END and order.lasting is None]
    return len(beat.orders) == len(answers) == 1 and beat.withdraws is None
