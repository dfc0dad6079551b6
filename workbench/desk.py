"""What every page of a dashboard shares: the sessions of one folder, and the live ones that write into it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from workbench.agents import SilentAgent
from workbench.clock import ClockSpec, RealTime
from workbench.errors import InputError
from workbench.given import streams_there
from workbench.index import Entry, scan
from workbench.live.admission import Admission, Limits
from workbench.live.ear import Ear, LiveUser
from workbench.live.host import Host
from workbench.live.runtime import Going, LiveSession, LiveSpec
from workbench.packets import USER_AUDIO
from workbench.session import Participant
from workbench.store import RETENTIONS, Keep, Retention

REFRESH_S = 1.0  # a folder is looked through at most this often, however many pages ask


@dataclass(frozen=True, kw_only=True)
class Models:
    """The agents that a person may talk to, by their names, the first being the usual one; `make` gives one at a threshold.

    `make` may take long the first time, and raises WorkbenchError when there is no such agent or it cannot be loaded.
    """

    names: tuple[str, ...]
    make: Callable[[str, float], Participant]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How a person wants to be talked with: by which agent, at which threshold for speaking, keeping what of the voice."""

    model: str
    threshold: float = 0.5
    voice: Retention = "full"

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise InputError(f"threshold {self.threshold:g} is no probability; give a number from 0 to 1")
        if self.voice not in RETENTIONS:
            raise InputError(f"your voice cannot be kept as {self.voice!r}; choose one of {', '.join(RETENTIONS)}")


@dataclass(frozen=True)
class Running:
    """A live session that goes on: its name (its trace is `name`.sqlite), the agent, what it does, and for how long."""

    name: str
    agent: str
    state: Going
    seconds: float


@dataclass
class Desk:
    """Safe to use from many threads. Traces of live sessions land in `folder`.

    `keep` says how streams are kept in them; of a visitor's voice it is where their choice begins. Raises InputError where there is no such
    folder, or no such stream.
    """

    folder: Path
    models: Models
    limits: Limits = field(default_factory=Limits)
    keep: Mapping[str, Keep] = field(default_factory=dict)
    _entries: dict[str, Entry] = field(default_factory=dict)
    _hosts: list[Host] = field(default_factory=list)
    _looking: threading.Lock = field(default_factory=threading.Lock)  # held as long as a look through the folder takes
    _lock: threading.Lock = field(default_factory=threading.Lock)  # of the hosts, for a moment: a server's loop asks for them

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise InputError(f"{self.folder} is no folder; give one that holds traces, or make it: mkdir -p {self.folder}")
        self.now = RealTime(ClockSpec()).now
        streams_there(self.keep, (LiveUser(Ear(ClockSpec(), self.now)), SilentAgent()))  # every agent to talk to speaks on those
        self.admission = Admission(self.limits, self.now)
        self._looked_s = -REFRESH_S

    def entries(self) -> Mapping[str, Entry]:
        """The sessions on disk, as they are now or were a moment ago."""
        with self._looking:
            if self.now() - self._looked_s >= REFRESH_S:
                self._entries = scan(self.folder, self._entries)
                self._looked_s = self.now()
            return self._entries

    def host(self) -> Host:
        """Where one page talks, until `leave`. Its sessions begin as `set_policy` says, the first time with the usual agent."""
        host = Host(lambda: self.models.make(self.models.names[0], Policy.threshold), self.folder, self.admission)
        self.set_policy(host, self.usual)
        with self._lock:
            self._hosts.append(host)
        return host

    @property
    def usual(self) -> Policy:
        """How a person is talked with who has chosen nothing yet."""
        return Policy(model=self.models.names[0], voice=self.keep.get(USER_AUDIO, Keep()).retention)

    def set_policy(self, host: Host, policy: Policy) -> None:
        """From its next session on this host talks so."""
        voice = replace(self.keep.get(USER_AUDIO, Keep()), retention=policy.voice)
        host.make_agent = partial(self.models.make, policy.model, policy.threshold)
        host.spec = LiveSpec(minutes=self.limits.minutes, keep={**self.keep, USER_AUDIO: voice})

    def leave(self, host: Host) -> None:
        """The page of this host is gone, and its sessions end."""
        host.close()
        with self._lock:
            self._hosts.remove(host)

    def running(self) -> list[Running]:
        """The live sessions that go on, the oldest first."""
        with self._lock:
            hosts = list(self._hosts)
        return sorted((_running(session) for host in hosts for session in host.sessions), key=lambda row: row.name)

    def close(self) -> None:
        """End every live session, each with its trace."""
        with self._lock:
            hosts = list(self._hosts)
        for host in hosts:
            host.close()


def _running(session: LiveSession) -> Running:
    return Running(session.name, session.agent_kind, session.state, session.session.clock.seconds(session.session.tick))
