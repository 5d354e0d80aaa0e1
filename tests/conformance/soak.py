"""Mixed traffic through a gateway for a while; what it holds at the end is compared with the start.

usage: soak.py GATEWAY_BINARY SECONDS

Clients of HTTP/1.1 and HTTP/2 ask, upload, abort uploads, stop reading, cancel streams and vanish; WebSockets open and break; one
upstream dies and comes back every few seconds, another answers early, breaks off, or stalls. A round of all that comes first, so
that what a process keeps once is not counted. Then memory, open files and threads are noted, the traffic runs, and after a pause
they are noted again. The exit status is 1 if more is held than before, or if a single honest request failed. So whatever the upstreams
do to the paths that honest clients ask for is something that a gateway can hide: no request is refused twice (REFUSED_STREAM), a server
that leaves (GOAWAY) answers all that it took, and one that will not read on says so (`Connection: close`). Clients and upstreams are one
process, which may stand still for a while on a busy machine. So every wait on the way of an honest request has minutes, here and in the
gateway, and what is held is noted when the last connections have ended, however long that takes.

Memory: the allocator keeps a little of each peak, so 8 MiB and a tenth more are allowed. Files may be 4 more than before.
"""

import asyncio
import itertools
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import h2.config
import h2.connection
import h2.events
import hyperframe.frame

GATEWAY, SECONDS = os.path.abspath(sys.argv[1]), float(sys.argv[2])
HOME = tempfile.mkdtemp(prefix="portcullis-soak-")
COUNT = {}
# How long anything may take, in seconds.
PATIENCE = 300


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def note(what):
    COUNT[what] = COUNT.get(what, 0) + 1


# --- upstreams -------------------------------------------------------------------------------------------------------------------


async def serve_http1(reader, writer):
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            line, *fields = head.decode("latin-1").split("\r\n")
            path = line.split()[1]
            fields = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields if field)}
            if fields.get("upgrade") == "websocket":
                writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()
                return
            if path == "/early" and fields.get("content-length", "0") != "0":
                writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
                return await asyncio.sleep(5)
            if path == "/stall":
                await asyncio.sleep(6)
                return
            if fields.get("transfer-encoding") == "chunked":
                while size := int(await reader.readline(), 16):
                    await reader.readexactly(size + 2)
                await reader.readline()
            else:
                await reader.readexactly(int(fields.get("content-length", 0)))
            if path == "/broken":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                await writer.drain()
                return
            size = 2_000_000 if path == "/large" else 100
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError, ValueError):
        pass
    finally:
        writer.close()


REFUSED = set()


async def serve_http2(reader, writer):
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    connection.initiate_connection()
    writer.write(connection.data_to_send())
    # `newest` is the last stream that was taken, `last` the last that ever will be.
    heads, served, newest, last = {}, 0, 0, None
    try:
        while data := await asyncio.wait_for(reader.read(65536), 2 * PATIENCE):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    if last is None:
                        newest = event.stream_id
                        heads[newest] = dict(event.headers)
                elif isinstance(event, h2.events.DataReceived):
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamReset):
                    heads.pop(event.stream_id, None)
                elif isinstance(event, h2.events.StreamEnded):
                    head = heads.pop(event.stream_id, None)
                    if head is None:
                        continue
                    served += 1
                    number = head.get(b"x-number")
                    if head[b":path"] == b"/h2/refused" and (number is None or number not in REFUSED) and random.random() < 0.1:
                        REFUSED.add(number)
                        connection.reset_stream(event.stream_id, 7)
                        continue
                    try:
                        connection.send_headers(event.stream_id, [(":status", "200"), ("content-type", "text/plain")])
                        connection.send_data(event.stream_id, b"x" * 100, end_stream=True)
                    except h2.exceptions.StreamClosedError:
                        # It was given up in the same breath. The connection is for others, too.
                        continue
            writer.write(connection.data_to_send())
            if served >= 500 and last is None:
                last = newest
                # Not by `connection`, which would take no more frames of the streams that go on.
                writer.write(hyperframe.frame.GoAwayFrame(0, last_stream_id=last).serialize())
            await writer.drain()
    except (OSError, asyncio.TimeoutError, h2.exceptions.ProtocolError):
        pass
    finally:
        writer.close()


