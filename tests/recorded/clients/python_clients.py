"""What Python's clients send."""

import asyncio
import io
import json
import os
import pathlib
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
BASE, SECURE, CA = os.environ["BASE"], os.environ["SECURE_BASE"], os.environ["CA"]
CASES = json.loads((HERE / "cases.json").read_text())
SECRETS = json.loads((HERE.parent / "secrets.json").read_text())
PNG = b"\x89PNG\r\n\x1a\n\0\1\2\xff"
GRAPHQL = {"query": "query Hero($id: ID!) { hero(id: $id) { name } }", "variables": {"id": "1"}, "operationName": "Hero"}


def attempt(function):
    try:
        return function()
    except Exception as error:  # a client may not like the answer, which is not what is tested
        print(function.__name__, type(error).__name__, str(error)[:100])


def requests_():
    import requests

    session = requests.Session()
    session.trust_env = False
    for path in CASES["paths"]:
        session.get(BASE + path)
    session.get(BASE + "/plain/params", params={"a": [1, 2], "b": "ü &", "c": None, "d": ""})
    session.post(BASE + "/json/requests", json={"name": "ü", "n": 1})
    session.post(BASE + "/plain/form", data={"a": "b c", "d": ["1", "2"]})
    session.post(BASE + "/plain/bytes", data=b"\0\1\2")
    session.post(BASE + "/plain/generator", data=iter([b"one", b"two"]))
    session.post(BASE + "/upload/a", files={"file": ("ü.png", io.BytesIO(PNG), "image/png")}, data={"note": "x"})
    session.post(BASE + "/upload/b", files={"file": ("data.json", b'{"a":', "application/json")})
    session.put(BASE + "/plain/put", data="text")
    session.delete(BASE + "/plain/delete")
    session.get(BASE + "/basic/a", auth=(SECRETS["user"], SECRETS["password"]))
    session.get(BASE + "/jwt/a", headers={"Authorization": "Bearer " + SECRETS["token"]})
    session.get(BASE + "/plain/cookies", cookies={"a": "1", "b": '"x y"'})
    session.post(BASE + "/graphql", json=GRAPHQL)
    session.get(SECURE + "/plain/tls", verify=CA)
    session.get(BASE + "/plain/stream", stream=True).close()


def urllib3_():
    import urllib3

    pool = urllib3.PoolManager()
    for path in CASES["paths"]:
        pool.request("GET", BASE + path, retries=False)
    pool.request("POST", BASE + "/plain/fields", fields={"a": "b", "file": ("x.txt", b"hello")})
    pool.request("POST", BASE + "/upload/a", fields={"file": ('q"uo\nte.txt', b"hello", "text/plain")})
    pool.request("POST", BASE + "/json/a", json={"a": 1})
    pool.request("POST", BASE + "/plain/chunked", body=io.BytesIO(b"hello"), chunked=True)
    pool.request("GET", BASE + "/plain/headers", headers=urllib3.make_headers(accept_encoding=True, user_agent="x/1 (y; z)"))


def urllib_():
    for path in CASES["paths"]:
        if path.isascii() and " " not in path:
            urllib.request.urlopen(BASE + path).read()
    urllib.request.urlopen(BASE + "/plain/form", data=urllib.parse.urlencode({"a": "b c"}).encode()).read()
    asked = urllib.request.Request(BASE + "/json/a", data=b'{"a":1}', headers={"Content-Type": "application/json"}, method="PUT")
    urllib.request.urlopen(asked).read()


def http_client():
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", 43180)
    for method, path, body in (("GET", "/plain/http.client", None), ("POST", "/plain/http.client", "x"), ("POST", "/plain/http.client", None)):
        connection.request(method, path, body)
        connection.getresponse().read()
    connection.request("PUT", "/plain/http.client-chunked", iter([b"a", b"b"]), encode_chunked=True)
    connection.getresponse().read()


