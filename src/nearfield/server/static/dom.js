// Building blocks: elements, painted text, numbers. Text enters the page as text nodes only.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element.
 * @param {string} tag its name, "svg:..." for one of SVG
 * @param {object} props `class`, `text`, `on` (listeners by event); else attributes, or
 *   properties for booleans; null and undefined are left out
 * @param {...(Node|string|null)} children strings become text nodes
 */
export function el(tag, props = {}, ...children) {
  const made = tag.startsWith("svg:")
    ? document.createElementNS(SVG, tag.slice(4))
    : document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined) continue;
    if (name === "class") made.setAttribute("class", value);
    else if (name === "text") made.textContent = value;
    else if (name === "on") {
      for (const [event, heard] of Object.entries(value)) made.addEventListener(event, heard);
    } else if (typeof value === "boolean") made[name] = value;
    else made.setAttribute(name, value);
  }
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined) made.append(child);
  return made;
}

/** Put children in place of whatever an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/**
 * Paint a text: stretches of it get classes. Places are code points, as Python counts them.
 * @param {string} text
 * @param {{spans: number[][], class: string}[]} layers a layer may name "a|b" to alternate
 * @returns {DocumentFragment}
 */
export function paint(text, layers) {
  const letters = Array.from(text);
  const edges = new Set([0, letters.length]);
  const opens = new Map();
  layers.forEach((layer) => {
    const names = layer.class.split("|");
    layer.spans.forEach(([start, end], number) => {
      if (end <= start || start >= letters.length) return;
      edges.add(start).add(Math.min(end, letters.length));
      if (!opens.has(start)) opens.set(start, []);
      opens.get(start).push({ end, name: names[number % names.length] });
    });
  });
  const order = [...edges].sort((a, b) => a - b);
  const painted = document.createDocumentFragment();
  let active = [];
  for (let i = 0; i + 1 < order.length; i++) {
    const here = order[i];
    active = active.filter((one) => one.end > here).concat(opens.get(here) ?? []);
    const piece = letters.slice(here, order[i + 1]).join("");
    if (!active.length) painted.append(piece);
    else {
      const best = active.some((one) => one.name === "best");
      const names = [...new Set(active.map((one) => one.name))].join(" ");
      painted.append(el(best ? "mark" : "span", { class: names, text: piece }));
    }
  }
  return painted;
}

const whole = new Intl.NumberFormat("en");

/** Write a whole number with its thousands parted. */
export const count = (value) => whole.format(value);

/** Write milliseconds as short as they can be read. */
export const ms = (value) => (value < 0.1 ? "<0.1 ms" : `${value.toFixed(value < 10 ? 1 : 0)} ms`);

/** Write a share of a hundred. */
export const percent = (value) => `${value === 0 || value >= 10 ? value.toFixed(0) : value.toFixed(value < 0.1 ? 2 : 1)} %`;

/** Write a number of bytes. */
export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(unit && value < 100 ? 1 : 0)} ${units[unit]}`;
}

/** Write a time span in its largest two units. */
export function span(seconds) {
  const [days, hours, minutes] = [86400, 3600, 60].map((unit) => Math.floor(seconds / unit));
  if (days) return `${days} d ${hours % 24} h`;
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

/** Write a word with its number: 1 document, 2 documents. */
export const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

/** A state that is not content: empty, waiting or failed. */
export function notice(title, text, kind = "empty") {
  return el(
    "div",
    { class: `notice ${kind}`, role: kind === "failed" ? "alert" : "status" },
    el("strong", { text: title }),
    el("p", { text }),
  );
}

/** Call a function once its callers have been quiet for a while. */
export function debounce(call, quiet) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...args), quiet);
  };
}

/** Move focus within a list by arrow keys; returns whether the key was one of them. */
export function rove(event, items, keys) {
  const at = items.indexOf(document.activeElement);
  const steps = { [keys[0]]: at - 1, [keys[1]]: at + 1, Home: 0, End: items.length - 1 };
  if (!(event.key in steps) || !items.length) return false;
  event.preventDefault();
  items[(steps[event.key] + items.length) % items.length].focus();
  return true;
}
