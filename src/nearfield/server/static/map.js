// The map of an index: every node a point, near ones together. Also stands alone in a file.

import { el, fill, notice, plural } from "./dom.js";
import { slotOf } from "./map/palette.js";
import { Panel } from "./map/panel.js";
import { EmbeddedSource, fitted, ServedSource } from "./map/source.js";
import { Stage } from "./map/stage.js";
import { Status, Tools, Tooltip } from "./map/tools.js";

const ASK_AGAIN_MS = 800;
const HOVER_MS = 70;
const MOST_LISTED = 500;

/**
 * Show the map.
 * @param {HTMLElement} root
 * @param {object} context the page's; with `embedded`, all data of the map, nothing is fetched
 */
export async function mount(root, context) {
  const source = context.embedded ? new EmbeddedSource(context.embedded) : new ServedSource(context);
  const view = new MapView(root, context, source);
  context.onTheme?.(() => view.dress());
  context.onShow?.((name) => name === "map" && view.refresh());
  await view.refresh();
  return view;
}

class MapView {
  constructor(root, context, source) {
    this.root = root;
    this.context = context;
    this.source = source;
    this.state = { version: null };
    this.kind = "best";
    this.field = null;
    this.hidden = new Set();
    this.chosen = null;
    this.query = "";
    this.hovered = -1;
    this.stage = new Stage({
      point: (i, left, top) => this.#hover(i, left, top),
      open: (i) => this.#open(i),
      lassoed: (points) => this.#list(points, (number) => `${number} within the lasso.`),
      key: (name) => this.#key(name),
    });
    this.tools = new Tools({
      kind: (kind) => this.#arrange(kind),
      lasso: () => this.#lasso(),
      view: () => this.#listView(),
      zoom: (factor) => this.stage.camera.zoomBy(factor),
      home: () => this.stage.camera.home(),
      find: (query) => this.#find(query),
    }, source.searches);
    this.panel = new Panel({
      field: (name) => this.#colour(name),
      toggle: (code) => this.#filter(this.hidden.has(code) ? [...this.hidden].filter((one) => one !== code) : [...this.hidden, code]),
      only: (code) => this.#filter(this.field.labels.map((_, other) => other).filter((other) => other !== code)),
      all: () => this.#filter([]),
      fly: (points, i) => this.#fly(points, i),
      close: () => this.#close(),
      clear: () => this.#clear(),
      why: context.openNode ? (card) => context.openNode(card.node_id, this.query) : null,
    });
    this.status = new Status();
    this.tip = new Tooltip();
    this.stage.element.append(this.tip.element);
    this.stage.element.addEventListener("blur", () => this.tip.hide());
    this.main = el("div", { class: "map-main" }, this.tools.element, this.stage.element, this.tip.spoken);
    this.body = el("div", { class: "map-body" }, this.main, this.panel.element);
  }

  /** Ask how far the map is, and show what is new, again and again until it is finished. */
  async refresh() {
    clearTimeout(this.timer);
    if (this.refreshing) return;
    this.refreshing = true;
    try {
      const state = await this.source.state();
      if (state.version) await this.#take(state);
      else if (state.state === "failed") fill(this.root, notice("There is no map", state.error, "failed"));
      else if (!this.root.contains(this.body)) fill(this.root, this.status.element); // else the one before stays
      this.status.draw(state);
      if (state.state === "failed") this.status.say(state.error);
      if (["building", "pca"].includes(state.state)) this.#later();
    } catch (error) {
      if (this.root.contains(this.body)) this.status.say(error.message);
      else fill(this.root, notice("There is no map", error.message, "failed"));
      if (this.root.contains(this.body)) this.#later();
    } finally {
      this.refreshing = false;
    }
  }

  #later() {
    this.timer = setTimeout(() => (this.root.hidden ? this.#later() : this.refresh()), ASK_AGAIN_MS);
  }

  /** Take a newer picture: other places of the same points, or other points. */
  async #take(state) {
    if (state.version === this.state.version) return;
    const same = this.state.version?.replace(/-\w+$/, "") === state.version.replace(/-\w+$/, "");
    this.state = state;
    if (!this.root.contains(this.body)) {
      this.main.append(this.status.element); // it stood alone until there was a map
      fill(this.root, this.body);
    }
    if (!same) {
      this.#forget();
      this.kind = "best";
    }
    await this.#place(same);
    if (!same) await this.#colour(state.fields[0]?.name);
    await this.#call();
    const label = `Map of ${plural(state.count, "node")}. Arrow keys move it, plus and minus zoom, 0 shows all of it, Enter opens the text at the middle.`;
    this.stage.element.setAttribute("aria-label", label);
  }