def httpx_():
    import httpx

    with httpx.Client(trust_env=False) as client:
        for path in CASES["paths"]:
            client.get(BASE + path)
        client.get(BASE + "/plain/params", params={"a": ["1", "2"], "b": "[x]"})
        client.post(BASE + "/json/httpx", json={"name": "ü"})
        client.post(BASE + "/upload/httpx", files={"file": ("ü \"x\".png", PNG, "image/png")}, data={"note": "y"})
        client.post(BASE + "/plain/form", data={"a": ["1", "2"]})
        client.request("GET", BASE + "/plain/get-body", json={"a": 1})
        client.get(BASE + "/basic/a", auth=(SECRETS["user"], SECRETS["password"]))
    with httpx.Client(http2=True, verify=CA, trust_env=False) as client:
        for path in CASES["paths"][:6]:
            client.get(SECURE + path)
        client.post(SECURE + "/json/h2", json={"name": "x"})
        client.post(SECURE + "/upload/h2", files={"file": ("a.bin", b"")})


async def aiohttp_():
    import aiohttp

    async with aiohttp.ClientSession() as session:
        async def ask(method, url, **more):
            async with session.request(method, url, **more) as answer:
                await answer.read()

        for path in CASES["paths"]:
            await ask("GET", BASE + path)
        await ask("GET", BASE + "/plain/params", params={"a": "b c", "d": "ü"})
        await ask("POST", BASE + "/json/aiohttp", json={"name": "ü"})
        form = aiohttp.FormData()
        form.add_field("file", PNG, filename="ü.png", content_type="image/png")
        form.add_field("note", "x")
        await ask("POST", BASE + "/upload/aiohttp", data=form)
        await ask("POST", BASE + "/plain/form", data={"a": "b c"})
        async def parts():
            yield b"one"
            yield b"two"
        await ask("POST", BASE + "/plain/stream", data=parts())
        await ask("POST", BASE + "/plain/expect", data=b"x", expect100=True)
        await ask("POST", BASE + "/json/deflate", data=b'{"a":1}', compress="deflate", headers={"Content-Type": "application/json"})
        async with session.ws_connect(BASE + "/socket/aiohttp", protocols=["chat"], compress=15) as socket:
            await socket.send_str("hello")


async def websockets_():
    import websockets

    async with websockets.connect(BASE.replace("http", "ws") + "/socket/websockets?x=1", subprotocols=["a", "b"]) as socket:
        await socket.send("hello")


def boto3_():
    import boto3
    from botocore.config import Config

    for style in ("path",):
        s3 = boto3.client("s3", endpoint_url=BASE, region_name="eu-west-1", aws_access_key_id="AKIDEXAMPLE",
                          aws_secret_access_key="made-up", config=Config(s3={"addressing_style": style}, retries={"max_attempts": 1}))
        for key in ("plain.txt", "a b/ü.txt", "a//b", "folder/", "x+y&z=1;2@3,4$5", "100%", "a:b", "(x)'!*", "//x", "a;v=1"):
            attempt(lambda: s3.put_object(Bucket="bucket", Key=key, Body=b"hello"))
            attempt(lambda: s3.get_object(Bucket="bucket", Key=key))
        attempt(lambda: s3.list_objects_v2(Bucket="bucket", Prefix="a b/", Delimiter="/"))
        attempt(lambda: s3.copy_object(Bucket="bucket", Key="copy", CopySource={"Bucket": "bucket", "Key": "a b/ü.txt"}))
        attempt(lambda: s3.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "a&b"}]}))
        attempt(lambda: s3.create_multipart_upload(Bucket="bucket", Key="big"))
        attempt(lambda: s3.upload_part(Bucket="bucket", Key="big", UploadId="u1", PartNumber=1, Body=b"x"))
        attempt(lambda: s3.head_object(Bucket="bucket", Key="a"))
        attempt(lambda: s3.delete_object(Bucket="bucket", Key="a"))
    more = dict(endpoint_url=BASE + "/plain/aws", region_name="eu-west-1", aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="made-up",
                config=Config(retries={"max_attempts": 1}))
    attempt(lambda: boto3.client("dynamodb", **more).list_tables())
    attempt(lambda: boto3.client("sqs", **more).send_message(QueueUrl=BASE + "/plain/aws/1/q", MessageBody="ü"))
    attempt(lambda: boto3.client("sts", **more).get_caller_identity())
    attempt(lambda: boto3.client("lambda", **more).invoke(FunctionName="f:1", Payload=b"{}"))


