"""Sends HTTP/2 that is not as RFC 9113 has it, and sees what becomes of it.

usage: http2_frames.py GATEWAY_BINARY

Each case is frames, and what must come of them: the connection ends (GOAWAY or a close), the stream ends (RST_STREAM, or an answer
with status 400 to 499, or more), or the request is answered 200. After a stream's error, another request on the connection must be
answered. Trailer fields of requests go nowhere, so what is wrong with them may pass. The exit status is 1 if one case is otherwise.
"""

import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 1, 1, 4, 8, 32
CONNECTION, STREAM, GOOD = "the connection ends", "the stream ends", "200"
# A stream's error may be treated as the connection's (RFC 9113, section 5.4.2), as the h2 crate does with some.
EITHER = (STREAM, CONNECTION)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def fields(*more, method="GET", drop=(), **change):
    head = {":method": method, ":scheme": "http", ":path": "/a", ":authority": "a"}
    head.update({f":{name}": value for name, value in change.items()})
    head = [(name, value) for name, value in head.items() if name[1:] not in drop]
    return hpack.Encoder().encode(head + list(more), huffman=False)


def get(stream, *more, flags=END_STREAM | END_HEADERS, **options):
    return frame(HEADERS, flags, stream, fields(*more, **options))


def post(stream, *more):
    return get(stream, *more, method="POST", flags=END_HEADERS)


