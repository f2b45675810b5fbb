// Search: a question, its results by meaning, by words and by both, side by side.

import { count, debounce, el, fill, ms, notice, paint, plural } from "./dom.js";
import { filterForm } from "./filters.js";
import { always } from "./kept.js";
import { openWhy } from "./why.js";

export const MODES = {
  vector: { name: "Meaning", about: "nearest vectors" },
  text: { name: "Words", about: "BM25" },
  hybrid: { name: "Both", about: "fused by rank" },
};
const TYPING_MS = 140;
const CHOICES = "nearfield-search";

/** Show the view. */
export function mount(root, context) {
  if (!context.status.index) {
    fill(root, notice("No index is served", "Open one of yours: nearfield view my.index. Compare and Speed work without."));
    return;
  }
  new Search(root, context);
}

class Search {
  constructor(root, context) {
    this.context = context;
    this.index = context.status.index;
    this.pending = null;
    this.last = null;
    const kept = read();
    this.modes = kept.modes ?? (this.index.text_search ? ["vector", "text", "hybrid"] : ["vector"]);
    this.topK = kept.topK ?? 10;
    this.build(root);
    this.input.value = linked() ?? "";
    this.search();
    context.onShow((name) => name === "search" && this.shown());
    if (!matchMedia("(pointer: coarse)").matches) this.input.focus();
  }

  build(root) {
    const soon = debounce(() => this.search(), TYPING_MS);
    this.input = el("input", {
      id: "question",
      type: "search",
      autocomplete: "off",
      spellcheck: "false",
      dir: "auto",
      maxlength: "8000",
      placeholder: `Ask ${plural(this.index.nodes, "passage")} anything`,
      "aria-label": "Question",
      "aria-describedby": "question-hint",
      on: { input: soon, keydown: (event) => this.fromInput(event) },
    });
    this.filters = filterForm(this.index.fields, () => this.search());
    this.timing = el("div", { class: "timing", "aria-live": "off" });
    this.said = el("p", { class: "unseen", role: "status" });
    this.area = el("div", { class: "columns", on: { keydown: (event) => this.fromResult(event) } });
    fill(
      root,
      el(
        "form",
        { class: "ask", role: "search", on: { submit: (event) => (event.preventDefault(), this.search()) } },
        el("div", { class: "field" }, this.input, el("kbd", { id: "question-hint", text: "/", title: "press / to come here" })),
        el("div", { class: "choices" }, this.modeBoxes(), this.depth(), this.reranking(), this.filters.button),
        this.filters.panel,
      ),
      this.timing,
      this.said,
      this.area,
    );
  }

  modeBoxes() {
    const box = ([mode, { name, about }]) =>
      el(
        "label",
        { class: "pill", title: about },
        el("input", {
          type: "checkbox",
          value: mode,
          checked: this.modes.includes(mode),
          disabled: mode !== "vector" && !this.index.text_search,
          on: { change: (event) => this.choose(event.target) },
        }),
        el("span", { text: name }),
      );
    return el("fieldset", { class: "pills" }, el("legend", { class: "unseen", text: "Search by" }), Object.entries(MODES).map(box));
  }

  choose(box) {
    const boxes = [...box.closest("fieldset").querySelectorAll("input")];
    if (!boxes.some((one) => one.checked)) box.checked = true; // one way must remain
    this.modes = boxes.filter((one) => one.checked).map((one) => one.value);
    this.keep();
  }

  depth() {
    const option = (value) => el("option", { value, text: `${value} results`, selected: value === this.topK });
    const heard = (event) => {
      this.topK = Number(event.target.value);
      this.keep();
    };
    return el("select", { "aria-label": "How many results", on: { change: heard } }, [5, 10, 20, 50].map(option));
  }

  reranking() {
    const names = this.context.status.rerankers ?? [];
    if (!names.length) return null;
    const heard = (event) => {
      this.rerank = event.target.value || null;
      this.search();
    };
    return el(
      "select",
      { "aria-label": "Rerank", on: { change: heard } },
      el("option", { value: "", text: "not reranked" }),
      names.map((name) => el("option", { value: name, text: `reranked by ${name}` })),
    );
  }

  keep() {
    always.set(CHOICES, JSON.stringify({ modes: this.modes, topK: this.topK }));
    this.search();
  }