# --- clients ---------------------------------------------------------------------------------------------------------------------


async def dial(port):
    return await asyncio.open_connection("127.0.0.1", port)


NUMBERS = itertools.count()


async def honest(ports):
    reader, writer = await dial(ports["http1"])
    try:
        for path in ("/small", "/large", "/h2/a", "/h2/refused", "/small"):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nX-Number: {next(NUMBERS)}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status = int(head.split()[1])
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
            if "content-length" in fields:
                await reader.readexactly(int(fields["content-length"]))
            else:
                while size := int(await reader.readline(), 16):
                    await reader.readexactly(size + 2)
                await reader.readline()
            note("honest" if status == 200 else f"honest {path} {status}")
    finally:
        writer.close()


async def upload(ports, abort):
    reader, writer = await dial(ports["http1"])
    path = random.choice(["/small", "/early", "/h2/a", "/dying"])
    writer.write(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n".encode() + b"x" * 100_000)
    await writer.drain()
    if abort:
        writer.transport.abort()
        return note("aborted upload")
    writer.write(b"x" * 400_000)
    await writer.drain()
    await reader.readuntil(b"\r\n")
    writer.close()
    note("upload")


async def stalled(ports):
    reader, writer = await dial(ports["http1"])
    writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
    await asyncio.sleep(random.random() * 3)
    writer.transport.abort()
    note("stalled reader")


async def odd(ports):
    reader, writer = await dial(ports["http1"])
    path = random.choice(["/broken", "/stall", "/dying", "/early"])
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    await reader.read()
    writer.close()
    note("odd upstream")


async def tunnel(ports):
    reader, writer = await dial(ports["http1"])
    writer.write(b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                 b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"y" * 50_000)
    await reader.readexactly(50_000)
    writer.transport.abort() if random.random() < 0.5 else writer.close()
    note("tunnel")


async def streams(ports):
    reader, writer = await dial(ports["http2"])
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    open_streams = set()
    for number in range(20):
        stream = connection.get_next_available_stream_id()
        path = random.choice(["/small", "/large", "/h2/a", "/h2/refused", "/broken"])
        connection.send_headers(stream, [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", path)], end_stream=True)
        open_streams.add(stream)
    for stream in random.sample(sorted(open_streams), 4):
        connection.reset_stream(stream, 8)
        open_streams.discard(stream)
    writer.write(connection.data_to_send())
    try:
        while open_streams:
            data = await reader.read(65536)
            if not data:
                break
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                    open_streams.discard(event.stream_id)
            if random.random() < 0.002:
                return writer.transport.abort()
            writer.write(connection.data_to_send())
        note("streams")
    finally:
        writer.close()


async def client(ports, until):
    kinds = [honest, honest, lambda p: upload(p, True), lambda p: upload(p, False), stalled, odd, tunnel, streams]
    while time.time() < until:
        kind = random.choice(kinds)
        try:
            await asyncio.wait_for(kind(ports), PATIENCE)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, h2.exceptions.ProtocolError) as error:
            note(f"{'honest' if kind is honest else 'other'}: {type(error).__name__}")
            await asyncio.sleep(0.05)


async def dying(port, until):
    while time.time() < until:
        try:
            server = await asyncio.start_server(serve_http1, "127.0.0.1", port, limit=4_000_000)
            await asyncio.sleep(2)
            server.close()
        except OSError:
            # While nobody listens there, a connection to somewhere else may have been given the port.
            note("a longer death")
        await asyncio.sleep(0.5)


# --- what the gateway says of failures ------------------------------------------------------------------------------------------


def failed_lines():
    """The lines of the access log on honest paths that have failed, some of them."""
    with open(os.path.join(HOME, "access.log")) as log:
        lines = (line.strip() for line in log if '"status":5' in line)
        paths = ('"/small"', '"/large"', '"/h2/a"', '"/h2/refused"')
        return list(itertools.islice((line for line in lines if '"GET"' in line and any(path in line for path in paths)), 10))


# --- what is held ----------------------------------------------------------------------------------------------------------------


def held(process):
    status = open(f"/proc/{process.pid}/status").read()
    value = lambda name: int(next(line.split()[1] for line in status.splitlines() if line.startswith(name)))
    return {"memory": value("VmRSS:") * 1024, "files": len(os.listdir(f"/proc/{process.pid}/fd")), "threads": value("Threads:")}


def more(before, after):
    """What is held more than before."""
    faults = []
    if after["memory"] > before["memory"] * 1.1 + 8 * 1024 * 1024:
        faults.append("more memory is held")
    if after["files"] > before["files"] + 4:
        faults.append("more files are open")
    if after["threads"] > before["threads"] + 2:
        faults.append("more threads run")
    return faults


async def settled(process, before=None):
    """What is held when no more files are closed, and no more is held than before, or after minutes."""
    last, calm, until = held(process), 0, time.time() + PATIENCE
    while time.time() < until:
        await asyncio.sleep(2)
        now = held(process)
        calm = calm + 1 if now["files"] >= last["files"] else 0
        last = now
        if calm >= 4 and not (before and more(before, now)):
            break
    return last


async def traffic(ports, dying_port, seconds):
    until = time.time() + seconds
    await asyncio.gather(dying(dying_port, until), *(client(ports, until) for _ in range(24)))


async def main():
    one = await asyncio.start_server(serve_http1, "127.0.0.1", 0, limit=4_000_000)
    two = await asyncio.start_server(serve_http2, "127.0.0.1", 0)
    first, second = (server.sockets[0].getsockname()[1] for server in (one, two))
    # After those, which could be given one of them.
    ports = {"http1": free_port(), "http2": free_port()}
    dying_port = free_port()
    patient = "connect_timeout: 5m, response_timeout: 5m, body_timeout: 5m"
    timeouts = "timeouts: { header: 5m, idle: 5m, body: 5m, request: 10m }"
    with open(os.path.join(HOME, "gateway.yaml"), "w") as file:
        file.write(f"""
workers: 2
access_log: {{ file: {HOME}/access.log }}
listeners:
  - {{ bind: "127.0.0.1:{ports['http1']}", {timeouts} }}
  - {{ bind: "127.0.0.1:{ports['http2']}", protocols: [h2], {timeouts} }}
routes:
  - {{ path: /ws, public: a test, upgrade: [websocket], upstream: "http://127.0.0.1:{first}" }}
  - {{ path: /dying, public: a test, upstream: "http://127.0.0.1:{dying_port}" }}
  - {{ path: /stall, public: a test, upstream: {{ url: "http://127.0.0.1:{first}", response_timeout: 5s }} }}
  - {{ path: "/h2/{{*rest}}", public: a test, upstream: {{ url: "http://127.0.0.1:{second}", protocol: h2, {patient} }} }}
  - {{ path: "/{{*rest}}", public: a test, upstream: {{ url: "http://127.0.0.1:{first}", {patient} }} }}
""")
    process = subprocess.Popen([GATEWAY, "run", os.path.join(HOME, "gateway.yaml")], stderr=subprocess.PIPE)
    try:
        for _ in range(10 * PATIENCE):
            try:
                (await dial(ports["http1"]))[1].close()
                break
            except OSError:
                if process.poll() is not None:
                    sys.exit(f"the gateway ended: {process.stderr.read().decode()}")
                await asyncio.sleep(0.1)
        else:
            sys.exit("the gateway does not listen")
        await traffic(ports, dying_port, min(60, SECONDS))
        before = await settled(process)
        COUNT.clear()
        await traffic(ports, dying_port, SECONDS)
        after = await settled(process, before)
        print("before", before)
        print("after ", after)
        print("traffic", dict(sorted(COUNT.items())))
        faults = more(before, after)
        good = COUNT.get("honest", 0)
        bad = sum(count for what, count in COUNT.items() if what.startswith("honest") and what != "honest")
        if not good or bad:
            faults.append(f"{bad} of {good + bad} honest requests failed")
            faults.extend(f"the gateway says: {line}" for line in failed_lines())
        process.terminate()
        if process.wait(PATIENCE):
            faults.append("the gateway did not end well")
        for fault in faults:
            print("FAULT:", fault)
        print("the soak passed" if not faults else f"{len(faults)} faults")
        return 1 if faults else 0
    finally:
        if process.poll() is None:
            process.kill()
        shutil.rmtree(HOME, ignore_errors=True)


sys.exit(asyncio.run(main()))
