// What all pages do beyond links and forms: say when the live connection is lost, and keep dialogs,
// focus and forms pleasant. htmx does the rest.
"use strict";

(() => {
  // The connection. A page names itself live with sse-connect; the layout has the notice, hidden. It is
  // shown only when the loss lasts: a reconnect within a second is nobody's business.
  let lost = 0;
  const notice = () => document.getElementById("live-state");
  document.addEventListener("htmx:sseError", () => {
    if (lost) return;
    lost = setTimeout(() => { if (notice()) notice().hidden = false; }, 1000);
    document.documentElement.dataset.live = "lost";
  });
  document.addEventListener("htmx:sseOpen", () => {
    clearTimeout(lost);
    lost = 0;
    if (notice()) notice().hidden = true;
    document.documentElement.dataset.live = "open";
  });

  // Buttons with data-dialog open the dialog of that id; the browser keeps the focus inside.
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-dialog]");
    if (opener) document.getElementById(opener.dataset.dialog)?.showModal();
    if (event.target.closest("[data-close]")) event.target.closest("dialog")?.close();
  });

  // A form is sent once: a double click does not ask twice.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent && !form.hasAttribute("hx-post") && !form.hasAttribute("hx-get")) event.preventDefault();
    form.dataset.sent = "1";
  });
  addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

  // What was unfolded stays so when a part of the page is replaced.
  let unfolded = [];
  document.addEventListener("htmx:beforeSwap", (event) => {
    unfolded = [...event.detail.target.querySelectorAll("details[id][open]")].map((fold) => fold.id);
  });
  document.addEventListener("htmx:afterSwap", () => {
    unfolded.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
    unfolded = [];
  });

  // What a swap marks with data-focus gets the focus, so that a reader hears it.
  document.addEventListener("htmx:afterSettle", () => {
    const wanted = document.querySelector("[data-focus]");
    if (wanted) {
      wanted.removeAttribute("data-focus");
      wanted.focus();
    }
  });
})();
