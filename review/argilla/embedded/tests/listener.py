"""A receiver of webhooks on loopback. In: signed requests. Out: what came, and when."""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Thread
from typing import NamedTuple

from standardwebhooks.webhooks import Webhook


class Received(NamedTuple):
    at: float
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict:
        return json.loads(self.body)

    def verified_by(self, secret: str) -> dict:
        return Webhook(secret).verify(self.body, self.headers)


class Listener:
    """Answers with the next of `answers`, or 200."""

    def __init__(self, port: int = 0) -> None:
        self.received: Queue[Received] = Queue()
        self.answers: list[int] = []
        self.delay = 0.0
        listener = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                listener.received.put(Received(time.monotonic(), headers, body))
                time.sleep(listener.delay)
                self.send_response(listener.answers.pop(0) if listener.answers else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "Listener":
        Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def next(self, seconds: float = 5) -> Received:
        return self.received.get(timeout=seconds)
