"""Runs the clients that people use through a gateway, over HTTP/1.1 and HTTP/2, in the clear and over TLS.

usage: clients.py GATEWAY_BINARY

Each check prints one line. The exit status is 1 if one of them fails. Everything that is started is stopped; only free
loopback ports are used. git, curl, etcd, etcdctl, openssl and node must be there; requests, httpx[http2], aiohttp and
websockets are Python packages.
"""

import asyncio
import hashlib
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse

GATEWAY = os.path.abspath(sys.argv[1])
HOME = tempfile.mkdtemp(prefix="portcullis-conformance-")
BLOB = hashlib.sha256(b"seed").digest() * (8 * 1024 * 1024 // 32)
RUNNING = []


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(*command, **options):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=options.pop("stderr", subprocess.DEVNULL), **options)
    RUNNING.append(process)
    return process


def wait_for(port, seconds=30):
    end = time.time() + seconds
    while time.time() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nobody listens on {port}")


def run(*command, timeout=60, **options):
    done = subprocess.run(command, capture_output=True, timeout=timeout, **options)
    if done.returncode:
        raise AssertionError(f"{command[:3]} ended with {done.returncode}: {done.stderr[-600:].decode(errors='replace')}")
    return done.stdout


class Backend(http.server.BaseHTTPRequestHandler):
    """Files with ranges, an echo of uploads by digest, and git's own CGI program."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def body(self):
        if self.headers.get("transfer-encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def answer(self, status, body, **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        if self.path.startswith("/git/"):
            return self.cgi()
        wanted = self.headers.get("range")
        if not wanted:
            return self.answer(200, BLOB, accept_ranges="bytes")
        first, last = wanted.removeprefix("bytes=").split("-")
        first = int(first) if first else len(BLOB) - int(last)
        last = int(last) if last and not wanted.startswith("bytes=-") else len(BLOB) - 1
        self.answer(206, BLOB[first : last + 1], content_range=f"bytes {first}-{last}/{len(BLOB)}")

    do_HEAD = do_GET

    def do_POST(self):
        if self.path.startswith("/git/"):
            return self.cgi()
        body = self.body()
        text = json.dumps({"size": len(body), "digest": hashlib.sha256(body).hexdigest()})
        self.answer(200, text.encode(), content_type="application/json")

    do_PUT = do_POST

    def cgi(self):
        path, _, query = self.path.removeprefix("/git").partition("?")
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": os.path.join(HOME, "repositories"),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": urllib.parse.unquote(path),
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("content-type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
            "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
            "REMOTE_USER": "tester",
            "REMOTE_ADDR": "127.0.0.1",
        }
        said = subprocess.run(["git", "http-backend"], input=self.body(), env=environment, capture_output=True).stdout
        head, _, body = said.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n") if line]
        status = next((int(value.split()[0]) for name, value in fields if name == "Status"), 200)
        self.answer(status, body, **{n.replace("-", "_"): v for n, v in fields if n not in ("Status", "Content-Length")})


def certificate():
    key, pem = os.path.join(HOME, "key.pem"), os.path.join(HOME, "cert.pem")
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", pem)
    os.chmod(key, 0o600)
    return key, pem


def gateway(backend, etcd, echo):
    plain, tls, h2c = free_port(), free_port(), free_port()
    key, pem = certificate()
    upstream = f'"http://127.0.0.1:{backend}"'
    etcd_upstream = f'{{ url: "http://127.0.0.1:{etcd}", protocol: h2 }}'
    with open(os.path.join(HOME, "gateway.yaml"), "w") as file:
        file.write(f"""
workers: 2
access_log: {{ file: {HOME}/access.log }}
listeners:
  - bind: 127.0.0.1:{plain}
  - bind: 127.0.0.1:{h2c}
    protocols: [h2]
  - bind: 127.0.0.1:{tls}
    tls: {{ certificates: [{{ certificate: {pem}, key: {key} }}] }}
security: {{ body: {{ max_size: 64MiB }} }}
routes:
  - {{ path: "/git/{{*rest}}", public: a test, upstream: {upstream} }}
  - {{ path: "/files/{{*rest}}", public: a test, upstream: {upstream} }}
  - {{ path: "/ws", public: a test, upgrade: [websocket], upstream: "http://127.0.0.1:{echo}" }}
  - {{ path: "/etcdserverpb.KV/{{method}}", public: a test, upstream: {etcd_upstream} }}
  - {{ path: "/etcdserverpb.Watch/{{method}}", public: a test, upstream: {etcd_upstream} }}
