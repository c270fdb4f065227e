"use strict";
// The editors indent with Tab. After Escape the next Tab moves the focus on instead, as in other code editors.
(() => {
  let leaving = false;

  addEventListener(
    "keydown",
    (event) => {
      const editor = event.target instanceof Element && event.target.closest(".CodeMirror");
      if (!editor) return;
      if (event.key === "Tab" && (leaving || editor.CodeMirror?.getOption("readOnly"))) {
        // Without preventDefault: the browser moves the focus, and the editor hears nothing of it.
        event.stopImmediatePropagation();
        leaving = false;
      } else if (event.key === "Escape") {
        // The first Escape only closes a list of completions.
        leaving = !document.querySelector(".CodeMirror-hints");
      } else if (event.key !== "Shift") {
        leaving = false;
      }
    },
    { capture: true },
  );
  addEventListener("focusout", () => (leaving = false));
})();
