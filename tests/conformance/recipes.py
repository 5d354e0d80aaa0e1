"""Runs the configurations of docs/recipes.md as they are written there, with the server and the client of each.

usage: recipes.py GATEWAY_BINARY [NAME ...]

A name is that of a configuration without `.yaml`; without names, all of them run. Only the ports are exchanged for free ones. Each check
prints one line. The exit status is 1 if one of them fails. Everything that is started is stopped. For `git`: git and openssl. For
`etcd`: etcd and etcdctl. For `registry`: docker-registry and skopeo. For `webdav`: rclone and litmus.
"""

import gzip
import hashlib
import http.server
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import traceback
import urllib.parse

GATEWAY = os.path.abspath(sys.argv[1])
PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/recipes.md")
HOME = tempfile.mkdtemp(prefix="portcullis-recipes-")
PASSWORD = "correct horse battery staple"
RUNNING = []


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(*command, timeout=120, fails=False, **options):
    done = subprocess.run(command, capture_output=True, timeout=timeout, cwd=HOME, **options)
    if bool(done.returncode) != fails:
        raise AssertionError(f"{command[:6]} ended with {done.returncode}: {(done.stdout + done.stderr)[-900:].decode(errors='replace')}")
    return done.stdout + done.stderr


def start(*command, name, **options):
    log = open(os.path.join(HOME, f"{name}.log"), "wb")
    process = subprocess.Popen(command, stdout=log, stderr=log, cwd=HOME, **options)
    RUNNING.append(process)
    return process


def wait_for(port, name):
    end = time.time() + 30
    while time.time() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    log = open(os.path.join(HOME, f"{name}.log"), errors="replace").read()
    raise AssertionError(f"nobody listens on {port}: {log[-1500:]}")


