// Points drawn on a plain canvas, where a browser has no WebGL.

import { outline, OTHER_SLOT, SLOTS } from "./palette.js";

const SHAPED_UP_TO = 4000;

/** A painter of points, as GlPainter is one. */
export class PlainPainter {
  static name = "canvas";

  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.data = {};
    this.outlines = Array.from({ length: SLOTS }, (_, slot) => outline(slot));
  }

  restore() {}

  set(name, array) {
    this.data[name] = array;
  }

  draw({ camera, ratio, share, size, fade, colours }) {
    const { pen } = this;
    const { from, to, slot, state } = this.data;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, camera.width, camera.height);
    if (!state) return;
    const seen = Array.from({ length: SLOTS }, () => []);
    let count = 0;
    for (let i = 0; i < state.length; i++) {
      if (!state[i]) continue;
      const [left, top] = camera.toScreen(
        from[2 * i] + (to[2 * i] - from[2 * i]) * share,
        from[2 * i + 1] + (to[2 * i + 1] - from[2 * i + 1]) * share,
      );
      if (left < -size || top < -size || left > camera.width + size || top > camera.height + size) continue;
      seen[slot[i]].push(left, top, state[i]);
      count += 1;
    }
    const shaped = size >= 5 && count <= SHAPED_UP_TO;
    seen.forEach((points, which) => {
      pen.fillStyle = pen.strokeStyle = colours[which];
      for (let at = 0; at < points.length; at += 3) {
        pen.globalAlpha = points[at + 2] < 2 ? 0.13 : fade;
        if (shaped && which !== OTHER_SLOT) this.#shape(points[at], points[at + 1], size, which);
        else pen.fillRect(points[at] - size / 3, points[at + 1] - size / 3, size / 1.5, size / 1.5);
      }
    });
    pen.globalAlpha = 1;
  }

  #shape(left, top, size, slot) {
    const { pen } = this;
    pen.save();
    pen.translate(left - size / 2, top - size / 2);
    pen.scale(size / 16, size / 16);
    if (slot < 6) pen.fill(this.outlines[slot]);
    else {
      pen.lineWidth = 2.6;
      pen.stroke(this.outlines[slot]);
    }
    pen.restore();
  }
}
