"""Small servers of the protocols of other systems, written from their published descriptions: they do what a test tells them."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeAlias

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from workbench.session import Participant, Session
from workbench.trace import Trace, record

Act: TypeAlias = Callable[[ServerConnection], None]


@contextmanager
def peer(*acts: Act, certificate: Path | None = None) -> Iterator[str]:
    """HOST:PORT of a server whose n-th connection does the n-th act, the last one again and again."""
    left = list(acts)

    def talk(connection: ServerConnection) -> None:
        act = left.pop(0) if len(left) > 1 else left[0]
        with suppress(ConnectionClosed):
            act(connection)

    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    with serve(talk, "127.0.0.1", 0, ssl=context, max_size=1 << 24) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


def send(connection: ServerConnection, kind: str, **more: Any) -> None:
    """One JSON event with a type."""
    connection.send(json.dumps({"type": kind, **more}))


def together(agent: Participant, user: Participant, ticks: int) -> Trace:
    """The trace of a session of the two, in real time."""
    session = Session.start([user, agent])
    trace = record(session)
    session.run(ticks)
    return trace


def make_certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 and its key, made for this run, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path
