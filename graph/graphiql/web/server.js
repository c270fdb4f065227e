"use strict";
// Requests to the server, and the state that the page shows: whether the server answers and accepts the token.
const server = (() => {
  const settings = JSON.parse(document.getElementById("settings").textContent);
  const ACCEPT = "application/graphql-response+json, application/json;q=0.9";
  const UNAVAILABLE = [429, 502, 503, 504];
  const REQUEST_TIMEOUT = 60_000;
  const FIRST_PAUSE = 1_000;
  const MAX_PAUSE = 30_000;
  const NEWS_SHOWN_FOR = 10_000;

  const listeners = new Set();
  let state = { available: true, token: token.get() ? "checking" : "none", role: "", messages: {} };
  let retryAfter = 0;
  let waiting = false;

  function update(change) {
    state = { ...state, ...change };
    for (const listener of listeners) listener();
  }

  // Shows the text until the topic has another; an empty one removes it.
  function say(topic, text) {
    if ((state.messages[topic] ?? "") !== text) update({ messages: { ...state.messages, [topic]: text } });
  }

  function acceptToken() {
    if (state.token !== "accepted") update({ token: "accepted" });
    say("token", "");
  }

  function refuseToken(reason) {
    update({ token: "refused", role: "" });
    say("token", `Token refused. ${reason} Paste another token, or forget this one to go on anonymously.`);
  }

  function leaveUnchecked() {
    if (state.token === "checking") update({ token: "unknown" });
  }

  function markAvailable() {
    if (state.available) return;
    update({ available: true });
    say("server", "The server answers again.");
    setTimeout(() => state.available && say("server", ""), NEWS_SHOWN_FOR);
  }

  function markUnavailable(reason, seconds) {
    retryAfter = seconds * 1_000;
    update({ available: false });
    say("server", `${reason} This page keeps checking until it answers again.`);
    void checkUntilAvailable();
  }

  async function checkUntilAvailable() {
    if (waiting) return;
    waiting = true;
    for (let pause = FIRST_PAUSE; !state.available; pause = Math.min(2 * pause, MAX_PAUSE)) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(Math.max(pause, retryAfter), MAX_PAUSE)));
      await check();
    }
    waiting = false;
  }

  // GraphiQL shows each answer as JSON, so an answer in another format is shown as a GraphQL error.
  function problem(message, body) {
    const error = { message, ...(body && { extensions: { body } }) };
    return new Response(JSON.stringify({ errors: [error] }));
  }

  const statusOf = ({ status, statusText }) => `${status} ${statusText}`.trim();

  async function messageOf(response) {
    try {
      return (await response.clone().json()).errors[0].message;
    } catch {
      return "";
    }
  }

  // The state follows from each answer. A request with an Authorization header of its own says nothing of the token.
  async function note(response, sent) {
    const isOfToken = sent !== "" && sent === token.get();
    if (UNAVAILABLE.includes(response.status)) {
      const reason = (await messageOf(response)) || `the answer is ${statusOf(response)}.`;
      markUnavailable(`The server cannot answer now: ${reason}`, Number(response.headers.get("retry-after")) || 0);
    } else markAvailable();
    if (!isOfToken) return;
    if (response.status === 401) refuseToken((await messageOf(response)) || "The answer is 401.");
    else if (response.ok) acceptToken();
    else leaveUnchecked();
  }

  async function ask(address, options) {
    const headers = new Headers(options.headers);
    if (!headers.has("accept")) headers.set("accept", ACCEPT);
    const sent = headers.has("authorization") ? "" : token.get();
    if (sent && !token.isSendable(sent)) {
      refuseToken("It contains a space, or a character that no token has.");
      return problem("The request was not sent: the token contains a space, or a character that no token has.");
    }
    if (sent) headers.set("authorization", `Bearer ${sent}`);
    let response;
    try {
      response = await fetch(address, { ...options, headers, signal: AbortSignal.timeout(REQUEST_TIMEOUT) });
    } catch (error) {
      const late = error.name === "TimeoutError";
      markUnavailable(late ? "The server takes too long to answer." : "The server cannot be reached.", 0);
      leaveUnchecked();
      if (late) return problem(`${location.host} did not answer within ${REQUEST_TIMEOUT / 1_000} s.`);
      return problem(`The request did not reach ${location.host}: ${error.message}. Is the server still running?`);
    }
    await note(response, sent);
    const mediaType = response.headers.get("content-type") ?? "";
    if (/[/+]json\b/.test(mediaType)) return response;
    const body = (await response.text()).slice(0, 1000);
    const what = `${statusOf(response)} with ${mediaType || "no content type"}`;
    return problem(`The server answered ${what} where JSON was expected.`, body);
  }

  // Asks for the role of the token, which shows whether the server answers and accepts it.
  async function check() {
    const asked = token.get();
    const headers = { "content-type": "application/json" };
    const response = await ask(settings.endpoint, {
      method: "POST",
      headers,
      body: JSON.stringify({ query: "query Role { viewer { role } }" }),
    });
    const answer = await response.json();
    if (asked && asked === token.get() && answer.data) update({ role: answer.data.viewer.role });
    return state;
  }

  function checkToken() {
    update({ token: token.get() ? "checking" : "none", role: "" });
    say("token", "");
    if (token.get()) void check();
  }

  token.watch(checkToken);
  checkToken();
  // A token may have expired, and a server may have been stopped, while the page was out of sight.
  document.addEventListener("visibilitychange", () => document.hidden || (token.get() && void check()));

  return {
    settings,
    ask,
    check,
    say,
    refuseToken,
    state: () => state,
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
})();
