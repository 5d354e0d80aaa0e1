#!/usr/bin/env python3
"""Records requests byte by byte, as real clients send them, into `requests/`.

    cargo xtask record                 every client that is installed
    cargo xtask record --only curl     one of them

A server on two fixed loopback ports takes whatever comes (HTTP/1.1, HTTP/2 in the clear, and both under TLS), writes it down and
answers so that the client goes on. Each client is run by a program in `clients/`. What is sent more than once is kept once.
All secrets in here are made up. The test `recorded` of the crate `portcullis` replays the files.
"""

import argparse
import base64
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions

HERE = pathlib.Path(__file__).resolve().parent
PLAIN, SECURE = 43180, 43443
BASE, SECURE_BASE = f"http://127.0.0.1:{PLAIN}", f"https://localhost:{SECURE}"
# A body beyond this is not kept: what is long belongs into other tests.
LONGEST_BODY = 64 * 1024
PATIENCE = 120


class Recorder:
    """The server, and what came since somebody last took it."""

    def __init__(self, folder):
        self.lock = threading.Lock()
        self.seen = []
        self.done = threading.Event()
        certificate, key = make_certificate(folder)
        self.ca = certificate
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.set_alpn_protocols(["h2", "http/1.1"])
        for port, tls in ((PLAIN, None), (SECURE, context)):
            threading.Thread(target=self.listen, args=(port, tls), daemon=True).start()

    def listen(self, port, tls):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self.serve, args=(connection, tls), daemon=True).start()

    def serve(self, connection, tls):
        connection.settimeout(PATIENCE)
        try:
            chosen = None
            if tls:
                connection = tls.wrap_socket(connection, server_side=True)
                chosen = connection.selected_alpn_protocol()
            first = connection.recv(65536)
            if chosen == "h2" or first.startswith(b"PRI * HTTP/2"):
                Http2(self, connection, bool(tls)).serve(first)
            else:
                Http1(self, connection, bool(tls)).serve(first)
        except (OSError, ValueError, h2.exceptions.ProtocolError):
            pass
        finally:
            connection.close()

    def keep(self, request):
        with self.lock:
            self.seen.append(request)

    def take(self):
        with self.lock:
            seen, self.seen = self.seen, []
        return seen


def text_or_base64(request, name, data):
    """A body is readable where it is UTF-8."""
    if not data:
        return
    try:
        request[name] = data.decode()
    except UnicodeDecodeError:
        request[name + "_base64"] = base64.b64encode(data).decode()


def answer_of(method, path, fields, asked=b""):
    """What makes a client go on: a status, fields and a body."""
    get = lambda name: next((value for key, value in fields if key.lower() == name), None)
    whole, path = path, path.split("?")[0]
    origin = get("origin")
    out = []
    if origin:
        out += [("access-control-allow-origin", origin), ("access-control-allow-credentials", "true"), ("vary", "origin")]
    if method == "OPTIONS" and get("access-control-request-method"):
        out += [
            ("access-control-allow-methods", get("access-control-request-method")),
            ("access-control-allow-headers", get("access-control-request-headers") or "x-none"),
        ]
        return 204, out, b""
    if path.startswith("/basic/challenge") and not get("authorization"):
        return 401, out + [("www-authenticate", 'Basic realm="r"')], b""
    accept = get("accept") or ""
    if path.startswith("/page/"):
        page = (HERE / "clients" / path.removeprefix("/page/")).read_bytes()
        return 200, out + [("content-type", "text/html; charset=utf-8"), ("set-cookie", "session=abc; Path=/; SameSite=Lax")], page
    if "text/event-stream" in accept:
        return 200, out + [("content-type", "text/event-stream")], b"id: 7\ndata: hello\nretry: 50\n\n"
    if path.startswith("/bucket"):
        return special_s3(method, out)
    if path.startswith("/dav/"):
        return special_dav(method, path, out)
    if path.startswith("/v2/"):
        return special_registry(method, path, out)
    if path.startswith("/npm/"):
        return 404, out + [("content-type", "application/json")], b'{"error":"not found"}'
    if "info/refs" in path:
        return 404, out, b""
    if path == "/persisted" and b'"query"' not in asked and "query=" not in whole:
        return 200, out + [("content-type", "application/json")], b'{"errors":[{"message":"PersistedQueryNotFound"}]}'
    if path.startswith("/graphql-batch"):
        one = b'{"data":{"hero":{"__typename":"Hero","id":"1","name":"R2-D2"}}}'
        return 200, out + [("content-type", "application/json")], b"[" + b",".join([one] * asked.count(b'"query"')) + b"]"
    if path.startswith("/persisted") or "application/vnd.graphql" in accept or path.startswith("/graphql"):
        return 200, out + [("content-type", "application/json")], b'{"data":{"hero":{"__typename":"Hero","id":"1","name":"R2-D2"}}}'
    return 200, out + [("content-type", "application/json"), ("set-cookie", "seen=1; Path=/")], b'{"ok":true}'