ok = get(1)
CASES = [
    ("a request", ok, GOOD),
    ("a request with padding", frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, b"\x04" + fields() + b"\0" * 4), GOOD),
    ("a request with a priority", frame(HEADERS, END_STREAM | END_HEADERS | PRIORITIZED, 1, b"\0\0\0\0\x10" + fields()), GOOD),
    ("a head in two frames", frame(HEADERS, END_STREAM, 1, fields()[:5]) + frame(CONTINUATION, END_HEADERS, 1, fields()[5:]), GOOD),
    ("a body with padding", post(1) + frame(DATA, END_STREAM | PADDED, 1, b"\x03abc\0\0\0"), GOOD),
    ("an unknown frame", frame(0xEE, 0xFF, 0, b"x" * 20) + ok, GOOD),
    ("an unknown setting", frame(SETTINGS, 0, 0, struct.pack(">HI", 0xEEEE, 1)) + ok, GOOD),
    ("a ping", frame(PING, 0, 0, b"12345678") + ok, GOOD),
    ("reserved bits", struct.pack(">I", len(fields()))[1:] + bytes([HEADERS, END_STREAM | END_HEADERS]) + struct.pack(">I", 0x80000001) + fields(), GOOD),
    ("a window of a stream that is closed", ok + frame(WINDOW, 0, 1, struct.pack(">I", 10)), GOOD),
    ("DATA on stream 0", frame(DATA, 0, 0, b"x"), CONNECTION),
    ("DATA on an idle stream", frame(DATA, 0, 1, b"x"), CONNECTION),
    ("HEADERS on stream 0", frame(HEADERS, END_STREAM | END_HEADERS, 0, fields()), CONNECTION),
    ("HEADERS on an even stream", get(2), CONNECTION),
    ("a lower stream later", get(5) + get(3), CONNECTION),
    ("RST_STREAM on stream 0", frame(RST, 0, 0, b"\0\0\0\x08"), CONNECTION),
    ("RST_STREAM on an idle stream", frame(RST, 0, 1, b"\0\0\0\x08"), CONNECTION),
    ("RST_STREAM of 3 bytes", post(1) + frame(RST, 0, 1, b"\0\0\x08"), CONNECTION),
    ("SETTINGS on a stream", frame(SETTINGS, 0, 1, b""), CONNECTION),
    ("SETTINGS of 5 bytes", frame(SETTINGS, 0, 0, b"12345"), CONNECTION),
    ("an ACK with settings", frame(SETTINGS, ACK, 0, struct.pack(">HI", 3, 1)), CONNECTION),
    ("ENABLE_PUSH 2", frame(SETTINGS, 0, 0, struct.pack(">HI", 2, 2)), CONNECTION),
    ("INITIAL_WINDOW_SIZE 2^31", frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31)), CONNECTION),
    ("MAX_FRAME_SIZE 100", frame(SETTINGS, 0, 0, struct.pack(">HI", 5, 100)), CONNECTION),
    ("PUSH_PROMISE from a client", post(1) + frame(PUSH, END_HEADERS, 1, b"\0\0\0\x02" + fields()), CONNECTION),
    ("PING on a stream", frame(PING, 0, 1, b"12345678"), CONNECTION),
    ("PING of 7 bytes", frame(PING, 0, 0, b"1234567"), CONNECTION),
    ("GOAWAY on a stream", frame(GOAWAY, 0, 1, b"\0" * 8), CONNECTION),
    ("WINDOW_UPDATE of 0 on the connection", frame(WINDOW, 0, 0, b"\0\0\0\0"), CONNECTION),
    ("WINDOW_UPDATE of 0 on a stream", post(1) + frame(WINDOW, 0, 1, b"\0\0\0\0"), EITHER),
    ("WINDOW_UPDATE of 3 bytes", frame(WINDOW, 0, 0, b"\0\0\1"), CONNECTION),
    ("WINDOW_UPDATE on an idle stream", frame(WINDOW, 0, 1, b"\0\0\0\1"), CONNECTION),
    ("a window beyond 2^31", frame(WINDOW, 0, 0, struct.pack(">I", 0x7FFFFFFF)), CONNECTION),
    ("a stream's window beyond 2^31", post(1) + frame(WINDOW, 0, 1, struct.pack(">I", 0x7FFFFFFF)), STREAM),
    ("CONTINUATION without HEADERS", frame(CONTINUATION, END_HEADERS, 1, fields()), CONNECTION),
    ("a frame within a head", frame(HEADERS, END_STREAM, 1, fields()[:5]) + frame(PING, 0, 0, b"12345678"), CONNECTION),
    ("CONTINUATION on another stream", frame(HEADERS, END_STREAM, 1, fields()[:5]) + frame(CONTINUATION, END_HEADERS, 3, fields()[5:]), CONNECTION),
    ("CONTINUATION after the head", post(1) + frame(CONTINUATION, END_HEADERS, 1, fields()), CONNECTION),
    ("a frame that is too large", post(1) + frame(DATA, 0, 1, b"x" * 20000), CONNECTION),
    ("padding that is longer than the frame", post(1) + frame(DATA, PADDED, 1, b"\xffabc"), CONNECTION),
    ("an index beyond the table", frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\xfe"), CONNECTION),
    ("an integer without an end", frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\xff" + b"\xff" * 20), CONNECTION),
    ("a stream that depends on itself", frame(HEADERS, END_STREAM | END_HEADERS | PRIORITIZED, 1, b"\0\0\0\x01\x10" + fields()), (STREAM, GOOD, CONNECTION)),
    ("DATA after the end", ok + frame(DATA, 0, 1, b"x"), (CONNECTION, STREAM, GOOD)),
    ("HEADERS after the end", ok + get(1), (CONNECTION, STREAM, GOOD)),
    ("an upper-case name", get(1, ("X-Upper", "1")), EITHER),
    ("an unknown pseudo-field", get(1, (":what", "1")), EITHER),
    ("a pseudo-field behind a field", frame(HEADERS, END_STREAM | END_HEADERS, 1, hpack.Encoder().encode([(":method", "GET"), ("x-a", "1"), (":path", "/a"), (":scheme", "http"), (":authority", "a")])), STREAM),
    ("two methods", frame(HEADERS, END_STREAM | END_HEADERS, 1, hpack.Encoder().encode([(":method", "GET"), (":method", "GET"), (":path", "/a"), (":scheme", "http"), (":authority", "a")])), STREAM),
    ("no method", get(1, drop=("method",)), STREAM),
    ("no scheme", get(1, drop=("scheme",)), STREAM),
    ("no path", get(1, drop=("path",)), STREAM),
    ("an empty path", get(1, path=""), STREAM),
    ("no authority and no host", get(1, drop=("authority",)), STREAM),
    ("a status", get(1, (":status", "200")), STREAM),
    ("Connection", get(1, ("connection", "keep-alive")), STREAM),
    ("Transfer-Encoding", get(1, ("transfer-encoding", "chunked")), STREAM),
    ("Keep-Alive", get(1, ("keep-alive", "1")), STREAM),
    ("Upgrade", get(1, ("upgrade", "h2c")), STREAM),
    ("Proxy-Connection", get(1, ("proxy-connection", "close")), STREAM),
    ("TE: gzip", get(1, ("te", "gzip")), STREAM),
    ("TE: trailers", get(1, ("te", "trailers")), GOOD),
    ("another authority in Host", get(1, ("host", "b")), STREAM),
    ("Content-Length without a body", get(1, ("content-length", "5")), STREAM),
    ("a body that is longer", post(1, ("content-length", "2")) + frame(DATA, END_STREAM, 1, b"abc"), STREAM),
    ("a body that is shorter", post(1, ("content-length", "5")) + frame(DATA, END_STREAM, 1, b"abc"), STREAM),
    ("two lengths", post(1, ("content-length", "3"), ("content-length", "3")) + frame(DATA, END_STREAM, 1, b"abc"), STREAM),
    ("a line end in a value", get(1, ("x-a", "b\r\nc: d")), (STREAM, CONNECTION)),
    ("NUL in a value", get(1, ("x-a", "b\0")), (STREAM, CONNECTION)),
    ("a space in a name", get(1, ("x a", "b")), EITHER),
    ("a colon in a name", get(1, ("x:a", "b")), EITHER),
    ("trailers with a pseudo-field", post(1) + frame(HEADERS, END_STREAM | END_HEADERS, 1, hpack.Encoder().encode([(":path", "/b")])), (STREAM, GOOD)),
    ("trailers without END_STREAM", post(1) + frame(HEADERS, END_HEADERS, 1, hpack.Encoder().encode([("x-a", "1")])), STREAM),
    ("trailers", post(1) + frame(DATA, 0, 1, b"abc") + frame(HEADERS, END_STREAM | END_HEADERS, 1, hpack.Encoder().encode([("x-a", "1")])), GOOD),
    ("CONNECT", get(1, method="CONNECT", drop=("scheme", "path")), STREAM),
    ("no preface", None, CONNECTION),
]


class Peer:
    """A connection that reads frames."""

    def __init__(self, port, preface=True):
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.decoder = hpack.Decoder()
        self.buffer = b""
        self.seen = {}
        self.ended = False
        if preface:
            self.send(PREFACE + frame(SETTINGS, 0, 0))

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            self.ended = True

    def read(self, until, seconds=3):
        end = time.time() + seconds
        while not self.ended and time.time() < end and not until():
            self.socket.settimeout(max(0.01, end - time.time()))
            try:
                data = self.socket.recv(65536)
            except socket.timeout:
                return
            except OSError:
                data = b""
            if not data:
                self.ended = True
                return
            self.buffer += data
            while len(self.buffer) >= 9:
                size = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) < 9 + size:
                    break
                kind, flags = self.buffer[3], self.buffer[4]
                stream = int.from_bytes(self.buffer[5:9], "big") & 0x7FFFFFFF
                payload, self.buffer = self.buffer[9 : 9 + size], self.buffer[9 + size :]
                if kind == HEADERS:
                    self.seen.setdefault(stream, dict(self.decoder.decode(payload))[":status"])
                elif kind == RST:
                    self.seen.setdefault(stream, "reset")
                elif kind == GOAWAY:
                    self.ended = True
                elif kind == SETTINGS and not flags & ACK:
                    self.send(frame(SETTINGS, ACK, 0))


