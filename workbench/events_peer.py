"""Events of an agent that runs elsewhere: what it has used, and what its service says beside the conversation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from workbench.events_base import EventBase


@dataclass(frozen=True, kw_only=True)
class PeerUsage(EventBase):
    """What a service has counted for this session so far, lost connections included: seconds, tokens, and their price, 0 without prices.

    Of a server that counts nothing (Moshi, vLLM-Omni) the seconds are those of the sound that it was sent.
    """

    kind: ClassVar[str] = "peer.usage"
    seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0


@dataclass(frozen=True, kw_only=True)
class PeerNote(EventBase):
    """What a service said that is no part of the conversation: an error, a notice, or a limit of ours that it met."""

    kind: ClassVar[str] = "peer.note"
    code: str
    text: str


PeerEvent: TypeAlias = PeerUsage | PeerNote
