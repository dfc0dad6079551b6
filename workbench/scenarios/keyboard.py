"""A user who types: a script whose requests come as text, each whole in the tick in which it is sent, instead of as speech."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from workbench.packets import rng_for
from workbench.scenarios.script import BEGIN, END, AfterBegin, AfterOwn, Anchor, Beat, Expect, Order, Script


def typed(script: Script, share: float) -> Script:
    """The script with that share of the requests that can be typed typed; the same for the same script and share.

    What can be typed is said by the user, asks the agent for one thing, and is not part of a rhythm; if it has pauses, it is one that is
    answered at its end, and they fall away with the speaking, like what was expected while the user spoke. Of a talk that opens with what
    the agent is to do during it, such as "whenever i say red say one" or "count with me to five", the opening is typed and the rest spoken.
    """
    rng = rng_for(script.seed, 0, "typed")
    draws = rng.random(len(script.beats))
    beats: list[Beat] = []
    for place, beat in enumerate(script.beats):
        beats += _typed(script.beats, place) if draws[place] < share else (beat,)
    return replace(script, beats=tuple(beats))


def _typed(beats: Sequence[Beat], place: int) -> tuple[Beat, ...]:
    """A beat typed as far as it can be."""
    beat = beats[place]
    if beat.speaker != "user" or beat.sound is not None:
        return (beat,)
    if _can_be_typed(beats, place):
        return (replace(beat, typed=True, expects=tuple(expect for expect in beat.expects if expect.until is None)),)
    if _asks_for_the_next(beats, place):
        return (replace(beat, typed=True),)
    return _opening_typed(beat) if _opens(beat) else (beat,)


def _can_be_typed(beats: Sequence[Beat], place: int) -> bool:
    beat = beats[place]
    asks_once = {"say", "yield"} - {order.act for order in beat.orders} != set()
    in_rhythm = any(isinstance(other.trigger, AfterBegin) for other in beats[place : place + 2])
    return (len(beat.parts) == 1 or _answered_at_its_end(beat)) and bool(beat.orders) and asks_once and not in_rhythm


def _answered_at_its_end(beat: Beat) -> bool:
    answers = [order for order in beat.orders if order.anchor == END and order.lasting is None]
    return len(beat.orders) == len(answers) == 1 and beat.withdraws is None


def _asks_for_the_next(beats: Sequence[Beat], place: int) -> bool:
    """Whether it says what the agent is to do with the beat that the user goes on with."""
    beat, following = beats[place], beats[place + 1 : place + 2]
    alone = len(beat.parts) == 1 and not beat.orders and not beat.expects
    return alone and any(isinstance(after.trigger, AfterOwn) and {order.anchor for order in after.orders} == {BEGIN} for after in following)


def _opens(beat: Beat) -> bool:
    """Whether it begins with a phrase of its own, during which nothing is ordered or expected."""
    if len(beat.parts) < 3 or not isinstance(beat.parts[0], str) or not isinstance(beat.parts[1], float) or beat.withdraws is not None:
        return False
    opening = len(beat.parts[0].split())
    acted_on: tuple[Order | Expect, ...] = (*beat.orders, *beat.expects)
    moments = [moment for one in acted_on for moment in _moments(one)]
    return bool(moments) and all(moment.word >= opening for moment in moments) and not any(order.lasting for order in beat.orders)


def _moments(one: Order | Expect) -> tuple[Anchor, ...]:
    until = one.until if isinstance(one, Expect) else None
    return (one.anchor,) if until is None else (one.anchor, until)


def _opening_typed(beat: Beat) -> tuple[Beat, ...]:
    """The opening as text, and the rest as speech after the pause that there was between them."""
    opening, pause_s = beat.parts[:2]
    assert isinstance(opening, str)
    assert isinstance(pause_s, float)
    words = len(opening.split())

    def moved(moment: Anchor) -> Anchor:
        return replace(moment, word=moment.word - words)

    orders = tuple(replace(order, anchor=moved(order.anchor)) for order in beat.orders)
    expects = tuple(
        replace(expect, anchor=moved(expect.anchor), until=None if expect.until is None else moved(expect.until)) for expect in beat.expects
    )
    rest = replace(beat, parts=beat.parts[2:], trigger=AfterOwn(pause_s), orders=orders, expects=expects)
    return Beat((opening,), beat.trigger, typed=True, level_db=beat.level_db, family=beat.family), rest
