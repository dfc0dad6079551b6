"""What callers give, checked the same at every door: seeds, ports, texts, addresses, folders to write into, and streams to keep."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from workbench.errors import InputError
from workbench.packets import AGENT_AUDIO, TRUTH, USER_AUDIO
from workbench.session import Participant
from workbench.store import CODECS, RETENTIONS, Codec, Keep, Retention

FEATURES_ONLY = "features-only"  # of every stream of sound its features, and no sound
KEEP_HELP = (
    f"Retention of a stream, e.g. user.audio=features; repeat for more. {FEATURES_ONLY} stands for {USER_AUDIO}=features and "
    f"{AGENT_AUDIO}=features: no sound is kept, but the words that were heard."
)
LAST_SEED = 2**62 - 1  # so that those of the episodes that follow fit 64 bits too
LAST_PORT = 65_535
WHOLE_TEXT = "text of whole characters, not half a surrogate pair"


def seed_within(seed: int | None) -> int | None:
    """The seed, if one is given. Raises InputError for one that randomness cannot be addressed by."""
    if seed is not None and not 0 <= seed <= LAST_SEED:
        raise InputError(f"--seed {seed} is no seed; give a whole number from 0 to {LAST_SEED}")
    return seed


def port_within(port: int) -> int:
    """The port; 0 is any that is free. Raises InputError for a number that is none."""
    if not 0 <= port <= LAST_PORT:
        raise InputError(f"--port {port} is no port; give a number from 1 to {LAST_PORT}, or 0 for one that is free")
    return port


def whole_text(text: str) -> bool:
    """Whether a text consists of whole characters. JSON can bring half a surrogate pair, which can neither be sent on nor written down."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there, on a free port for 0. Raises InputError where that cannot be."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        why = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        fix = "give another --port (0 takes a free one), or another --host"
        raise InputError(f"port {port} of {host} cannot be listened on ({why}); {fix}") from None


def folder_to_write(folder: Path, option: str = "") -> Path:
    """The folder, which need not be there yet. Raises InputError where a file stands at its place or on the way to it, or where nothing may
    be written.

    `option` is what it was given as, for the message.
    """
    given = f"{option} {folder}" if option else str(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{given} is a file; give a folder, it is made if absent")
    above = next((path for path in (folder, *folder.parents) if path.exists()), None)
    if above is not None and not above.is_dir():
        raise InputError(f"{given} cannot be made, because {above} is a file; give a folder, it is made if absent")
    if above is not None and not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"{given}: nothing may be written in {above}; give another folder, or change its permissions")
    return folder


def keeps_of(texts: Iterable[str], codec: Codec = "pcm16") -> dict[str, Keep]:
    """Retention per stream of `STREAM=none|features|full[:codec]` and `features-only`; of two for one stream the last holds.

    `codec` is that of sound where none is named. Raises InputError for anything else.
    """
    keeps: dict[str, Keep] = {}
    for text in texts:
        if text == FEATURES_ONLY:
            keeps |= dict.fromkeys((USER_AUDIO, AGENT_AUDIO), Keep("features", codec))
            continue
        stream, _, how = text.partition("=")
        retention, _, named = how.partition(":")
        named = named or codec
        if not stream or retention not in RETENTIONS or named not in CODECS:
            known = f"STREAM={'|'.join(RETENTIONS)} nor {FEATURES_ONLY}"
            raise InputError(f"--keep {text!r} is neither {known}; e.g. --keep user.audio=features")
        keeps[stream] = Keep(cast(Retention, retention), cast(Codec, named))
    return keeps


def streams_there(streams: Iterable[str], participants: Sequence[Participant]) -> None:
    """That somebody in a session speaks on each of these streams. Raises InputError that names those there are.

    What is to be kept of a stream that there is not would be kept of none, and the one that was meant in full.
    """
    there = [stream for participant in participants for stream in participant.speaks if stream != TRUTH]
    for stream in streams:
        if stream not in there:
            raise InputError(f"no stream {stream!r} to keep in this session; there are {', '.join(there)}")


def service_url(url: str, schemes: Sequence[str], give: str) -> str:
    """The address of a service. Raises InputError where it is none, or where a key may stand in it: an address stands in every trace."""
    try:
        parts = urlsplit(url)
        plain = not (parts.username or parts.password or parts.query or parts.fragment)
        there = parts.scheme in schemes and bool(parts.hostname)
    except ValueError:
        plain, there = True, False
    if not plain:
        secret = "a user, a password or a query, which would stand in every trace"
        raise InputError(f"the url holds {secret}; give {give}, and a key in the environment")
    if not there:
        raise InputError(f"url {url!r} is no address of a service; give {give}")
    return url
