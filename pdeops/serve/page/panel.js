// One picture with its caption, colour bar and readout: a field of one axis as a curve, of two as a map.

import { place } from "./brush.js";
import { plot } from "./curves.js";
import { drawBar, drawMap } from "./maps.js";
import { short } from "./words.js";

export class Panel {
  constructor(id, title) {
    this.figure = document.getElementById(id);
    this.canvas = this.figure.querySelector("canvas.picture");
    this.title = title;
    this.values = null;
  }

  part(name) {
    return this.figure.querySelector(name);
  }

  /** Nothing to show, and a sentence that says why. */
  empty(says, waiting = false) {
    this.values = null;
    this.figure.classList.add("empty");
    this.figure.classList.toggle("waiting", waiting);
    for (const part of [".frame", ".field"]) this.part(part)?.setAttribute("data-says", says);
    this.canvas.setAttribute("aria-label", `${this.title}: ${says}`);
  }

  /** curves: [{y, colour, dash}] on the one axis of a grid; the first one is what readouts tell. */
  curves(grid, curves, name, range = null) {
    this.#show(grid, curves[0].y, name, true);
    const x = Array.from({ length: grid[0].n }, (_, i) => place(grid[0], i));
    const label = grid[0].name;
    this.place = plot(this.canvas, { series: curves.map((c) => ({ x, ...c })), xlabel: label, range });
  }

  /** A field (nx, ny) on a grid of two axes, coloured over a range. */
  map(grid, values, name, range, colours) {
    this.#show(grid, values, name, false);
    this.canvas.style.aspectRatio = `${grid[0].length} / ${grid[1].length}`;
    drawMap(this.canvas, values, grid.map((axis) => axis.n), range, colours);
    drawBar(this.part(".bar canvas"), colours);
    this.part(".bar .high").textContent = short(range[1]);
    this.part(".bar .middle").textContent = short((range[0] + range[1]) / 2);
    this.part(".bar .low").textContent = short(range[0]);
  }

  #show(grid, values, name, curve) {
    this.figure.classList.remove("empty", "waiting");
    this.figure.classList.toggle("curve", curve);
    if (curve) this.canvas.style.aspectRatio = "";
    Object.assign(this, { grid, values });
    const [low, high] = extent(values);
    const more = this.more ? ` ${this.more}` : "";
    this.canvas.setAttribute("aria-label", `${this.title}, ${name}: from ${short(low)} to ${short(high)}.${more}`);
  }

  /** {x, value}: the place that a pointer is at and, of curves, the height; null outside. */
  where(event) {
    if (!this.values) return null;
    const box = this.canvas.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    const [a, b] = this.grid;
    if (!b) {
      const x = this.place.x(px);
      return x < a.start || x > a.start + a.length ? null : { x: [x], value: this.place.y(py) };
    }
    const [u, v] = [px / box.width, 1 - py / box.height];
    if (u < 0 || u > 1 || v < 0 || v > 1) return null;
    return { x: [within(a, u), within(b, v)] };
  }

  /** The value of the node nearest to a place, in words. */
  read(there) {
    if (!there || !this.values) return "\u00a0";
    const nearest = there.x.map((x, d) => node(this.grid[d], x));
    const value = this.values[nearest.reduce((sum, i, d) => sum * this.grid[d].n + i, 0)];
    return `${there.x.map((x, d) => `${this.grid[d].name} ${short(Number(x.toFixed(3)))}`).join("   ")}   ${short(value)}`;
  }

  say(text) {
    const readout = this.part(".readout");
    if (readout) readout.textContent = text;
  }
}

/** Pictures show the first node at one edge and the last at the other: half a cell around each. */
function within(axis, share) {
  const first = place(axis, 0);
  const last = place(axis, axis.n - 1);
  const half = (last - first) / (axis.n - 1) / 2;
  return first - half + share * (last - first + 2 * half);
}

export function node(axis, x) {
  let best = 0;
  for (let i = 1; i < axis.n; i++) if (Math.abs(place(axis, i) - x) < Math.abs(place(axis, best) - x)) best = i;
  return best;
}

/** Where in a picture, in shares from its left and bottom, a place is. */
export function share(axis, x) {
  const [first, last] = [within(axis, 0), within(axis, 1)];
  return (x - first) / (last - first);
}

export function extent(...fields) {
  let [low, high] = [Infinity, -Infinity];
  for (const values of fields) {
    for (const v of values) {
      if (v < low) low = v;
      if (v > high) high = v;
    }
  }
  return low <= high ? [low, high] : [0, 1];
}
