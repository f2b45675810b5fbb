// Why this result: what the model read of question and passage, where the passage lies, its ranks.

import { count, el, fill, notice, paint, plural } from "./dom.js";
import { always } from "./kept.js";

const SHOW_TOKENS = "nearfield-tokens";

/**
 * Open the drawer on a node.
 * @param {object} context
 * @param {{nodeId: string, query: string, filters?: object[], join?: string}} asked
 */
export async function openWhy(context, { nodeId, query, filters = [], join = "and" }) {
  const body = el("div", { class: "why" }, notice("Looking closely …", "Reading the passage as the model does.", "waiting"));
  const close = el("button", { class: "quiet", text: "Close", on: { click: () => dialog.close() } });
  const dialog = el(
    "dialog",
    { class: "drawer", "aria-labelledby": "why-title" },
    el("div", { class: "drawer-top" }, el("h2", { id: "why-title", text: "Why this result" }), close),
    body,
  );
  const back = document.activeElement;
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (back?.isConnected) back.focus();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  try {
    const facts = await context.api("api/why", { query, node_id: nodeId, filters, join });
    fill(body, sections(facts, query));
  } catch (error) {
    fill(body, notice("No explanation", error.message, "failed"));
  }
}

function sections(facts, query) {
  return [
    el(
      "p",
      { class: "place" },
      el("strong", { text: facts.file, dir: "auto" }),
      el("span", { text: `characters ${count(facts.start)}–${count(facts.end)}` }),
      el("span", { text: `passage ${count(facts.number)} of ${count(facts.of)}` }),
    ),
    ranks(facts),
    part("What was sent for the question", sent(facts.prompt_query, query, facts, "query")),
    part("What was sent for the passage", passage(facts)),
    Object.keys(facts.metadata).length ? part("Metadata", metadata(facts.metadata)) : null,
  ];
}

const part = (title, ...children) => el("section", {}, el("h3", { text: title }), ...children);

function ranks(facts) {
  const { vector, text } = facts.ranks;
  const beyond = `beyond ${count(facts.rank_depth)}`;
  const share = (rank) => (rank ? 1 / (facts.fusion_constant + rank) : 0);
  const cell = (name, value, about) =>
    el("div", { class: "figure" }, el("dt", { text: name }), el("dd", {}, el("strong", { text: value }), el("small", { text: about })));
  const words = new Set(facts.words.map(([start, end]) => Array.from(facts.text).slice(start, end).join("").toLowerCase()));
  const found = words.size ? [...words].slice(0, 8).join(", ") : "no word of the question is in it";
  const fused = share(vector) + share(text);
  const sum = [vector, text].filter(Boolean).map((rank) => `1/(${facts.fusion_constant}+${rank})`).join(" + ");
  return el(
    "dl",
    { class: "figures" },
    cell("Rank by meaning", vector ? `#${count(vector)}` : beyond, `${facts.metric.replace("_", " ")} ${facts.score.toFixed(4)}`),
    cell("Rank by words", text ? `#${count(text)}` : words.size ? beyond : "none", found),
    cell("Both", fused ? fused.toFixed(4) : "–", sum || "in neither ranking"),
  );
}

function sent(prompt, text, facts, kind) {
  const spans = kind === "query" ? facts.query_spans : [];
  const tokens = facts.query_tokens;
  return [
    el(
      "p",
      { class: "sent", dir: "auto" },
      prompt ? el("span", { class: "prompt", text: prompt, title: "the model's own prompt" }) : null,
      paint(text, [
        { spans, class: "t0|t1" },
        { spans: facts.query_cut ? [facts.query_cut] : [], class: "cut" },
      ]),
    ),
    el("p", { class: "note", text: [prompt ? "The dotted part is the model's prompt." : "This model takes no prompt.", said(tokens, facts)].join(" ") }),
  ];
}

function said(tokens, facts) {
  if (tokens === null) return "Its tokenizer is not at hand, so tokens are not counted.";
  const about = facts.tokens_exact ? "" : "about ";
  return `${about}${plural(tokens, "token")}${facts.max_tokens ? `, of ${count(facts.max_tokens)} it reads` : ""}.`;
}

function passage(facts) {
  const length = Array.from(facts.text).length;
  const shared = [];
  if (facts.shared_before) shared.push([0, facts.shared_before]);
  if (facts.shared_after) shared.push([Math.max(0, facts.length - facts.shared_after), facts.length]);
  const painted = el(
    "div",
    { class: "node", dir: "auto" },
    facts.prompt_document ? el("span", { class: "prompt", text: facts.prompt_document }) : null,
    paint(facts.text, [
      { spans: facts.tokens, class: "t0|t1" },
      { spans: facts.best ? [facts.best] : [], class: "best" },
      { spans: facts.words, class: "word" },
      { spans: shared, class: "shared" },
      { spans: facts.cut ? [facts.cut] : [], class: "cut" },
    ]),
    length < facts.length ? el("span", { class: "note", text: ` … ${count(facts.length - length)} characters more` }) : null,
  );
  const border = (text) => el("p", { class: "border" }, el("span", { text }));
  const kept = always.get(SHOW_TOKENS) === "on";
  const box = el("div", { class: `document${kept ? " tokens" : ""}` });
  const toggle = el("input", {
    type: "checkbox",
    checked: kept,
    on: {
      change: (event) => {
        box.classList.toggle("tokens", event.target.checked);
        always.set(SHOW_TOKENS, event.target.checked ? "on" : "off");
      },
    },
  });
  fill(
    box,
    facts.before ? el("div", { class: "around", dir: "auto", text: facts.before }) : null,
    border(`node begins · character ${count(facts.start)}`),
    painted,
    border(`node ends · character ${count(facts.end)}`),
    facts.after ? el("div", { class: "around", dir: "auto", text: facts.after }) : null,
  );
  return [
    gauge(facts),
    facts.cut
      ? el("p", { class: "bad", text: `The model never saw ${plural(facts.cut[1] - facts.cut[0], "character")}: the part struck through.` })
      : null,
    el(
      "div",
      { class: "row legend" },
      el("span", {}, el("mark", { class: "best", text: "best sentence" })),
      facts.words.length ? el("span", {}, el("span", { class: "word", text: "word of the question" })) : null,
      shared.length ? el("span", {}, el("span", { class: "shared", text: "shared with a neighbour" })) : null,
      facts.tokens.length ? el("label", { class: "toggle" }, toggle, "show tokens") : null,
    ),
    box,
  ];
}

function gauge(facts) {
  if (facts.node_tokens === null) return el("p", { class: "note", text: said(null, facts) });
  const bar = el("span", { class: "gauge", "aria-hidden": "true" }, el("span"), el("span", { class: "over" }));
  const all = Math.max(facts.node_tokens, facts.max_tokens ?? facts.node_tokens);
  const used = Math.min(facts.node_tokens, facts.max_tokens ?? facts.node_tokens);
  bar.children[0].style.inlineSize = `${(100 * used) / all}%`;
  bar.children[1].style.inlineSize = `${(100 * (facts.node_tokens - used)) / all}%`;
  return el("p", { class: "gauged" }, bar, el("span", { text: said(facts.node_tokens, facts) }));
}

function metadata(facts) {
  return el(
    "dl",
    { class: "metadata" },
    Object.entries(facts).map(([name, value]) => el("div", {}, el("dt", { text: name, dir: "auto" }), el("dd", { text: String(value), dir: "auto" }))),
  );
}
