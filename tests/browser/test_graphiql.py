"""GraphiQL in a real browser: it renders, introspects, asks with the token, and asks no other host for anything."""

import json
import re
from pathlib import Path
from typing import Any

from tests.browser.chromium import Page
from tests.running import Running

RUN = "document.querySelector('.graphiql-execute-button').click()"
SHOWN = "document.querySelector('.result-window .CodeMirror').CodeMirror"
ANSWER = "document.querySelector('.result-window .CodeMirror')?.CodeMirror.getValue()"
QUERY = "document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror"
HEADERS = "document.querySelector('[aria-label=Headers] .graphiql-editor:not(.hidden) .CodeMirror')"


async def ready(page: Page, address: str) -> None:
    """Opens the address and waits until GraphiQL has rendered and read the schema."""
    await page.open(address)
    await page.until("!!document.querySelector('.graphiql-query-editor .CodeMirror')?.CodeMirror.options.lint.schema")


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


async def asked(page: Page, operation: str) -> dict[str, str]:
    """The headers, by small letters, of the newest request that carried the operation."""
    newest = next(sent for sent in reversed(page.requests) if operation in sent.get("postData", ""))
    return {name.lower(): value for name, value in newest["headers"].items()}


async def test_the_page_renders_introspects_and_answers_every_worked_query_asking_no_other_host(
    page: Page, server: Running, tmp_path: Path
) -> None:
    await ready(page, f"{server.url}/#token={server.token}")

    catalogue = await run(page)
    await page.evaluate("document.querySelector('[aria-label=\"Show Documentation Explorer\"]').click()")
    await page.until("document.querySelector('.graphiql-doc-explorer-content')?.innerText.includes('Query')")
    await page.screenshot(tmp_path / "catalogue.png")
    await page.evaluate("document.querySelector('[aria-label=\"Hide Documentation Explorer\"]').click()")
    await open_tab(page, "Twins")
    twins = await run(page)
    await page.screenshot(tmp_path / "twins.png")
    await open_tab(page, "Servers")
    servers = await run(page)
    await open_tab(page, "DatasetsPage")
    datasets = await run(page)
    await open_tab(page, "CreateOrganisation")
    created = [await run(page) for _ in range(2)]
    await page.screenshot(tmp_path / "created.png")

    assert [list(answer) for answer in (catalogue, twins, servers, datasets, *created)] == [["data"]] * 6
    assert commits(catalogue["data"])
    assert files(twins["data"])
    assert each(each([servers["data"]], "instances"), "jobs")
    assert 1 <= len(datasets["data"]["datasets"]["nodes"]) == datasets["data"]["datasets"]["totalCount"]
    assert created[0] == created[1]
    assert created[0]["data"]["createOrganisation"]["userErrors"] == []
    assert await page.evaluate("document.title") == "provenance-graph"
    assert page.complaints == []
    hosts = {re.sub(r"^\w+://([^/]*).*", r"\1", sent["url"]) for sent in page.requests if "data:" not in sent["url"]}
    assert hosts == {server.url.removeprefix("http://")}


def commits(data: Any) -> list[str]:
    """The commits at the end of the chain that the first tab asks for."""
    datasets = each(each(each([data], "organisations"), "resources"), "datasets")
    versions = each(datasets, "versions")
    return [code["commit"] for one in versions for code in one["distribution"]["transform"]["code"]]


def files(data: Any) -> list[str]:
    """The file names at the end of the chain that the second tab asks for."""
    executions = each(each(each([data], "users"), "digitalTwins"), "executions")
    return [output["fileName"] for output in each(each(executions, "steps"), "outputs")]


def each(parents: list[Any], connection: str) -> list[Any]:
    """All nodes of a connection of all the parents."""
    return [node for parent in parents for node in parent[connection]["nodes"]]


async def test_a_first_visit_opens_the_worked_queries_and_a_later_one_the_tabs_that_were_left(
    page: Page, server: Running
) -> None:
    tabs = "[...document.querySelectorAll('.graphiql-tab-button')].map(tab => tab.innerText)"
    await ready(page, server.url + "/graphql")
    first = await page.evaluate(tabs)

    await page.evaluate(f"{QUERY}.setValue('query Mine {{ __typename }}')")
    await page.until(f"{tabs}.includes('Mine') && localStorage['graphiql:tabState']?.includes('Mine')")
    await ready(page, server.url + "/graphql?again")

    assert first == ["Catalogue", "Twins", "Servers", "DatasetsPage", "CreateOrganisation"]
    assert await page.evaluate(tabs) == ["Mine", *first[1:]]
    assert page.complaints == []


