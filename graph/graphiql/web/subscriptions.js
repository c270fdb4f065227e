"use strict";
// Subscriptions over a WebSocket, by graphql-transport-ws, each with a socket of its own.
// GraphiQL's own client shows nothing while it tries again, and never says why a socket was closed.
// Protocol: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
const subscriptions = (() => {
  const PROTOCOL = "graphql-transport-ws";
  const FORBIDDEN = [4401, 4403];
  // The server stops, is busy, or the connection was lost.
  const RETRIED = [1000, 1001, 1005, 1006, 1012, 1013, 1014, 4408, 4504];
  const MAX_TRIES = 8;
  const MAX_UNOPENED = 3;
  const FIRST_PAUSE = 1_000;
  const MAX_PAUSE = 30_000;
  const PING_INTERVAL = 15_000;
  const MAX_SILENCE = 2 * PING_INTERVAL;

  const address = new URL(server.settings.subscriptionEndpoint, location.href).href.replace(/^http/, "ws");

  // Reads the text itself: GraphiQL parses it only a moment after the last change, and people run what they paste at once.
  function isSubscription({ query, operationName }) {
    const blanked = query.replace(/"""(?:\\"""|[^])*?"""|"(?:\\.|[^"\\\n])*"|#.*/g, " ");
    return operations(blanked).some(
      ([, type, name]) => type === "subscription" && (!operationName || name === operationName),
    );
  }

  // The keywords and names that begin the definitions of a document without texts and comments.
  function operations(text) {
    let depth = 0;
    const outside = Array.from(text, (character) => {
      if ("{(".includes(character)) depth += 1;
      if ("})".includes(character)) depth -= 1;
      return depth > 0 ? "" : character;
    }).join("");
    return [...outside.matchAll(/\bfragment\s+\w+|\b(query|mutation|subscription)\b(?:[\s,]+(\w+))?/g)];
  }

  // Sends each result to the sink, and returns a function that ends the subscription.
  function follow(request, headers, sink) {
    const hasOwnCredentials = Object.keys(headers).some((name) => name.toLowerCase() === "authorization");
    let socket, pings, retry, heard, acknowledged;
    let tries = 0;
    let unopened = 0;
    let ended = false;

    function release() {
      clearInterval(pings);
      clearTimeout(retry);
      if (!socket) return;
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }

    function stop() {
      ended = true;
      unwatch();
      release();
      server.say("subscription", "");
    }

    // GraphiQL shows one error or several as an answer.
    function fail(error) {
      stop();
      sink.error(error);
    }

    function connect() {
      release();
      acknowledged = false;
      heard = Date.now();
      socket = new WebSocket(address, PROTOCOL);
      socket.onopen = () => {
        const credentials = token.get() && !hasOwnCredentials ? { Authorization: `Bearer ${token.get()}` } : {};
        send({ type: "connection_init", payload: { ...credentials, ...headers } });
      };
      socket.onmessage = ({ data }) => receive(JSON.parse(data));
      socket.onclose = ({ code, reason }) => void closed(code, reason);
      pings = setInterval(ping, PING_INTERVAL);
    }

    function send(message) {
      socket.send(JSON.stringify(message));
    }

    // A connection that was cut without a word, by a network or a server that hangs, is noticed by its silence.
    function ping() {
      if (Date.now() - heard > MAX_SILENCE) void closed(1006, "");
      else if (acknowledged) send({ type: "ping" });
    }

    function receive(message) {
      heard = Date.now();
      if (message.type === "connection_ack") {
        acknowledged = true;
        unopened = 0;
        send({ id: "1", type: "subscribe", payload: request });
        server.say("subscription", "The subscription waits for changes. Press the stop button to end it.");
      } else if (message.type === "next") {
        tries = 0;
        sink.next(message.payload);
      } else if (message.type === "error") fail(message.payload);
      else if (message.type === "complete") {
        stop();
        sink.complete();
      } else if (message.type === "ping") send({ type: "pong" });
    }

    async function closed(code, reason) {
      const wasOpen = acknowledged;
      release();
      if (FORBIDDEN.includes(code)) {
        if (token.get() && !hasOwnCredentials) server.refuseToken(reason);
        fail({ message: `The server ended the subscription, because it does not accept the token: ${reason}` });
      } else if (!RETRIED.includes(code)) {
        fail({ message: `The server closed the WebSocket with code ${code}. ${reason}`.trim() });
      } else if (wasOpen || reason) {
        tryAgain(`The connection of the subscription was lost${reason ? `: ${reason}` : "."}`);
      } else await explainUnopened();
    }

    // A browser does not say why a WebSocket was not opened, so the server is asked over HTTP.
    async function explainUnopened() {
      const unopenedSocket = socket;
      const { available, token: standing, messages } = await server.check();
      if (ended || socket !== unopenedSocket) return;
      if (standing === "refused" && !hasOwnCredentials) return fail({ message: messages.token });
      if (!available) return tryAgain("The subscription cannot reach the server.");
      const why =
        `No WebSocket to ${address} could be opened, although the server answers over HTTP. A proxy on the way may ` +
        "not let WebSockets through, or the server has as many of them as it can.";
      if (++unopened >= MAX_UNOPENED) return fail({ message: why });
      tryAgain(why);
    }

    function tryAgain(why) {
      if (tries >= MAX_TRIES) return fail({ message: `${why} It was tried ${MAX_TRIES} times.` });
      const pause = Math.min(FIRST_PAUSE * 2 ** tries++, MAX_PAUSE);
      server.say("subscription", `${why} This page tries again by itself.`);
      retry = setTimeout(connect, pause);
    }

    const unwatch = token.watch(() => hasOwnCredentials || connect());
    connect();
    return stop;
  }

  return {
    isSubscription,
    follow: (request, headers) => ({
      subscribe: (sink) => ({ unsubscribe: follow(request, headers ?? {}, sink) }),
    }),
  };
})();
