// Which points are where: a grid over the map, so that 100,000 are searched in no time.

const PER_CELL = 3;

/** Points sorted into the cells of a grid between -1 and 1. */
export class Grid {
  /** @param {Float32Array} places x and y of each point, between -1 and 1 */
  constructor(places) {
    this.places = places;
    const count = places.length / 2;
    this.side = Math.min(Math.max(Math.ceil(Math.sqrt(count / PER_CELL)), 1), 512);
    const cells = new Uint32Array(count);
    this.starts = new Uint32Array(this.side * this.side + 1);
    for (let i = 0; i < count; i++) {
      cells[i] = this.#cell(places[2 * i + 1]) * this.side + this.#cell(places[2 * i]);
      this.starts[cells[i] + 1] += 1;
    }
    for (let cell = 0; cell < this.side * this.side; cell++) this.starts[cell + 1] += this.starts[cell];
    const next = this.starts.slice();
    this.order = new Uint32Array(count);
    for (let i = 0; i < count; i++) this.order[next[cells[i]]++] = i;
  }

  #cell(value) {
    return Math.min(Math.max(Math.floor(((value + 1) / 2) * this.side), 0), this.side - 1);
  }

  /** Call `found` with each point of the cells that touch a box. */
  #within(left, low, right, high, found) {
    const [first, last] = [this.#cell(left), this.#cell(right)];
    for (let row = this.#cell(low); row <= this.#cell(high); row++) {
      const end = this.starts[row * this.side + last + 1];
      for (let at = this.starts[row * this.side + first]; at < end; at++) found(this.order[at]);
    }
  }

  /** The nearest point no farther than `radius` that `isShown`; -1 when there is none. */
  nearest(x, y, radius, isShown) {
    let best = -1;
    let reach = radius * radius;
    this.#within(x - radius, y - radius, x + radius, y + radius, (i) => {
      const [right, up] = [this.places[2 * i] - x, this.places[2 * i + 1] - y];
      const distance = right * right + up * up;
      if ((distance < reach || (distance === reach && best < 0)) && isShown(i)) {
        best = i;
        reach = distance;
      }
    });
    return best;
  }

  /** The points inside a polygon, given as [x, y] corners, that `isShown`; in their order. */
  inside(corners, isShown) {
    const xs = corners.map((corner) => corner[0]);
    const ys = corners.map((corner) => corner[1]);
    const found = [];
    this.#within(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys), (i) => {
      if (isShown(i) && isInside(this.places[2 * i], this.places[2 * i + 1], corners)) found.push(i);
    });
    return found.sort((a, b) => a - b);
  }
}

/** Whether a ray from a place crosses a polygon's border an odd number of times. */
function isInside(x, y, corners) {
  let odd = false;
  for (let i = 0, j = corners.length - 1; i < corners.length; j = i++) {
    const [[ax, ay], [bx, by]] = [corners[i], corners[j]];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) odd = !odd;
  }
  return odd;
}