""")
    errors = open(os.path.join(HOME, "gateway.err"), "w")
    start(GATEWAY, "run", os.path.join(HOME, "gateway.yaml"), stderr=errors)
    try:
        for port in (plain, tls, h2c):
            wait_for(port)
    except RuntimeError:
        sys.exit(open(os.path.join(HOME, "gateway.err")).read())
    return plain, tls, h2c, pem


CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def git(world, url, version, number):
    environment = dict(os.environ, GIT_SSL_CAINFO=world["pem"], GIT_TERMINAL_PROMPT="0", HOME=HOME, GIT_CONFIG_NOSYSTEM="1",
                       GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@b", GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@b")
    bare = os.path.join(HOME, "repositories", f"{number}.git")
    run("git", "init", "-q", "--bare", "-b", "main", bare)
    run("git", "-C", bare, "config", "http.receivepack", "true")
    work = os.path.join(HOME, f"work{number}")
    base = ("git", "-c", f"http.version={version}")
    run(*base, "clone", "-q", f"{url}/git/{number}.git", work, env=environment)
    with open(os.path.join(work, "large"), "wb") as file:
        file.write(os.urandom(3 * 1024 * 1024))
    run("git", "-C", work, "add", "-A", env=environment)
    run("git", "-C", work, "commit", "-q", "-m", "one", env=environment)
    # More than http.postBuffer, so that git sends it in chunks.
    run(*base, "-C", work, "push", "-q", "origin", "HEAD:main", env=environment)
    again = os.path.join(HOME, f"again{number}")
    run(*base, "clone", "-q", f"{url}/git/{number}.git", again, env=environment)
    assert open(os.path.join(again, "large"), "rb").read() == open(os.path.join(work, "large"), "rb").read()


@check
def git_over_http1(world):
    git(world, world["http"], "HTTP/1.1", 1)


@check
def git_over_http2(world):
    git(world, world["https"], "HTTP/2", 2)


@check
def etcd_put_get_watch(world):
    environment = dict(os.environ, ETCDCTL_API="3")
    base = ("etcdctl", f"--endpoints={world['https']}", f"--cacert={world['pem']}", "--dial-timeout=5s")
    watching = subprocess.Popen([*base, "watch", "a", "--prefix"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    RUNNING.append(watching)
    time.sleep(1)
    for number in range(5):
        assert run(*base, "put", f"a{number}", f"value {number}", env=environment).strip() == b"OK"
        time.sleep(0.05)
    assert b"value 3" in run(*base, "get", "a3", env=environment)
    time.sleep(0.5)
    watching.send_signal(signal.SIGINT)
    seen = watching.communicate(timeout=20)[0]
    for number in range(5):
        assert f"value {number}".encode() in seen, seen


def curl(world, *words, **options):
    return run("curl", "-sS", "--fail", "--cacert", world["pem"], "--max-time", "60", *words, **options)


@check
def curl_downloads_and_ranges(world):
    for url, version in ((world["http"], "--http1.1"), (world["https"], "--http1.1"), (world["https"], "--http2"),
                         (world["h2c"], "--http2-prior-knowledge")):
        assert curl(world, version, f"{url}/files/a") == BLOB
        assert curl(world, version, "-r", "100-199", f"{url}/files/a") == BLOB[100:200]
        assert curl(world, version, "-r", "-5", f"{url}/files/a") == BLOB[-5:]
        head = curl(world, version, "-I", f"{url}/files/a").decode().lower()
        assert f"content-length: {len(BLOB)}" in head, head


@check
def curl_uploads_in_parallel(world):
    name = os.path.join(HOME, "upload")
    with open(name, "wb") as file:
        file.write(BLOB[:3_000_000])
    digest = hashlib.sha256(BLOB[:3_000_000]).hexdigest().encode()
    for url, version in ((world["http"], "--http1.1"), (world["https"], "--http2")):
        words = []
        for number in range(8):
            words += ["-T", name, f"{url}/files/{number}"]
        said = curl(world, version, "--parallel", "--parallel-max", "8", *words)
        assert said.count(digest) == 8, said
        said = curl(world, version, "-H", "Expect: 100-continue", "--data-binary", f"@{name}", f"{url}/files/x")
        assert digest in said, said
        said = curl(world, version, "-H", "Transfer-Encoding: chunked", "--data-binary", f"@{name}", f"{url}/files/x")
        assert digest in said, said


@check
def python_requests(world):
    import requests

    with requests.Session() as session:
        session.verify, session.trust_env = world["pem"], False
        for url in (world["http"], world["https"]):
            for _ in range(20):
                assert session.get(f"{url}/files/a", headers={"range": "bytes=0-9"}).content == BLOB[:10]
            assert session.post(f"{url}/files/a", data=(BLOB[n : n + 100_000] for n in range(0, 1_000_000, 100_000))).json()["size"] == 1_000_000
            assert session.post(f"{url}/files/a", files={"file": ("a.bin", BLOB[:100_000])}).json()["size"] > 100_000


@check
def python_httpx(world):
    import httpx
    import ssl

    context = ssl.create_default_context(cafile=world["pem"])

    async def all_of_them():
        for http2 in (False, True):
            async with httpx.AsyncClient(http2=http2, verify=context, timeout=60) as client:
                answers = await asyncio.gather(*(client.get(f"{world['https']}/files/{n}") for n in range(12)))
                assert all(answer.content == BLOB for answer in answers)
                assert {answer.http_version for answer in answers} == {"HTTP/2" if http2 else "HTTP/1.1"}
                answers = await asyncio.gather(*(client.put(f"{world['https']}/files/{n}", content=BLOB[:1_000_000]) for n in range(12)))
                assert all(answer.json()["size"] == 1_000_000 for answer in answers)

    asyncio.run(all_of_them())


@check
def python_aiohttp(world):
    import aiohttp

    async def all_of_them():
        async with aiohttp.ClientSession() as session:

            async def one(number):
                async with session.post(f"{world['http']}/files/{number}", data=BLOB[:500_000], expect100=True) as answer:
                    assert (await answer.json())["size"] == 500_000

            await asyncio.gather(*(one(number) for number in range(20)))

    asyncio.run(all_of_them())


@check
def websockets(world):
    import ssl
    from websockets.asyncio.client import connect

    async def talk(url, **options):
        async with connect(url, max_size=None, **options) as socket:
            for message in ("", "text", "x" * 125, "x" * 126, "x" * 65_536, b"\0" * 3_000_000):
                await socket.send(message)
                assert await socket.recv() == message
            # In fragments, with a ping between them.
            async def parts():
                for number in range(50):
                    if number % 10 == 0:
                        await (await socket.ping())
                    yield f"{number},"

            await socket.send(parts())
            assert await socket.recv() == "".join(f"{number}," for number in range(50))

    async def all_of_them():
        context = ssl.create_default_context(cafile=world["pem"])
        ws, wss = world["http"].replace("http", "ws", 1), world["https"].replace("https", "wss", 1)
        await asyncio.gather(*(talk(f"{ws}/ws") for _ in range(10)), talk(f"{ws}/ws", compression=None),
                             talk(f"{wss}/ws", ssl=context))

    asyncio.run(all_of_them())


@check
def node_fetch(world):
    script = """
