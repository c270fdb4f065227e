"""GraphiQL in a real browser: it renders, introspects, asks with the token, and asks no other host for anything."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import Page
from tests.browser.graphiql import (
    ANSWER,
    EXAMPLES,
    PILL,
    QUERY,
    RUN,
    SHOWN,
    STATUS,
    TABS,
    VARIABLES,
    open_tab,
    paste_token,
    press,
    ready,
    request_headers,
    run,
    set_headers,
    write,
)
from tests.support.running import Running


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
    await open_tab(page, "Galaxy")
    galaxy = await run(page)
    await open_tab(page, "DatasetsPage")
    first = await run(page)
    cursor = first["data"]["datasets"]["pageInfo"]["endCursor"]
    await page.evaluate(f"{VARIABLES}.setValue({VARIABLES}.getValue().replace('null', '\"{cursor}\"'))")
    second = await run(page)
    await open_tab(page, "CreateOrganisation")
    created = [await run(page) for _ in range(2)]
    await page.screenshot(tmp_path / "created.png")

    assert [list(answer) for answer in (catalogue, twins, galaxy, first, second, *created)] == [["data"]] * 7
    assert commits(catalogue["data"])
    assert files(twins["data"])
    assert each(each([galaxy["data"]], "instances"), "jobs")
    assert [dataset["title"] for dataset in each([first["data"], second["data"]], "datasets")] == [
        "Households by size",
        "Population by area",
    ]
    assert [answer["data"]["datasets"]["totalCount"] for answer in (first, second)] == [2, 2]
    assert [answer["data"]["datasets"]["pageInfo"]["hasNextPage"] for answer in (first, second)] == [True, False]
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
    await ready(page, server.url + "/graphql")
    first = await page.evaluate(TABS)

    await page.evaluate(f"{QUERY}.setValue('query Mine {{ __typename }}')")
    await page.until(f"{TABS}.includes('Mine') && localStorage['graphiql:tabState']?.includes('Mine')")
    await ready(page, server.url + "/graphql?again")

    assert first == EXAMPLES
    assert await page.evaluate(TABS) == ["Mine", *first[1:]]
    assert page.complaints == []


async def test_a_token_in_the_address_goes_with_requests_and_out_of_the_address(page: Page, server: Running) -> None:
    await ready(page, f"{server.url}/#token={server.token}")

    await page.evaluate(RUN)
    await page.until(ANSWER)

    assert await page.evaluate("location.href") == f"{server.url}/"
    assert await page.until(f"{PILL} === 'Token in use'")
    assert (await request_headers(page, "Catalogue"))["authorization"] == f"Bearer {server.token}"
    assert not any(server.token in sent["url"] for sent in page.requests if "#" not in sent["url"])
    assert server.token not in await page.evaluate("JSON.stringify(localStorage)")


async def test_the_headers_editor_takes_the_place_of_the_token(page: Page, server: Running) -> None:
    await ready(page, f"{server.url}/#token={server.token}")
    await set_headers(page, {"Authorization": "Bearer other"})

    await page.evaluate(RUN)
    await page.until(ANSWER)

    assert (await request_headers(page, "Catalogue"))["authorization"] == "Bearer other"


async def test_without_a_token_requests_are_anonymous_until_one_is_pasted_and_again_once_it_is_forgotten(
    page: Page, server: Running
) -> None:
    await ready(page, server.url)
    await page.evaluate(RUN)
    await page.until(ANSWER)
    anonymous = await request_headers(page, "Catalogue")

    assert await page.evaluate(PILL) == "No token"
    await paste_token(page, server.token)
    await page.until(f"{PILL} === 'Token in use'")
    kept = await page.evaluate("({...sessionStorage})")
    await press(page, "Token in use")
    await page.until("document.querySelector('.graph-token form')?.innerText.includes('of an administrator')")
    await press(page, "Forget it")
    await page.until(f"{PILL} === 'No token'")

    assert "authorization" not in anonymous
    assert kept == {"provenance-graph:token": server.token}
    assert await page.evaluate("({...sessionStorage})") == {}
    assert page.complaints == []


async def test_a_subscription_that_runs_as_soon_as_it_is_pasted_is_followed(page: Page, faulty_server: Running) -> None:
    await ready(page, f"{faulty_server.url}/#token={faulty_server.token}")
    await write(page, "query Told { __typename }", "Told")

    await page.evaluate(f"{SHOWN}.setValue('')")
    await page.evaluate(f"{QUERY}.setValue('subscription Told {{ role }}'); {RUN}")

    assert json.loads(await page.until(ANSWER)) == {"data": {"role": "ADMIN"}}


async def test_subscriptions_are_recognised_by_the_text(page: Page, faulty_server: Running) -> None:
    both = "query A { a(b: {c: 1}) } subscription B { role }"
    subscribing = [
        ("subscription { role }", None),
        ("subscription Told($a: [Int!] = [1]) @live(b: {c: 1}) { role(a: $a) { id } }", "Told"),
        (both, "B"),
    ]
    asking = [
        (both, "A"),
        ("query subscription { subscription }", "subscription"),
        ("{ a } # subscription B { role }", None),
        ('{ a(b: "} subscription B { role }") }', None),
        ('{ a(b: """} subscription "B" \\""" { role """) }', None),
        ("{ ...subscription } fragment subscription on Query { a }", None),
    ]
    requests = json.dumps([{"query": query, "operationName": name} for query, name in (*subscribing, *asking)])
    await ready(page, f"{faulty_server.url}/")

    found = await page.evaluate(f"{requests}.map(subscriptions.isSubscription)")

    assert found == [True] * len(subscribing) + [False] * len(asking)


