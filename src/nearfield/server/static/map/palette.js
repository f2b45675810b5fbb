// How categories look: a colour and a shape each, so that a map reads without colours too.

import { el } from "../dom.js";

const LIGHT = [
  "#2f6fd0", "#d9730d", "#168a53", "#c2334d", "#7d4cc2", "#8a5a23",
  "#c23d94", "#0b8794", "#77790c", "#3b4a8f", "#b8860b", "#5d6b2f",
];
const DARK = [
  "#6ea8ff", "#ff9d4d", "#45cf8b", "#ff6f86", "#b794ff", "#cf9d63",
  "#ff86d3", "#3fd0de", "#cfd04a", "#9aa9f5", "#f2c744", "#a9bd6b",
];
const REST = { light: "#8a8f98", dark: "#7d8490" };

export const OTHER = "(other)";
export const OTHER_SLOT = 12;
export const SLOTS = 13;

// Six outlines, filled for the first six categories and hollow for the next; the rest is a dot.
const OUTLINES = [
  "M8 1.6a6.4 6.4 0 1 1 0 12.8a6.4 6.4 0 1 1 0-12.8z",
  "M2.6 2.6h10.8v10.8h-10.8z",
  "M8 1.5 15 13.6H1z",
  "M8 .8 15.2 8 8 15.2.8 8z",
  "M5.8 1.2h4.4v4.6h4.6v4.4h-4.6v4.6H5.8v-4.6H1.2V5.8h4.6z",
  "M8 4.9 11.3 1.6 14.4 4.7 11.1 8l3.3 3.3-3.1 3.1L8 11.1l-3.3 3.3-3.1-3.1L4.9 8 1.6 4.7 4.7 1.6z",
];

/** Whether the page is dark now. */
export function isDark(element) {
  const scheme = getComputedStyle(element).colorScheme;
  return scheme === "dark" || (scheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
}

/** The colours by slot, as "#rrggbb". */
export function colours(dark) {
  return [...(dark ? DARK : LIGHT), dark ? REST.dark : REST.light];
}

/** The slot of each category: its own colour and shape, or those of all others together. */
export function slotOf(label, code) {
  return label === OTHER ? OTHER_SLOT : code;
}

/** "#rrggbb" as three numbers, 0 to 1. */
export function channels(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255);
}

/** A category's sign for lists, in its colour. */
export function sign(slot, dark) {
  const colour = colours(dark)[slot];
  const hollow = slot >= 6 && slot !== OTHER_SLOT;
  const shape =
    slot === OTHER_SLOT
      ? el("svg:circle", { cx: 8, cy: 8, r: 3.2, fill: colour })
      : el("svg:path", {
          d: OUTLINES[slot % 6],
          fill: hollow ? "none" : colour,
          stroke: hollow ? colour : null,
          "stroke-width": hollow ? 2.6 : null,
        });
  return el("svg:svg", { class: "map-sign", viewBox: "0 0 16 16", "aria-hidden": "true" }, shape);
}

/** A category's outline for the plain canvas, in a box of 16 by 16. */
export function outline(slot) {
  return slot === OTHER_SLOT ? null : new Path2D(OUTLINES[slot % 6]);
}
