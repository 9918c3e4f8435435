// The indicator: available and consumed credits of one account, in any page.
//
//   <script src="https://credits.example.com/embed/indicator.js" data-token="cs_acct_…" defer></script>
//
// puts a <creditstream-indicator> where the script stands. A page that makes the element itself, or renews
// its token, sets the attribute "token". The token names tenant and account; it is of purpose "widget" and
// lives for minutes. When it has ended the element says so by an event, creditstream-token-ended.
"use strict";

(() => {
  const server = new URL(document.currentScript.src).origin;
  const style = `
:host { display: inline-block; position: relative; font: 500 13px/1.4 ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: #17181c; text-align: left; }
:host([hidden]) { display: none; }
* { box-sizing: border-box; margin: 0; padding: 0; }
button { font: inherit; color: inherit; display: inline-flex; align-items: center; gap: 8px; padding: 6px 12px; border: 1px solid #83899a; border-radius: 99px; background: #fff; cursor: pointer; }
button:hover { background: #f1f1f4; }
button:focus-visible { outline: 2px solid #403bc4; outline-offset: 2px; }
strong { font-weight: 650; color: #136238; }
.num { font-variant-numeric: tabular-nums; }
.muted { color: #4d5261; }
svg { width: 18px; height: 18px; flex: none; }
.track { stroke: #e3e4e9; } .spent { stroke: #4d5261; }
.panel { position: absolute; right: 0; top: calc(100% + 6px); z-index: 1000; width: min(280px, 90vw); padding: 14px 16px; border: 1px solid #e3e4e9; border-radius: 12px; background: #fff; box-shadow: 0 16px 48px rgb(20 22 30 / 18%); }
.panel[hidden] { display: none; }
h2 { font-size: 13px; font-weight: 620; margin-bottom: 8px; }
table { width: 100%; border-collapse: collapse; }
th { text-align: left; font-weight: 450; padding: 3px 0; }
td { text-align: right; padding: 3px 0 3px 12px; }
tfoot th, tfoot td { border-top: 1px solid #e3e4e9; padding-top: 7px; font-weight: 620; }
p { margin-top: 8px; }
@media (prefers-color-scheme: dark) {
  :host { color: #eceef3; }
  button, .panel { background: #16181d; border-color: #6f7686; }
  .panel, tfoot th, tfoot td { border-color: #272a32; }
  button:hover { background: #1d2026; }
  button:focus-visible { outline-color: #a9a7ff; }
  strong { color: #6fd69b; } .muted { color: #b0b6c3; }
  .track { stroke: #3a3e49; } .spent { stroke: #b0b6c3; }
}`;

  // A token names its account before the dot; whether it is genuine is the server's to say.
  const claims = (token) => {
    try {
      const body = token.slice("cs_acct_".length).split(".")[0].replace(/-/g, "+").replace(/_/g, "/");
      return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(body), (c) => c.charCodeAt(0))));
    } catch {
      return null;
    }
  };

  const make = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };

  class Indicator extends HTMLElement {
    static observedAttributes = ["token"];
    #stop = null;
    #open = false;

    constructor() {
      super();
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(style);
      this.attachShadow({ mode: "open" }).adoptedStyleSheets = [sheet];
      this.addEventListener("keydown", (event) => { if (event.key === "Escape") this.#show(false, true); });
    }

    #outside = (event) => { if (!event.composedPath().includes(this)) this.#show(false); };

    connectedCallback() {
      document.addEventListener("click", this.#outside);
      this.#start();
    }

    disconnectedCallback() {
      document.removeEventListener("click", this.#outside);
      this.#stop?.abort();
      this.#stop = null;
    }

    attributeChangedCallback() { if (this.isConnected) this.#start(); }

    #start() {
      this.#stop?.abort();
      const token = this.getAttribute("token") ?? "", of = claims(token);
      if (!of) return this.#ended();
      this.#stop = new AbortController();
      const base = `${server}/embed/${encodeURIComponent(of.t)}/${encodeURIComponent(of.a)}`;
      this.#follow(base, { headers: { Authorization: `Bearer ${token}` }, signal: this.#stop.signal, cache: "no-store", credentials: "omit" });
    }

    // Reads the live connection, and what to show whenever it says that something changed; comes back after
    // a loss, ever more slowly.
    async #follow(base, request) {
      for (let failures = 0; !request.signal.aborted; failures++) {
        try {
          await this.#fetch(base, request);
          const live = await fetch(`${base}/live`, request);
          if (live.status === 401) return this.#ended();
          if (!live.ok) throw new Error(`status ${live.status}`);
          const reader = live.body.pipeThrough(new TextDecoderStream()).getReader();
          for (let text = ""; ;) {
            const { done, value } = await reader.read();
            if (done) break;
            failures = 0;
            text += value;
            const events = text.split("\n\n");
            text = events.pop();
            if (events.some((event) => event.includes("event: ended"))) return this.#ended();
            if (events.some((event) => event.includes("event: changed"))) await this.#fetch(base, request);
          }
        } catch (fault) {
          if (request.signal.aborted || fault.message === "ended") return;
        }
        await new Promise((wake) => setTimeout(wake, Math.min(30000, 1000 * 2 ** failures)));
      }
    }

    async #fetch(base, request) {
      const answer = await fetch(base, request);
      if (answer.status === 401 || answer.status === 403 || answer.status === 404) {
        this.#ended();
        throw new Error("ended");
      }
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      this.#draw(await answer.json());
    }

    #ended() {
      this.#stop?.abort();
      this.shadowRoot.replaceChildren(make("span", { className: "muted", textContent: "–" }));
      this.dispatchEvent(new CustomEvent("creditstream-token-ended", { bubbles: true, composed: true }));
    }

    #draw(now) {
      const hadFocus = this.shadowRoot.activeElement !== null;
      this.lang = now.language;
      const ring = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      ring.setAttribute("viewBox", "0 0 20 20");
      ring.setAttribute("aria-hidden", "true");
      for (const [name, dash] of [["track", null], ["spent", `${parseFloat(now.share) / 100 * 50.27} 60`]]) {
        const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
        for (const [key, value] of Object.entries({ class: name, cx: 10, cy: 10, r: 8, fill: "none", "stroke-width": 3, transform: "rotate(-90 10 10)" })) circle.setAttribute(key, value);
        if (dash) circle.setAttribute("stroke-dasharray", dash);
        ring.append(circle);
      }
      const button = make("button", { type: "button", title: now.details }, ring,
        make("strong", { className: "num", textContent: now.available }), make("span", { className: "num muted", textContent: now.consumed }));
      button.setAttribute("aria-expanded", String(this.#open));
      button.setAttribute("aria-controls", "details");
      button.addEventListener("click", () => this.#show(!this.#open));
      const rows = now.meters.map((meter) => {
        const name = make("th", { textContent: meter.name });
        name.scope = "row";
        return make("tr", {}, name, make("td", { className: "num muted", textContent: `× ${meter.quantity}` }), make("td", { className: "num", textContent: meter.credits }));
      });
      const panel = make("div", { id: "details", className: "panel", hidden: !this.#open }, make("h2", { textContent: now.heading }));
      panel.setAttribute("role", "group");
      panel.setAttribute("aria-label", now.heading);
      panel.append(rows.length ? make("table", {}, make("tbody", {}, ...rows)) : make("p", { className: "muted", textContent: now.none }));
      panel.append(make("p", { className: "muted num", textContent: [now.consumed, now.renews].filter(Boolean).join(" · ") }));
      this.shadowRoot.replaceChildren(button, panel);
      if (hadFocus) button.focus();
    }

    #show(open, focus) {
      this.#open = open;
      const button = this.shadowRoot.querySelector("button");
      if (!button) return;
      button.setAttribute("aria-expanded", String(open));
      this.shadowRoot.getElementById("details").hidden = !open;
      if (focus) button.focus();
    }
  }

  customElements.get("creditstream-indicator") || customElements.define("creditstream-indicator", Indicator);
  const script = document.currentScript;
  if (script.dataset.token) {
    const element = document.createElement("creditstream-indicator");
    element.setAttribute("token", script.dataset.token);
    script.after(element);
  }
})();
