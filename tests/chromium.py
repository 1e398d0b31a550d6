"""A headless Chromium that a test drives: it loads pages, clicks, types, and tells what went wrong (over its pipe)."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

EXECUTABLE = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""A browser that does nothing of its own."""
FLAGS = [
    "--headless=new",
    *QUIET,
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-pipe",
]
PATIENCE = 120.0
"""Seconds that anything may take on a busy machine."""
ARROWS = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Enter": 13, "Escape": 27}


class Browser:
    """One page of a browser. `faults` are its errors, warnings of the policy among them."""

    def __init__(self, requests: int, answers: int) -> None:
        self._requests, self._answers = os.fdopen(requests, "wb", buffering=0), os.fdopen(answers, "rb", buffering=0)
        self._number = 0
        self._rest = b""
        self.faults: list[str] = []
        self.session: str | None = None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the DevTools protocol, and its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        self._requests.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = self._answers.read(2**20)
            assert more, "the browser has ended"
            self._rest += more
        one, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(one)
        self._note(message)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        event = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.faults.append(json.dumps(event["exceptionDetails"])[:500])
        elif message.get("method") == "Log.entryAdded" and event["entry"]["level"] in ("error", "warning"):
            self.faults.append(f"{event['entry']['text']} {event['entry'].get('url', '')}")
        elif message.get("method") == "Runtime.consoleAPICalled" and event["type"] in ("error", "warning", "assert"):
            self.faults.append(json.dumps(event["args"])[:500])

    def show(self, address: str, *, width: int = 1200, height: int = 800, dark: bool = False) -> None:
        """Load a page in a window of this size."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = "dark" if dark else "light"
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.ask("Page.navigate", url=address)

    def value(self, script: str) -> Any:
        """What an expression is, awaited."""
        found = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, script: str) -> Any:
        """What an expression is once it is true."""
        return self._until(lambda: self.value(script), script)

    def _until(self, look: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + PATIENCE
        while not (found := look()):
            assert time.monotonic() < end, f"never true: {what}; {self.faults}"
            time.sleep(0.05)
        return found

    def click(self, selector: str) -> None:
        assert self.value(f"document.querySelector({selector!r}) !== null"), selector
        self.value(f"document.querySelector({selector!r}).click()")

    def fill(self, selector: str, text: str) -> None:
        """Type into a field, and submit its form."""
        field = f"document.querySelector({selector!r})"
        self.value(f"{field}.value = {json.dumps(text)}")
        self.value(f"{field}.form.requestSubmit()")

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Move, press or release the mouse, or turn its wheel."""
        names = {"move": "mouseMoved", "press": "mousePressed", "release": "mouseReleased", "wheel": "mouseWheel"}
        held = {"button": "left", "buttons": 1, "clickCount": 1} if kind != "wheel" else {}
        self.ask("Input.dispatchMouseEvent", type=names[kind], x=x, y=y, **{**held, **more})

    def drag(self, *places: tuple[float, float], **more: Any) -> None:
        self.mouse("press", *places[0], **more)
        for place in places[1:]:
            self.mouse("move", *place, **more)
        self.mouse("release", *places[-1], **more)

    def key(self, key: str, modifiers: int = 0) -> None:
        """Press a key; modifiers: 2 is Ctrl, 8 is Shift."""
        code = ARROWS.get(key, ord(key[0].upper()))
        text = {"text": key} if len(key) == 1 and not modifiers else {}
        self.ask(
            "Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, modifiers=modifiers, **text
        )
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code, modifiers=modifiers)

    def picture(self, path: Path) -> None:
        """Write what the window shows to a PNG file."""
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own."""
    assert EXECUTABLE is not None
    to_read, requests = os.pipe()
    answers, to_write = os.pipe()
    # Chromium reads file 3 and writes file 4.
    script = f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}'
    command = ["bash", "-c", script, EXECUTABLE, *FLAGS, f"--user-data-dir={profile}"]
    process = subprocess.Popen(command, pass_fds=(to_read, to_write), stderr=subprocess.DEVNULL)
    os.close(to_read)
    os.close(to_write)
    found = Browser(requests, answers)
    try:
        yield found
    finally:
        found.session = None
        process.terminate()
        process.wait(60)