  async search() {
    const query = this.input.value.trim();
    this.pending?.abort();
    this.remember(query);
    if (!query) return this.greet();
    const mine = (this.pending = new AbortController());
    this.area.setAttribute("aria-busy", "true");
    const { filters, join } = this.filters.value();
    const body = { query, modes: this.modes, top_k: this.topK, filters, join };
    if (this.rerank) body.rerank = this.rerank;
    let answer;
    try {
      answer = await this.context.api("api/search", body, mine.signal);
      this.last = { query, filters, join };
      this.draw(answer);
    } catch (error) {
      if (error.name === "AbortError") return;
      fill(this.timing);
      fill(this.area, notice("The search failed", error.message, "failed"));
    }
    if (mine === this.pending) this.area.removeAttribute("aria-busy");
    if (answer) await this.mark(query, answer, mine.signal);
  }

  /** Mark the best sentences of results that are shown already: finding them takes longest. */
  async mark(query, { results, times_ms: times }, signal) {
    const ids = [...new Set(Object.values(results).flat().map((one) => one.node_id))];
    if (!ids.length) return;
    let marked;
    try {
      marked = await this.context.api("api/marks", { query, node_ids: ids }, signal);
    } catch {
      return; // another question is asked, or the server is busy: the results stand without
    }
    if (signal.aborted) return;
    this.drawTimes({ ...times, ...marked.times_ms });
    for (const card of this.area.querySelectorAll(".result")) {
      const shown = marked.marks[card.dataset.node];
      if (!shown?.best) continue;
      fill(card.querySelector(".passage"), passage(shown));
      scrollToBest(card);
    }
  }

  /** Ask what the address asks, of a link that was followed; or write there again what is asked. */
  shown() {
    const asked = linked();
    if (asked === null) this.remember(this.input.value.trim());
    else if (asked !== this.input.value.trim()) {
      this.input.value = asked;
      this.search();
    }
  }

  remember(query) {
    if (document.getElementById("view-search").hidden) return;
    history.replaceState(null, "", query ? `#search?${new URLSearchParams({ q: query })}` : "#search");
  }

  greet() {
    const { documents, nodes, model } = this.index;
    this.last = null;
    this.area.removeAttribute("aria-busy");
    fill(this.timing);
    fill(
      this.area,
      notice(
        nodes ? "Type a question" : "The index is empty",
        nodes
          ? `${plural(nodes, "passage")} of ${plural(documents, "document")}, read by ${model.split("/").pop()}. Results follow as you type.`
          : "Index a folder: nearfield index FOLDER, then open this page again.",
      ),
    );
  }

  draw({ results, times_ms: times }) {
    this.drawTimes(times);
    const ranks = {};
    for (const [mode, found] of Object.entries(results)) {
      for (const one of found) (ranks[one.node_id] ??= {})[mode] = one.rank;
    }
    const modes = this.modes.filter((mode) => results[mode]);
    this.area.style.setProperty("--columns", modes.length);
    fill(this.area, modes.map((mode) => this.column(mode, results[mode], ranks)));
    this.filters.suggest(Object.values(results).flat());
    this.said.textContent = modes.map((mode) => `${MODES[mode].name}: ${plural(results[mode].length, "result")}`).join(". ");
  }

  column(mode, found, ranks) {
    const { name, about } = MODES[mode];
    const title = el("h2", { id: `column-${mode}` }, name, el("small", { text: about }));
    const none = { text: "No passage has one of these words.", vector: "No passage fits.", hybrid: "No passage fits." };
    const top = found[0]?.score ?? 1;
    return el(
      "section",
      { class: "column", "aria-labelledby": `column-${mode}` },
      title,
      found.length
        ? el("ol", { class: "results" }, found.map((one) => this.card(one, mode, top, ranks[one.node_id])))
        : notice("Nothing found", this.last.filters.length ? `${none[mode]} Filters are on.` : none[mode]),
    );
  }

