"""A web server on this machine that behaves as badly as it is told to."""

import threading
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Reply:
    """How one request is answered.

    `cut`: send so many bytes of the body at most, and then close; with `stall`, say nothing more
    instead, for so many seconds. `length`: the Content-Length to claim. `if_range`: whether it is
    heeded; `ranges`: whether Range is.
    """

    body: bytes = b""
    status: int = 200
    headers: dict = field(default_factory=dict)
    etag: str | None = '"1"'
    cut: int | None = None
    stall: float = 0
    length: int | None = None
    ranges: bool = True
    if_range: bool = True


class Server:
    """`replies[path]` are used up one by one; the last stays. `seen` holds path and headers."""

    def __init__(self):
        self.replies, self.seen, self.served = defaultdict(list), [], 0
        self.closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def do_HEAD(self):
                server.answer(self)

            def log_message(self, *_):
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):  # a client that was killed
                pass

        self.http = Quiet(("127.0.0.1", 0), Handler)

    def url(self, path):
        return f"http://127.0.0.1:{self.http.server_port}/{path}"

    def offer(self, path, *replies):
        self.replies[path] = list(replies)
        return self.url(path)

    def asked(self, path):
        return [headers for seen, headers in self.seen if seen == path]

    def answer(self, request):
        path = request.path.lstrip("/")
        self.seen.append((path, dict(request.headers)))
        queue = self.replies[path]
        reply = (queue.pop(0) if len(queue) > 1 else queue[0]) if queue else Reply(status=404)
        start, wanted = 0, request.headers.get("Range")
        fresh = request.headers.get("If-Range") in (None, reply.etag) or not reply.if_range
        if wanted and reply.ranges and fresh and reply.status == 200:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        total, body = len(reply.body), reply.body[start:]
        out_of_range = start and start >= total
        # Not `send_response`, whose own Date a reply could not replace.
        request.send_response_only(416 if out_of_range else 206 if start else reply.status)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if reply.etag:
            request.send_header("ETag", reply.etag)
        for key, value in reply.headers.items():
            request.send_header(key, value)
        request.send_header("Content-Length", str(reply.length or len(body)))
        request.end_headers()
        sent = b"" if out_of_range or request.command == "HEAD" else body[: reply.cut]
        request.wfile.write(sent)
        request.wfile.flush()
        self.served += len(sent)
        if reply.stall:
            self.closing.wait(reply.stall)


@contextmanager
def serving():
    """A `Server` in a thread."""
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.http.shutdown()
        server.http.server_close()
        thread.join()
