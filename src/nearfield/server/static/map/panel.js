// Beside the map: the legend that filters, lists that fly to their points, and the text of one.

import { count, el, fill, plural, rove } from "../dom.js";
import { isDark, sign, slotOf } from "./palette.js";

const AT_ONCE = 100;
const SNIPPET = 170;

const TABS = [
  ["legend", "Colours"],
  ["alike", "Alike"],
  ["alone", "Alone"],
  ["listed", "Listed"],
];

/** Where a text stands. */
const placeOf = (card) => `${card.document} : ${count(card.start)}–${count(card.end)}`;

/** The beginning of a text, on one line. */
export function snippet(text, length = SNIPPET) {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > length ? `${line.slice(0, length).trimEnd()}…` : line || "(no text)";
}

/** The panel; it tells what was chosen and changes nothing of the map itself. */
export class Panel {
  /**
   * @param {object} heard `field(name)`, `toggle(slot)`, `only(slot)`, `all()`, `fly(points, i)`,
   *   `close()`, `clear()`, `why(card)` or null
   */
  constructor(heard) {
    this.heard = heard;
    this.panes = {};
    this.tabs = TABS.map(([name, label]) =>
      el("button", {
        role: "tab", id: `map-tab-${name}`, "aria-controls": `map-pane-${name}`,
        on: { click: () => this.show(name) },
      }, el("span", { text: label }), el("span", { class: "map-number" })),
    );
    TABS.forEach(([name]) => {
      this.panes[name] = el("div", { class: "map-pane", role: "tabpanel", id: `map-pane-${name}`, "aria-labelledby": `map-tab-${name}` });
    });
    const list = el("div", { class: "tabs map-tabs", role: "tablist", "aria-label": "About the map" }, this.tabs);
    list.addEventListener("keydown", (event) => {
      if (rove(event, this.tabs, ["ArrowLeft", "ArrowRight"])) this.show(TABS[this.tabs.indexOf(document.activeElement)][0]);
    });
    this.reader = el("section", { class: "map-reader", "aria-label": "The text of a point", hidden: true });
    this.element = el("aside", { class: "map-panel", "aria-label": "Legend and lists" }, list, Object.values(this.panes), this.reader);
    this.show("legend");
    this.listed([], "");
  }

  show(name) {
    TABS.forEach(([other], number) => {
      const chosen = other === name;
      this.panes[other].hidden = !chosen;
      this.tabs[number].setAttribute("aria-selected", String(chosen));
      this.tabs[number].tabIndex = chosen ? 0 : -1;
    });
  }

