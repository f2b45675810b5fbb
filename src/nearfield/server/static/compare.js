// Compare: sentences against each other, by one model or another, as a grid of similarities.

import { debounce, el, fill, ms, notice, plural } from "./dom.js";

const EXAMPLE = [
  "Which planet is known as the Red Planet?",
  "Venus is often called Earth's twin because of its similar size and proximity.",
  "Mars, known for its reddish appearance, is often referred to as the Red Planet.",
  "Jupiter, the largest planet in our solar system, has a prominent red spot.",
  "Saturn, famous for its rings, is sometimes mistaken for the Red Planet.",
];
const MOST = 40;
const TYPING_MS = 350;
const CHANGE = 0.0005;

/** Show the view. */
export function mount(root, context) {
  new Compare(root, context);
}

class Compare {
  constructor(root, context) {
    this.context = context;
    this.names = context.status.models.map((model) => model.name);
    this.pending = null;
    this.shown = null;
    this.before = null;
    this.build(root);
    this.compare();
  }

  build(root) {
    const { index_model: own, default_model: first } = this.context.status;
    const chosen = own || first;
    const soon = debounce(() => this.compare(), TYPING_MS);
    this.input = el("textarea", {
      id: "sentences",
      rows: "9",
      dir: "auto",
      spellcheck: "false",
      "aria-describedby": "sentences-hint",
      on: { input: soon },
    });
    this.input.value = EXAMPLE.join("\n");
    this.question = el("input", { type: "checkbox", checked: true, on: { change: () => this.compare() } });
    this.model = el(
      "select",
      { id: "compare-model", on: { change: () => this.compare({ changed: true }) } },
      this.names.map((name) => el("option", { value: name, text: name, selected: name === chosen })),
    );
    const again = el("button", {
      type: "button",
      class: "quiet",
      text: "The planets again",
      on: {
        click: () => {
          this.input.value = EXAMPLE.join("\n");
          this.question.checked = true;
          this.compare();
        },
      },
    });
    this.grid = el("div", { class: "grid-area" });
    this.caption = el("p", { class: "note", role: "status" });
    fill(
      root,
      el(
        "div",
        { class: "compare" },
        el(
          "form",
          { class: "panel", on: { submit: (event) => event.preventDefault() } },
          el("label", { for: "sentences", text: "Sentences" }),
          el("p", { id: "sentences-hint", class: "note", text: `One in a line, ${MOST} at most.` }),
          this.input,
          el("label", { class: "toggle" }, this.question, "the first is a question"),
          el("label", { for: "compare-model", text: "Model" }),
          this.model,
          this.names.length < 2 ? el("p", { class: "note", text: "Serve another beside it to see the grid change: nearfield view my.index --also NAME" }) : null,
          again,
        ),
        el("div", { class: "panel result-panel" }, this.grid, this.caption),
      ),
    );
  }

  async compare({ changed = false } = {}) {
    const lines = this.input.value.split("\n").map((line) => line.trim()).filter(Boolean);
    this.pending?.abort();
    if (!lines.length) {
      fill(this.caption);
      fill(this.grid, notice("Nothing to compare", "Write a few sentences, one in a line."));
      return;
    }
    const texts = lines.slice(0, MOST);
    const mine = (this.pending = new AbortController());
    this.grid.setAttribute("aria-busy", "true");
    try {
      const answer = await this.context.api(
        "api/similarity",
        { texts, model: this.model.value, question_first: this.question.checked },
        mine.signal,
      );
      const same = changed && this.shown && this.shown.texts.join("\n") === texts.join("\n");
      this.before = same ? this.shown : null;
      this.shown = { ...answer, texts };
      this.draw(lines.length);
    } catch (error) {
      if (error.name === "AbortError") return;
      fill(this.caption);
      fill(this.grid, notice("The comparison failed", error.message, "failed"));
    }
    if (mine === this.pending) this.grid.removeAttribute("aria-busy");
  }

