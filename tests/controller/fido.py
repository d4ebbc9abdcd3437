"""A FIDO key without its token: an agent that signs in software what OpenSSH has the token sign.

https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.u2f has the formats, and draft-ietf-sshm-ssh-agent has
the agent's messages.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import pathlib
import socketserver
import struct
import threading
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_TYPE = b"sk-ssh-ed25519@openssh.com"
_APPLICATION = b"ssh:"
# Somebody has touched the token.
_PRESENT = 1
_FAILURE, _REQUEST_IDENTITIES, _IDENTITIES, _SIGN_REQUEST, _SIGNATURE = 5, 11, 12, 13, 14


class _Agent(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__(str(path), _Connection)
        self.key = Ed25519PrivateKey.generate()
        raw = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public = _string(_TYPE) + _string(raw) + _string(_APPLICATION)
        self.signed = 0

    def answer(self, asked: bytes) -> bytes:
        if asked[0] == _REQUEST_IDENTITIES:
            return bytes([_IDENTITIES]) + struct.pack(">I", 1) + _string(self.public) + _string(b"token")
        if asked[0] == _SIGN_REQUEST:
            public, rest = _split(asked[1:])
            if public == self.public:
                return bytes([_SIGNATURE]) + _string(self._signature(_split(rest)[0]))
        return bytes([_FAILURE])

    def _signature(self, data: bytes) -> bytes:
        self.signed += 1
        counted = struct.pack(">BI", _PRESENT, self.signed)
        digests = [hashlib.sha256(each).digest() for each in (_APPLICATION, data)]
        return _string(_TYPE) + _string(self.key.sign(digests[0] + counted + digests[1])) + counted


class _Connection(socketserver.StreamRequestHandler):
    server: _Agent

    def handle(self) -> None:
        while head := self.rfile.read(4):
            self.wfile.write(_string(self.server.answer(self.rfile.read(struct.unpack(">I", head)[0]))))


@contextlib.contextmanager
def fido_agent(path: pathlib.Path) -> Iterator[str]:
    """An agent at this path with one such key, as long as the block. Returns the line of the public key."""
    with _Agent(path) as agent:
        threading.Thread(target=agent.serve_forever, args=(0.05,), daemon=True).start()
        yield f"{_TYPE.decode()} {base64.b64encode(agent.public).decode()}"
        agent.shutdown()


def _string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def _split(value: bytes) -> tuple[bytes, bytes]:
    """The first string, and what follows it."""
    end = 4 + int(struct.unpack(">I", value[:4])[0])
    return value[4:end], value[end:]
