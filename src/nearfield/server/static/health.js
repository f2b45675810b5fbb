// Health: what is served and how it fares, drawn anew as the server reports.

import { bytes, count, el, fill, percent, plural, span } from "./dom.js";

const KEPT = 60;

/** Show the view. */
export function mount(root, context) {
  const history = [];
  const draw = (status) => {
    if (status.memory_bytes) history.push(status.memory_bytes);
    if (history.length > KEPT) history.shift();
    fill(root, el("div", { class: "health" }, index(status), server(status, history), models(status)));
  };
  draw(context.status);
  context.onStatus(draw);
  context.onShow((name) => name === "health" && context.refresh());
}

const card = (title, ...children) => el("section", { class: "card" }, el("h2", { text: title }), ...children);

const table = (facts) =>
  el("dl", { class: "facts" }, facts.map(([name, value, title]) => el("div", {}, el("dt", { text: name }), el("dd", { text: value ?? "–", title }))));

function index({ index: one }) {
  if (!one) return card("Index", el("p", { class: "note", text: "None is served: nearfield view my.index opens one." }));
  return card(
    "Index",
    table([
      ["name", one.name],
      ["vectors", `${count(one.nodes)} of ${one.dim ?? "–"} numbers`],
      ["documents", count(one.documents)],
      ["model", one.model],
      ["fingerprint", one.fingerprint],
      ["compared by", one.metric?.replace("_", " ")],
      ["node size", one.chunk_size ? `${plural(one.chunk_size, "token")}, ${one.chunk_overlap ?? 0} shared` : null],
      ["truncated", percent(one.truncated_percent), "nodes the model did not read whole"],
      ["search by words", one.text_search ? "yes" : "no"],
      ["size", bytes(one.size_bytes)],
      ["last change", one.last_change ? new Date(one.last_change * 1000).toLocaleString() : null],
    ]),
  );
}

function server(status, history) {
  const { counts, cache, memory_bytes: memory, uptime_s: uptime, version } = status;
  return card(
    "Server",
    table([
      ["version", version],
      ["running for", span(uptime)],
      ["memory", memory ? bytes(memory) : null],
      ["cache", cache ? `${count(cache.hits)} hits, ${count(cache.misses)} misses` : "none"],
      ...Object.entries(counts).map(([name, value]) => [name.replaceAll("_", " "), count(Math.round(value))]),
    ]),
    history.length > 1 ? memoryLine(history) : null,
  );
}

function memoryLine(history) {
  const [low, high] = [Math.min(...history), Math.max(...history)];
  // From nothing to the most, so that a small change looks small.
  const points = history.map((value, at) => `${(at * 100) / (history.length - 1)},${30 - (26 * value) / high}`);
  return el(
    "figure",
    { class: "line" },
    el("svg:svg", { viewBox: "0 0 100 32", preserveAspectRatio: "none", "aria-hidden": "true" }, el("svg:polyline", { points: points.join(" ") })),
    el("figcaption", { class: "note", text: `memory since you opened this page: ${bytes(low)} to ${bytes(high)}` }),
  );
}

function models({ models: all }) {
  const head = ["model", "backend", "numbers", "reads", "prompts", "texts", "truncated", "fingerprint"];
  const prompts = ({ query, document } = {}) => [query && `query: “${query}”`, document && `document: “${document}”`].filter(Boolean).join(", ") || "none";
  const row = (one) => [
    one.name,
    one.backend,
    one.dim ? count(one.dim) : "–",
    one.max_tokens ? plural(one.max_tokens, "token") : "–",
    prompts(one.prompts),
    count(one.texts),
    count(one.truncated_texts),
    one.fingerprint,
  ];
  return el(
    "section",
    { class: "card wide" },
    el("h2", { text: "Models" }),
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Models" },
      el(
        "table",
        { class: "plain" },
        el("thead", {}, el("tr", {}, head.map((name) => el("th", { scope: "col", text: name })))),
        el("tbody", {}, all.map((one) => el("tr", {}, row(one).map((value, at) => el(at ? "td" : "th", { scope: at ? null : "row", text: value }))))),
      ),
    ),
  );
}
