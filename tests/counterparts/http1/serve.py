"""Answers each request with what the server of this name has read of it: `serve.py gunicorn|waitress|uvicorn`.

The port is the first line of its output. It ends when its standard input does.
"""

import json
import os
import socket
import sys
import threading


def said(method, target, body):
    return json.dumps({"method": method, "target": target, "body": body.decode("latin-1")}).encode()


def wsgi(environ, start_response):
    method = environ["REQUEST_METHOD"]
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    answer = said(method, target, environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    query = scope["query_string"].decode("latin-1")
    target = scope["raw_path"].decode("latin-1") + ("?" + query if query else "")
    answer = said(scope["method"], target, body)
    length = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": answer})


def serve_gunicorn(listener):
    from gunicorn.app.base import BaseApplication

    class Application(BaseApplication):
        def load_config(self):
            settings = {
                "bind": f"fd://{listener.fileno()}",
                "worker_class": "gthread",
                "threads": 4,
                "keepalive": 5,
                "loglevel": "critical",
                "control_socket_disable": True,
            }
            for name, value in settings.items():
                if name in self.cfg.settings:
                    self.cfg.set(name, value)

        def load(self):
            return wsgi

    Application().run()


def serve_waitress(listener):
    from waitress import serve

    serve(wsgi, sockets=[listener], threads=4, _quiet=True)


def serve_uvicorn(listener):
    import uvicorn

    config = uvicorn.Config(asgi, http="h11", lifespan="off", log_level="critical")
    uvicorn.Server(config).run(sockets=[listener])


def serve_httptools(listener):
    import uvicorn

    config = uvicorn.Config(asgi, http="httptools", lifespan="off", log_level="critical")
    uvicorn.Server(config).run(sockets=[listener])


def end_with_input():
    sys.stdin.buffer.read()
    os._exit(0)


def main():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    listener.set_inheritable(True)
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=end_with_input, daemon=True).start()
    {
        "gunicorn": serve_gunicorn,
        "waitress": serve_waitress,
        "uvicorn": serve_uvicorn,
        "httptools": serve_httptools,
    }[sys.argv[1]](listener)


main()
