"""How much memory a connection takes that has had one request and is idle.

usage: idle_memory.py GATEWAY_BINARY [CONNECTIONS]

A debug build takes more than a release build, since its futures are larger; figures of one build compare with each other only.
"""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

import hpack

GATEWAY, COUNT = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1000


def backend(server):
    while True:
        client, _ = server.accept()

        def serve(client=client):
            data = b""
            while part := client.recv(65536):
                data += part
                while b"\r\n\r\n" in data:
                    _, data = data.split(b"\r\n\r\n", 1)
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        threading.Thread(target=serve, daemon=True).start()


def http1(stream):
    stream.sendall(b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
    data = b""
    while not data.endswith(b"ok"):
        data += stream.recv(4096)


def http2(stream):
    head = hpack.Encoder().encode([(":method", "GET"), (":scheme", "http"), (":path", "/a"), (":authority", "localhost")])
    frames = b"\0\0\0\x04\0\0\0\0\0" + len(head).to_bytes(3, "big") + b"\x01\x05\0\0\0\x01" + head
    stream.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frames + b"\0\0\0\x04\x01\0\0\0\0")
    data = b""
    while b"ok" not in data[-20:]:
        data += stream.recv(4096)


def resident(process):
    status = open(f"/proc/{process.pid}/status").read()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))) * 1024


def main():
    home = tempfile.mkdtemp(prefix="portcullis-idle-")
    pem, key = os.path.join(home, "cert.pem"), os.path.join(home, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", pem],
                   check=True, capture_output=True)
    os.chmod(key, 0o600)
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=backend, args=(server,), daemon=True).start()
    ports = []
    for _ in range(3):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            ports.append(probe.getsockname()[1])
    with open(os.path.join(home, "gateway.yaml"), "w") as file:
        limits = f"max_connections_per_address: {COUNT + 200}, timeouts: {{ idle: 10m }}"
        file.write(f"""
workers: 1
access_log: {{ file: {home}/access.log }}
listeners:
  - {{ bind: "127.0.0.1:{ports[0]}", {limits} }}
  - {{ bind: "127.0.0.1:{ports[1]}", protocols: [h2], {limits} }}
  - {{ bind: "127.0.0.1:{ports[2]}", tls: {{ certificates: [{{ certificate: {pem}, key: {key} }}] }}, {limits} }}
routes: [{{ path: /a, public: a test, upstream: "http://127.0.0.1:{server.getsockname()[1]}" }}]
""")

    def context(protocol):
        made = ssl.create_default_context(cafile=pem)
        made.set_alpn_protocols([protocol])
        return made

    kinds = [("HTTP/1.1", ports[0], http1, None), ("HTTP/2", ports[1], http2, None),
             ("HTTP/1.1 under TLS", ports[2], http1, context("http/1.1")), ("HTTP/2 under TLS", ports[2], http2, context("h2"))]
    try:
        for name, port, ask, tls in kinds:
            process = subprocess.Popen([GATEWAY, "run", os.path.join(home, "gateway.yaml")], stderr=subprocess.DEVNULL)
            try:
                time.sleep(1.5)

                def connect():
                    stream = socket.create_connection(("127.0.0.1", port))
                    if tls:
                        stream = tls.wrap_socket(stream, server_hostname="localhost")
                    ask(stream)
                    return stream

                held = [connect() for _ in range(100)]
                time.sleep(5)
                before = resident(process)
                held += [connect() for _ in range(COUNT)]
                time.sleep(5)
                print(f"{name}: {(resident(process) - before) / COUNT / 1024:.1f} KiB for each idle connection", flush=True)
            finally:
                process.terminate()
                for stream in held:
                    stream.close()
                process.wait(40)
    finally:
        shutil.rmtree(home, ignore_errors=True)


main()
