"use strict";
(() => {
  const h = React.createElement;
  const settings = JSON.parse(document.getElementById("settings").textContent);
  const icon = document.querySelector("link[rel=icon]").href;

  // GraphiQL shows whatever a fetch answers as JSON, so what is not JSON is told as a GraphQL error.
  function problem(message, body) {
    const error = { message, ...(body && { extensions: { body } }) };
    return new Response(JSON.stringify({ errors: [error] }));
  }

  async function ask(address, options) {
    let response;
    try {
      const headers = new Headers(options.headers);
      if (!headers.has("accept")) headers.set("accept", "application/graphql-response+json, application/json;q=0.9");
      if (token.get() && !headers.has("authorization")) headers.set("authorization", `Bearer ${token.get()}`);
      response = await fetch(address, { ...options, headers });
    } catch (error) {
      return problem(`The request did not reach ${location.host}: ${error.message}. Is the server still running?`);
    }
    const mediaType = response.headers.get("content-type") ?? "";
    if (/[/+]json\b/.test(mediaType)) return response;
    const body = (await response.text()).slice(0, 1000);
    const status = `${response.status} ${response.statusText}`.trim();
    return problem(`The server answered ${status} with ${mediaType || "no content type"} where JSON was expected.`, body);
  }

  const fetcher = GraphiQL.createFetcher({
    url: settings.endpoint,
    fetch: ask,
    enableIncrementalDelivery: false,
    subscriptionUrl: new URL(settings.subscriptionEndpoint, location.href).href.replace(/^http/, "ws"),
    // Read anew for each subscription; the headers editor wins here too.
    wsConnectionParams: {
      get Authorization() {
        return token.get() ? `Bearer ${token.get()}` : undefined;
      },
    },
  });

  function TokenForm({ used, close }) {
    const [value, setValue] = React.useState("");
    const settle = (next) => {
      token.use(next);
      close();
    };
    return h(
      "form",
      {
        onSubmit: (event) => {
          event.preventDefault();
          if (value.trim()) settle(value);
        },
        onKeyDown: (event) => event.key === "Escape" && close(),
      },
      h(
        "p",
        null,
        used
          ? "A token goes with each request, kept for this browser tab only. "
          : "Requests are anonymous: they read what is public and write nothing. ",
        "An Authorization header in the Headers editor takes its place.",
      ),
      h("input", {
        type: "password",
        autoFocus: true,
        autoComplete: "off",
        "aria-label": "Token",
        placeholder: used ? "Paste another token" : "Paste a token",
        value,
        onChange: (event) => setValue(event.target.value),
      }),
      h(
        "div",
        null,
        h("button", { type: "submit", className: "graphiql-button" }, "Use this token"),
        used && h("button", { type: "button", className: "graphiql-button", onClick: () => settle("") }, "Forget it"),
      ),
    );
  }

  function TokenState() {
    const used = React.useSyncExternalStore(token.watch, token.get) !== "";
    const [open, setOpen] = React.useState(false);
    return h(
      "span",
      { className: "graph-token", "data-used": used },
      h(
        "button",
        { type: "button", "aria-expanded": open, onClick: () => setOpen(!open) },
        used ? "Token in use" : "No token",
      ),
      open && h(TokenForm, { used, close: () => setOpen(false) }),
    );
  }

  const title = h(
    "span",
    { className: "graph-title" },
    h(TokenState),
    h("img", { src: icon, alt: "" }),
    "provenance-graph",
  );
  const plugins = [GraphiQLPluginExplorer.explorerPlugin()];

  ReactDOM.createRoot(document.getElementById("graphiql")).render(
    h(
      GraphiQL,
      {
        fetcher,
        plugins,
        // GraphiQL opens these on a first visit only; later it brings back the tabs that were left.
        defaultTabs: settings.tabs,
        defaultEditorToolsVisibility: "variables",
        inputValueDeprecation: true,
        // Headers may hold secrets, so they are not written to the browser's storage.
        shouldPersistHeaders: false,
      },
      h(GraphiQL.Logo, null, title),
    ),
  );
})();
