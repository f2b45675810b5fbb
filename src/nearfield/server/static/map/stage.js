// The stage: two canvases, the points on them, and what the pointer or the cross is at.

import { el } from "../dom.js";
import { animate, Camera } from "./camera.js";
import { listenTo } from "./gestures.js";
import { Grid } from "./grid.js";
import { Overlay } from "./overlay.js";
import { PlainPainter } from "./paint-2d.js";
import { GlPainter } from "./paint-gl.js";
import { colours, isDark } from "./palette.js";

const REACH_PX = 14;
const MORPH_MS = 1400;
const HIDDEN = 0;
const DIM = 1;
const SHOWN = 2;
const CHOSEN = 3;

/** Draws points and tells which of them is meant. */
export class Stage {
  /** @param {object} heard `point(i, left, top)`, -1 for none; `open(i)`; `lassoed(points)`; `key(name)` */
  constructor(heard) {
    this.heard = heard;
    this.lower = el("canvas", { class: "map-points", "aria-hidden": "true" });
    this.upper = el("canvas", { class: "map-over", "aria-hidden": "true" });
    this.element = el("div", { class: "map-stage", tabindex: "0", role: "application" }, this.lower, this.upper);
    this.camera = new Camera(() => this.dirty());
    this.overlay = new Overlay(this.upper);
    this.share = 1;
    this.scene = { regions: [], rings: [], pair: null, current: -1, lasso: [] };
    this.isLassoing = false;
    this.slow = 0; // the longest of the frames drawn since it was last set to 0, in milliseconds
    this.#choosePainter();
    this.setPoints(new Float32Array(0), false);
    new ResizeObserver(() => this.#resize()).observe(this.element);
    listenTo(this.element, this.camera, this.#gestures());
    for (const event of ["focus", "blur"]) this.element.addEventListener(event, () => this.#crossed());
  }

  #choosePainter() {
    try {
      this.painter = new GlPainter(this.lower);
      this.lower.addEventListener("webglcontextlost", (event) => event.preventDefault());
      this.lower.addEventListener("webglcontextrestored", () => {
        this.painter.restore();
        this.dirty();
      });
    } catch {
      // A canvas that was asked for WebGL gives nothing else: a fresh one takes its place.
      const fresh = this.lower.cloneNode();
      this.lower.replaceWith(fresh);
      this.lower = fresh;
      this.painter = new PlainPainter(fresh);
    }
    this.element.dataset.painter = this.painter.constructor.name;
  }

  /** Put points on the stage; from where they were, if they are the same ones. */
  setPoints(places, moving) {
    const before = moving && this.places?.length === places.length ? this.places : places;
    const count = places.length / 2;
    this.places = places;
    this.grid = new Grid(places);
    if (this.states?.length !== count) {
      this.states = new Uint8Array(count).fill(SHOWN);
      this.slots = new Uint8Array(count);
      this.painter.set("slot", this.slots, 1);
      this.painter.set("state", this.states, 1);
    }
    this.painter.set("from", before, 2);
    this.painter.set("to", places, 2);
    this.stopMorph?.();
    this.share = before === places ? 1 : 0;
    if (this.share < 1) {
      this.stopMorph = animate(MORPH_MS, (t) => {
        this.share = t;
        this.dirty();
      });
    }
    this.dirty();
  }

  /** Give each point its category's colour and shape. */
  setSlots(slots) {
    this.slots = slots;
    this.painter.set("slot", slots, 1);
    this.dirty();
  }

  /**
   * Say which points are seen.
   * @param {(i: number) => boolean} isShown
   * @param {Set<number>|null} chosen those that stand out; the others are dimmed
   */
  setStates(isShown, chosen) {
    for (let i = 0; i < this.states.length; i++) {
      this.states[i] = !isShown(i) ? HIDDEN : !chosen ? SHOWN : chosen.has(i) ? CHOSEN : DIM;
    }
    this.painter.set("state", this.states, 1);
    this.dirty();
  }

  isSeen = (i) => this.states[i] !== HIDDEN;

  placeOf(i) {
    return [this.places[2 * i], this.places[2 * i + 1]];
  }

  setScene(more) {
    Object.assign(this.scene, more);
    this.dirty();
  }

  /** Points inside what is in view now. */
  inView() {
    const { camera } = this;
    const corners = [[0, 0], [camera.width, 0], [camera.width, camera.height], [0, camera.height]];
    return this.grid.inside(corners.map((corner) => camera.toMap(...corner)), this.isSeen);
  }

  /** Have everything drawn again, soon and once. */
  dirty() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.#draw();
    });
  }

  /** Points' width in pixels: larger where there are fewer, and when they are looked at closely. */
  get size() {
    const base = Math.min(Math.max(340 / Math.sqrt(this.states.length || 1), 2.2), 9);
    return Math.min(base * this.camera.zoom ** 0.4, 15);
  }

  #draw() {
    const begun = performance.now();
    const { camera, scene } = this;
    const ratio = this.ratio ?? 1;
    const style = getComputedStyle(this.element);
    const dark = isDark(this.element);
    const fade = Math.min(Math.max(60 / Math.sqrt(this.states.length || 1), 0.55), 0.92);
    this.painter.draw({ camera, ratio, share: this.share, size: this.size, fade, colours: colours(dark) });
    const still = this.share === 1;
    this.overlay.draw({
      camera,
      ratio,
      radius: this.size / 2 + 3.5,
      ink: style.color,
      paper: style.backgroundColor,
      accent: style.accentColor,
      regions: still ? scene.regions : [],
      rings: still ? scene.rings.filter((i) => this.states[i]).map((i) => this.placeOf(i)) : [],
      pair: still && scene.pair ? scene.pair.map((i) => this.placeOf(i)) : null,
      current: still && scene.current >= 0 ? this.placeOf(scene.current) : null,
      lasso: scene.lasso,
      cross: this.element.matches(":focus-visible"),
    });
    this.slow = Math.max(this.slow, performance.now() - begun);
    this.#crossed();
  }

  #resize() {
    const { width, height } = this.element.getBoundingClientRect();
    this.ratio = Math.min(devicePixelRatio || 1, 2);
    for (const canvas of [this.lower, this.upper]) {
      canvas.width = Math.max(Math.round(width * this.ratio), 1);
      canvas.height = Math.max(Math.round(height * this.ratio), 1);
    }
    this.camera.resize(width, height);
  }

  #at(left, top) {
    return this.grid.nearest(...this.camera.toMap(left, top), REACH_PX / this.camera.scale, this.isSeen);
  }

  /** While the map has the keyboard, the point at its middle is the one that is meant. */
  #crossed() {
    const { camera } = this;
    const cross = this.element.matches(":focus-visible");
    if (cross) this.#mean(this.#at(camera.width / 2, camera.height / 2), camera.width / 2, camera.height / 2);
    if (cross !== this.hadCross) {
      this.hadCross = cross;
      this.dirty();
    }
  }

  #mean(i, left, top) {
    if (i !== this.scene.current) this.setScene({ current: i });
    this.heard.point(i, left, top);
  }

  #gestures() {
    return {
      hover: (left, top) => this.#mean(this.#at(left, top), left, top),
      leave: () => this.#mean(-1, 0, 0),
      click: (left, top) => {
        const i = this.#at(left, top);
        if (i >= 0) this.heard.open(i);
      },
      drawing: (lasso) => this.setScene({ lasso }),
      isLassoing: () => this.isLassoing,
      lassoed: (corners) => {
        const places = corners.map((corner) => this.camera.toMap(...corner));
        this.heard.lassoed(this.grid.inside(places, this.isSeen));
      },
      key: (name) => {
        if (name === "Enter" && this.scene.current >= 0) this.heard.open(this.scene.current);
        else return this.heard.key(name);
        return true;
      },
    };
  }
}
