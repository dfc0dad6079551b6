"""What of a live session goes to other computers, in a sentence that a person reads before agreeing to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from workbench.background.backends import CHAT


def sent_elsewhere(specs: Mapping[str, Mapping[str, Any]]) -> str:
    """Where sound, pictures and words go, by the specs of everyone who takes part; empty when all stays on this computer.

    A spec with an address stands for a server: an agent's hears everything, or the words where it is a language model that is asked; a
    background's is told the words of the talk, and besides what the spec's `senses` name.
    """
    told = []
    for name, spec in specs.items():
        for place in dict.fromkeys(_hosts(_addresses(spec, "url"))):
            if name == "background":
                told.append(f"when it has something looked up, {place} is sent {_things(spec)}")
            elif name != "user":
                told.append(f"{place} is sent all that you say, type and show")
        for place in dict.fromkeys(_hosts(text.removeprefix(CHAT) for text in _addresses(spec, "language") if text.startswith(CHAT))):
            told.append(f"{place} is sent what was said")
    return "; ".join(told)


def _things(spec: Mapping[str, Any]) -> str:
    senses = spec.get("senses") or {}
    things = ["what was said"]
    if seconds := senses.get("audio_s"):
        things.append(f"the last {seconds:g} s of your microphone")
    if senses.get("frame_s"):
        things.append("your camera's last picture")
    return " and ".join([", ".join(things[:-1]), things[-1]]) if len(things) > 1 else things[0]


def _addresses(spec: Any, name: str) -> Iterator[str]:
    """All texts that stand under this name in a spec, at any depth."""
    if isinstance(spec, Mapping):
        for key, value in spec.items():
            if key == name and isinstance(value, str):
                yield value
            else:
                yield from _addresses(value, name)
    elif isinstance(spec, list | tuple):
        for each in spec:
            yield from _addresses(each, name)


def _hosts(addresses: Iterable[str]) -> Iterator[str]:
    """Those that are not on this computer."""
    for address in addresses:
        host = urlsplit(address).hostname or address
        if host not in ("localhost", "127.0.0.1", "::1"):
            yield host
