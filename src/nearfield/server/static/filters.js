// Filters on metadata: rows of key, comparison and value.

import { debounce, el } from "./dom.js";

const OPERATORS = [
  ["==", "is"],
  ["!=", "is not"],
  ["has", "contains"],
  ["in", "is one of"],
  [">", "above"],
  [">=", "at least"],
  ["<", "below"],
  ["<=", "at most"],
  ["is_empty", "is empty"],
];
const TYPING_MS = 300;

/**
 * Make the form.
 * @param {string[]} fields keys that documents have
 * @param {Function} changed called when the conditions are others
 */
export function filterForm(fields, changed) {
  const rows = el("div", { class: "rows" });
  const values = el("datalist", { id: "filter-values" });
  const join = el(
    "select",
    { "aria-label": "How conditions join", on: { change: changed } },
    el("option", { value: "and", text: "all of these hold" }),
    el("option", { value: "or", text: "one of these holds" }),
  );
  const add = el("button", { type: "button", class: "quiet", text: "Add a condition" });
  const panel = el("div", { class: "filters", id: "filters", hidden: true }, el("div", { class: "row" }, join, add), rows, values);
  const button = el("button", {
    type: "button",
    class: "quiet",
    text: "Filters",
    "aria-expanded": "false",
    "aria-controls": "filters",
    on: { click: () => open(panel.hidden) },
  });
  let known = {};

  const open = (on) => {
    panel.hidden = !on;
    button.setAttribute("aria-expanded", String(on));
    if (on && !rows.children.length) append();
    if (on) rows.querySelector("select")?.focus();
  };
  const soon = debounce(changed, TYPING_MS);
  const say = () => {
    const number = value().filters.length;
    button.textContent = number ? `Filters (${number})` : "Filters";
  };

  function append() {
    const key = el("select", { "aria-label": "Field" }, fields.map((name) => el("option", { value: name, text: name })));
    const operator = el("select", { "aria-label": "Comparison" }, OPERATORS.map(([sign, name]) => el("option", { value: sign, text: name })));
    const typed = el("input", { "aria-label": "Value", list: "filter-values", dir: "auto", maxlength: "4000" });
    const remove = el("button", { type: "button", class: "quiet", text: "Remove" });
    const row = el("div", { class: "row condition" }, key, operator, typed, remove);
    const offer = () => {
      const some = [...(known[key.value] ?? [])].slice(0, 20);
      values.replaceChildren(...some.map((one) => el("option", { value: one })));
    };
    typed.addEventListener("focus", offer);
    typed.addEventListener("input", () => (say(), soon()));
    key.addEventListener("change", () => (say(), changed()));
    operator.addEventListener("change", () => {
      typed.hidden = operator.value === "is_empty";
      say();
      changed();
    });
    remove.addEventListener("click", () => {
      row.remove();
      say();
      (rows.querySelector("select") ?? add).focus();
      changed();
    });
    rows.append(row);
    return key;
  }
  add.addEventListener("click", () => append().focus());
  if (!fields.length) {
    button.disabled = true;
    button.title = "The documents have no metadata";
  }

  function value() {
    const filters = [...rows.children]
      .map((row) => {
        const [key, operator, typed] = row.querySelectorAll("select, input");
        return { key: key.value, operator: operator.value, value: typed.value.trim() };
      })
      .filter((one) => one.value || one.operator === "is_empty");
    return { filters, join: join.value };
  }

  /** Offer the values seen in results. */
  function suggest(results) {
    known = {};
    for (const { metadata } of results) {
      for (const [name, fact] of Object.entries(metadata)) {
        if (fact !== null) (known[name] ??= new Set()).add(String(fact));
      }
    }
  }

  return { button, panel, value, suggest };
}
