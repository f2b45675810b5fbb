// The frame: tabs, theme, keys, the health strip. Each view is a module of its own.

import { api, binary } from "./api.js";
import { bytes, count, el, fill, notice, percent, rove } from "./dom.js";
import { always } from "./kept.js";

const VIEWS = ["search", "compare", "map", "speed", "health"];
const REFRESH_MS = 5000;
const NOT_READY_MS = 1000;
const THEMES = ["auto", "light", "dark"];
const THEME = "nearfield-theme";

const byId = (id) => document.getElementById(id);
const tabs = VIEWS.map((name) => byId(`tab-${name}`));
const mounted = new Map();
const listeners = { theme: new Set(), show: new Set(), status: new Set() };

const subscribe = (name) => (heard) => {
  listeners[name].add(heard);
  return () => listeners[name].delete(heard);
};
const tell = (name, value) => listeners[name].forEach((heard) => heard(value));

const context = {
  api,
  binary,
  status: null,
  onTheme: subscribe("theme"),
  onShow: subscribe("show"),
  onStatus: subscribe("status"),
  refresh,
  show,
  async openNode(nodeId, query = "") {
    const { openWhy } = await import("./why.js");
    return openWhy(context, { nodeId, query });
  },
};

async function show(name, { focus = false } = {}) {
  VIEWS.forEach((view, number) => {
    const chosen = view === name;
    byId(`view-${view}`).hidden = !chosen;
    tabs[number].setAttribute("aria-selected", String(chosen));
    tabs[number].tabIndex = chosen ? 0 : -1;
  });
  if (focus) byId(`tab-${name}`).focus();
  const view = location.hash.slice(1).split("?")[0];
  if (view !== name) history.replaceState(null, "", `#${name}`);
  document.title = `${byId(`tab-${name}`).textContent} · nearfield`;
  await mount(name);
  tell("show", name);
}

function mount(name) {
  if (!mounted.has(name)) mounted.set(name, load(name));
  return mounted.get(name);
}

async function load(name) {
  const root = byId(`view-${name}`);
  try {
    context.status ??= await firstStatus(root);
    const view = await import(`./${name}.js`);
    await view.mount(root, context);
  } catch (error) {
    mounted.delete(name); // opening it again tries again
    fill(root, notice("This view could not be opened", error.message, "failed"));
  }
}

/** Ask what is served, as often as it takes a server that has just started to have it loaded. */
async function firstStatus(root) {
  for (let told = false; ; told = true) {
    try {
      return await api("api/status");
    } catch (error) {
      if (error.status !== 503) throw error;
      if (!told) fill(root, notice("The server is not ready", `${error.message} This view opens by itself when it is.`));
      await new Promise((resolve) => setTimeout(resolve, NOT_READY_MS));
    }
  }
}

async function refresh() {
  let status;
  try {
    status = await api("api/status");
  } catch (error) {
    byId("strip").classList.add("lost");
    fill(byId("strip"), el("span", { text: error.message }));
    return;
  }
  context.status = status;
  byId("strip").classList.remove("lost");
  drawStrip(status);
  tell("status", status);
}

function drawStrip({ index, models, cache, memory_bytes: memory }) {
  const served = models.find((model) => model.fingerprint === index?.fingerprint) ?? models[0];
  const fact = (name, value, title) =>
    el("span", { class: "fact", title }, el("span", { class: "name", text: name }), el("span", { class: "value", text: value }));
  const vectors = index && [count(index.nodes), index.dim ?? served?.dim].filter(Boolean).join(" × ");
  fill(
    byId("strip"),
    fact("model", served ? served.name.split("/").pop() : "none", served?.name),
    served && fact("fingerprint", served.fingerprint.split("/").pop().slice(0, 8), served.fingerprint),
    fact("vectors", vectors ?? "no index"),
    fact("truncated", index ? percent(index.truncated_percent) : "–", "nodes the model did not read whole"),
    fact("cache hits", cache ? count(cache.hits) : "no cache"),
    fact("memory", memory ? bytes(memory) : "–"),
  );
}

function dress(theme) {
  const root = document.documentElement;
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
  const button = byId("theme");
  button.textContent = { auto: "◐ Auto", light: "○ Light", dark: "● Dark" }[theme];
  button.setAttribute("aria-label", `Theme: ${theme}. Change it`);
  tell("theme", theme);
}

function theme() {
  const chosen = always.get(THEME);
  return THEMES.includes(chosen) ? chosen : "auto";
}

function listen() {
  tabs.forEach((tab, number) => tab.addEventListener("click", () => show(VIEWS[number])));
  byId("tab-search").parentElement.addEventListener("keydown", (event) => {
    if (rove(event, tabs, ["ArrowLeft", "ArrowRight"])) show(VIEWS[tabs.indexOf(document.activeElement)]);
  });
  byId("theme").addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
    always.set(THEME, next);
    dress(next);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dress(theme()));
  byId("open-help").addEventListener("click", () => byId("help-dialog").showModal());
  document.addEventListener("keydown", shortcut);
  addEventListener("hashchange", () => {
    const view = location.hash.slice(1).split("?")[0];
    if (VIEWS.includes(view)) show(view);
  });
}

async function shortcut(event) {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === "/") {
    event.preventDefault();
    await show("search");
    byId("question")?.focus();
  } else if (event.key === "?") byId("help-dialog").showModal();
  else if (VIEWS[Number(event.key) - 1]) show(VIEWS[Number(event.key) - 1], { focus: true });
}

async function start() {
  dress(theme());
  listen();
  const wanted = location.hash.slice(1).split("?")[0];
  await show(VIEWS.includes(wanted) ? wanted : "search");
  if (context.status) drawStrip(context.status);
  setInterval(() => document.hidden || document.querySelector("#key-dialog[open]") || refresh(), REFRESH_MS);
}

start();
