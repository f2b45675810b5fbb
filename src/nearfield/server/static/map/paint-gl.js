// Points drawn by WebGL: one call for all of them, whatever their number.

import { channels } from "./palette.js";

const VERTEX = `
attribute vec2 a_from, a_to;
attribute vec3 a_colour;
attribute float a_slot, a_state;
uniform vec2 u_middle, u_scale;
uniform float u_share, u_size, u_fade;
varying vec4 v_colour;
varying float v_shape, v_half;
void main() {
  vec2 place = mix(a_from, a_to, u_share);
  gl_Position = vec4((place - u_middle) * u_scale, 0.0, 1.0);
  float size = a_state > 2.5 ? u_size * 1.5 : u_size;
  if (a_state < 0.5) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  gl_PointSize = size;
  v_half = size / 2.0;
  v_shape = u_size < 5.0 ? 0.0 : a_slot;
  v_colour = vec4(a_colour, a_state < 1.5 ? 0.17 : u_fade);
}`;

const FRAGMENT = `
precision mediump float;
varying vec4 v_colour;
varying float v_shape, v_half;
float plus(vec2 p) {
  p = abs(p);
  return min(max(p.x - 0.3, p.y - 0.86), max(p.x - 0.86, p.y - 0.3));
}
void main() {
  vec2 p = gl_PointCoord * 2.0 - 1.0;
  float kind = mod(v_shape, 6.0);
  float d;
  if (v_shape > 11.5) d = length(p) - 0.5;
  else if (kind < 0.5) d = length(p) - 0.82;
  else if (kind < 1.5) d = max(abs(p.x), abs(p.y)) - 0.7;
  else if (kind < 2.5) d = max(abs(p.x) * 0.866 - p.y * 0.5 - 0.42, p.y - 0.62);
  else if (kind < 3.5) d = (abs(p.x) + abs(p.y) - 0.92) * 0.75;
  else if (kind < 4.5) d = plus(p);
  else d = plus(vec2(p.x + p.y, p.x - p.y) * 0.7071);
  if (v_shape > 5.5 && v_shape < 11.5) d = abs(d + 0.17) - 0.17;
  float cover = clamp(0.5 - d * v_half, 0.0, 1.0);
  if (cover <= 0.0) discard;
  float alpha = v_colour.a * cover;
  gl_FragColor = vec4(v_colour.rgb * alpha, alpha);
}`;

/** A painter of points. Its methods do nothing while the browser has taken the context away. */
export class GlPainter {
  static name = "WebGL";

  /** @param {HTMLCanvasElement} canvas Throws where there is no WebGL, or only a slow one. */
  constructor(canvas) {
    // WebGL without a graphics card draws 100,000 points slower than the plain canvas does.
    const options = { antialias: false, powerPreference: "low-power", failIfMajorPerformanceCaveat: true };
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl", options);
    if (!this.gl) throw new Error("This browser has no fast WebGL.");
    this.data = {};
    this.#prepare();
  }

  /** Make everything again, after the browser gave the context back. */
  restore() {
    this.#prepare();
    for (const [name, [array, size]] of Object.entries(this.data)) this.set(name, array, size);
  }

  #prepare() {
    const { gl } = this;
    this.program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(this.program, shader);
      gl.deleteShader(shader);
    }
    gl.linkProgram(this.program);
    if (!gl.getProgramParameter(this.program, gl.LINK_STATUS) && !gl.isContextLost()) {
      throw new Error(gl.getProgramInfoLog(this.program));
    }
    gl.useProgram(this.program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.buffers = {};
    this.uniforms = {};
  }

  /**
   * Hand over data of the points.
   * @param {string} name "from", "to", "slot", "state", or "colour"
   * @param {Float32Array|Uint8Array} array
   * @param {number} size numbers per point
   */
  set(name, array, size) {
    const { gl } = this;
    this.data[name] = [array, size];
    this.buffers[name] ??= gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, array, gl.STATIC_DRAW);
    const place = gl.getAttribLocation(this.program, `a_${name}`);
    gl.enableVertexAttribArray(place);
    const bytes = array instanceof Uint8Array;
    gl.vertexAttribPointer(place, size, bytes ? gl.UNSIGNED_BYTE : gl.FLOAT, name === "colour", 0, 0);
  }

  /** Give each point the colour of its slot, where slots or colours are new. */
  #colour(colours) {
    const slots = this.data.slot[0];
    const key = colours.join();
    if (this.coloured?.slots === slots && this.coloured.key === key) return;
    this.coloured = { slots, key };
    const table = colours.map((colour) => channels(colour).map((part) => Math.round(255 * part)));
    const colour = new Uint8Array(3 * slots.length);
    slots.forEach((slot, i) => colour.set(table[slot], 3 * i));
    this.set("colour", colour, 3);
  }

  #uniform(name) {
    this.uniforms[name] ??= this.gl.getUniformLocation(this.program, `u_${name}`);
    return this.uniforms[name];
  }

  /** Draw all points: `share` of the way between their two places, `size` in pixels. */
  draw({ camera, ratio, share, size, fade, colours }) {
    const { gl } = this;
    if (gl.isContextLost() || !this.data.state) return;
    this.#colour(colours);
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform2f(this.#uniform("middle"), camera.x, camera.y);
    gl.uniform2f(this.#uniform("scale"), (2 * camera.scale) / camera.width, (2 * camera.scale) / camera.height);
    gl.uniform1f(this.#uniform("share"), share);
    gl.uniform1f(this.#uniform("size"), size * ratio);
    gl.uniform1f(this.#uniform("fade"), fade);
    gl.drawArrays(gl.POINTS, 0, this.data.state[0].length);
  }
}