def special_s3(method, out):
    fields = out + [("etag", '"0123456789abcdef0123456789abcdef"'), ("content-type", "application/xml"),
                    ("last-modified", "Wed, 01 Jan 2025 00:00:00 GMT")]
    body = b"<?xml version='1.0'?><R><UploadId>u1</UploadId><CopyObjectResult><ETag>e</ETag></CopyObjectResult></R>"
    return (204, fields, b"") if method == "DELETE" else (200, fields, body)


def special_dav(method, path, out):
    if method != "PROPFIND":
        return 201, out, b""
    body = f"""<?xml version="1.0"?><d:multistatus xmlns:d="DAV:"><d:response><d:href>{path}</d:href><d:propstat><d:prop>
<d:resourcetype><d:collection/></d:resourcetype></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>"""
    return 207, out + [("content-type", "application/xml; charset=utf-8")], body.encode()


def special_registry(method, path, out):
    digest = "sha256:" + "a" * 64
    out = out + [("docker-distribution-api-version", "registry/2.0")]
    if path == "/v2/":
        return 200, out, b"{}"
    if method == "POST" and "/blobs/uploads" in path:
        return 202, out + [("location", path + "0f9e-1?_state=x%3D%3D")], b""
    if method == "PATCH":
        return 202, out + [("location", path + "?_state=y%3D"), ("range", "0-10")], b""
    if method == "PUT":
        return 201, out + [("location", path), ("docker-content-digest", digest)], b""
    return 404, out + [("content-type", "application/json")], b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'


REASONS = {101: "Switching Protocols", 200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 207: "Multi-Status",
           401: "Unauthorized", 404: "Not Found"}


