"""A MongoDB server that stores nothing: it acknowledges writes, so that what a client itself costs can be seen.

It speaks OP_MSG (and OP_QUERY for the first hello) on 127.0.0.1, a thread a connection, and counts the documents of
an insert by walking their lengths, never decoding them: about 0.1 microseconds a document. Every read finds nothing,
which makes each run of a migration into it a first run. `serverStatus` tells what was acknowledged.

Run it by `acknowledging_sink`; `python -m workbench.benchmark.sink` prints its port and lives until its stdin closes.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import bson

from workbench.errors import ServerStartError

_HEADER = struct.Struct("<iiii")  # length, request id, response to, opcode (wire protocol, standard message header)
_INT32 = struct.Struct("<i")
_OP_REPLY, _OP_QUERY, _OP_MSG = 1, 2004, 2013
_MORE_TO_COME = 2
_MAX_MESSAGE_BYTES = 48_000_000
_HELLO = {
    "helloOk": True,
    "isWritablePrimary": True,
    "ismaster": True,
    "maxBsonObjectSize": 16 * 1024 * 1024,
    "maxMessageSizeBytes": _MAX_MESSAGE_BYTES,
    "maxWriteBatchSize": 100_000,
    "minWireVersion": 0,
    "maxWireVersion": 21,
    "readOnly": False,
}
_EMPTY_CURSOR = {"cursor": {"id": 0, "ns": "sink.nothing", "firstBatch": []}}
_REPLIES: dict[str, dict[str, Any]] = {
    "hello": _HELLO,
    "ismaster": _HELLO,
    "buildinfo": {"version": "7.0.0", "versionArray": [7, 0, 0, 0]},
    "findandmodify": {"value": None, "lastErrorObject": {"n": 0, "updatedExisting": False}},
    **dict.fromkeys(("find", "aggregate", "listcollections", "listindexes"), _EMPTY_CURSOR),
    **{name: {} for name in ("ping", "endsessions", "create", "createindexes", "collmod", "drop", "dropdatabase")},
    "count": {"n": 0},
    "createsearchindexes": {"indexesCreated": [{"id": "0", "name": "nothing"}]},
}
_WRITES = {"insert": "documents", "update": "updates", "delete": "deletes"}


@contextlib.contextmanager
def acknowledging_sink() -> Iterator[str]:
    """A sink in a process of its own; yields its URI, and ends it with the block.

    Raises:
        ServerStartError: the process did not start.
    """
    command = [sys.executable, "-m", "workbench.benchmark.sink"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout else b""
            if not port:
                raise ServerStartError("The acknowledging sink did not start.")
            yield f"mongodb://127.0.0.1:{int(port)}/?directConnection=true"
        finally:
            process.kill()


class Sink:
    """The server's state: how many documents of each kind of write it acknowledged."""

    def __init__(self) -> None:
        self._acknowledged: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def serve_forever(self) -> None:
        """Accept connections, each in a daemon thread."""
        while True:
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        replies = itertools.count(1)
        header, body = bytearray(16), bytearray(1 << 20)
        with connection, contextlib.suppress(ConnectionError):
            while connection.recv_into(header, 16, socket.MSG_WAITALL) == 16:
                length, request, _, opcode = _HEADER.unpack(header)
                size = length - 16
                if not 0 < size <= _MAX_MESSAGE_BYTES:
                    return
                if size > len(body):
                    body = bytearray(size)
                if connection.recv_into(body, size, socket.MSG_WAITALL) != size:
                    return
                reply = self._answer(opcode, body, size)
                if reply:
                    code = _OP_REPLY if opcode == _OP_QUERY else _OP_MSG
                    connection.sendall(_HEADER.pack(16 + len(reply), next(replies), request, code) + reply)

    def _answer(self, opcode: int, body: bytearray, size: int) -> bytes:
        if opcode == _OP_QUERY:  # flags, a C string, skip and limit stand before the query
            start = body.index(0, 4) + 9
            document = _encoded(self._reply(_decoded(body, start), {}))
            return struct.pack("<iqii", 8, 0, 0, 1) + document
        flags = _INT32.unpack_from(body)[0]
        command, counts = _sections(body, size)
        document = _encoded(self._reply(command, counts))
        return b"" if flags & _MORE_TO_COME else struct.pack("<iB", 0, 0) + document

    def _reply(self, command: dict[str, Any], counts: dict[str, int]) -> dict[str, Any]:
        sent = next(iter(command))
        name = sent.lower()
        if name in _WRITES:
            field = _WRITES[name]
            written = counts.get(field, 0) or len(command.get(field, ()))
            with self._lock:
                self._acknowledged[name] += written
            return {"n": written, "nModified": 0} if name == "update" else {"n": written}
        if name == "serverstatus":
            return {"opcounters": {kind: self._acknowledged[kind] for kind in _WRITES}}
        return _REPLIES[name] if name in _REPLIES else _unknown(sent)


def _sections(body: bytearray, size: int) -> tuple[dict[str, Any], dict[str, int]]:
    """The command of an OP_MSG body, and how many documents each of its document sequences holds."""
    command: dict[str, Any] = {}
    counts: dict[str, int] = {}
    position = 4
    while position < size:
        kind, position = body[position], position + 1
        length = _INT32.unpack_from(body, position)[0]
        if kind == 0:
            command = _decoded(body, position)
        else:
            name_end = body.index(0, position + 4)
            counts[body[position + 4 : name_end].decode()] = count_documents(body, name_end + 1, position + length)
        position += length
    return command, counts


def count_documents(body: bytes | bytearray, start: int, end: int) -> int:
    """How many BSON documents stand one after another in `body[start:end]`.

    Raises:
        ValueError: they do not end exactly at `end`.
    """
    unpack, count = _INT32.unpack_from, 0
    while start < end:
        length = unpack(body, start)[0]
        if length < 5:  # the smallest document, which also keeps a broken length from looping for ever
            break
        start += length
        count += 1
    if start != end:
        raise ValueError("a document sequence is cut short")
    return count


def _decoded(body: bytearray, start: int) -> dict[str, Any]:
    length = _INT32.unpack_from(body, start)[0]
    return bson.decode(bytes(body[start : start + length]))


def _encoded(reply: dict[str, Any]) -> bytes:
    return bson.encode({"ok": 1.0, **reply})


def _unknown(name: str) -> dict[str, Any]:
    return {"ok": 0.0, "code": 59, "codeName": "CommandNotFound", "errmsg": f"the sink has no command {name}"}


def main() -> None:
    """Serve until stdin closes, which it does when the process that started this one ends."""
    sink = Sink()
    print(sink.port, flush=True)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
