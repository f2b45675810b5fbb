// Speed against fidelity, from the last `nearfield bench`: drawn, and written beside it.

import { bytes, count, el, fill, notice } from "./dom.js";

const WORKLOADS = { passages: "passages", short: "short questions", mixed: "mixed lengths", page: "equal questions" };
const MARGIN = { left: 72, right: 24, top: 18, bottom: 52 };
const LEAST_WIDTH = 280;
const MOST_WIDTH = 1400;
// Nearer than float32 can tell is drawn as this.
const LEAST_DISTANCE = 1e-7;
const LABEL_HEIGHT = 15;

/** Show the view. */
export async function mount(root, context) {
  let shown = null;
  const look = async () => {
    try {
      const results = await context.api("api/bench");
      const stamp = results && `${results.date}`;
      if (stamp === shown && root.children.length) return;
      shown = stamp;
      draw(root, results);
    } catch (error) {
      fill(root, notice("The results cannot be read", error.message, "failed"));
    }
  };
  await look();
  context.onShow((name) => name === "speed" && look());
}

function draw(root, results) {
  const all = (results?.models ?? []).flatMap((model) => model.backends.map((one) => ({ ...one, reference: model.reference })));
  const ran = all.filter((one) => !one.error);
  if (!ran.length) {
    fill(root, notice("Nothing measured yet", "Run `nearfield bench` on this machine, or `nearfield bench --quick` for rough figures; the plot appears here."));
    return;
  }
  const figure = el("div", { class: "figure-area" });
  const choose = el(
    "select",
    { "aria-label": "Texts", on: { change: () => plot(figure, ran, choose.value) } },
    Object.entries(WORKLOADS)
      .filter(([name]) => ran.every((one) => one.texts_per_s[name]))
      .map(([name, title]) => el("option", { value: name, text: title })),
  );
  fill(
    root,
    el(
      "div",
      { class: "speed" },
      el(
        "section",
        { class: "card" },
        el("header", { class: "row between" }, el("h2", { text: "Speed against fidelity" }), choose),
        el("p", { class: "note", text: "To the right is faster. Upwards is nearer to the reference's vectors, by the worst text." }),
        figure,
      ),
      table(all),
      conditions(results),
    ),
  );
  let drawn = 0;
  new ResizeObserver(() => {
    if (figure.clientWidth === drawn) return; // drawing changes the height
    drawn = figure.clientWidth;
    plot(figure, ran, choose.value);
  }).observe(figure);
}

const distance = (one) => Math.max(LEAST_DISTANCE, one.cosine_min === null ? 0 : 1 - one.cosine_min);
const label = (one) => `${one.model.replace(/\/$/, "").split("/").pop()} · ${one.backend}`;

function decades(values) {
  const low = Math.floor(Math.log10(Math.min(...values)));
  return [low, Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))))];
}

