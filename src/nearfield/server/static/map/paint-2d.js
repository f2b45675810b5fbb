// Points drawn on a plain canvas, where a browser has no WebGL, or no graphics card for it.

import { channels, outline, OTHER_SLOT, SLOTS } from "./palette.js";

const SHAPED_UP_TO = 3000;
const DIM = 34;

/** A painter of points, as GlPainter is one. */
export class PlainPainter {
  static name = "canvas";

  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d", { willReadFrequently: true });
    this.data = {};
    this.outlines = Array.from({ length: SLOTS }, (_, slot) => outline(slot));
  }

  restore() {}

  set(name, array) {
    this.data[name] = array;
  }

  draw({ camera, ratio, share, size, fade, colours }) {
    this.pen.setTransform(1, 0, 0, 1, 0, 0);
    this.pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.data.state) return;
    const seen = this.#seen(camera, share, size);
    if (size >= 5 && seen.length / 3 <= SHAPED_UP_TO) this.#shapes(seen, ratio, size, fade, colours);
    else this.#squares(seen, ratio, size, fade, colours);
  }

  /** The points in view: number, left and top, one after the other. */
  #seen(camera, share, size) {
    const { from, to, state } = this.data;
    const { scale, width, height } = camera;
    const seen = [];
    for (let i = 0; i < state.length; i++) {
      if (!state[i]) continue;
      const left = width / 2 + (from[2 * i] + (to[2 * i] - from[2 * i]) * share - camera.x) * scale;
      const top = height / 2 - (from[2 * i + 1] + (to[2 * i + 1] - from[2 * i + 1]) * share - camera.y) * scale;
      if (left > -size && top > -size && left < width + size && top < height + size) seen.push(i, left, top);
    }
    return seen;
  }

  /** Many points: pixels written by hand, for a call each would take seconds. */
  #squares(seen, ratio, size, fade, colours) {
    const { slot, state } = this.data;
    const { width, height } = this.canvas;
    const image = this.pen.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer); // alpha is the highest byte on all browsers' machines
    const inks = colours.map((colour) => channels(colour).reduce((sum, part, at) => sum + Math.round(255 * part) * 256 ** at, 0));
    const side = Math.max(Math.round((size * ratio) / 1.4), 1);
    for (let at = 0; at < seen.length; at += 3) {
      const i = seen[at];
      const ink = inks[slot[i]] + (state[i] < 2 ? DIM : Math.round(255 * Math.max(fade, 0.85))) * 2 ** 24;
      const left = Math.max(Math.round(seen[at + 1] * ratio - side / 2), 0);
      const top = Math.max(Math.round(seen[at + 2] * ratio - side / 2), 0);
      const right = Math.min(left + side, width);
      for (let row = top; row < Math.min(top + side, height); row++) pixels.fill(ink, row * width + left, row * width + Math.max(right, left));
    }
    this.pen.putImageData(image, 0, 0);
  }

  #shapes(seen, ratio, size, fade, colours) {
    const { pen } = this;
    const { slot, state } = this.data;
    const scale = (size * ratio) / 16;
    for (let at = 0; at < seen.length; at += 3) {
      const i = seen[at];
      pen.globalAlpha = state[i] < 2 ? DIM / 255 : fade;
      pen.fillStyle = pen.strokeStyle = colours[slot[i]];
      pen.setTransform(scale, 0, 0, scale, (seen[at + 1] - size / 2) * ratio, (seen[at + 2] - size / 2) * ratio);
      if (slot[i] === OTHER_SLOT) pen.fillRect(5, 5, 6, 6);
      else if (slot[i] < 6) pen.fill(this.outlines[slot[i]]);
      else {
        pen.lineWidth = 2.6;
        pen.stroke(this.outlines[slot[i]]);
      }
    }
    pen.globalAlpha = 1;
  }
}
