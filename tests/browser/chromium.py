"""A real, headless Chromium, driven over the DevTools protocol."""

import asyncio
import base64
import contextlib
import json
import os
import re
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect

from tests.support.patience import BOUND, until_awaited, within

OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    # Whatever asks another host fails at once instead of reaching it.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
    "--window-size=1400,900",
    "--hide-scrollbars",
]
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27}
"""Windows' codes of the keys that tests press."""
SHIFT = 8


@contextlib.asynccontextmanager
async def chromium(program: str) -> AsyncIterator[str]:
    """A browser without a past, as the address of its DevTools; ended, with all its processes, at the end."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            program,
            *OPTIONS,
            f"--user-data-dir={profile}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stderr is not None
        said = process.stderr
        try:
            async with asyncio.timeout(within()):
                address = await _devtools(said)
            # Chromium's later output is read too, because a full pipe would stop it.
            listening = asyncio.create_task(said.read())
            yield address
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        await listening


async def _devtools(said: asyncio.StreamReader) -> str:
    lines = []
    async for line in said:
        lines.append(line.decode(errors="replace"))
        if found := re.match(r"DevTools listening on (ws://\S+)", lines[-1]):
            return found[1]
    raise AssertionError(f"Chromium did not start:\n{''.join(lines)}")


class Page:
    """A tab of the browser that remembers every request it made and every complaint it had."""

    def __init__(self, devtools: str) -> None:
        self.requests: list[dict[str, Any]] = []
        """Each with `url`, `method` and `headers`; WebSockets with `url` alone."""
        self.complaints: list[str] = []
        """Errors and warnings of the console, uncaught exceptions, refusals by the Content-Security-Policy."""
        self._devtools = devtools
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._session: str | None = None

    async def __aenter__(self) -> Self:
        self._connection: ClientConnection = await connect(self._devtools, max_size=None)
        self._reader = asyncio.create_task(self._read())
        # A context of its own, so that no storage is left from another page.
        context = await self.command("Target.createBrowserContext", disposeOnDetach=True)
        target = await self.command("Target.createTarget", url="about:blank", **context)
        self._session = (await self.command("Target.attachToTarget", **target, flatten=True))["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "Audits"):
            await self.command(f"{domain}.enable")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def open(self, address: str) -> None:
        """Goes to the address, as if typed."""
        await self.command("Page.navigate", url=address)

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited when it is a promise."""
        answer = await self.command(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression} raised {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def until(self, expression: str, seconds: float = BOUND) -> Any:
        """The value of the expression as soon as it is true."""
        try:
            return await until_awaited(lambda: self.evaluate(expression), seconds)
        except AssertionError as error:
            shown = await self.evaluate("document.body.innerText")
            raise AssertionError(f"{expression}: {error} The page shows:\n{shown}") from error

    async def press(self, key: str, *, shift: bool = False) -> None:
        """Presses a key of KEYS and lets it go, as a keyboard does."""
        text = {"text": "\r"} if key == "Enter" else {}
        about = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key], "modifiers": SHIFT * shift}
        await self.command("Input.dispatchKeyEvent", type="keyDown", **about, **text)
        await self.command("Input.dispatchKeyEvent", type="keyUp", **about)

    async def type(self, text: str) -> None:
        """Writes the text where the focus is."""
        await self.command("Input.insertText", text=text)

    async def show_on(self, width: int, height: int, scheme: str = "light") -> None:
        """Shows the page on a screen of that many pixels, to somebody who prefers light or dark."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 640}
        await self.command("Emulation.setDeviceMetricsOverride", **size)
        await self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def before_scripts(self, script: str) -> None:
        """Runs the script in each page that is opened from now on, before the scripts of the page."""
        await self.command("Page.addScriptToEvaluateOnNewDocument", source=script)

    async def controls(self) -> list[tuple[str, str]]:
        """Role and name of all that a screen reader says can be used, in the order of the page."""
        nodes = (await self.command("Accessibility.getFullAXTree"))["nodes"]
        shown = [node for node in nodes if not node["ignored"]]
        pairs = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in shown]
        return [pair for pair in pairs if pair[0] in {"button", "textbox", "tab", "link", "checkbox", "combobox"}]

    async def screenshot(self, file: Path) -> None:
        """Writes what the page looks like as a PNG file."""
        answer = await self.command("Page.captureScreenshot", format="png")
        await asyncio.to_thread(file.write_bytes, base64.b64decode(answer["data"]))

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer of the browser to a DevTools command."""
        number = len(self._answers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters}
        await self._connection.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        async with asyncio.timeout(within()):
            answer = await self._answers[number]
        if "error" in answer:
            raise AssertionError(f"{method} was refused: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def _read(self) -> None:
        async for text in self._connection:
            message = json.loads(text)
            if "id" in message:
                self._answers[message["id"]].set_result(message)
            else:
                self._remember(message["method"], message["params"])

    def _remember(self, event: str, about: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(about["request"])
        elif event == "Network.webSocketCreated":
            self.requests.append({"url": about["url"]})
        elif event == "Network.loadingFailed" and not about.get("canceled"):
            self.complaints.append(f"A request failed: {about['errorText']}")
        elif event == "Network.responseReceived" and about["response"]["status"] >= 400:
            self.complaints.append(f"{about['response']['url']} answered {about['response']['status']}")
        elif event == "Runtime.consoleAPICalled" and about["type"] in {"error", "warning", "assert"}:
            self.complaints.append(f"console.{about['type']}: {about['args']}")
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(f"Uncaught: {about['exceptionDetails']}")
        elif event == "Log.entryAdded" and about["entry"]["level"] in {"error", "warning"}:
            self.complaints.append(f"{about['entry']['source']}: {about['entry']['text']}")
        elif event == "Audits.issueAdded" and about["issue"]["code"] == "ContentSecurityPolicyIssue":
            self.complaints.append(f"Refused by the policy: {about['issue']['details']}")
