"""How each client is run. A driver takes a `Run`, has the client send its requests, and returns the client's name and version."""

import json
import os
import pathlib
import shutil
import subprocess

from record import BASE, HERE, SECURE_BASE

CASES = json.loads((HERE / "clients/cases.json").read_text())
GRAPHQL = json.dumps({"query": "query Hero($id: ID!) { hero(id: $id) { name } }", "variables": {"id": "1"}})


def curl(run):
    secrets, ca = run.tokens(), run.recorder.ca
    a = lambda *words: run("curl", "-sS", "-g", "-m", "20", "--cacert", ca, *words)
    file = run.folder / "report ü.txt"
    file.write_text("hello\n")
    (run.folder / "empty.bin").write_bytes(b"")
    (run.folder / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\1\2\xff")
    (run.folder / "data.json").write_text('{"not":"looked at",}')
    (run.folder / "config.yaml").write_text("a: [1, 2\n")
    (run.folder / "long.txt").write_text("x" * 3000)
    for path in CASES["paths"]:
        a(BASE + path)
    for path in CASES["paths"][:8] + CASES["paths"][24:30]:
        a(SECURE_BASE + path)
    a("-I", BASE + "/plain/head")
    a("--http1.0", BASE + "/plain/old")
    a("--http2-prior-knowledge", BASE + "/plain/h2c")
    a("--http2", BASE + "/plain/upgrade-to-h2c")
    a("--compressed", BASE + "/plain/compressed")
    a("-H", "Accept;", BASE + "/plain/empty-field")
    a("-A", "", BASE + "/plain/no-agent")
    a("-r", "0-99", BASE + "/plain/range")
    a("-e", "https://www.example.com/ä", BASE + "/plain/referer")
    a("-z", "2024-01-02", BASE + "/plain/since")
    a("-H", 'If-None-Match: W/"abc"', BASE + "/plain/etag")
    a("-b", "a=1; b=\"two words\"; c=%7B%22x%22%3A1%7D; d=x=y; e=", BASE + "/plain/cookies")
    a("-b", "theme=dark; theme=light; __Host-id=1; _ga=GA1.2.3; $Version=1", BASE + "/plain/cookies2")
    a("-X", "DELETE", BASE + "/plain/delete")
    a("-X", "OPTIONS", BASE + "/plain/options")
    a("-X", "PATCH", "-d", '[{"op":"add"}]', "-H", "Content-Type: application/json-patch+json", BASE + "/plain/patch")
    a("-X", "PATCH", "-d", '{"a":null}', "-H", "Content-Type: application/merge-patch+json", BASE + "/json/merge")
    a("-X", "POST", BASE + "/plain/post-nothing")
    a("-d", "", BASE + "/plain/post-empty")
    a("-X", "DELETE", "-d", '{"why":"x"}', "-H", "Content-Type: application/json", BASE + "/plain/delete-body")
    a("-X", "GET", "-d", '{"query":{"match_all":{}}}', "-H", "Content-Type: application/json", BASE + "/plain/_search")
    a("-d", "a=1&b=two+words&c=%C3%BC", BASE + "/plain/form")
    a("--data-urlencode", "q=a b&c", "--data-urlencode", "d@long.txt", BASE + "/plain/form2")
    a("-d", "@long.txt", BASE + "/plain/expect")
    a("-d", "@long.txt", "-H", "Expect: 100-continue", BASE + "/plain/expect-asked")
    a("-H", "Transfer-Encoding: chunked", "-d", "hello", BASE + "/plain/chunked")
    a("-T", "long.txt", BASE + "/plain/put")
    run("curl", "-sS", "-T", "-", BASE + "/plain/put-stdin", input="streamed")
    a("--json", '{"name": "x", "n": 1.0, "big": 12345678901234567890}', BASE + "/json/a")
    a("-H", "Content-Type: application/json; charset=utf-8", "-d", '{"name":"ü"}', BASE + "/json/charset")
    a("-H", 'Content-Type: application/json; charset="UTF-8"', "-d", '{"name":"ü"}', BASE + "/json/charset-quoted")
    a("-H", "Content-Type: application/json;charset=utf8", "-d", '{"name":"x"}', BASE + "/json/charset-utf8")
    a("-H", "Content-Type: application/json; charset=iso-8859-1", "-d", '{"name":"x"}', BASE + "/json/latin")
    a("-H", "Content-Type: application/vnd.api+json", "-d", '{"data":{"type":"a"}}', BASE + "/json/vnd")
    a("-H", "Content-Encoding: identity", "--json", '{"a":1}', BASE + "/json/identity")
    subprocess.run(["gzip", "-kn", "data.json"], cwd=run.folder, check=True)
    (run.folder / "good.json").write_text('{"name":"zipped"}')
    subprocess.run(["gzip", "-kn", "good.json"], cwd=run.folder, check=True)
    a("--data-binary", "@good.json.gz", "-H", "Content-Encoding: gzip", "-H", "Content-Type: application/json", BASE + "/json/gzip")
    a("-F", "file=@report ü.txt", "-F", "note=hello ü", BASE + "/upload/file")
    a("-F", "file=@photo.png;type=image/png", BASE + "/upload/png")
    a("-F", "file=@empty.bin", BASE + "/upload/empty")
    a("-F", "file=@data.json;type=application/json", BASE + "/upload/json-file")
    a("-F", "file=@config.yaml;type=application/yaml", BASE + "/upload/yaml-file")
    a("-F", 'file=@photo.png;filename="a \\"b\\".png"', BASE + "/upload/quoted")
    a("-F", "file=@photo.png;filename=ä;b.png", BASE + "/upload/umlaut")
    a("--http2-prior-knowledge", "-F", "file=@photo.png", BASE + "/upload/h2")
    a("-u", f"{secrets['user']}:{secrets['password']}", BASE + "/basic/a")
    a("-H", "Authorization: Bearer " + secrets["key"], BASE + "/bearer-key/a")
    a("-H", "X-API-Key: " + secrets["key"], BASE + "/key/a")
    a(BASE + "/query-key/a?api_key=" + secrets["key"])
    a("-H", "Authorization: bearer " + secrets["token"], BASE + "/jwt/lower")
    a("--oauth2-bearer", secrets["token"], BASE + "/jwt/a")
    a("-b", "access_token=" + secrets["token"], BASE + "/cookie-jwt/a")
    a(BASE + "/query-jwt/a?access_token=" + secrets["token"])
    a("-H", "Cf-Access-Jwt-Assertion: " + secrets["token"], BASE + "/header-jwt/a")
    a("--json", GRAPHQL, BASE + "/graphql")
    a("-H", "Content-Type: application/graphql", "-d", "{ hero { name } }", BASE + "/graphql")
    a("-G", "--data-urlencode", "query={ hero { name } }", BASE + "/graphql")
    a("-H", "Content-Type: application/x-ndjson", "--data-binary", '{"index":{}}\n{"a":1}\n', BASE + "/plain/_bulk")
    a("-H", "Content-Type: text/xml; charset=utf-8", "-H", 'SOAPAction: ""', "-d", "<a/>", BASE + "/plain/soap")
    a("-X", "PROPFIND", "-H", "Depth: 1", BASE + "/dav/folder/")
    a("-H", "Accept: text/event-stream", "-H", "Last-Event-ID: 7", BASE + "/plain/events")
    a("-H", "Forwarded: for=1.2.3.4", "-H", "X-Forwarded-For: 1.2.3.4", BASE + "/plain/forwarded")
    a("-H", "X-Request-ID: 5f2b", "-H", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", BASE + "/plain/trace")
    a("-H", "DNT: 1", "-H", "Upgrade-Insecure-Requests: 1", "-H", "TE: trailers", "-H", "Connection: TE", BASE + "/plain/te")
    a("--next", BASE + "/plain/keep-1", BASE + "/plain/keep-2")
    a("--aws-sigv4", "aws:amz:eu-west-1:s3", "-u", "AKIDEXAMPLE:made-up-secret", BASE + "/bucket/key")
    return "curl " + run.version("curl", "--version")


def wget(run):
    secrets = run.tokens()
    w = lambda *words: run("wget", "-q", "-O", "-", "-t", "1", "-T", "20", "--ca-certificate", run.recorder.ca, *words)
    for path in CASES["paths"]:
        w(BASE + path)
    w(SECURE_BASE + "/plain/tls")
    w("--spider", BASE + "/plain/spider")
    w("--post-data", "a=1&b=2", BASE + "/plain/post")
    w("--method", "PUT", "--body-data", "x", BASE + "/plain/put")
    w("--header", "Accept-Encoding: gzip", BASE + "/plain/gzip")
    w("--auth-no-challenge", "--user", secrets["user"], "--password", secrets["password"], BASE + "/basic/a")
    w("--start-pos", "5", BASE + "/plain/from")
    return "Wget " + run.version("wget", "--version")


def python(run):
    run(os.sys.executable, HERE / "clients/python_clients.py", may_fail=False)
    return "Python " + run.version(os.sys.executable, "--version") + "; the packages say their versions in User-Agent"


def node(run):
    return _node(run, "node_clients.mjs")


def graphql(run):
    return _node(run, "graphql_clients.mjs")


def _node(run, script):
    if not run.node:
        raise SystemExit("--node-modules is missing: run `npm ci` in clients/ and give its folder")
    work = run.folder / "work"
    work.mkdir()
    shutil.copy(HERE / "clients" / script, work)
    (work / "node_modules").symlink_to(pathlib.Path(run.node).resolve() / "node_modules")
    run.environment["CASES"] = str(HERE / "clients/cases.json")
    run.environment["SECRETS"] = str(HERE / "secrets.json")
    ended = run("node", script, cwd=work, may_fail=False)
    print(ended.stderr[-2000:], end="")
    return "Node " + run.version("node", "--version") + ": " + ended.stdout.strip()


def chromium(run):
    started = subprocess.Popen(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
         "--ignore-certificate-errors", "--no-first-run", f"--user-data-dir={run.folder / 'profile'}",
         f"{BASE}/page/page.html"],
        env=run.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    ended = run.recorder.done.wait(90)
    os.killpg(started.pid, 15)
    started.wait()
    if not ended:
        raise SystemExit("the page did not come to its end")
    return "Chromium " + run.version("chromium", "--version")


def go(run):
    shutil.copy(HERE / "clients/client.go", run.folder / "main.go")
    run.environment["CASES"] = str(HERE / "clients/cases.json")
    run("go", "run", "main.go", may_fail=False)
    return "Go " + run.version("go", "version") + " net/http"


def java(run):
    run.environment["CASES"] = str(HERE / "clients/cases.txt")
    shutil.copy(HERE / "clients/Client.java", run.folder / "Client.java")
    run("java", "-Djdk.httpclient.allowRestrictedHeaders=connection", "Client.java", may_fail=False)
    return "Java " + run.version("java", "-version") + ": HttpURLConnection and java.net.http"


def git(run):
    g = lambda *words: run("git", "-c", "http.sslCAInfo=" + str(run.recorder.ca), "-c", "protocol.version=2", *words)
    g("ls-remote", BASE + "/git/group/project.git")
    g("ls-remote", SECURE_BASE + "/git/group/project.git")
    g("ls-remote", BASE + "/git/~user/a%20b.git")
    g("ls-remote", BASE.replace("//", "//alice:open%20sesame@") + "/git/private.git")
    return "git " + run.version("git", "--version")


def skopeo(run):
    layout = run.folder / "image"
    (layout / "blobs/sha256").mkdir(parents=True)
    import hashlib
    def blob(data):
        digest = hashlib.sha256(data).hexdigest()
        (layout / "blobs/sha256" / digest).write_bytes(data)
        return "sha256:" + digest, len(data)
    config, size = blob(b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{}}')
    manifest, length = blob(json.dumps({"schemaVersion": 2, "config": {
        "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": size}, "layers": []}).encode())
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": manifest, "size": length}]}))
    registry = BASE.removeprefix("http://")
    s = lambda *words: run("skopeo", *words)
    s("inspect", "--tls-verify=false", f"docker://{registry}/library/alpine:3.20")
    s("list-tags", "--tls-verify=false", f"docker://{registry}/group/sub/project")
    s("copy", "--dest-tls-verify=false", "--insecure-policy", f"oci:{layout}", f"docker://{registry}/group/project:1.0")
    s("inspect", "--tls-verify=false", "--creds", "alice:made-up", f"docker://{registry}/library/private@sha256:" + "a" * 64)
    return "skopeo " + run.version("skopeo", "--version")


def rclone(run):
    (run.folder / "local").mkdir()
    (run.folder / "local" / "a b ü.txt").write_text("hello\n")
    (run.folder / "local" / "x#y;z.txt").write_text("hello\n")
    for kind, words in (
        ("webdav", ["--webdav-url", BASE + "/dav/", "--webdav-vendor", "other"]),
        ("s3", ["--s3-provider", "Minio", "--s3-endpoint", BASE, "--s3-access-key-id", "AKIDEXAMPLE", "--s3-secret-access-key", "made-up",
                "--s3-no-check-bucket"]),
    ):
        remote = f":{kind}:" + ("bucket/folder" if kind == "s3" else "folder")
        r = lambda *rest: run("rclone", *words, "--retries", "1", "--low-level-retries", "1", *rest)
        r("lsf", remote)
        r("copy", "local", remote)
        r("deletefile", remote + "/a b ü.txt")
    return "rclone " + run.version("rclone", "version")


def npm(run):
    registry = BASE + "/npm/"
    (run.folder / "package.json").write_text('{"name":"@group/project","version":"1.0.0","description":"x"}')
    (run.folder / ".npmrc").write_text(f"registry={registry}\n//127.0.0.1:43180/npm/:_authToken=npm_made-up\n")
    n = lambda *words: run("npm", *words, "--fetch-retries=0", "--no-update-notifier")
    n("view", "@babel/core")
    n("view", "left-pad@1.3.0")
    n("install", "--no-audit", "@types/node")
    n("publish", "--access", "public")
    n("search", "a b")
    n("dist-tag", "ls", "@group/project")
    n("deprecate", "@group/project@1.0.0", "old")
    n("whoami")
    n("ping")
    return "npm " + run.version("npm", "--version")


def apt(run):
    root = run.folder
    for part in ("lists/partial", "archives/partial", "etc"):
        (root / part).mkdir(parents=True)
    (root / "etc/sources.list").write_text(f"deb [trusted=yes] {BASE}/plain/debian bookworm main\n")
    run("apt-get", "-o", f"Dir::Etc::sourcelist={root}/etc/sources.list", "-o", "Dir::Etc::sourceparts=-", "-o", f"Dir::State::lists={root}/lists",
        "-o", f"Dir::Cache={root}", "-o", "Acquire::Retries=0", "-o", "APT::Sandbox::User=root", "-o", "Acquire::http::Proxy=DIRECT", "update")
    return "apt " + run.version("apt-get", "--version")


def cargo(run):
    (run.folder / "src").mkdir()
    (run.folder / "src/lib.rs").write_text("")
    (run.folder / "Cargo.toml").write_text('[package]\nname="a"\nversion="0.1.0"\nedition="2021"\n[dependencies]\nserde={version="1",registry="r"}\n')
    (run.folder / ".cargo").mkdir()
    (run.folder / ".cargo/config.toml").write_text(f'[registries.r]\nindex="sparse+{BASE}/plain/index/"\n')
    real = os.path.expanduser("~/.rustup")
    run.environment.update(RUSTUP_HOME=os.environ.get("RUSTUP_HOME", real), CARGO_HOME=str(run.folder / "home"), CARGO_NET_RETRY="0")
    run(os.environ.get("CARGO", "cargo"), "fetch")
    return "cargo " + run.version("cargo", "--version")


def php(run):
    run("php", HERE / "clients/client.php")
    return "PHP " + run.version("php", "--version")


def ruby(run):
    run("ruby", HERE / "clients/client.rb")
    return "Ruby " + run.version("ruby", "--version") + " net/http"


def perl(run):
    run("perl", HERE / "clients/client.pl")
    return "Perl " + run.version("perl", "--version") + " LWP and HTTP::Tiny"


def others(run):
    """Small command-line clients, where they are installed."""
    names = []
    def a(program, *words, **more):
        if shutil.which(program):
            run(program, *words, **more)
            if program not in names:
                names.append(program)
    a("http", "--ignore-stdin", "POST", BASE + "/json/httpie", "name=x", "n:=1")
    a("http", "--ignore-stdin", "-f", "POST", BASE + "/plain/httpie-form", "name=a b ü")
    a("http", "--ignore-stdin", "GET", BASE + "/plain/a^b[1]", "q==a b", "X-Api-Key:abc")
    a("http", "--ignore-stdin", "-a", "alice:open sesame", BASE + "/basic/httpie")
    a("http", "--ignore-stdin", "--multipart", BASE + "/upload/httpie", "note=x")
    a("aria2c", "-d", str(run.folder), "-o", "x", "--allow-overwrite=true", "-q", BASE + "/plain/aria2")
    a("s3cmd", "--access_key=AKIDEXAMPLE", "--secret_key=made-up", "--no-ssl", f"--host={BASE[7:]}", f"--host-bucket={BASE[7:]}", "ls", "s3://bucket/a b")
    a("etcdctl", f"--endpoints={BASE}", "--command-timeout=2s", "--dial-timeout=2s", "get", "a")
    a("nghttp", "-n", BASE + "/plain/nghttp")
    a("h2load", "-n1", "-c1", BASE + "/plain/h2load")
    a("wrk", "-t1", "-c1", "-d1s", BASE + "/plain/wrk")
    return "command-line clients of Debian 12: " + ", ".join(names)


CLIENTS = {
    "curl": ("curl", curl), "wget": ("wget", wget), "python": (None, python), "node": ("node", node), "graphql": ("node", graphql),
    "chromium": ("chromium", chromium), "go": ("go", go), "java": ("java", java), "git": ("git", git), "skopeo": ("skopeo", skopeo),
    "rclone": ("rclone", rclone), "npm": ("npm", npm), "apt": ("apt-get", apt), "cargo": ("cargo", cargo), "php": ("php", php),
    "ruby": ("ruby", ruby), "perl": ("perl", perl), "others": (None, others),
}