def certificates():
    """A CA, the server's certificate, a client's, and one of another CA: all that the page names."""
    def openssl(*words):
        run("openssl", *words)

    def issue(name, subject, ca, extension):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject,
                "-keyout", f"{name}.key", "-out", f"{name}.csr")
        with open(os.path.join(HOME, "extensions"), "w") as file:
            file.write(extension)
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial", "-days", "2",
                "-extfile", "extensions", "-out", f"{name}.pem")
        os.chmod(os.path.join(HOME, f"{name}.key"), 0o600)

    for ca in ("clients", "others"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", f"/CN={ca}", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", f"{ca}.key", "-out", f"{ca}.pem")
    issue("server", "/CN=localhost", "clients", "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    issue("alice", "/CN=alice", "clients", "extendedKeyUsage=clientAuth\nsubjectAltName=DNS:alice\n")
    issue("mallory", "/CN=mallory", "clients", "extendedKeyUsage=clientAuth\nsubjectAltName=DNS:mallory\n")
    hashed = run(GATEWAY, "hash-password", input=PASSWORD.encode())
    with open(os.path.join(HOME, "alice.hash"), "wb") as file:
        file.write(hashed)
    os.chmod(os.path.join(HOME, "alice.hash"), 0o600)


def gateway(name, upstream):
    """The configuration of this name, with free ports: its listener's, and that of the upstream."""
    page = open(PAGE, encoding="utf-8").read()
    text = re.search(rf"```yaml\n# {name}\.yaml\n(.*?)```", page, re.S).group(1)
    port = free_port()
    text, listeners = re.subn(r"bind: 127\.0\.0\.1:3000", f"bind: 127.0.0.1:{port}", text)
    text, upstreams = re.subn(r"http://127\.0\.0\.1:\d+", f"http://127.0.0.1:{upstream}", text)
    assert listeners == 1 and upstreams >= 1, text
    file = os.path.join(HOME, f"{name}.yaml")
    with open(file, "w", encoding="utf-8") as out:
        out.write(text)
    run(GATEWAY, "check", file)
    start(GATEWAY, "run", file, name=f"gateway-{name}")
    wait_for(port, f"gateway-{name}")
    return port


def digest(name):
    with open(os.path.join(HOME, name), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


class Git(http.server.BaseHTTPRequestHandler):
    """git's own CGI program, as a web server would run it."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def do_GET(self):
        path, _, query = self.path.partition("?")
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
            # Whom the gateway has let in.
            "REMOTE_USER": self.headers.get("x-consumer-name", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        said = subprocess.run(["git", "http-backend"], input=self.body(), env=environment, capture_output=True).stdout
        head, _, body = said.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        fields["Content-Length"] = str(len(body))
        for field, value in fields.items():
            self.send_header(field, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET


def git():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Git)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = gateway("git", server.server_address[1])
    os.mkdir(os.path.join(HOME, "repositories"))
    environment = dict(os.environ, GIT_SSL_CAINFO=os.path.join(HOME, "clients.pem"), GIT_TERMINAL_PROMPT="0", HOME=HOME,
                       GIT_CONFIG_NOSYSTEM="1", GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@b", GIT_COMMITTER_NAME="a",
                       GIT_COMMITTER_EMAIL="a@b", no_proxy="*")
    secret = urllib.parse.quote(PASSWORD)
    for number, version in enumerate(("HTTP/1.1", "HTTP/2")):
        # Without `http.receivepack`: a push is for those alone whom the gateway has named.
        run("git", "init", "-q", "--bare", "-b", "main", f"repositories/{number}.git")
        url = f"https://alice:{secret}@localhost:{port}/git/{number}.git"
        base = ("git", "-c", f"http.version={version}")
        run(*base, "clone", "-q", url, f"work{number}", env=environment)
        with open(os.path.join(HOME, f"work{number}", "large"), "wb") as file:
            file.write(os.urandom(20 * 1024 * 1024))
        inside = ("-C", f"work{number}")
        run("git", *inside, "add", "-A", env=environment)
        run("git", *inside, "commit", "-q", "-m", "one", env=environment)
        run(*base, *inside, "push", "-q", "origin", "HEAD:main", env=environment)
        run(*base, "clone", "-q", url, f"again{number}", env=environment)
        assert digest(f"again{number}/large") == digest(f"work{number}/large")
        run("git", "-C", f"again{number}", "fsck", "--strict", env=environment)
        for who in ("", "alice:wrong@"):
            said = run(*base, "clone", "-q", f"https://{who}localhost:{port}/git/{number}.git", "refused", env=environment, fails=True)
            assert b"Authentication failed" in said or b"could not read Username" in said, said


def etcd():
    port, peer = free_port(), free_port()
    start("etcd", "--data-dir", os.path.join(HOME, "etcd"), "--listen-client-urls", f"http://127.0.0.1:{port}",
          "--advertise-client-urls", f"http://127.0.0.1:{port}", "--listen-peer-urls", f"http://127.0.0.1:{peer}",
          "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}", "--initial-cluster", f"default=http://127.0.0.1:{peer}",
          name="etcd")
    wait_for(port, "etcd")
    at = gateway("etcd", port)
    environment = dict(os.environ, ETCDCTL_API="3")

    def etcdctl(who, *words, **options):
        return run("etcdctl", f"--endpoints=https://localhost:{at}", "--cacert=clients.pem", f"--cert={who}.pem", f"--key={who}.key",
                   "--dial-timeout=5s", *words, env=environment, **options)

    watching = subprocess.Popen(
        ["etcdctl", f"--endpoints=https://localhost:{at}", "--cacert=clients.pem", "--cert=alice.pem", "--key=alice.key",
         "watch", "a", "--prefix"], cwd=HOME, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    RUNNING.append(watching)
    time.sleep(1)
    for number in range(5):
        assert etcdctl("alice", "put", f"a{number}", f"value {number}").strip() == b"OK"
    assert b"value 3" in etcdctl("alice", "get", "a3")
    lease = etcdctl("alice", "lease", "grant", "60").split()[1].decode()
    assert b"granted with TTL" in etcdctl("alice", "lease", "timetolive", lease)
    large = "x" * 1_000_000
    etcdctl("alice", "put", "large", "--", input=large.encode())
    assert large.encode() in etcdctl("alice", "get", "large")
    time.sleep(0.5)
    watching.send_signal(signal.SIGINT)
    seen = watching.communicate(timeout=20)[0]
    for number in range(5):
        assert f"value {number}".encode() in seen, seen
    # What is not for clients, and who is nobody's client.
    assert b"Unimplemented" in etcdctl("alice", "member", "list", fails=True)
    refused = etcdctl("mallory", "get", "a3", fails=True, timeout=30)
    assert b"value 3" not in refused and b"Unauthenticated" in refused, refused


def registry():
    port = free_port()
    with open(os.path.join(HOME, "registry.yml"), "w") as file:
        file.write(f"version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: {HOME}/registry }} }}\n"
                   f"http: {{ addr: '127.0.0.1:{port}' }}\n")
    start("docker-registry", "serve", os.path.join(HOME, "registry.yml"), name="registry")
    wait_for(port, "registry")
    at = gateway("registry", port)
    image = image_of(50 * 1024 * 1024)
    there = f"docker://localhost:{at}/team/image:1"
    os.makedirs(os.path.join(HOME, "trusted"))
    shutil.copy(os.path.join(HOME, "clients.pem"), os.path.join(HOME, "trusted", "ca.crt"))
    policy = ("skopeo", "--insecure-policy", "copy", "--quiet")
    login = f"alice:{PASSWORD}"
    environment = dict(os.environ, NO_PROXY="*", no_proxy="*")
    run(*policy, "--dest-cert-dir", "trusted", "--dest-creds", login, f"oci:{image}", there, env=environment, timeout=300)
    run(*policy, "--src-cert-dir", "trusted", "--src-creds", login, there, "oci:pulled", env=environment, timeout=300)
    before, after = (sorted(os.listdir(os.path.join(HOME, folder, "blobs/sha256"))) for folder in (image, "pulled"))
    assert before == after and len(before) == 3, (before, after)
    for name in after:
        assert digest(f"pulled/blobs/sha256/{name}") == name
    for words in (("--src-no-creds",), ("--src-creds", "alice:wrong")):
        refused = run(*policy, "--src-cert-dir", "trusted", *words, there, "oci:refused", env=environment, fails=True)
        assert b"unauthorized" in refused.lower() or b"authentication required" in refused.lower(), refused


def image_of(size):
    """An image with one layer of random bytes, in the layout of the OCI."""
    blobs = os.path.join(HOME, "image/blobs/sha256")
    os.makedirs(blobs)

    def blob(data):
        name = hashlib.sha256(data).hexdigest()
        with open(os.path.join(blobs, name), "wb") as file:
            file.write(data)
        return {"digest": f"sha256:{name}", "size": len(data)}

    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        entry = tarfile.TarInfo("large")
        entry.size = size
        archive.addfile(entry, io.BytesIO(os.urandom(size)))
    # Compressed as clients do it, so that nobody does it again on the way.
    plain, data = layer.getvalue(), gzip.compress(layer.getvalue(), 1)
    kind = "application/vnd.oci.image"
    config = {"architecture": "amd64", "os": "linux", "config": {},
              "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(plain).hexdigest()}"]}}
    manifest = {"schemaVersion": 2, "mediaType": f"{kind}.manifest.v1+json",
                "config": {"mediaType": f"{kind}.config.v1+json", **blob(json.dumps(config).encode())},
                "layers": [{"mediaType": f"{kind}.layer.v1.tar+gzip", **blob(data)}]}
    index = {"schemaVersion": 2, "manifests": [{"mediaType": f"{kind}.manifest.v1+json", **blob(json.dumps(manifest).encode())}]}
    for name, value in (("index.json", index), ("oci-layout", {"imageLayoutVersion": "1.0.0"})):
        with open(os.path.join(HOME, "image", name), "w") as file:
            json.dump(value, file)
    return "image"


def webdav():
    port = free_port()
    files = os.path.join(HOME, "files")
    os.mkdir(files)
    start("rclone", "serve", "webdav", files, "--addr", f"127.0.0.1:{port}", "--config", "/dev/null", "--vfs-cache-mode", "writes",
          "--cache-dir", os.path.join(HOME, "cache"), name="rclone")
    wait_for(port, "rclone")
    at = gateway("webdav", port)
    # What the server itself passes of the suites, it passes through the gateway.
    alone, behind = (summaries(port_of, login) for port_of, login in ((port, ()), (at, ("alice", PASSWORD))))
    assert len(behind) >= 4 and behind == alone, f"alone: {alone}\nbehind the gateway: {behind}"
    assert any(passed == of for passed, of in behind.values()), behind
    for login in ((), ("--user", "alice:wrong")):
        said = run("curl", "-s", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", *login, "-X", "PROPFIND",
                   f"http://127.0.0.1:{at}/")
        assert said == b"401", (login, said)


def summaries(port, login):
    """Of each of litmus' suites, how many of its tests passed, and how many there are."""
    done = subprocess.run(["litmus", "--keep-going", f"http://127.0.0.1:{port}/", *login], capture_output=True, cwd=HOME, timeout=300,
                          env=dict(os.environ, no_proxy="*"))
    text = done.stdout.decode(errors="replace")
    found = re.findall(r"summary for `(\w+)': of (\d+) tests run: (\d+) passed", text)
    with open(os.path.join(HOME, "litmus.log"), "a") as log:
        log.write(text)
    return {name: (int(passed), int(of)) for name, of, passed in found}


ALL = {function.__name__: function for function in (git, etcd, registry, webdav)}


def main(names):
    certificates()
    failed = 0
    for name in names:
        begun = time.time()
        try:
            ALL[name]()
            print(f"ok      docs/recipes.md: {name} ({time.time() - begun:.1f} s)", flush=True)
        except Exception as error:
            failed += 1
            print(f"FAILED  docs/recipes.md: {name}: {type(error).__name__}: {str(error)[:1500]}", flush=True)
            traceback.print_exc(limit=3)
    print(f"{len(names) - failed} passed, {failed} failed")
    return failed


if __name__ == "__main__":
    try:
        code = 1 if main(sys.argv[2:] or list(ALL)) else 0
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
