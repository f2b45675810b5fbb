// Where a map's data come from: the server, piece by piece, or the file that carries all of it.

const CARDS_AT_ONCE = 200;
const MOST_KEPT = 4000;
const HITS = 30;

/** Bring places between -1 and 1, one scale for both axes; returns what does the same to any place. */
export function fitted(places) {
  let [left, low, right, high] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < places.length; i += 2) {
    left = Math.min(left, places[i]);
    right = Math.max(right, places[i]);
    low = Math.min(low, places[i + 1]);
    high = Math.max(high, places[i + 1]);
  }
  const half = Math.max(right - left, high - low) / 2 || 1;
  const [x, y] = [(left + right) / 2, (low + high) / 2];
  const fit = (place) => [(place[0] - x) / half, (place[1] - y) / half];
  const out = new Float32Array(places.length);
  for (let i = 0; i < places.length; i += 2) {
    out[i] = (places[i] - x) / half;
    out[i + 1] = (places[i + 1] - y) / half;
  }
  return { places: out, fit };
}

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** A map that a server draws and keeps. */
export class ServedSource {
  searches = "meaning";

  constructor(context) {
    this.context = context;
    this.cards = new Map();
    this.version = "";
  }

  /** All that is known but for the points; `state` says how far it is. */
  async state() {
    const state = await this.context.api("api/map");
    if (state.version !== this.version) this.cards.clear();
    this.version = state.version;
    return state;
  }

  #path(name, more = {}) {
    return `api/map/${name}?${new URLSearchParams({ version: this.version, ...more })}`;
  }

  /** Places as they come: `kind` is "pca" or "best". */
  async points(kind) {
    return new Float32Array(await this.context.binary(this.#path("points", { kind })));
  }

  async field(name) {
    const field = await this.context.api(this.#path("field", { name }));
    return { ...field, codes: bytesOf(field.codes) };
  }

  /** What lists show of points, in the order asked for. */
  async cardsOf(points) {
    const missing = points.filter((i) => !this.cards.has(i));
    if (this.cards.size + missing.length > MOST_KEPT) {
      this.cards.clear();
      missing.splice(0, missing.length, ...points);
    }
    for (let at = 0; at < missing.length; at += CARDS_AT_ONCE) {
      const i = missing.slice(at, at + CARDS_AT_ONCE).join(",");
      for (const card of await this.context.api(this.#path("cards", { i }))) this.cards.set(card.i, card);
    }
    return points.map((i) => this.cards.get(i));
  }

  cardAtHand(i) {
    return this.cards.get(i) ?? null;
  }

  /** A point with its whole text and its facts. */
  node(i) {
    return this.context.api(this.#path("node", { i }));
  }

  told(number, query) {
    return `The ${number} nearest to “${query}”.`;
  }

  /** The points that answer a question: their numbers, best first, and how many are not shown. */
  async find(query) {
    const { hits, outside } = await this.context.api("api/map/find", { query, version: this.version, top_k: HITS });
    return { points: hits.map(([i]) => i), outside };
  }
}

/** A map in a file, which asks nobody. */
export class EmbeddedSource {
  searches = "words";

  constructor(data) {
    this.data = data;
    this.folded = null;
  }

  async state() {
    return this.data.state;
  }

  async points(kind) {
    return new Float32Array(bytesOf(kind === "pca" ? this.data.pca : this.data.layout).buffer);
  }

  async field(name) {
    const field = this.data.fields.find((one) => one.name === name);
    return { ...field, codes: bytesOf(field.codes) };
  }

  cardAtHand(i) {
    const [document, start, end, text] = this.data.nodes[i];
    return { i, document: this.data.documents[document], start, end, text };
  }

  async cardsOf(points) {
    return points.map((i) => this.cardAtHand(i));
  }

  async node(i) {
    const card = this.cardAtHand(i);
    return { ...card, cut: card.end - card.start > Array.from(card.text).length, metadata: {} };
  }

  told(number, query) {
    return `${number} with the words “${query}”.`;
  }

  /** The points whose text or document has every word of the question, those with most of them first. */
  async find(query) {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    this.folded ??= this.data.nodes.map((node) => `${this.data.documents[node[0]]}\n${node[3]}`.toLowerCase());
    const found = [];
    this.folded.forEach((text, i) => {
      if (words.length && words.every((word) => text.includes(word))) {
        found.push([i, words.reduce((sum, word) => sum + text.split(word).length - 1, 0)]);
      }
    });
    found.sort((a, b) => b[1] - a[1] || a[0] - b[0]);
    return { points: found.map(([i]) => i), outside: 0 };
  }
}
