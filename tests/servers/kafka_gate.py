"""A gate before a Kafka broker, which does what that one cannot: TLS, logins, aborted transactions, finding a time.

    gate = Gate(tls=context, users={"spout": "secret"})
    gate.upstream = ("127.0.0.1", broker.port)     # the broker tells its clients gate.port

It reads Kafka's own frames (https://kafka.apache.org/protocol): each is 4 bytes of length; a request begins with its
kind, its version and a number, an answer with that number. All but what is named here is passed on as it is.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import select
import socket
import ssl
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress

FETCH, LIST_OFFSETS, API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE = 1, 2, 18, 17, 36
# The newest versions that are written without compact lengths, and so are spoken here.
_NEWEST = {FETCH: 11, LIST_OFFSETS: 2, SASL_HANDSHAKE: 1, SASL_AUTHENTICATE: 1}
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_UNSUPPORTED_MECHANISM, _AUTHENTICATION_FAILED = 33, 58


class Gate:
    """Listens on 127.0.0.1, ``port``. ``tls`` is a server's context; ``users`` (name to password) must log in, by one
    of ``mechanisms``; all three may be changed, for connections to come. ``aborted`` counts the transactions told of.
    """

    def __init__(
        self, tls: ssl.SSLContext | None = None, users: Mapping[str, str] | None = None, mechanisms=_MECHANISMS
    ) -> None:
        self.upstream: tuple[str, int] | None = None
        self.logins: list[tuple[str, str]] = []
        """The mechanism and the user of each login that succeeded."""
        self.aborted = 0
        self.times: dict[tuple[str, int], list[int]] = {}
        """The time of each record of a partition from offset 0 on, in milliseconds, by which offsets are found."""
        self.tls, self.users, self.mechanisms = tls, users, mechanisms
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, name="gate", daemon=True).start()

    def close(self) -> None:
        """End it all."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    def drop(self) -> None:
        """End every connection; new ones are accepted."""
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="gate", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """One thread a connection: an SSL object must not be read and written at once."""
        assert self.upstream, "the gate has no broker yet"
        with suppress(OSError):  # ssl.SSLError is one; a client that does not trust us just goes
            client.settimeout(30)
            if self.tls:
                client = self.tls.wrap_socket(client, server_side=True)
            client.settimeout(None)
            with client, socket.create_connection(self.upstream) as server:
                self._open |= {client, server}
                try:
                    Passage(self, client, server).run()
                finally:
                    self._open -= {client, server}
        client.close()