class Http1:
    def __init__(self, recorder, connection, tls):
        self.recorder, self.connection, self.tls, self.unread = recorder, connection, tls, b""

    def more(self):
        data = self.connection.recv(65536)
        if not data:
            raise OSError("closed")
        self.unread += data

    def serve(self, first):
        self.unread = first
        while True:
            self.one()

    def one(self):
        while b"\r\n\r\n" not in self.unread:
            self.more()
        head, self.unread = self.unread.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
        get = lambda name: next((value for key, value in fields if key.lower() == name), None)
        if (get("expect") or "").lower() == "100-continue":
            self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self.body(get)
        request = {"http": "1.1", "tls": self.tls, "head": lines}
        text_or_base64(request, "body", body)
        if target.endswith("/done"):
            self.recorder.done.set()
        elif (get("upgrade") or "").lower() == "websocket":
            self.websocket(request, get)
            return
        elif len(body) <= LONGEST_BODY:
            self.recorder.keep(request)
        if target.startswith("http://"):
            target = "/" + target.split("/", 3)[3]
        status, out, content = answer_of(method, target, fields, body)
        out = [("content-length", str(len(content)))] + out
        head = f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in out)
        self.connection.sendall(head.encode() + b"\r\n" + (b"" if method == "HEAD" else content))
        if (get("connection") or "").lower() == "close":
            raise OSError("as asked")

    def body(self, get):
        """The body as it stands on the wire, so chunks with their lines."""
        if "chunked" in (get("transfer-encoding") or "").lower():
            taken = b""
            while True:
                while b"\r\n" not in self.unread:
                    self.more()
                line, self.unread = self.unread.split(b"\r\n", 1)
                taken += line + b"\r\n"
                size = int(line.split(b";")[0], 16)
                if size == 0:
                    return taken + self.trailers()
                while len(self.unread) < size + 2:
                    self.more()
                taken += self.unread[: size + 2]
                self.unread = self.unread[size + 2 :]
        length = int(get("content-length") or 0)
        while len(self.unread) < length:
            self.more()
        body, self.unread = self.unread[:length], self.unread[length:]
        return body

    def trailers(self):
        taken = b""
        while not taken.endswith(b"\r\n\r\n") and taken != b"\r\n":
            while b"\r\n" not in self.unread:
                self.more()
            line, self.unread = self.unread.split(b"\r\n", 1)
            taken += line + b"\r\n"
        return taken

    def websocket(self, request, get):
        accept = hashlib.sha1((get("sec-websocket-key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        protocol = (get("sec-websocket-protocol") or "").split(",")[0].strip()
        head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        head += base64.b64encode(accept).decode() + "\r\n" + (f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else "")
        self.connection.sendall(head.encode() + b"\r\n")
        messages = request["messages"] = []
        self.recorder.keep(request)
        while True:
            opcode, data = self.frame()
            if opcode == 8:
                self.send_frame(8, data[:2])
                return
            if opcode == 9:
                self.send_frame(10, data)
                continue
            if opcode == 1:
                messages.append(data.decode())
            for answer in subscription(data, protocol):
                self.send_frame(1, answer.encode())

    def frame(self):
        def need(size):
            while len(self.unread) < size:
                self.more()

        need(2)
        opcode, size, at = self.unread[0] & 15, self.unread[1] & 127, 2
        if size == 126:
            need(4)
            size, at = int.from_bytes(self.unread[2:4], "big"), 4
        need(at + 4 + size)
        mask = self.unread[at : at + 4]
        data = bytes(byte ^ mask[index % 4] for index, byte in enumerate(self.unread[at + 4 : at + 4 + size]))
        self.unread = self.unread[at + 4 + size :]
        return opcode, data

    def send_frame(self, opcode, data):
        length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2, "big")
        self.connection.sendall(bytes([0x80 | opcode]) + length + data)


def subscription(data, protocol):
    if not protocol.startswith("graphql"):
        return []
    message = json.loads(data)
    kind, number = message.get("type"), message.get("id")
    if kind == "connection_init":
        return ['{"type":"connection_ack"}']
    if kind in ("subscribe", "start"):
        following = "next" if kind == "subscribe" else "data"
        return [
            json.dumps({"id": number, "type": following, "payload": {"data": {"added": {"id": "1"}}}}),
            json.dumps({"id": number, "type": "complete"}),
        ]
    return ['{"type":"pong"}'] if kind == "ping" else []


class Http2:
    def __init__(self, recorder, connection, tls):
        self.recorder, self.connection, self.tls = recorder, connection, tls
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="latin-1"))
        self.streams = {}

    def serve(self, data):
        self.h2.initiate_connection()
        self.connection.sendall(self.h2.data_to_send())
        while data:
            for event in self.h2.receive_data(data):
                self.on(event)
            self.connection.sendall(self.h2.data_to_send())
            data = self.connection.recv(65536)

    def on(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.streams[event.stream_id] = ([list(pair) for pair in event.headers], bytearray(), [])
        elif isinstance(event, h2.events.DataReceived):
            self.streams[event.stream_id][1].extend(event.data)
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            self.streams[event.stream_id][2].extend(list(pair) for pair in event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended(event.stream_id)

    def ended(self, stream):
        fields, body, trailers = self.streams.pop(stream)
        named = dict(fields)
        request = {"http": "2", "tls": self.tls, "fields": fields}
        text_or_base64(request, "body", bytes(body))
        if trailers:
            request["trailers"] = trailers
        if named[":path"].endswith("/done"):
            self.recorder.done.set()
        elif len(body) <= LONGEST_BODY:
            self.recorder.keep(request)
        if named.get("content-type", "").startswith("application/grpc"):
            self.h2.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc"),
                                          ("grpc-status", "0")], end_stream=True)
            return
        status, out, content = answer_of(named[":method"], named[":path"], [tuple(pair) for pair in fields], bytes(body))
        self.h2.send_headers(stream, [(":status", str(status)), *out], end_stream=not content)
        if content:
            self.h2.send_data(stream, content, end_stream=True)