  #number(name, value) {
    const at = TABS.findIndex(([other]) => other === name);
    this.tabs[at].lastChild.textContent = value ? count(value) : "";
  }

  /**
   * Draw the legend.
   * @param {{name: string}[]} fields
   * @param {object|null} field the one in use: `name`, `labels`, `counts`
   * @param {Set<number>} hidden categories that are not shown
   */
  legend(fields, field, hidden) {
    const pane = this.panes.legend;
    if (!field) {
      fill(pane, el("p", { class: "note", text: "Nothing sorts these nodes into a few groups." }));
      return;
    }
    const dark = isDark(pane);
    const focused = pane.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const choice = el("select", { id: "map-field", "data-key": "field", on: { change: (event) => this.heard.field(event.target.value) } },
      fields.map((one) => el("option", { value: one.name, text: one.name, selected: one.name === field.name })));
    const rows = field.labels.map((label, code) =>
      el("li", {}, el("button", {
        class: "map-category", "aria-pressed": String(!hidden.has(code)), "data-key": `c${code}`,
        title: "Click to show or hide; with Shift, show this one alone",
        on: { click: (event) => (event.shiftKey ? this.heard.only(code) : this.heard.toggle(code)) },
      }, sign(slotOf(label, code), dark), el("span", { class: "map-label", dir: "auto", text: label }), el("span", { class: "map-number", text: count(field.counts[code]) }))));
    const all = el("button", { class: "quiet", "data-key": "all", text: "Show all", hidden: !hidden.size, on: { click: () => this.heard.all() } });
    fill(pane,
      el("div", { class: "row between" }, el("label", { class: "map-choice" }, "Colour by ", choice), all),
      el("ul", { class: "map-legend" }, rows));
    if (focused) pane.querySelector(`[data-key="${focused}"]`)?.focus();
  }

  /** List pairs of points that nearly repeat each other; `cards` by point number. */
  alike(found, cards) {
    const pane = this.panes.alike;
    if (!found) return fill(pane, waiting());
    this.#number("alike", found.total);
    const how = found.exact ? "All pairs were compared." : "Only near neighbours were compared, so a pair may be missing.";
    const head = found.total
      ? `${plural(found.total, "pair")} with a cosine of at least ${found.likeness}. ${how}`
      : `No two nodes have a cosine of ${found.likeness} or more. ${how}`;
    return this.#list(pane, head, found.pairs, found.total, ([low, high, score]) =>
      this.#item([low, high], low, [
        el("span", { class: "map-score", text: score.toFixed(3) }),
        ...[low, high].map((i) => [el("span", { class: "map-place", dir: "auto", text: cards.get(i).document }), el("span", { class: "map-snippet", dir: "auto", text: snippet(cards.get(i).text, 90) })]),
      ]));
  }

  /** List points that stand alone. */
  alone(found, cards) {
    const pane = this.panes.alone;
    if (!found) return fill(pane, waiting());
    this.#number("alone", found.total);
    const head = found.total
      ? `${plural(found.total, "node")} far from even the nearest others; the loneliest first, with the mean distance to them.`
      : "No node is much farther from its neighbours than the rest.";
    return this.#list(pane, head, found.points, found.total, ([i, distance]) =>
      this.#item([i], i, [el("span", { class: "map-score", text: distance.toFixed(3) }), ...told(cards.get(i))]));
  }

  /** List points that were searched for or drawn around. */
  listed(cards, head, total = cards.length) {
    const pane = this.panes.listed;
    this.#number("listed", total);
    if (!cards.length) {
      const text = head || "Search, draw around points with the lasso, or list what is in view.";
      return fill(pane, el("p", { class: "note", role: head ? "status" : null, text }), head ? this.#clear() : null);
    }
    return this.#list(pane, head, cards, total, (card) => this.#item([card.i], card.i, told(card)), this.#clear());
  }

  #clear() {
    return el("button", { class: "quiet", text: "Clear", on: { click: () => this.heard.clear() } });
  }

  #item(points, open, children) {
    return el("li", {}, el("button", { class: "map-item", on: { click: () => this.heard.fly(points, open) } }, children));
  }

  #list(pane, head, rows, total, item, tool = null) {
    const list = el("ul", { class: "map-list" });
    list.addEventListener("keydown", (event) => rove(event, [...list.querySelectorAll(".map-item")], ["ArrowUp", "ArrowDown"]));
    const more = el("button", { class: "quiet", on: { click: () => grow() } });
    const rest = el("p", { class: "note" });
    const grow = () => {
      const at = list.children.length;
      list.append(...rows.slice(at, at + AT_ONCE).map(item));
      const left = rows.length - list.children.length;
      more.hidden = !left;
      more.textContent = `Show ${count(Math.min(left, AT_ONCE))} more`;
      rest.textContent = !left && total > rows.length ? `and ${count(total - rows.length)} more, which are not listed.` : "";
    };
    grow();
    fill(pane, el("div", { class: "row between" }, el("p", { class: "note", role: "status", text: head }), tool), list, more, rest);
  }

  /** Show a point's text and facts, or nothing. */
  read(node) {
    this.reader.hidden = !node;
    if (!node) return;
    const facts = Object.entries(node.metadata);
    fill(this.reader,
      el("div", { class: "row between" },
        el("h3", { dir: "auto", text: placeOf(node) }),
        el("div", { class: "row" },
          this.heard.why ? el("button", { class: "quiet", text: "Why?", title: "How it answers the question", on: { click: () => this.heard.why(node) } }) : null,
          el("button", { class: "quiet", "aria-label": "Close the text", text: "✕", on: { click: () => this.heard.close() } }))),
      el("p", { class: "map-text", dir: "auto", tabindex: "0", text: node.text || "(no text)" }),
      node.cut ? el("p", { class: "note", text: "The rest of the text is left out here." }) : null,
      facts.length ? el("dl", { class: "facts" }, facts.map(([name, value]) =>
        el("div", {}, el("dt", { text: name }), el("dd", { dir: "auto", text: typeof value === "string" ? value : JSON.stringify(value) })))) : null);
    this.reader.scrollTop = 0;
  }
}

const told = (card) => [
  el("span", { class: "map-place", dir: "auto", text: placeOf(card) }),
  el("span", { class: "map-snippet", dir: "auto", text: snippet(card.text) }),
];

const waiting = () => el("p", { class: "note", text: "Being looked for…" });
