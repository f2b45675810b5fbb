// What lies over the points: names of regions, rings, the line of a pair, the lasso, the cross.

const MARGIN = 6;

/** The upper canvas. */
export class Overlay {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
  }

  /**
   * Draw everything.
   * @param {object} scene `camera`, `ratio`, `radius` (of the rings), `ink`, `paper`, `accent` (colours), `regions`
   *   ({name, place}), `rings` (places), `pair` (two places), `current` (a place), `lasso`
   *   (places on the screen), `cross` (whether to show the middle)
   */
  draw(scene) {
    const { pen } = this;
    const { camera, ratio } = scene;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, camera.width, camera.height);
    this.#rings(scene);
    this.#names(scene);
    if (scene.lasso.length > 1) this.#lasso(scene);
    if (scene.cross) this.#cross(scene);
  }

  #rings({ camera, radius, rings, pair, current, accent, paper, ink }) {
    const { pen } = this;
    if (pair) {
      const [from, to] = pair.map((place) => camera.toScreen(...place));
      this.#line([from, to], paper, 5);
      this.#line([from, to], accent, 2);
    }
    for (const place of rings) this.#ring(camera.toScreen(...place), radius, accent, paper);
    if (current) this.#ring(camera.toScreen(...current), radius + 2.5, ink, paper);
    pen.globalAlpha = 1;
  }

  #ring([left, top], radius, colour, paper) {
    const { pen } = this;
    for (const [width, style] of [[4.5, paper], [2, colour]]) {
      pen.beginPath();
      pen.arc(left, top, radius, 0, 2 * Math.PI);
      pen.lineWidth = width;
      pen.strokeStyle = style;
      pen.stroke();
    }
  }

  #line(places, colour, width) {
    const { pen } = this;
    pen.beginPath();
    places.forEach(([left, top]) => pen.lineTo(left, top));
    pen.lineWidth = width;
    pen.strokeStyle = colour;
    pen.stroke();
  }

  #names({ camera, regions, ink, paper }) {
    const { pen } = this;
    const taken = [];
    pen.font = "600 12.5px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    for (const { name, place } of regions) {
      const [left, top] = camera.toScreen(...place);
      const half = pen.measureText(name).width / 2 + MARGIN;
      const box = [left - half, top - 11, left + half, top + 11];
      const outside = box[0] < 0 || box[2] > camera.width || box[1] < 0 || box[3] > camera.height;
      if (outside || taken.some((other) => overlaps(box, other))) continue;
      taken.push(box);
      pen.lineWidth = 4.5;
      pen.strokeStyle = paper;
      pen.globalAlpha = 0.88;
      pen.strokeText(name, left, top);
      pen.globalAlpha = 1;
      pen.fillStyle = ink;
      pen.fillText(name, left, top);
    }
  }

  #lasso({ lasso, accent }) {
    const { pen } = this;
    pen.beginPath();
    lasso.forEach(([left, top]) => pen.lineTo(left, top));
    pen.closePath();
    pen.globalAlpha = 0.14;
    pen.fillStyle = accent;
    pen.fill();
    pen.globalAlpha = 1;
    pen.setLineDash([5, 4]);
    pen.lineWidth = 1.8;
    pen.strokeStyle = accent;
    pen.stroke();
    pen.setLineDash([]);
  }

  #cross({ camera, ink }) {
    const [left, top] = [camera.width / 2, camera.height / 2];
    for (const [right, down] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      this.#line([[left + 5 * right, top + 5 * down], [left + 15 * right, top + 15 * down]], ink, 1.5);
    }
  }
}

const overlaps = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
