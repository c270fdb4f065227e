"use strict";
(() => {
  const h = React.createElement;
  const { useEditorContext, useExecutionContext, useSchemaContext } = GraphiQL.React;
  const { settings } = server;
  const icon = document.querySelector("link[rel=icon]").href;
  const HINT = "leave-editor";
  const PHONE = "(max-width: 640px)";
  const NEWS_SHOWN_FOR = 10_000;
  const STORED_TABS = ["tabState", "query", "variables", "headers"];
  const PILL = {
    none: "No token",
    checking: "Checking token…",
    unknown: "Token not checked",
    accepted: "Token in use",
    refused: "Token refused",
  };
  const ROLES = { USER: " of a user", WORKER: " of a worker", ADMIN: " of an administrator" };

  const askOnce = GraphiQL.createFetcher({ url: settings.endpoint, fetch: server.ask, enableIncrementalDelivery: false });
  const fetcher = (request, options) =>
    subscriptions.isSubscription(request)
      ? subscriptions.follow(request, options.headers)
      : askOnce(request, options);

  const useServer = () => React.useSyncExternalStore(server.watch, server.state);

  function explain({ token: standing, role }) {
    if (standing === "none") return "Requests are anonymous: they read what is public and write nothing. ";
    if (standing === "refused") return "The server refuses this token. Paste another one, or forget it. ";
    return `A token${ROLES[role] ?? ""} goes with each request, kept for this browser tab only. `;
  }

  function TokenForm({ state, close }) {
    const [value, setValue] = React.useState("");
    const used = state.token !== "none";
    const settle = (next) => {
      token.use(next);
      close();
    };
    return h(
      "form",
      {
        id: "token-form",
        "aria-label": "Token",
        onSubmit: (event) => {
          event.preventDefault();
          if (value.trim()) settle(value);
        },
        onKeyDown: (event) => event.key === "Escape" && close(),
      },
      h("p", null, explain(state), "An Authorization header in the Headers editor takes its place."),
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
    const state = useServer();
    const [open, setOpen] = React.useState(false);
    const pill = React.useRef(null);
    const close = () => {
      setOpen(false);
      pill.current.focus();
    };
    return h(
      "span",
      { className: "graph-token", "data-state": state.token },
      h(
        "button",
        {
          ref: pill,
          type: "button",
          "aria-expanded": open,
          "aria-controls": "token-form",
          onClick: () => setOpen(!open),
        },
        PILL[state.token],
      ),
      open && h(TokenForm, { state, close }),
    );
  }

  // Reads the schema as soon as that is possible, where GraphiQL could not when it started.
  function useSchemaAfterRecovery() {
    const { available, token: standing } = useServer();
    const { schema, isFetching, introspect } = useSchemaContext();
    const usable = available && (standing === "none" || standing === "accepted");
    const wasUsable = React.useRef(usable);
    const isDue = React.useRef(false);
    React.useEffect(() => {
      if (usable && !wasUsable.current) isDue.current = true;
      wasUsable.current = usable;
      // An attempt from before may still be under way, and fail.
      if (!isDue.current || !usable || isFetching) return;
      isDue.current = false;
      if (!schema) introspect();
    }, [usable, schema, isFetching, introspect]);
  }

  function useNamedEditors({ queryEditor, variableEditor, headerEditor, responseEditor }) {
    React.useEffect(() => {
      const names = [
        [queryEditor, "Query"],
        [variableEditor, "Variables"],
        [headerEditor, "Headers"],
        [responseEditor, "Answer"],
      ];
      for (const [editor, name] of names) {
        editor?.getInputField().setAttribute("aria-label", name);
        if (editor !== responseEditor) editor?.getInputField().setAttribute("aria-describedby", HINT);
      }
    }, [queryEditor, variableEditor, headerEditor, responseEditor]);
  }

  function Title({ inside }) {
    const editors = useEditorContext();
    inside.current = { editors, stop: useExecutionContext().stop };
    useSchemaAfterRecovery();
    useNamedEditors(editors);
    return h(
      "span",
      { className: "graph-title" },
      h(TokenState),
      h("img", { src: icon, alt: "" }),
      h("span", { className: "graph-name" }, "provenance-graph"),
    );
  }

  function Bar({ restore }) {
    const { messages } = useServer();
    return h(
      "footer",
      { className: "graphiql-container graph-bar" },
      h(
        "div",
        { role: "status", "data-problem": Boolean(messages.token || messages.server) },
        Object.entries(messages).map(([topic, text]) => text && h("p", { key: topic }, text)),
      ),
      h("span", { id: HINT }, "Escape, then Tab leaves an editor."),
      h("button", { type: "button", className: "graphiql-button", onClick: restore }, "Restore the examples"),
    );
  }

  const same = (one, other) => (one ?? "").trim() === (other ?? "").trim();
  const isExample = (tab) => settings.tabs.some((one) => same(one.query, tab.query) && same(one.variables, tab.variables));

  function isStorageBlocked() {
    try {
      return !localStorage;
    } catch {
      return true;
    }
  }

  function Site() {
    const inside = React.useRef(null);
    const [shown, setShown] = React.useState({ version: 0, tabs: settings.tabs });
    // Opens the examples as new, before the tabs that the user wrote or changed.
    const restore = () => {
      const { editors, stop } = inside.current;
      stop();
      const now = {
        query: editors.queryEditor?.getValue(),
        variables: editors.variableEditor?.getValue(),
        headers: editors.headerEditor?.getValue(),
      };
      const tabs = editors.tabs.map((tab, at) => (at === editors.activeTabIndex ? { ...tab, ...now } : tab));
      const own = tabs.filter((tab) => tab.query?.trim() && !isExample(tab));
      for (const name of storage === null ? [] : STORED_TABS) localStorage.removeItem(`graphiql:${name}`);
      const kept = own.map(({ query, variables, headers }) => ({ query, variables, headers }));
      setShown({ version: shown.version + 1, tabs: [...settings.tabs, ...kept] });
      server.say("examples", "The examples are restored.");
      setTimeout(() => server.say("examples", ""), NEWS_SHOWN_FOR);
    };
    return h(
      React.Fragment,
      null,
      h(
        GraphiQL,
        {
          key: shown.version,
          fetcher,
          plugins,
          storage,
          // GraphiQL opens these on a first visit only; later it brings back the tabs that were left.
          defaultTabs: shown.tabs,
          // A phone has no room for both editors; a button opens the second.
          defaultEditorToolsVisibility: matchMedia(PHONE).matches ? false : "variables",
          inputValueDeprecation: true,
          // Headers may hold secrets, so they are not written to the browser's storage.
          shouldPersistHeaders: false,
        },
        h(GraphiQL.Logo, null, h(Title, { inside })),
      ),
      h(Bar, { restore }),
    );
  }

  // Without storage, tabs last as long as the page.
  const storage = isStorageBlocked() ? null : undefined;
  const plugins = [GraphiQLPluginExplorer.explorerPlugin()];
  ReactDOM.createRoot(document.getElementById("graphiql")).render(h(Site));
})();
