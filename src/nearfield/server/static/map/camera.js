// Which part of the map is seen: a centre and a scale, moved at once or flown to.

const NEAREST = 400;
const FLIGHT_MS = 450;

export const reducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** From 0 to 1, slow at both ends. */
export const ease = (t) => (t < 0.5 ? 4 * t * t * t : 1 - (2 - 2 * t) ** 3 / 2);

/** Call `draw` with 0 to 1 over some time; returns what stops it. Ends at once without motion. */
export function animate(duration, draw, done = () => {}) {
  if (reducedMotion()) {
    draw(1);
    done();
    return () => {};
  }
  const begun = performance.now();
  let frame = requestAnimationFrame(function next(now) {
    const share = Math.min(Math.max((now - begun) / duration, 0), 1);
    draw(ease(share));
    if (share < 1) frame = requestAnimationFrame(next);
    else done();
  });
  return () => cancelAnimationFrame(frame);
}

/** A view of a plane on which the map lies between -1 and 1. */
export class Camera {
  /** @param {() => void} moved called after each change */
  constructor(moved) {
    this.moved = moved;
    this.x = 0;
    this.y = 0;
    this.zoom = 1;
    this.width = 1;
    this.height = 1;
    this.stop = () => {};
  }

  /** Pixels per unit of the map. */
  get scale() {
    return (Math.min(this.width, this.height) / 2.16) * this.zoom;
  }

  resize(width, height) {
    this.width = Math.max(width, 1);
    this.height = Math.max(height, 1);
    this.moved();
  }

  toScreen(x, y) {
    return [this.width / 2 + (x - this.x) * this.scale, this.height / 2 - (y - this.y) * this.scale];
  }

  toMap(left, top) {
    return [this.x + (left - this.width / 2) / this.scale, this.y - (top - this.height / 2) / this.scale];
  }

  /** Move the map by pixels. */
  pan(right, down) {
    this.stop();
    this.#set(this.x - right / this.scale, this.y + down / this.scale, this.zoom);
  }

  /** Zoom around a place on the screen, its middle by default. */
  zoomBy(factor, left = this.width / 2, top = this.height / 2) {
    this.stop();
    const [x, y] = this.toMap(left, top);
    const zoom = Math.min(Math.max(this.zoom * factor, 0.5), NEAREST);
    const kept = this.zoom / zoom;
    this.#set(x + (this.x - x) * kept, y + (this.y - y) * kept, zoom);
  }

  /** Fly until some places are in view, not nearer than `nearest`. */
  flyTo(places, nearest = 12) {
    const xs = places.map((place) => place[0]);
    const ys = places.map((place) => place[1]);
    const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const unit = this.scale / this.zoom;
    const fits = Math.min(this.width / unit / (right - left || 1e-9), this.height / unit / (high - low || 1e-9)) * 0.6;
    this.#fly((left + right) / 2, (low + high) / 2, Math.min(Math.max(fits, 1), Math.max(nearest, 1)));
  }

  /** Fly back to the whole map. */
  home() {
    this.#fly(0, 0, 1);
  }

  #fly(x, y, zoom) {
    this.stop();
    const from = [this.x, this.y, this.zoom];
    this.stop = animate(FLIGHT_MS, (t) => {
      this.#set(from[0] + (x - from[0]) * t, from[1] + (y - from[1]) * t, from[2] * (zoom / from[2]) ** t);
    });
  }

  #set(x, y, zoom) {
    this.x = Math.min(Math.max(x, -1.5), 1.5);
    this.y = Math.min(Math.max(y, -1.5), 1.5);
    this.zoom = zoom;
    this.moved();
  }
}