def make_certificate(folder):
    certificate, key = folder / "recorder.pem", folder / "recorder.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )
    return certificate, key


class Run:
    """What a client's program is given: a folder, the recorder's certificate, and how to run commands."""

    def __init__(self, folder, recorder, node):
        self.folder, self.recorder, self.node = folder, recorder, node
        self.environment = dict(
            os.environ, BASE=BASE, SECURE_BASE=SECURE_BASE, CA=str(recorder.ca), NODE_EXTRA_CA_CERTS=str(recorder.ca),
            SSL_CERT_FILE=str(recorder.ca), HOME=str(folder), NO_PROXY="*", no_proxy="*", GOFLAGS="-mod=mod",
            GOCACHE=str(folder / "go"), AWS_EC2_METADATA_DISABLED="true",
        )
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            self.environment.pop(name, None)

    def __call__(self, *command, may_fail=True, **more):
        more = {"cwd": self.folder, "env": self.environment, "timeout": PATIENCE} | more
        try:
            ended = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)
        except subprocess.TimeoutExpired as late:
            raise SystemExit(f"{command[0]} did not end: {late}") from late
        if ended.returncode and not may_fail:
            raise SystemExit(f"{command}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}")
        return ended

    def version(self, *command, pattern=r"\d+(\.\d+)+"):
        ended = self(*command)
        return re.search(pattern, ended.stdout + ended.stderr).group(0)

    def tokens(self):
        return json.loads((HERE / "secrets.json").read_text())


def unlike(requests):
    """Without repetitions."""
    kept = {}
    for request in requests:
        kept.setdefault(json.dumps(request, sort_keys=True), request)
    return list(kept.values())


def write(name, version, requests):
    lines = ",\n".join("    " + json.dumps(request, ensure_ascii=False) for request in requests)
    text = '{\n  "client": %s,\n  "requests": [\n%s\n  ]\n}\n' % (json.dumps(version), lines)
    (HERE / "requests" / f"{name}.json").write_text(text)


def main():
    sys.path.insert(0, str(HERE / "clients"))
    import drivers

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=sorted(drivers.CLIENTS))
    parser.add_argument("--node-modules", type=pathlib.Path, help="a folder with the packages of clients/package.json")
    arguments = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        recorder = Recorder(folder)
        for name in arguments.only or drivers.CLIENTS:
            command, driver = drivers.CLIENTS[name]
            if command and not shutil.which(command):
                print(f"{name}: `{command}` is not installed here, so its file stays as it is")
                continue
            place = folder / name
            place.mkdir()
            recorder.take()
            recorder.done.clear()
            try:
                version = driver(Run(place, recorder, arguments.node_modules))
            except SystemExit as failure:
                print(f"{name}: {failure}")
                failed.append(name)
                continue
            requests = unlike(recorder.take())
            print(f"{name}: {version}: {len(requests)} requests")
            if requests:
                write(name, version, requests)
            else:
                failed.append(name)
    sys.exit(f"nothing was recorded of {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