def outcome(port, frames):
    peer = Peer(port, preface=frames is not None)
    peer.send(frames if frames is not None else b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer.read(lambda: 1 in peer.seen, 2)
    if peer.ended:
        return CONNECTION
    said = peer.seen.get(1)
    # Whatever comes behind an answer may still end the connection; another request tells.
    peer.send(get(101))
    peer.read(lambda: 101 in peer.seen, 3)
    if peer.ended:
        return CONNECTION
    if peer.seen.get(101) != "200":
        return f"another request got {peer.seen.get(101)}"
    if said == "200":
        return GOOD
    if said == "reset" or (said and said.startswith("4")):
        return STREAM
    return f"nothing ({said})"


def backend(server):
    while True:
        client, _ = server.accept()

        def serve(client=client):
            data = b""
            while part := client.recv(65536):
                data += part
                while b"\r\n\r\n" in data:
                    head, data = data.split(b"\r\n\r\n", 1)
                    lower = head.lower()
                    if b"content-length: " in lower:
                        size = int(lower.split(b"content-length: ")[1].split(b"\r\n")[0])
                        while len(data) < size:
                            data += client.recv(65536)
                        data = data[size:]
                    elif b"transfer-encoding: chunked" in lower:
                        while b"0\r\n\r\n" not in data:
                            data += client.recv(65536)
                        data = data.split(b"0\r\n\r\n", 1)[1]
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        threading.Thread(target=serve, daemon=True).start()


def main():
    home = tempfile.mkdtemp(prefix="portcullis-frames-")
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=backend, args=(server,), daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with open(os.path.join(home, "gateway.yaml"), "w") as file:
        file.write(f"""
workers: 1
access_log: {{ file: {home}/access.log }}
listeners: [{{ bind: "127.0.0.1:{port}", protocols: [h2] }}]
routes: [{{ path: /a, public: a test, upstream: "http://127.0.0.1:{server.getsockname()[1]}" }}]
""")
    gateway = subprocess.Popen([os.path.abspath(sys.argv[1]), "run", os.path.join(home, "gateway.yaml")], stderr=subprocess.DEVNULL)
    failed = 0
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        for name, frames, wanted in CASES:
            got = outcome(port, frames)
            if got not in (wanted if isinstance(wanted, tuple) else (wanted,)):
                failed += 1
                print(f"FAILED  {name}: {got}, not {wanted}")
    finally:
        gateway.terminate()
        gateway.wait(40)
        shutil.rmtree(home, ignore_errors=True)
    print(f"{len(CASES) - failed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
