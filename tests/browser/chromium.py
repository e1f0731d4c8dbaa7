"""A Chromium without a window, spoken to in its own protocol over two pipes.

Its protocol is a JSON text and a zero byte for each message. That needs no library and no port, waits for what is to be waited
for, and tells which requests a page makes and what its console says, which `--dump-dom` does not.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # whatever a page asks for, nothing leaves this machine
    "--remote-debugging-pipe",
)  # fmt: skip
# The browser reads from its file 3 and writes to its file 4.
_ON_3_AND_4 = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execvp(sys.argv[3], sys.argv[3:])"
_PATIENCE_S = 60


def found() -> str | None:
    """The program of a Chromium, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass(slots=True)
class Tab:
    """One page at a time. `complaints`: what went wrong on it, as its console tells; `requests`: what it asked for."""

    browser: Browser
    session: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, page: Path) -> None:
        """Opens a file, and waits until it is loaded."""
        self.complaints.clear()
        self.requests.clear()
        self.browser.ask("Page.navigate", self, url=page.as_uri())
        self.browser.wait_for("Page.loadEventFired", self)

    def run(self, script: str) -> Any:
        """What an expression gives, when all that it promises is there."""
        answer = self.browser.ask("Runtime.evaluate", self, expression=script, awaitPromise=True, returnByValue=True)
        if fault := answer.get("exceptionDetails"):
            raise RuntimeError(fault.get("exception", {}).get("description") or fault["text"])
        return answer["result"].get("value")

    def look(self, *, width: int, dark: bool = False) -> None:
        """How wide the window is, and whether the reader likes it dark."""
        size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        self.browser.ask("Emulation.setDeviceMetricsOverride", self, **size)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.browser.ask("Emulation.setEmulatedMedia", self, features=scheme)

    def told(self, event: dict[str, Any]) -> None:
        """Keeps what a page does that it should not."""
        given = event["params"]
        match event["method"]:
            case "Network.requestWillBeSent":
                self.requests.append(given["request"]["url"])
            case "Log.entryAdded":
                self.complaints.append(given["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(given["exceptionDetails"]["text"])
            case "Runtime.consoleAPICalled" if given["type"] in ("error", "warning"):
                self.complaints.append(" ".join(str(one.get("value") or one.get("description")) for one in given["args"]))


@dataclass(slots=True)
class Browser:
    """A running Chromium: questions go in, answers and events come out."""

    write_to: int
    read_from: int
    _tabs: dict[str, Tab] = field(default_factory=dict)
    _asked: int = 0
    _read: bytes = b""
    _happened: list[tuple[str, str]] = field(default_factory=list)

    def tab(self) -> Tab:
        """A new tab, which tells what happens in it."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = self._tabs[session] = Tab(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable", tab)
        return tab

    def ask(self, method: str, tab: Tab | None = None, **given: Any) -> dict[str, Any]:
        """Sends one question, and gives its answer."""
        self._asked += 1
        self._happened.clear()
        message = {"id": self._asked, "method": method, "params": given} | ({"sessionId": tab.session} if tab else {})
        _write_all(self.write_to, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._asked:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def wait_for(self, event: str, tab: Tab) -> None:
        """Waits until something happens in a tab, unless it did since the last question."""
        while (tab.session, event) not in self._happened:
            self._next()

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            if not select.select([self.read_from], [], [], _PATIENCE_S)[0]:
                raise TimeoutError(f"The browser said nothing for {_PATIENCE_S} s.")
            if not (more := os.read(self.read_from, 1 << 20)):
                raise ConnectionError("The browser has ended.")
            self._read += more
        text, _zero, self._read = self._read.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if "method" in message:
            self._happened.append((message.get("sessionId", ""), message["method"]))
            if tab := self._tabs.get(message.get("sessionId", "")):
                tab.told(message)
        return message


def _write_all(target: int, data: bytes) -> None:
    while data:
        data = data[os.write(target, data) :]


@contextmanager
def started(program: str) -> Iterator[Browser]:
    """A browser with a profile of its own, gone at the end."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        (its_end, our_write), (our_read, its_write) = _out_of_the_way(os.pipe()), _out_of_the_way(os.pipe())
        command = [
            sys.executable,
            "-c",
            _ON_3_AND_4,
            str(its_end),
            str(its_write),
            program,
            *_FLAGS,
            f"--user-data-dir={profile}",
        ]
        with Path(profile, "said").open("wb") as said:
            process = subprocess.Popen(command, pass_fds=(its_end, its_write), stdout=said, stderr=said)
        os.close(its_end)
        os.close(its_write)
        browser = Browser(our_write, our_read)
        try:
            yield browser
            browser.ask("Browser.close")
        finally:
            os.close(our_write)  # which ends it, too
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            os.close(our_read)


def _out_of_the_way(pipe: tuple[int, int]) -> tuple[int, int]:
    """The same pipe with numbers that are neither 3 nor 4."""
    reads, writes = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in pipe)
    for end in pipe:
        os.close(end)
    return reads, writes
