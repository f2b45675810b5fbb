// The start of a map in a file of its own: the data beside it, a theme, nothing else.

import { mount } from "../map.js";

const THEMES = ["auto", "light", "dark"];

/** Show the map that the file carries. */
export async function start() {
  const embedded = JSON.parse(document.getElementById("map-data").textContent);
  const heard = new Set();
  const tell = () => heard.forEach((call) => call());
  const button = document.getElementById("theme");
  let theme = 0;
  const dress = () => {
    const name = THEMES[theme];
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    button.textContent = { auto: "◐ Auto", light: "○ Light", dark: "● Dark" }[name];
    button.setAttribute("aria-label", `Theme: ${name}. Change it`);
    tell();
  };
  button.addEventListener("click", () => {
    theme = (theme + 1) % THEMES.length;
    dress();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", dress);
  document.getElementById("map-title").textContent = embedded.title;
  document.title = `${embedded.title} · nearfield`;
  dress();
  await mount(document.getElementById("map"), { embedded, onTheme: (call) => heard.add(call) });
}