  card(one, mode, top, ranks) {
    const absolute = mode === "vector" && this.index.metric === "cosine";
    const share = absolute ? one.score : top > 0 ? one.score / top : 1;
    const bar = el("span", { class: "bar", "aria-hidden": "true" }, el("span"));
    bar.firstChild.style.inlineSize = `${Math.max(0, Math.min(1, share)) * 100}%`;
    const others = Object.keys(ranks).filter((other) => other !== mode && this.modes.includes(other));
    const cut = one.file.lastIndexOf("/") + 1;
    const open = el(
      "button",
      {
        class: "open",
        title: `${one.file}: why this result`,
        "aria-haspopup": "dialog",
        on: { click: (event) => (event.stopPropagation(), this.why(one)) },
      },
      cut ? el("span", { class: "folder", text: one.file.slice(0, cut) }) : null,
      el("span", { class: "name", text: one.file.slice(cut) }),
    );
    const card = el(
      "li",
      { class: "result", "data-node": one.node_id },
      el(
        "header",
        {},
        el("span", { class: "rank", text: one.rank }),
        open,
        el("span", { class: "score", text: one.score.toFixed(mode === "text" ? 2 : mode === "hybrid" ? 4 : 3), title: "score" }),
        bar,
      ),
      el("p", { class: "passage", dir: "auto" }, passage(one)),
      el(
        "footer",
        {},
        el("span", { text: `characters ${count(one.start)}–${count(one.end)}` }),
        others.map((other) => el("span", { class: "also", text: `${MODES[other].name} #${ranks[other]}` })),
      ),
    );
    card.addEventListener("click", () => String(getSelection()) || this.why(one));
    const twin = (on) => () =>
      this.area.querySelectorAll(`.result[data-node="${CSS.escape(one.node_id)}"]`).forEach((same) => same.classList.toggle("same", on));
    card.addEventListener("mouseenter", twin(true));
    card.addEventListener("mouseleave", twin(false));
    card.addEventListener("focusin", twin(true));
    card.addEventListener("focusout", twin(false));
    return card;
  }

  why(one) {
    return openWhy(this.context, { nodeId: one.node_id, ...this.last });
  }

  drawTimes(times) {
    const parts = [
      ["tokenize", "tokenise"],
      ["embed", "embed"],
      ["search", "search"],
      ["rerank", "rerank"],
      ["mark", "mark sentences"],
    ].filter(([key]) => times[key] !== undefined);
    const total = parts.reduce((sum, [key]) => sum + times[key], 0);
    const bar = el("span", { class: "split", "aria-hidden": "true" });
    for (const [key] of parts) {
      const piece = el("span", { class: `part ${key}` });
      piece.style.flexGrow = times[key];
      bar.append(piece);
    }
    fill(
      this.timing,
      el("strong", { text: ms(total) }),
      bar,
      parts.map(([key, name]) => el("span", { class: `time ${key}` }, el("i", { class: `part ${key}`, "aria-hidden": "true" }), `${name} ${ms(times[key])}`)),
    );
  }

  fromInput(event) {
    if (event.key === "ArrowDown") {
      const first = this.area.querySelector(".open");
      if (first) {
        event.preventDefault();
        first.focus();
      }
    } else if (event.key === "Escape" && this.input.value) {
      event.preventDefault();
      this.input.value = "";
      this.search();
    }
  }

  fromResult(event) {
    const open = event.target.closest(".open");
    if (!open) return;
    const columns = [...this.area.querySelectorAll(".column")].map((column) => [...column.querySelectorAll(".open")]);
    const x = columns.findIndex((column) => column.includes(open));
    const y = columns[x].indexOf(open);
    const go = (target) => {
      if (!target) return;
      event.preventDefault();
      target.focus();
      target.closest(".result").scrollIntoView({ block: "nearest" });
    };
    const side = (step) => {
      for (let at = x + step; columns[at]; at += step) {
        if (columns[at].length) return columns[at][Math.min(y, columns[at].length - 1)];
      }
      return null;
    };
    if (event.key === "ArrowDown") go(columns[x][y + 1]);
    else if (event.key === "ArrowUp") y ? go(columns[x][y - 1]) : (event.preventDefault(), this.input.focus());
    else if (event.key === "ArrowRight") go(side(1));
    else if (event.key === "ArrowLeft") go(side(-1));
    else if (event.key === "Escape") this.input.focus();
  }
}

/** The question that the address carries, or null. */
const linked = () => new URLSearchParams(location.hash.split("?")[1] ?? "").get("q")?.trim() ?? null;

/** A stretch of a text, its best sentence marked where that is known. */
function passage({ text, text_start: first, length, best }) {
  return [
    first ? "… " : null,
    paint(text, best ? [{ spans: [best], class: "best" }] : []),
    first + Array.from(text).length < length ? " …" : null,
  ];
}

/** Let a clipped passage begin where its best sentence can be seen. */
function scrollToBest(card) {
  const passage = card.querySelector(".passage");
  const mark = passage?.querySelector("mark");
  if (!mark) return;
  const line = Number.parseFloat(getComputedStyle(passage).lineHeight);
  const lines = Math.floor((mark.offsetTop - passage.offsetTop) / line);
  passage.scrollTop = Math.max(0, lines - 1) * line;
}

function read() {
  try {
    const kept = JSON.parse(always.get(CHOICES)) ?? {};
    const modes = (kept.modes ?? []).filter((mode) => mode in MODES);
    return { modes: modes.length ? modes : undefined, topK: [5, 10, 20, 50].includes(kept.topK) ? kept.topK : undefined };
  } catch {
    return {};
  }
}
