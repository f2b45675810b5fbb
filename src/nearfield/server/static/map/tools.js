// What stands on the map itself: its buttons, the question, the tooltip, and how far it is.

import { count, el, fill } from "../dom.js";
import { snippet } from "./panel.js";

const STAGES = {
  reading: "Reading the index",
  neighbours: "Comparing nodes",
  layout: "Laying out",
  "near-duplicates": "Looking for near-duplicates",
};

/** The buttons; `heard` has one function each. */
export class Tools {
  constructor(heard, searches) {
    const button = (label, text, call, more = {}) =>
      el("button", { "aria-label": label, title: label, text, on: { click: call }, ...more });
    this.kinds = [["best", "Neighbours", "Near texts stand together"], ["pca", "Components", "The two directions in which the vectors differ most"]].map(([kind, text, title]) =>
      el("button", { text, title, "aria-pressed": "false", disabled: true, on: { click: () => heard.kind(kind) } }));
    this.lasso = button("Lasso: draw around points to list them (L)", "Lasso", () => heard.lasso(), { "aria-pressed": "false" });
    this.question = el("input", { type: "search", id: "map-question", placeholder: `Find by ${searches}`, maxlength: "1000", autocomplete: "off", dir: "auto" });
    this.form = el("form", { class: "map-find", role: "search" },
      el("label", { class: "unseen", for: "map-question", text: `Find on the map by ${searches}` }), this.question, el("button", { text: "Find" }));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      heard.find(this.question.value.trim());
    });
    this.question.addEventListener("search", () => this.question.value || heard.find(""));
    this.element = el("div", { class: "map-tools", role: "toolbar", "aria-label": "The map" },
      this.form,
      el("div", { class: "map-group", role: "group", "aria-label": "Arranged by" }, this.kinds),
      el("div", { class: "map-group" }, this.lasso, button("List what is in view (V)", "List view", () => heard.view())),
      el("div", { class: "map-group" },
        button("Zoom in (+)", "+", () => heard.zoom(1.5)), button("Zoom out (−)", "−", () => heard.zoom(1 / 1.5)), button("The whole map (0)", "Whole", () => heard.home())));
  }

  kind(chosen, ready) {
    this.kinds.forEach((button, number) => {
      button.setAttribute("aria-pressed", String((number ? "pca" : "best") === chosen));
      button.disabled = !ready;
    });
  }
}

/** The line below the map: how far it is, then what it shows. */
export class Status {
  constructor() {
    this.bar = el("progress", { max: "1", "aria-label": "How far the map is" });
    this.text = el("p", { class: "note", role: "status" });
    this.element = el("div", { class: "map-status" }, this.bar, this.text);
  }

  draw(state) {
    this.bar.hidden = state.state === "layout";
    this.bar.value = state.share;
    const working = STAGES[state.stage];
    // Without the share: a reader that speaks would otherwise hear every step.
    this.say(working ? `${working}…` : told(state));
    this.text.title = working ? "" : timed(state);
  }

  say(text) {
    if (this.text.textContent !== text) this.text.textContent = text;
  }
}

function told(state) {
  const shown = state.is_sample
    ? `A random sample of ${count(state.count)} of ${count(state.total)} nodes`
    : `${count(state.count)} nodes`;
  const how = state.recall === 1
    ? "laid out by their exact neighbours"
    : `laid out by ${(100 * state.recall).toFixed(1)} % of their true neighbours (measured)`;
  return `${shown}, ${how}. The two components show ${(100 * (state.explained[0] + state.explained[1])).toFixed(0)} % of the variance.`;
}

const timed = (state) => Object.entries(state.seconds).map(([name, seconds]) => `${name} ${seconds.toFixed(1)} s`).join(", ");

/** What the pointer is at. */
export class Tooltip {
  constructor() {
    this.element = el("div", { class: "map-tip", hidden: true });
    this.spoken = el("p", { class: "unseen", role: "status" });
  }

  show(card, category, left, top, stage) {
    fill(this.element,
      el("strong", { dir: "auto", text: card.document }),
      category ? el("span", { class: "map-where", dir: "auto", text: category }) : null,
      el("span", { dir: "auto", text: snippet(card.text, 220) }));
    this.element.hidden = false;
    const { width, height } = this.element.getBoundingClientRect();
    const box = stage.getBoundingClientRect();
    this.element.style.left = `${Math.min(left + 16, Math.max(box.width - width - 8, 8))}px`;
    this.element.style.top = `${top + 18 + height > box.height ? Math.max(top - height - 12, 4) : top + 18}px`;
  }

  speak(card) {
    this.spoken.textContent = card ? `${card.document}: ${snippet(card.text, 120)}` : "";
  }

  hide() {
    this.element.hidden = true;
  }
}
