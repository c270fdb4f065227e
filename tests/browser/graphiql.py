"""GraphiQL as a user sees and uses it in a tab of the browser."""

import json
from typing import Any

from tests.browser.chromium import Page

RUN = "document.querySelector('.graphiql-execute-button').click()"
SHOWN = "document.querySelector('.result-window .CodeMirror').CodeMirror"
ANSWER = "document.querySelector('.result-window .CodeMirror')?.CodeMirror.getValue()"
QUERY = "document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror"
VARIABLES = "document.querySelector('[aria-label=Variables] .graphiql-editor:not(.hidden) .CodeMirror').CodeMirror"
HEADERS = "document.querySelector('[aria-label=Headers] .graphiql-editor:not(.hidden) .CodeMirror')"
TABS = "[...document.querySelectorAll('.graphiql-tab-button')].map(tab => tab.innerText)"
PILL = "document.querySelector('.graph-token > button').innerText"
STATUS = "document.querySelector('[role=status]').innerText"
SPINNER = "!!document.querySelector('.graphiql-spinner')"
EXAMPLES = ["Catalogue", "Twins", "Galaxy", "Why", "Recall", "Lineage", "DatasetsPage", "CreateOrganisation"]


async def ready(page: Page, address: str) -> None:
    """Opens the address and waits until GraphiQL has rendered and read the schema."""
    await page.open(address)
    await schema_is_read(page)


async def schema_is_read(page: Page) -> None:
    """Waits until GraphiQL has rendered and read the schema."""
    await page.until("!!document.querySelector('.graphiql-query-editor .CodeMirror')?.CodeMirror.options.lint.schema")


async def write(page: Page, query: str, name: str) -> None:
    """Puts the query, whose operation has that name, into the open tab."""
    await page.evaluate(f"{QUERY}.setValue({json.dumps(query)})")
    await page.until(f"{QUERY}.operationName === '{name}'")


async def run(page: Page) -> Any:
    """Presses the button, and gives the answer that is shown then."""
    await page.evaluate(f"{SHOWN}.setValue('')")
    await page.evaluate(RUN)
    return json.loads(await page.until(ANSWER))


async def open_tab(page: Page, name: str) -> None:
    """Turns to the tab of that name."""
    tab = f"[...document.querySelectorAll('.graphiql-tab-button')].find(tab => tab.innerText === '{name}')"
    await page.evaluate(f"{tab}.click()")
    # GraphiQL finds the operation's name a moment after the text has changed.
    await page.until(f"{QUERY}.getValue().includes(' {name}') && {QUERY}.operationName === '{name}'")


async def press(page: Page, name: str) -> None:
    """Clicks the button that shows the name."""
    await page.evaluate(f"[...document.querySelectorAll('button')].find(b => b.innerText === '{name}').click()")


async def paste_token(page: Page, token: str) -> None:
    """Gives the page another token, by the form below the state of the token."""
    await page.evaluate("document.querySelector('.graph-token > button').click()")
    await page.until("document.activeElement?.type === 'password'")
    await page.type(token)
    await press(page, "Use this token")


async def set_headers(page: Page, headers: dict[str, str]) -> None:
    """Writes the headers into their editor."""
    await press(page, "Headers")
    await page.until(f"!!{HEADERS}")
    await page.evaluate(f"{HEADERS}.CodeMirror.focus()")
    await page.type(json.dumps(headers))


async def request_headers(page: Page, operation: str) -> dict[str, str]:
    """The headers, with lower-case names, of the newest request with the operation."""
    newest = next(sent for sent in reversed(page.requests) if operation in sent.get("postData", ""))
    return {name.lower(): value for name, value in newest["headers"].items()}