class Passage:
    """One connection."""

    def __init__(self, gate: Gate, client: socket.socket, server: socket.socket) -> None:
        self._gate, self._client, self._server = gate, client, server
        self._users, self._mechanisms = gate.users, gate.mechanisms
        self._is_known = gate.users is None
        self._login: Iterator[bytes] | None = None
        self._asked: dict[int, tuple[int, int, bytes]] = {}
        self._aborts = Aborts()

    def run(self) -> None:
        """Until one side ends."""
        from_client, from_server = bytearray(), bytearray()
        while True:
            if not (isinstance(self._client, ssl.SSLSocket) and self._client.pending()):
                ready = select.select([self._client, self._server], [], [])[0]
            else:
                ready = [self._client]
            for end in ready:
                data = end.recv(1 << 18)
                if not data:
                    return
                if end is self._client:
                    from_client += data
                    for frame in frames(from_client):
                        self._request(frame)
                else:
                    from_server += data
                    for frame in frames(from_server):
                        _send(self._client, self._answer(frame))

    def _request(self, frame: bytes) -> None:
        kind, version, number, name = struct.unpack_from(">hhih", frame)
        body = frame[10 + max(0, name) :]
        if kind == SASL_HANDSHAKE and self._users is not None:
            _send(self._client, struct.pack(">i", number) + self._handshake(body))
        elif kind == SASL_AUTHENTICATE and self._users is not None:
            _send(self._client, struct.pack(">i", number) + self._authenticate(body, version))
        elif kind != API_VERSIONS and not self._is_known:
            raise ConnectionError("a broker ends a connection that asks without a login")
        else:
            self._asked[number] = (kind, version, body)
            _send(self._server, frame)

    def _answer(self, frame: bytes) -> bytes:
        (number,) = struct.unpack_from(">i", frame)
        kind, version, body = self._asked.pop(number)
        if kind == API_VERSIONS:
            return _capped(frame, version)
        if kind == LIST_OFFSETS:
            return self._found(
                frame, {of: struct.unpack_from(">q", body, at + 4)[0] for of, at in _partitions(body, 5, 12)}
            )
        if kind == FETCH and body[16] == 1:  # aborted transactions are told only to who asked for committed records
            told = self._aborts.told(frame, version)
            self._gate.aborted += self._aborts.count
            return told
        return frame

    def _found(self, frame: bytes, asked: Mapping[tuple[str, int], int]) -> bytes:
        """The answer about offsets, with the first one of each time that was asked for; -1 if nothing is as young."""
        made = bytearray(frame)
        for of, at in _partitions(frame, 8, 22):
            if (wanted := asked[of]) >= 0:
                times = self._gate.times.get(of, [])
                offset = next((number for number, time in enumerate(times) if time >= wanted), -1)
                struct.pack_into(">qq", made, at + 6, times[offset] if offset >= 0 else -1, offset)
        return bytes(made)

    def _handshake(self, body: bytes) -> bytes:
        (size,) = struct.unpack_from(">h", body)
        mechanism = body[2 : 2 + size].decode()
        is_spoken = mechanism in self._mechanisms
        if is_spoken:
            self._login = self._plain() if mechanism == "PLAIN" else self._scram(mechanism)
            next(self._login)
        names = b"".join(_string(name) for name in self._mechanisms)
        return struct.pack(">hi", 0 if is_spoken else _UNSUPPORTED_MECHANISM, len(self._mechanisms)) + names

    def _authenticate(self, body: bytes, version: int) -> bytes:
        lifetime = b"\0" * 8 if version >= 1 else b""
        try:
            assert self._login, "a handshake comes first"
            reply = self._login.send(body[4:])  # type: ignore[attr-defined]
        except PermissionError as error:
            return struct.pack(">h", _AUTHENTICATION_FAILED) + _string(str(error)) + struct.pack(">i", 0) + lifetime
        return struct.pack(">hhi", 0, -1, len(reply)) + reply + lifetime

    def _knows(self, mechanism: str, user: str) -> None:
        self._is_known = True
        self._gate.logins.append((mechanism, user))

    def _plain(self) -> Iterator[bytes]:
        """RFC 4616."""
        message = yield b""
        _, user, password = message.decode().split("\0")
        if self._users.get(user) != password:
            raise PermissionError("Authentication failed: Invalid username or password")
        self._knows("PLAIN", user)
        yield b""

    def _scram(self, mechanism: str) -> Iterator[bytes]:
        """RFC 5802, the server's side."""
        algorithm, rounds = mechanism.removeprefix("SCRAM-").replace("-", "").lower(), 4096
        first = (yield b"").decode().split(",", 2)[2]
        asked = dict(part.split("=", 1) for part in first.split(","))
        salt, nonce = os.urandom(16), asked["r"] + base64.b64encode(os.urandom(12)).decode()
        challenge = f"r={nonce},s={base64.b64encode(salt).decode()},i={rounds}"
        final = (yield challenge.encode()).decode()
        without_proof, proof = final.rsplit(",p=", 1)
        password = self._users.get(asked["n"])
        salted = hashlib.pbkdf2_hmac(algorithm, (password or "").encode(), salt, rounds)
        signed = ",".join([first, challenge, without_proof]).encode()

        def mac(key: bytes, text: bytes) -> bytes:
            return hmac.digest(key, text, algorithm)

        key = mac(salted, b"Client Key")
        wanted = bytes(a ^ b for a, b in zip(key, mac(hashlib.new(algorithm, key).digest(), signed), strict=True))
        if password is None or not hmac.compare_digest(base64.b64decode(proof), wanted):
            raise PermissionError("Authentication failed during authentication due to invalid credentials")
        self._knows(mechanism, asked["n"])
        yield b"v=" + base64.b64encode(mac(mac(salted, b"Server Key"), signed))


