"""The page in a real browser: it fits, it is silent, it loads nothing, and no text runs as code."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tinysql.report.page import build_report

NAMES = ("chromium", "chromium-browser", "google-chrome")
BINARY = next((path for name in NAMES if (path := shutil.which(name))), None)

pytestmark = pytest.mark.skipif(BINARY is None, reason=f"no browser: none of {', '.join(NAMES)}")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)
PATIENCE_SECONDS = 30.0


class Browser:
    """A headless browser with one tab, spoken to in DevTools messages over a pair of pipes."""

    def __init__(self, binary: str, profile: Path) -> None:
        commands, self._commands = os.pipe()
        self._events, events = os.pipe()
        # The browser expects its pipes as file descriptors 3 and 4.
        start = f'exec "$@" 3<&{commands} 4>&{events}'
        self._process = subprocess.Popen(
            ["bash", "-c", start, "browser", binary, *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(commands, events),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(events)
        os.set_blocking(self._events, False)
        self._buffer, self._sent = b"", 0
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session: str | None = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    _session = None

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """The result of one DevTools command; events that arrive meanwhile are kept."""
        self._sent += 1
        message: dict[str, Any] = {"id": self._sent, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._sent:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while b"\0" not in self._buffer:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the browser was silent for {PATIENCE_SECONDS:.0f} s")
            try:
                self._buffer += os.read(self._events, 1 << 20)
            except BlockingIOError:
                time.sleep(0.01)
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def open(self, page: Path, width: int, *, dark: bool = False) -> None:
        """Load a local page in a window of that width."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page, awaited if it is a promise."""
        result = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        return result["result"].get("value")

    def complaints(self) -> list[str]:
        """Console messages, uncaught exceptions and browser log entries since the page opened."""
        loud = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}
        return [json.dumps(event["params"]) for event in self.events if event["method"] in loud]

    def requests(self) -> list[str]:
        """Addresses asked for since the page opened."""
        asked = (event for event in self.events if event["method"] == "Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in asked]

    def close(self) -> None:
        self.call("Browser.close")
        self._process.wait(timeout=PATIENCE_SECONDS)
        os.close(self._commands)
        os.close(self._events)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert BINARY is not None
    opened = Browser(BINARY, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def page(artifacts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out_dir = tmp_path_factory.mktemp("page")
    build_report(out_dir, **artifacts)
    return out_dir / "report.html"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_page_fits_its_window_without_complaint(
    browser: Browser, page: Path, width: int, dark: bool
) -> None:
    browser.open(page, width, dark=dark)
    root = "document.documentElement"
    assert browser.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
    assert browser.complaints() == []


def test_page_asks_for_nothing_but_itself(browser: Browser, page: Path) -> None:
    browser.open(page, 1280)
    assert {url for url in browser.requests() if not url.startswith("data:")} == {page.as_uri()}


def test_hostile_prediction_is_text_only(browser: Browser, page: Path) -> None:
    browser.open(page, 1280)
    assert browser.evaluate("document.title") == "quickstart: 94.2% execution accuracy"
    assert browser.evaluate("document.querySelectorAll('main script, img').length") == 0
    assert "<script>" in browser.evaluate("document.querySelector('#errors').innerText")


def test_pointing_at_a_cell_shows_its_value(browser: Browser, page: Path) -> None:
    browser.open(page, 1280)
    place = browser.evaluate(
        """(async () => {
            const cell = document.querySelector("#patching .cells .above");
            cell.scrollIntoView({ block: "center", behavior: "instant" });
            // Scrolling hides the hover text, and its event comes with the next frame.
            for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
            const box = cell.getBoundingClientRect();
            return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
        })()"""
    )
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", **place)
    assert browser.evaluate("document.getElementById('tip').hidden") is False
    assert "effect" in browser.evaluate("document.getElementById('tip').textContent")