  draw(lines) {
    const { texts, matrix, metric, model, times_ms: times } = this.shown;
    const question = this.question.checked && texts.length > 1;
    const others = matrix[0].slice(1);
    const nearest = question ? 1 + others.indexOf(Math.max(...others)) : -1;
    const off = matrix.flatMap((row, at) => row.filter((_, other) => other !== at));
    const [low, high] = [Math.min(...off), Math.max(...off)]; // shades span what is there
    const name = (at) => (question ? (at ? String(at) : "Q") : String(at + 1));
    const detail = el("p", { class: "pair", role: "status", "aria-live": "polite" });
    const point = (row, column) => {
      table.querySelectorAll(".lit").forEach((cell) => cell.classList.remove("lit"));
      table.querySelectorAll(`[data-row="${row}"], [data-column="${column}"]`).forEach((cell) => cell.classList.add("lit"));
      fill(
        detail,
        el("strong", { text: matrix[row][column].toFixed(4) }),
        el("span", { dir: "auto", text: `${name(row)}  ${short(texts[row], 160)}` }),
        el("span", { dir: "auto", text: `${name(column)}  ${short(texts[column], 160)}` }),
      );
    };
    const cell = (row, column) => {
      const value = matrix[row][column];
      const best = row === 0 && column === nearest;
      const made = el(
        "td",
        {
          role: "gridcell",
          tabindex: row === 0 && column === Math.max(nearest, 0) ? "0" : "-1",
          class: row === column ? "self" : best ? "nearest" : "",
          "data-row": row,
          "data-column": column,
          on: { focus: () => point(row, column), mouseenter: () => point(row, column) },
        },
        el("span", { class: "value", text: value.toFixed(2) }),
        best ? el("span", { class: "flag", text: "nearest" }) : this.change(row, column),
      );
      made.style.setProperty("--share", row === column ? 0 : (value - low) / (high - low || 1));
      if (best && this.before) made.append(this.change(row, column) ?? "");
      return made;
    };
    const table = el(
      "table",
      { class: question ? "grid asks" : "grid", role: "grid", "aria-label": `Similarities by ${model}`, on: { keydown: (event) => step(event, table) } },
      el("thead", {}, el("tr", { role: "row" }, el("td"), texts.map((text, at) => el("th", { scope: "col", text: name(at), title: text, "data-column": at })))),
      el(
        "tbody",
        {},
        texts.map((text, row) =>
          el(
            "tr",
            { role: "row" },
            el("th", { scope: "row", "data-row": row, title: text }, el("b", { text: name(row) }), el("span", { dir: "auto", text: short(text, 90) })),
            texts.map((_, column) => cell(row, column)),
          ),
        ),
      ),
    );
    fill(this.grid, el("div", { class: "scroll" }, table), detail);
    point(0, Math.max(nearest, 0));
    table.querySelectorAll(".lit").forEach((one) => one.classList.remove("lit"));
    const more = lines > MOST ? ` The first ${MOST} of ${plural(lines, "line")} are shown.` : "";
    const moved = this.before ? ` Small figures: the change from ${this.before.model}.` : "";
    this.caption.textContent = `${metric.replace("_", " ")} by ${model}, in ${ms(times.embed + times.compare)}.${moved}${more}`;
  }

  change(row, column) {
    if (!this.before || row === column) return null;
    const by = this.shown.matrix[row][column] - this.before.matrix[row][column];
    const text = Math.abs(by) < CHANGE ? "=" : `${by > 0 ? "▲" : "▼"} ${Math.abs(by).toFixed(3)}`;
    return el("span", { class: "change", text });
  }
}

/** Move among the cells by arrow keys. */
function step(event, table) {
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const here = event.target.closest("td[data-row]");
  if (!here || !(event.key in steps)) return;
  event.preventDefault();
  const [down, right] = steps[event.key];
  const next = table.querySelector(
    `td[data-row="${Number(here.dataset.row) + down}"][data-column="${Number(here.dataset.column) + right}"]`,
  );
  if (!next) return;
  here.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

function short(text, length) {
  const letters = Array.from(text.slice(0, length * 2));
  return letters.length > length ? `${letters.slice(0, length - 1).join("")}…` : text;
}
