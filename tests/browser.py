"""A page in headless Chromium, over the DevTools protocol on a pipe; nothing to be installed.

What the page logs as an error or a warning, and what it asks the network for, is noted.
"""

import json
import os
import shutil
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import F_DUPFD, fcntl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


class Page:
    """A page that is opened with `open` and questioned with `ask`."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = os.fdopen(to, "wb"), os.fdopen(back, "rb")
        self._session: str | None = None
        self._rest, self._last = b"", 0
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while (answer := self._receive()).get("id") != self._last:
            self._note(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            chunk = os.read(self._back.fileno(), 1 << 16)
            assert chunk, "Chromium has ended"
            self._rest += chunk
        text, _, self._rest = self._rest.partition(b"\0")
        return json.loads(text)

    def _note(self, event: dict[str, Any]) -> None:
        name, found = event["method"], event["params"]
        if name == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(found["exceptionDetails"])[:500])
        elif name == "Runtime.consoleAPICalled" and found["type"] in ("error", "warning"):
            self.complaints.append(json.dumps(found["args"])[:500])
        elif name == "Log.entryAdded" and found["entry"]["level"] in ("error", "warning"):
            self.complaints.append(found["entry"]["text"])
        elif name == "Network.requestWillBeSent":
            self.requests.append(found["request"]["url"])

    def open(self, path: Path, width: int = 1366, height: int = 900, scheme: str = "light") -> None:
        self.visit(path.resolve().as_uri(), width, height, scheme)

    def visit(self, url: str, width: int = 1366, height: int = 900, scheme: str = "light") -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        self.send(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        self.send("Page.navigate", url="about:blank")
        self.requests.clear()
        self.send("Page.navigate", url=url)
        self.wait_for(
            f"document.readyState === 'complete' && location.protocol === '{urlsplit(url).scheme}:'"
        )

    def screenshot(self, file: Path) -> None:
        file.write_bytes(b64decode(self.send("Page.captureScreenshot")["data"]))

    def ask(self, expression: str) -> Any:
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, condition: str, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not self.ask(condition):
            assert time.monotonic() < end, f"never came true: {condition}; {self.complaints}"
            time.sleep(0.05)


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A Chromium of its own, with its profile in the folder `profile`."""
    assert CHROMIUM
    read, to = os.pipe()
    back, write = os.pipe()
    options = (
        "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
        "--remote-debugging-pipe", f"--user-data-dir={profile}",
    )  # fmt: skip

    def connect() -> None:  # Chromium reads from 3 and writes to 4, and so may these two be
        ends = fcntl(read, F_DUPFD, 10), fcntl(write, F_DUPFD, 10)
        os.dup2(ends[0], 3)
        os.dup2(ends[1], 4)

    process = subprocess.Popen(
        [CHROMIUM, *options], preexec_fn=connect, pass_fds=(3, 4), stderr=subprocess.DEVNULL
    )
    os.close(read)
    os.close(write)
    try:
        yield Page(to, back)
    finally:
        process.kill()
        process.wait()