  async #place(moving) {
    const { places, fit } = fitted(await this.source.points(this.kind));
    this.stage.setPoints(places, moving);
    const named = this.kind === "best" || this.state.state === "pca";
    this.stage.setScene({ regions: named ? this.state.regions.map(({ name, x, y }) => ({ name, place: fit([x, y]) })) : [] });
    this.tools.kind(this.kind, this.state.state === "layout");
    this.#seen();
  }

  async #arrange(kind) {
    if (kind === this.kind) return;
    this.kind = kind;
    await this.#place(true);
  }

  async #colour(name) {
    this.hidden = new Set();
    this.field = name ? await this.source.field(name) : null;
    const slots = new Uint8Array(this.state.count);
    if (this.field) this.field.codes.forEach((code, i) => (slots[i] = slotOf(this.field.labels[code], code)));
    this.stage.setSlots(slots);
    this.#filter([]);
  }

  #filter(hidden) {
    this.hidden = new Set(hidden);
    this.panel.legend(this.state.fields, this.field, this.hidden);
    this.#seen();
  }

  #isShown = (i) => !this.field || !this.hidden.has(this.field.codes[i]);

  #seen() {
    this.stage.setStates(this.#isShown, this.chosen && new Set(this.chosen));
  }

  /** Fill the lists of what the map calls out. */
  async #call() {
    const { near_duplicates: alike, outliers: alone } = this.state;
    const points = [...(alike?.pairs ?? []).flatMap(([low, high]) => [low, high]), ...(alone?.points ?? []).map(([i]) => i)];
    const unique = [...new Set(points)];
    const cards = new Map((await this.source.cardsOf(unique)).map((card) => [card.i, card]));
    this.panel.alike(alike, cards);
    this.panel.alone(alone, cards);
  }

  async #find(query) {
    this.query = query;
    if (!query) return this.#clear();
    try {
      const { points, outside } = await this.source.find(query);
      const missing = outside ? ` ${plural(outside, "answer")} not among the points of the sample.` : "";
      await this.#list(points, (number) => `${this.source.told(number, query)}${missing}`, true);
    } catch (error) {
      this.status.say(error.message);
    }
    return undefined;
  }

  #listView() {
    return this.#list(this.stage.inView(), (number) => `${number} in view.`);
  }

  /** Make some points stand out, and list them. */
  async #list(points, head, ringed = false) {
    this.chosen = points.length ? points : null;
    this.stage.setScene({ rings: ringed ? points.slice(0, 200) : [], pair: null });
    this.#seen();
    const cards = await this.source.cardsOf(points.slice(0, MOST_LISTED));
    this.panel.listed(cards, head(plural(points.length, "node")), points.length);
    this.panel.show("listed");
  }

  #fly(points, i) {
    this.stage.setScene({ rings: points, pair: points.length === 2 ? points : null });
    this.stage.camera.flyTo(points.map((point) => this.stage.placeOf(point)));
    this.#open(i);
  }

  async #open(i) {
    this.opened = i;
    if (!this.stage.scene.rings.includes(i)) this.stage.setScene({ rings: [...(this.chosen ?? []).slice(0, 200), i], pair: null });
    try {
      const node = await this.source.node(i);
      if (this.opened === i) this.panel.read(node);
    } catch (error) {
      this.status.say(error.message);
    }
  }

  #close() {
    this.opened = -1;
    this.panel.read(null);
    this.stage.setScene({ rings: [], pair: null });
    this.stage.element.focus();
  }

  #clear() {
    this.chosen = null;
    this.query = "";
    this.tools.question.value = "";
    this.stage.setScene({ rings: [], pair: null });
    this.panel.listed([], "");
    this.#seen();
  }

  #forget() {
    this.#clear();
    this.opened = -1;
    this.panel.read(null);
  }

  #lasso() {
    this.stage.isLassoing = !this.stage.isLassoing;
    this.tools.lasso.setAttribute("aria-pressed", String(this.stage.isLassoing));
    this.stage.element.classList.toggle("lassoing", this.stage.isLassoing);
  }

  #key(name) {
    const keys = {
      l: () => this.#lasso(),
      v: () => this.#listView(),
      Escape: () => (this.stage.isLassoing ? this.#lasso() : this.panel.reader.hidden ? this.#clear() : this.#close()),
    };
    keys[name]?.();
    return name in keys;
  }

  /** Show what is known of the point that is meant; asks for it once the pointer rests. */
  #hover(i, left, top) {
    if (i === this.hovered) {
      if (i < 0 || this.tip.element.hidden) return;
    } else this.tip.hide();
    clearTimeout(this.resting);
    this.hovered = i;
    if (i < 0) return;
    const card = this.source.cardAtHand(i);
    if (card) this.#tell(card, left, top);
    else {
      this.resting = setTimeout(async () => {
        const [found] = await this.source.cardsOf([i]).catch(() => []);
        if (found && this.hovered === i) this.#tell(found, left, top);
      }, HOVER_MS);
    }
  }

  #tell(card, left, top) {
    const category = this.field ? `${this.field.name}: ${this.field.labels[this.field.codes[card.i]]}` : "";
    this.tip.show(card, category, left, top, this.stage.element);
    if (this.stage.element.matches(":focus-visible")) this.tip.speak(card);
  }

  /** Take over the colours of another theme. */
  dress() {
    if (this.state.fields) this.panel.legend(this.state.fields, this.field, this.hidden);
    this.stage.dirty();
  }
}