async def test_a_token_in_the_address_goes_with_requests_and_out_of_the_address(page: Page, server: Running) -> None:
    await ready(page, f"{server.url}/#token={server.token}")

    await page.evaluate(RUN)
    await page.until(ANSWER)

    assert await page.evaluate("location.href") == f"{server.url}/"
    assert await page.evaluate("document.querySelector('.graph-token').innerText") == "Token in use"
    assert (await asked(page, "Catalogue"))["authorization"] == f"Bearer {server.token}"
    assert not any(server.token in sent["url"] for sent in page.requests if "#" not in sent["url"])
    assert server.token not in await page.evaluate("JSON.stringify(localStorage)")


async def test_the_headers_editor_takes_the_place_of_the_token(page: Page, server: Running) -> None:
    await ready(page, f"{server.url}/#token={server.token}")
    await page.evaluate("[...document.querySelectorAll('button')].find(b => b.innerText === 'Headers').click()")
    await page.until(f"!!{HEADERS}")
    await page.evaluate(f"{HEADERS}.CodeMirror.focus()")
    await page.command("Input.insertText", text='{"Authorization": "Bearer other"}')

    await page.evaluate(RUN)
    await page.until(ANSWER)

    assert (await asked(page, "Catalogue"))["authorization"] == "Bearer other"


async def test_without_a_token_requests_are_anonymous_until_one_is_pasted_and_again_once_it_is_forgotten(
    page: Page, server: Running
) -> None:
    press = "[...document.querySelectorAll('.graph-token button')].find(b => b.innerText === '%s').click()"
    state = "document.querySelector('.graph-token > button').innerText"
    await ready(page, server.url)
    await page.evaluate(RUN)
    await page.until(ANSWER)
    anonymous = await asked(page, "Catalogue")

    await page.evaluate(press % "No token")
    await page.until("document.activeElement?.type === 'password'")
    await page.command("Input.insertText", text=server.token)
    await page.evaluate(press % "Use this token")
    await page.until(f"{state} === 'Token in use'")
    kept = await page.evaluate("({...sessionStorage})")
    await page.evaluate(press % "Token in use")
    await page.until("!!document.querySelector('.graph-token form')")
    await page.evaluate(press % "Forget it")
    await page.until(f"{state} === 'No token'")

    assert "authorization" not in anonymous
    assert kept == {"provenance-graph:token": server.token}
    assert await page.evaluate("({...sessionStorage})") == {}
    assert page.complaints == []


async def test_a_subscription_reaches_the_same_host_with_the_token(page: Page, altered: Running) -> None:
    await ready(page, f"{altered.url}/#token={altered.token}")
    await page.evaluate(f"{QUERY}.setValue('subscription Told {{ role }}')")
    await page.until("document.querySelector('.graphiql-tab-button').innerText === 'Told'")

    await page.evaluate(RUN)
    answer = json.loads(await page.until(ANSWER))

    assert answer == {"data": {"role": "ADMIN"}}
    assert [sent["url"] for sent in page.requests if sent["url"].startswith("ws")] == [
        altered.url.replace("http", "ws") + "/graphql"
    ]
    assert page.complaints == []


async def test_menus_and_dialogs_break_no_rule_of_the_policy(page: Page, server: Running) -> None:
    await ready(page, server.url)

    for label in ("Show GraphiQL Explorer", "Show History", "Open short keys dialog"):
        await page.evaluate(f"document.querySelector('[aria-label=\"{label}\"]').click()")
        await page.evaluate("new Promise(done => setTimeout(done, 300))")

    assert await page.evaluate("document.querySelector('[role=dialog]').innerText.includes('Short Keys')")
    assert page.complaints == []


async def test_an_answer_that_is_not_json_is_told_in_words(page: Page, server: Running) -> None:
    await ready(page, server.url)
    await page.evaluate(
        "void (window.fetch = async () => new Response('<h1>Bad gateway</h1>',"
        " {status: 502, statusText: 'Bad Gateway', headers: {'content-type': 'text/html'}}))"
    )

    await page.evaluate(RUN)
    answer = json.loads(await page.until(ANSWER))

    message = "The server answered 502 Bad Gateway with text/html where JSON was expected."
    assert answer == {"errors": [{"message": message, "extensions": {"body": "<h1>Bad gateway</h1>"}}]}


async def test_a_server_that_is_gone_is_told_in_words(page: Page, server: Running) -> None:
    await ready(page, server.url)
    await page.command(
        "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0
    )

    await page.evaluate(RUN)
    answer = json.loads(await page.until(ANSWER))

    assert re.fullmatch(
        r"The request did not reach 127\.0\.0\.1:\d+: .+\. Is the server still running\?",
        answer["errors"][0]["message"],
    )