def google():
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    client = storage.Client(project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": BASE + "/slash"})
    bucket = client.bucket("bucket")
    attempt(lambda: bucket.blob("a/b c.txt").upload_from_string("hello", retry=None, timeout=5))
    attempt(lambda: bucket.blob("a/b c.txt").download_as_bytes(retry=None, timeout=5))
    attempt(lambda: bucket.get_blob("a/b", retry=None, timeout=5))


def azure():
    from azure.storage.blob import BlobServiceClient

    service = BlobServiceClient(BASE + "/plain/devstore", credential={"account_name": "devstore", "account_key": "bWFkZS11cA=="}, retry_total=0)
    blob = service.get_blob_client("container", "a b/ü.txt")
    attempt(lambda: blob.upload_blob(b"hello", overwrite=True))
    attempt(lambda: blob.download_blob().readall())
    attempt(lambda: list(service.list_containers()))


def grpc_():
    import grpc

    channel = grpc.insecure_channel("127.0.0.1:43180")
    call = channel.unary_unary("/orders.Orders/Get")
    attempt(lambda: call(b"\x0a\x03abc", timeout=5, metadata=[("authorization", "Bearer " + SECRETS["token"]), ("trace-bin", b"\0\1")]))
    attempt(lambda: list(channel.unary_stream("/orders.Orders/List")(b"", timeout=5, compression=grpc.Compression.Gzip)))
    attempt(lambda: list(channel.stream_stream("/orders.Orders/Chat")(iter([b"a", b"b"]), timeout=5)))
    attempt(lambda: channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=5, wait_for_ready=True))


def vendors():
    """The libraries of vendors."""
    import openai
    import anthropic

    model = openai.OpenAI(base_url=BASE + "/plain/v1", api_key="sk-made-up", max_retries=0)
    attempt(lambda: model.chat.completions.create(model="gpt", messages=[{"role": "user", "content": "ü"}]))
    attempt(lambda: model.files.create(file=("a.jsonl", b"{}\n"), purpose="fine-tune"))
    attempt(lambda: model.chat.completions.create(model="gpt", messages=[], stream=True))
    other = anthropic.Anthropic(base_url=BASE + "/plain", api_key="made-up", max_retries=0)
    attempt(lambda: other.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": "hi"}]))
    import elasticsearch

    search = elasticsearch.Elasticsearch(BASE + "/plain", api_key="made-up", max_retries=0)
    attempt(lambda: search.search(index="a,b-*", query={"match_all": {}}))
    attempt(lambda: search.bulk(operations=[{"index": {"_index": "a"}}, {"x": 1}]))
    import gitlab

    lab = gitlab.Gitlab(BASE + "/slash", private_token="glpat-made-up")
    attempt(lambda: lab.projects.get("group/sub/project"))
    attempt(lambda: lab.projects.get("group/project", lazy=True).files.get("lib/a b.rb", ref="feature/x"))
    attempt(lambda: lab.projects.get(7, lazy=True).branches.get("feature/login"))
    import github

    hub = github.Github(base_url=BASE + "/plain", auth=github.Auth.Token("ghp_made-up"), retry=None)
    attempt(lambda: hub.get_repo("a/b"))
    import stripe

    stripe.api_key, stripe.api_base, stripe.max_network_retries = "sk_test_made-up", BASE + "/plain", 0
    attempt(lambda: stripe.Customer.create(name="ü", metadata={"a": "b"}, expand=["x.y"]))
    import kubernetes

    settings = kubernetes.client.Configuration(host=BASE + "/plain")
    core = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(settings))
    attempt(lambda: core.list_namespaced_pod("default", label_selector="app in (a,b)", _request_timeout=5))
    attempt(lambda: core.patch_namespaced_config_map("x", "default", {"data": {"a": "b"}}, _request_timeout=5))
    attempt(lambda: core.create_namespaced_config_map("default", {"metadata": {"name": "x"}}, _request_timeout=5))
    import slack_sdk

    attempt(lambda: slack_sdk.WebClient(token="xoxb-made-up", base_url=BASE + "/plain/api/").chat_postMessage(channel="#a", text="<ü>"))


for each in (requests_, urllib3_, urllib_, http_client, httpx_, boto3_, google, azure, grpc_, vendors):
    attempt(each)
for each in (aiohttp_, websockets_):
    attempt(lambda: asyncio.run(asyncio.wait_for(each(), 30)))