function plot(figure, ran, workload) {
  // Drawn as wide as there is room, so that its letters are as large as all others.
  const width = Math.max(LEAST_WIDTH, Math.min(figure.clientWidth, MOST_WIDTH));
  const height = Math.max(300, Math.min(460, width * 0.6));
  const { left, right, top, bottom } = MARGIN;
  const speed = (one) => one.texts_per_s[workload];
  const [low, high] = decades(ran.map(speed));
  const [near, far] = decades([LEAST_DISTANCE, ...ran.map(distance)]);
  const x = (value) => left + ((Math.log10(value) - low) / (high - low)) * (width - left - right);
  const y = (value) => top + ((Math.log10(value) - near) / (far - near)) * (height - top - bottom);
  const parts = [];
  for (let power = low; power <= high; power++) {
    for (const times of power < high ? [1, 2, 5] : [1]) {
      const at = x(times * 10 ** power);
      parts.push(el("svg:path", { class: times > 1 ? "rule minor" : "rule", d: `M${at} ${top}V${height - bottom}` }));
      parts.push(el("svg:text", { class: "tick", x: at, y: height - bottom + 18, "text-anchor": "middle", text: count(times * 10 ** power) }));
    }
  }
  for (let power = near; power <= far; power++) {
    const at = y(10 ** power);
    parts.push(el("svg:path", { class: "rule", d: `M${left} ${at}H${width - right}` }));
    parts.push(el("svg:text", { class: "tick", x: left - 8, y: at + 4, "text-anchor": "end", text: `${power === near ? "≤ " : ""}1e${power}` }));
  }
  parts.push(el("svg:text", { class: "axis", x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle", text: `texts per second (${WORKLOADS[workload]})` }));
  parts.push(el("svg:text", { class: "axis", transform: `translate(14 ${(top + height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle", text: "1 − cosine, worst text" }));
  const points = ran.map((one) => ({ one, x: x(speed(one)), y: y(distance(one)) })).sort((a, b) => a.y - b.y || a.x - b.x);
  const taken = [];
  for (const point of points) parts.push(mark(point, labelPlace(point, taken, width), workload));
  const title = `Speed against fidelity of ${ran.map(label).join(", ")}; the table below has the figures.`;
  fill(figure, el("svg:svg", { class: "plot", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title }, parts));
}

/** Find a place for a label beside its point where no other label is. */
function labelPlace(point, taken, width) {
  const wide = 7 * label(point.one).length;
  const before = point.x + 12 + wide > width - 4;
  const x0 = before ? point.x - 12 - wide : point.x + 12;
  let y = point.y + 4;
  while (taken.some((other) => Math.abs(other.y - y) < LABEL_HEIGHT && other.x0 < x0 + wide && x0 < other.x1)) y += LABEL_HEIGHT;
  taken.push({ y, x0, x1: x0 + wide });
  return { x: before ? point.x - 12 : point.x + 12, y, anchor: before ? "end" : "start" };
}

function mark({ one, x, y }, place, workload) {
  const shapes = {
    native: () => el("svg:circle", { cx: x, cy: y, r: 6 }),
    torch: () => el("svg:rect", { x: x - 5.5, y: y - 5.5, width: 11, height: 11 }),
    onnx: () => el("svg:path", { d: `M${x} ${y - 7}l7 12h-14z` }),
    openvino: () => el("svg:path", { d: `M${x} ${y - 8}l8 8l-8 8l-8 -8z` }),
  };
  const shape = (shapes[one.backend] ?? (() => el("svg:path", { d: `M${x - 6} ${y}h12M${x} ${y - 6}v12`, class: "cross" })))();
  const told = `${label(one)}: ${count(Math.round(one.texts_per_s[workload]))} texts/s, worst cosine ${cosine(one)}`;
  return el(
    "svg:g",
    { class: `point ${one.backend}` },
    el("svg:title", { text: told }),
    shape,
    el("svg:text", { x: place.x, y: place.y, "text-anchor": place.anchor, text: label(one) }),
  );
}

/** Write the worst cosine so that its difference from 1 can be read. */
function cosine({ cosine_min: worst }) {
  if (worst === null) return "reference";
  if (worst >= 1) return "1";
  return worst > 0.99999 ? `1 − ${(1 - worst).toExponential(1)}` : worst.toFixed(6);
}

function table(all) {
  const head = ["model · backend", "passages/s", "questions/s", "one question", "start", "memory", "worst cosine", "Mars"];
  const row = (one) =>
    one.error
      ? [label(one), { text: one.error, span: head.length - 1 }]
      : [
          label(one),
          count(Math.round(one.texts_per_s.passages ?? 0)),
          count(Math.round(one.texts_per_s.short ?? 0)),
          `${one.query_p50_ms.toFixed(1)} ms`,
          `${one.load_s.toFixed(2)} s`,
          one.peak_rss_bytes ? bytes(one.peak_rss_bytes) : "–",
          cosine(one),
          one.similarity.Mars?.toFixed(4) ?? "–",
        ];
  const cells = (values) =>
    values.map((value, at) =>
      el(at ? "td" : "th", {
        scope: at ? null : "row",
        colspan: value.span,
        class: value.span ? "bad" : at ? "figure-cell" : null,
        text: value.text ?? value,
      }),
    );
  return el(
    "section",
    { class: "card" },
    el("h2", { text: "Figures" }),
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Figures" },
      el(
        "table",
        { class: "plain" },
        el("thead", {}, el("tr", {}, head.map((name, at) => el("th", { scope: "col", class: at ? "figure-cell" : null, text: name })))),
        el("tbody", {}, all.map((one) => el("tr", {}, cells(row(one))))),
      ),
    ),
  );
}

function conditions({ date, machine, versions, rounds }) {
  const facts = [
    ["measured", date ? new Date(date).toLocaleString() : null],
    ["rounds", rounds],
    ["processor", machine?.processor],
    ["system", machine?.system],
    ["Python", machine?.python],
    ...Object.entries(versions ?? {}),
  ].filter(([, value]) => value);
  return el(
    "section",
    { class: "card" },
    el("h2", { text: "Conditions" }),
    el("dl", { class: "facts inline" }, facts.map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", { text: String(value) })))),
  );
}