const [url] = process.argv.slice(1);
const digest = async r => (await r.arrayBuffer()).byteLength;
const all = await Promise.all([...Array(10)].map((_, n) => fetch(`${url}/files/${n}`).then(digest)));
if (all.some(size => size !== 8388608)) throw new Error(all.join());
const stream = new ReadableStream({ start(c) { for (let n = 0; n < 100; n++) c.enqueue(new Uint8Array(10000)); c.close(); } });
const said = await (await fetch(`${url}/files/x`, { method: 'POST', body: stream, duplex: 'half' })).json();
if (said.size !== 1000000) throw new Error(JSON.stringify(said));
"""
    environment = dict(os.environ, NODE_EXTRA_CA_CERTS=world["pem"])
    for url in (world["http"], world["https"]):
        run("node", "--input-type=module", "-e", script, url, env=environment)


def echo_server(port):
    from websockets.asyncio.server import serve

    async def echo(socket):
        async for message in socket:
            await socket.send(message)

    async def forever():
        async with serve(echo, "127.0.0.1", port, max_size=None):
            await asyncio.Future()

    asyncio.run(forever())


def main():
    os.mkdir(os.path.join(HOME, "repositories"))
    backend, etcd, peer, echo = free_port(), free_port(), free_port(), free_port()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", backend), Backend)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Thread(target=echo_server, args=(echo,), daemon=True).start()
    start("etcd", "--data-dir", os.path.join(HOME, "etcd"), "--listen-client-urls", f"http://127.0.0.1:{etcd}",
          "--advertise-client-urls", f"http://127.0.0.1:{etcd}", "--listen-peer-urls", f"http://127.0.0.1:{peer}",
          "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}", "--initial-cluster", f"default=http://127.0.0.1:{peer}")
    wait_for(echo)
    wait_for(etcd)
    plain, tls, h2c, pem = gateway(backend, etcd, echo)
    world = {"http": f"http://127.0.0.1:{plain}", "https": f"https://localhost:{tls}", "h2c": f"http://127.0.0.1:{h2c}", "pem": pem}
    failed = 0
    for function in CHECKS:
        begun = time.time()
        try:
            function(world)
            print(f"ok      {function.__name__} ({time.time() - begun:.1f} s)", flush=True)
        except Exception as error:
            failed += 1
            print(f"FAILED  {function.__name__}: {type(error).__name__}: {str(error)[:800]}", flush=True)
            traceback.print_exc(limit=3)
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return failed


if __name__ == "__main__":
    try:
        code = 1 if main() else 0
    finally:
        for process in RUNNING:
            if process.poll() is None:
                process.terminate()
        for process in RUNNING:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(HOME, ignore_errors=True)
    sys.exit(code)