async def test_a_subscription_reaches_the_same_host_with_the_token(page: Page, faulty_server: Running) -> None:
    await ready(page, f"{faulty_server.url}/#token={faulty_server.token}")
    await write(page, "subscription Told { role }", "Told")

    await page.evaluate(RUN)
    answer = json.loads(await page.until(ANSWER))

    assert answer == {"data": {"role": "ADMIN"}}
    assert [sent["url"] for sent in page.requests if sent["url"].startswith("ws")] == [
        faulty_server.url.replace("http", "ws") + "/graphql"
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


async def test_the_examples_are_restored_before_the_tabs_of_the_user(page: Page, server: Running) -> None:
    texts = "[...document.querySelectorAll('.graphiql-tab-button')].length"
    await ready(page, server.url)
    original = await page.evaluate(f"{QUERY}.getValue()")
    await write(page, "query Mine { __typename }", "Mine")
    await page.evaluate("document.querySelectorAll('.graphiql-tab-close')[1].click()")
    await page.until(f"{texts} === {len(EXAMPLES) - 1}")
    before = await page.evaluate(TABS)

    await press(page, "Restore the examples")
    await page.until(f"{texts} === {len(EXAMPLES) + 1}")
    restored = await page.evaluate(TABS)
    await page.until(f"{QUERY}?.getValue() === {json.dumps(original)}")
    said = await page.evaluate(STATUS)
    await open_tab(page, "Mine")
    mine = await page.evaluate(f"{QUERY}.getValue()")
    await page.until("localStorage['graphiql:tabState']?.includes('Twins')")
    await ready(page, f"{server.url}/?again")

    assert before == ["Mine", *EXAMPLES[2:]]
    assert restored == [*EXAMPLES, "Mine"]
    assert mine == "query Mine { __typename }"
    assert "The examples are restored." in said
    assert await page.evaluate(TABS) == restored
    assert page.complaints == []


async def test_tab_leaves_an_editor_after_escape_and_the_page_says_so(page: Page, server: Running) -> None:
    editor = "document.activeElement.closest('.CodeMirror')?.parentElement.className ?? ''"
    await ready(page, server.url)
    await write(page, "query Mine { __typename }", "Mine")
    await page.evaluate(f"{QUERY}.focus()")

    await page.press("Tab")
    indented = await page.evaluate(f"{QUERY}.getValue()"), await page.evaluate(editor)
    await page.press("Escape")
    await page.press("Tab")
    forward = await page.evaluate("document.activeElement.ariaLabel")
    await page.press("Tab", shift=True)
    back = await page.evaluate(editor)
    await page.press("Escape")
    await page.press("Tab", shift=True)
    left = await page.evaluate(editor)
    hint = await page.evaluate(
        "document.getElementById(document.querySelector('textarea').ariaDescribedByElements[0].id).innerText"
    )

    await page.evaluate(f"{SHOWN}.focus()")
    await page.press("Tab")
    left_answer = await page.evaluate(editor)

    assert indented[0] != "query Mine { __typename }"
    assert "graphiql-editor" in indented[1]
    assert forward == "Execute query (Ctrl-Enter)"
    assert "graphiql-editor" in back
    assert left == left_answer == ""
    assert await page.evaluate(f"{QUERY}.getValue()") == indented[0]
    assert hint == "Escape, then Tab leaves an editor."


async def test_escape_closes_a_list_of_completions_before_it_leads_out(page: Page, server: Running) -> None:
    await ready(page, server.url)
    await write(page, "query Mine { __typ }", "Mine")
    await page.evaluate(f"{QUERY}.focus(), {QUERY}.setCursor(0, 18), {QUERY}.execCommand('autocomplete')")
    await page.until("!!document.querySelector('.CodeMirror-hints')")

    await page.press("Escape")
    await page.until("!document.querySelector('.CodeMirror-hints')")
    await page.press("Tab")

    assert await page.evaluate(f"{QUERY}.hasFocus()")


async def test_a_token_is_given_by_the_keyboard_alone(page: Page, server: Running) -> None:
    focused = "document.activeElement.innerText"
    await ready(page, server.url)

    for _ in range(30):
        await page.press("Tab")
        if await page.evaluate(focused) == "No token":
            break
    await page.press("Enter")
    await page.until("document.activeElement.type === 'password'")
    await page.press("Escape")
    closed = await page.evaluate(focused)
    await page.press("Enter")
    await page.until("document.activeElement.type === 'password'")
    await page.type(server.token)
    await page.press("Enter")
    await page.until(f"{PILL} === 'Token in use'")

    assert closed == "No token"
    assert await page.evaluate(focused) == "Token in use"
    assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


async def test_a_screen_reader_has_a_name_for_each_control_and_is_told_what_changes(
    page: Page, server: Running
) -> None:
    await ready(page, server.url)
    await press(page, "No token")
    await page.until("document.activeElement?.type === 'password'")

    controls = await page.controls()
    region = "document.querySelector('[role=status]')"

    assert [control for control in controls if not control[1]] == []
    assert {
        ("button", "No token"),
        ("button", "Restore the examples"),
        ("button", "Execute query (Ctrl-Enter)"),
        ("button", "Show Documentation Explorer"),
        ("textbox", "Query"),
        ("textbox", "Variables"),
        ("textbox", "Answer"),
        ("textbox", "Token"),
        ("tab", "Galaxy"),
    } <= set(controls)
    assert await page.evaluate(f"{region}.checkVisibility()")
    assert await page.evaluate(f"{region}.parentElement.tagName") == "FOOTER"


@pytest.mark.parametrize(("width", "height"), [(390, 844), (768, 1024), (1440, 900)])
async def test_the_page_can_be_used_on_a_screen_of_that_width(
    page: Page, server: Running, tmp_path: Path, width: int, height: int
) -> None:
    parts = [
        ".graph-token > button",
        ".graphiql-execute-button",
        ".graphiql-query-editor .CodeMirror",
        ".result-window .CodeMirror",
        ".graph-bar button",
        "[aria-label='Open settings dialog']",
    ]
    background = "getComputedStyle(document.querySelector('.graph-bar')).backgroundColor"
    await page.show_on(width, height)
    await ready(page, f"{server.url}/#token={server.token}")

    answer = await run(page)
    await page.screenshot(tmp_path / "answer.png")
    boxes = [await box(page, part) for part in parts]
    await press(page, "Token in use")
    await page.until("document.activeElement?.type === 'password'")
    form = await box(page, ".graph-token form")
    await page.screenshot(tmp_path / "token.png")
    await page.press("Escape")
    await page.evaluate("document.querySelector('[aria-label=\"Show Documentation Explorer\"]').click()")
    await page.until("document.querySelector('.graphiql-doc-explorer-content')?.innerText.includes('Query')")
    docs = await box(page, ".graphiql-plugin")
    await page.screenshot(tmp_path / "docs.png")
    light = await page.evaluate(background)
    await page.show_on(width, height, "dark")
    dark = await page.evaluate(background)
    await page.screenshot(tmp_path / "dark.png")

    assert list(answer) == ["data"]
    for left, top, right, bottom in [*boxes, form, docs]:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
    for left, top, right, bottom in (boxes[2], boxes[3]):
        assert right - left >= 230
        assert bottom - top >= 150
    assert docs[2] - docs[0] >= 200
    assert await page.evaluate("document.scrollingElement.scrollWidth") == width
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(33, 42, 59)")
    assert page.complaints == []


async def test_on_a_small_phone_nothing_lies_on_anything_else(page: Page, server: Running, tmp_path: Path) -> None:
    await page.show_on(390, 667)
    await ready(page, server.url)
    await open_tab(page, "DatasetsPage")
    collapsed = await page.evaluate("document.querySelector('.graphiql-toggle-editor-tools').ariaLabel")

    await press(page, "Variables")
    await page.until("document.querySelector('.graphiql-toggle-editor-tools').ariaLabel === 'Hide editor tools'")
    await run(page)
    await page.screenshot(tmp_path / "variables.png")
    parts = [".graphiql-query-editor", ".graphiql-editor-tools", ".graphiql-editor-tool", ".graphiql-response"]
    boxes = [await box(page, part) for part in parts]
    await page.evaluate("document.querySelector('.graphiql-response').scrollIntoView()")
    answer = await box(page, ".graphiql-response")
    await page.evaluate("document.querySelector('[aria-label=\"Open settings dialog\"]').click()")
    await page.until("!!document.querySelector('[data-theme=dark]')")
    dialog, button = await box(page, ".graphiql-dialog"), await box(page, "[data-theme=dark]")

    assert collapsed == "Show editor tools"
    assert all(upper[3] <= lower[1] for upper, lower in pairwise(boxes))
    assert all(bottom - top >= 50 for _, top, _, bottom in boxes)
    assert answer[3] <= 667
    assert dialog[0] <= button[0] < button[2] <= dialog[2] <= 390


async def box(page: Page, part: str) -> list[float]:
    """The left, top, right and bottom edge of the first element that the selector finds, in pixels."""
    shown = f"document.querySelector({json.dumps(part)}).getBoundingClientRect()"
    edges = await page.evaluate(f"(({{left, top, right, bottom}}) => [left, top, right, bottom])({shown})")
    return [float(edge) for edge in edges]


async def test_without_javascript_the_page_says_that_it_needs_it(page: Page, server: Running) -> None:
    await page.show_on(390, 844)
    await page.command("Emulation.setScriptExecutionDisabled", value=True)

    await page.open(server.url)
    await page.until("document.readyState === 'complete'")
    left, top, right, bottom = await box(page, "noscript p")

    shown = await page.evaluate("document.querySelector('noscript p').innerText")
    assert shown == (
        "GraphiQL needs JavaScript: switch it on for this page. Programs send GraphQL to /graphql with POST."
    )
    assert 0 <= left < right <= 390
    assert 0 <= top < bottom <= 844
    assert "Loading" not in await page.evaluate("document.body.innerText")


async def test_a_script_that_cannot_be_loaded_is_told_in_words(page: Page, server: Running) -> None:
    await page.command("Network.setBlockedURLs", urls=["*graphiql-3.8.3.js"])

    await page.open(server.url)

    await page.until("document.body?.innerText.includes('GraphiQL could not be loaded. Reload the page')")


async def test_a_browser_that_blocks_site_data_can_use_the_page(page: Page, server: Running) -> None:
    refuse = "{get() { throw new DOMException('denied', 'SecurityError') }}"
    await page.before_scripts(
        f"for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window, name, {refuse})"
    )
    await ready(page, f"{server.url}/#token={server.token}")

    answer = await run(page)
    await page.until(f"{PILL} === 'Token in use'")
    await press(page, "Restore the examples")
    await page.until(f"({STATUS}).includes('The examples are restored.')")

    assert commits(answer["data"])
    assert await page.evaluate(TABS) == EXAMPLES
    assert page.complaints == []
