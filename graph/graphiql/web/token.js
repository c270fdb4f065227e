"use strict";
// The token that goes with each request. It is kept for this browser tab only, and never in an address.
const token = (() => {
  const KEY = "provenance-graph:token";
  const listeners = new Set();

  // Storage is refused where the browser blocks site data; the token then lasts as long as the page.
  let current = read();

  function read() {
    try {
      return sessionStorage.getItem(KEY) ?? "";
    } catch {
      return "";
    }
  }

  function use(value) {
    current = value.trim();
    try {
      current ? sessionStorage.setItem(KEY, current) : sessionStorage.removeItem(KEY);
    } catch {}
    for (const listener of listeners) listener();
  }

  // The server prints an address that ends in #token=…: a fragment is never sent, so it reaches no log.
  function takeFromAddress() {
    const given = new URLSearchParams(location.hash.slice(1)).get("token");
    if (given === null) return;
    history.replaceState(history.state, "", location.pathname + location.search);
    use(given);
  }

  takeFromAddress();
  addEventListener("hashchange", takeFromAddress);

  return {
    get: () => current,
    use,
    // An HTTP header has room for ASCII alone, and a token has no spaces.
    isSendable: (value) => /^[\x21-\x7e]+$/.test(value),
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
})();