class Aborts:
    """What a broker says of aborted transactions in an answer to a fetch, found in the records themselves.

    A transaction ends with a control batch, whose record says how; it began with its producer's first batch after the
    one before. (A broker looks this up in an index of its own; here the records are seen before they are passed on.)
    """

    def __init__(self) -> None:
        self._begun: dict[tuple[str, int, int], int] = {}
        self.count = 0

    def told(self, frame: bytes, version: int) -> bytes:
        """The same answer, with the aborted transactions that are in it; ``count`` is how many these are."""
        assert 5 <= version <= _NEWEST[FETCH], version
        self.count = 0
        head = 4 + 4 + (6 if version >= 7 else 0)  # number, throttle time, error and session
        made, at = bytearray(frame[:head]), head
        (topics,) = struct.unpack_from(">i", frame, at)
        made += frame[at : at + 4]
        at += 4
        for _ in range(topics):
            (size,) = struct.unpack_from(">h", frame, at)
            topic = frame[at + 2 : at + 2 + size].decode()
            (partitions,) = struct.unpack_from(">i", frame, at + 2 + size)
            made += frame[at : at + 2 + size + 4]
            at += 2 + size + 4
            for _ in range(partitions):
                (number,) = struct.unpack_from(">i", frame, at)
                made += frame[at : at + 30]  # number, error, high watermark, last stable offset, first offset
                (there,) = struct.unpack_from(">i", frame, at + 30)
                at += 34 + 16 * max(0, there)
                rest = 4 if version >= 11 else 0  # the replica to prefer
                (length,) = struct.unpack_from(">i", frame, at + rest)
                records = frame[at + rest + 4 : at + rest + 4 + max(0, length)]
                aborted = list(self._found(topic, number, records))
                self.count += len(aborted)
                made += struct.pack(">i", len(aborted)) + b"".join(struct.pack(">qq", *each) for each in aborted)
                made += frame[at : at + rest + 4] + records
                at += rest + 4 + len(records)
        return bytes(made + frame[at:])

    def _found(self, topic: str, partition: int, records: bytes) -> Iterator[tuple[int, int]]:
        """Producer and first offset of each aborted transaction that ends in these record batches."""
        at = 0
        while at + 61 <= len(records):
            first, length = struct.unpack_from(">qi", records, at)
            if at + 12 + length > len(records):
                return  # cut
            (attributes,) = struct.unpack_from(">h", records, at + 21)
            (producer,) = struct.unpack_from(">q", records, at + 43)
            of = (topic, partition, producer)
            if attributes & 0x20:  # a control batch: its one record's key is a version and 0 for abort
                key = records[at + 61 :].find(b"\x08\x00\x00", 0, 12)
                kind = struct.unpack_from(">h", records, at + 61 + key + 3)[0]
                begun = self._begun.pop(of, None)
                if kind == 0 and begun is not None:
                    yield producer, begun
            elif attributes & 0x10:  # part of a transaction
                self._begun.setdefault(of, first)
            at += 12 + length


def frames(buffer: bytearray) -> Iterator[bytes]:
    """Take the whole frames out of ``buffer``."""
    while len(buffer) >= 4:
        (size,) = struct.unpack_from(">i", buffer)
        if not 0 <= size <= 100 << 20:
            raise ConnectionError("a broker ends a connection that does not speak its language, such as TLS")
        if len(buffer) < 4 + size:
            return
        frame = bytes(buffer[4 : 4 + size])
        del buffer[: 4 + size]
        yield frame


def server_context(certificate, clients=None) -> ssl.SSLContext:
    """TLS with this ``Certificate``; with ``clients``, the file of a CA, they must have one, too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _partitions(frame: bytes, at: int, size: int) -> Iterator[tuple[tuple[str, int], int]]:
    """Topic and number of each partition of an array at ``at``, and where its ``size`` bytes begin."""
    (topics,) = struct.unpack_from(">i", frame, at)
    at += 4
    for _ in range(topics):
        (length,) = struct.unpack_from(">h", frame, at)
        topic = frame[at + 2 : at + 2 + length].decode()
        (partitions,) = struct.unpack_from(">i", frame, at + 2 + length)
        at += 2 + length + 4
        for _ in range(partitions):
            yield (topic, struct.unpack_from(">i", frame, at)[0]), at
            at += size


def _capped(frame: bytes, version: int) -> bytes:
    """The answer about versions, with no newer ones than are spoken here."""
    (error,) = struct.unpack_from(">h", frame, 4)
    if error:
        return frame  # the client asks again, more simply
    is_compact = version >= 3
    made, at = bytearray(frame), 6
    if is_compact:
        assert frame[at] < 0x80, "fewer than 127 kinds"
        count, at = frame[at] - 1, at + 1
    else:
        count, at = struct.unpack_from(">i", frame, at)[0], at + 4
    for _ in range(count):
        kind, _, newest = struct.unpack_from(">hhh", frame, at)
        struct.pack_into(">h", made, at + 4, min(newest, _NEWEST.get(kind, newest)))
        at += 7 if is_compact else 6
    return bytes(made)


def _string(text: str) -> bytes:
    return struct.pack(">h", len(text.encode())) + text.encode()


def _send(end: socket.socket, frame: bytes) -> None:
    end.sendall(struct.pack(">i", len(frame)) + frame)
