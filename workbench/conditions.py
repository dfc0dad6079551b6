"""Conditions to hear under, as text: `snr:10`, `band:3400`, `room:0.5`, `loss:5`, `jitter:120`, `echo:-20`, joined by `+`.

A condition replaces what it names of a script's surroundings; everything else stays as it was drawn, so the same seed says the same words
in the same voice under every condition.

    snr:DB[:KIND]               noise of that kind (babble), DB below the user's speech
    band:HZ                     a microphone from 300 Hz to HZ
    room:S                      a room whose sound falls by 60 dB in S seconds
    loss:PERCENT[:BURST]        packets lost, BURST (2) in a row on average
    jitter:MS[:BUFFER]          packets up to MS late, a playout buffer of BUFFER (MS) ms
    echo:DB[:DELAY[:S]]         the agent's own voice in the microphone, DB against the loudspeaker, DELAY (60) ms late, room S (0.25)
    typed:PERCENT               that many of the requests that can be typed come as text instead of speech
    conceal:repeat|silence      what is heard in place of a packet that did not come (repeat)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from workbench.acoustics import Acoustics, NoiseKind
from workbench.channel import CLEAR, Channel, Conceal, Echo, Jitter, Loss
from workbench.errors import InputError
from workbench.scenarios.keyboard import typed
from workbench.scenarios.script import Script

TELEPHONE_LOW_HZ = 300.0
MOST_VALUES: Mapping[str, int] = {"snr": 2, "band": 1, "room": 1, "loss": 2, "jitter": 2, "echo": 3, "typed": 1, "conceal": 1}
EXAMPLES = "snr:10, band:3400, room:0.5, loss:5, jitter:120, echo:-20, typed:30 or conceal:silence"  # one of each


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What is replaced of a script's surroundings; None and a clear channel leave them as drawn."""

    noise: tuple[NoiseKind, float] | None = None
    band_hz: tuple[float, float] | None = None
    rt60_s: float | None = None
    channel: Channel = CLEAR
    typed: float = 0.0  # share

    def __post_init__(self) -> None:
        self._heard_by(Acoustics())  # which refuses what no microphone can be
        if not 0 <= self.typed <= 1:
            raise InputError(f"typed={self.typed:g} is no share; give 0 to 1 here, 0 to 100 in a condition's text")

    def on(self, script: Script) -> Script:
        """The script under this condition; it names the condition in its labels, so that a replay can build it again."""
        if self == AS_DRAWN:
            return script
        labels = {**script.labels, "condition": str(self)}
        written = typed(script, self.typed)
        return replace(written, acoustics=self._heard_by(script.acoustics), channel=self.channel, labels=labels)

    def __str__(self) -> str:
        """The text that `parse` takes; empty when nothing is replaced."""
        echo, loss, jitter = self.channel.echo, self.channel.loss, self.channel.jitter
        parts: list[tuple[object, ...]] = []
        parts += [] if self.noise is None else [("snr", self.noise[1], self.noise[0])]
        parts += [] if self.band_hz is None else [("band", self.band_hz[1])]
        parts += [] if self.rt60_s is None else [("room", self.rt60_s)]
        parts += [] if loss is None else [("loss", loss.percent, loss.burst)]
        parts += [] if jitter is None else [("jitter", jitter.spread_ms, jitter.buffer_ms)]
        parts += [] if echo is None else [("echo", echo.level_db, echo.delay_ms, echo.rt60_s)]
        parts += [("typed", 100 * self.typed)] if self.typed else []
        parts += [("conceal", self.channel.conceal)] if self.channel.conceal != CLEAR.conceal else []
        return "+".join(":".join(f"{v:g}" if isinstance(v, int | float) else str(v) for v in part) for part in parts)

    def _heard_by(self, microphone: Acoustics) -> Acoustics:
        return replace(
            microphone,
            noises=microphone.noises if self.noise is None else (self.noise,),
            band_hz=self.band_hz or microphone.band_hz,
            rt60_s=microphone.rt60_s if self.rt60_s is None else self.rt60_s,
        )


AS_DRAWN = Condition()


def parse_condition(text: str) -> Condition:
    """The condition of a text such as `snr:10+loss:5`; an empty text leaves everything as drawn. Raises InputError for any other."""
    condition = AS_DRAWN
    for part in filter(None, (piece.strip() for piece in text.split("+"))):
        name, *values = part.split(":")
        if not 1 <= len(values) <= MOST_VALUES.get(name, 0):
            raise InputError(f"condition {part!r} is none; give {EXAMPLES}, or several: snr:10+loss:5")
        condition = _with(condition, name, values, part)
    return condition


def _with(condition: Condition, name: str, values: Sequence[str], part: str) -> Condition:
    channel = condition.channel
    match name:
        case "snr":
            kind = cast(NoiseKind, values[1] if len(values) > 1 else "babble")
            return replace(condition, noise=(kind, _number(values[0], part)))
        case "band":
            return replace(condition, band_hz=(TELEPHONE_LOW_HZ, _number(values[0], part)))
        case "room":
            return replace(condition, rt60_s=_number(values[0], part))
        case "typed":
            return replace(condition, typed=_number(values[0], part) / 100)
        case "conceal":
            return replace(condition, channel=replace(channel, conceal=cast(Conceal, values[0])))
        case "loss":
            percent, *burst = (_number(value, part) for value in values)
            return replace(condition, channel=replace(channel, loss=Loss(percent=percent, **_named(("burst",), burst))))
        case "jitter":
            spread, *rest = (_number(value, part) for value in values)
            return replace(condition, channel=replace(channel, jitter=Jitter(spread_ms=spread, buffer_ms=rest[0] if rest else spread)))
        case _:
            level, *more = (_number(value, part) for value in values)
            return replace(condition, channel=replace(channel, echo=Echo(level_db=level, **_named(("delay_ms", "rt60_s"), more))))


def _named(names: Sequence[str], values: Sequence[float]) -> dict[str, Any]:
    return dict(zip(names, values, strict=False))


def _number(text: str, part: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"condition {part!r}: {text!r} is no number; write it like snr:10 or echo:-20:60:0.25") from None
