// Curves with axes, linear or logarithmic.

import { sized } from "./maps.js";
import { short } from "./words.js";

const EDGE = { left: 58, right: 14, top: 12, bottom: 34 };

/** About `count` round numbers from low to high, at least three of them. */
function ticks(low, high, count) {
  const power = 10 ** Math.floor(Math.log10((high - low) / count));
  const multiples = (step) => {
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(k * step);
    return found;
  };
  const tries = [10, 5, 2, 1].map((m) => multiples(m * power));
  return tries.find((found) => found.length >= 3) ?? tries.at(-1);
}

/** Powers of ten and, where these are few, their multiples by 2 and 5. */
function powers(low, high, count) {
  const [a, b] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const factors = Math.log10(high / low) < 2 ? [1, 2, 5] : [1];
  const step = Math.max(1, Math.ceil((b - a) / count));
  const found = [];
  for (let k = a; k <= b; k += step) found.push(...factors.map((f) => f * 10 ** k));
  return found.filter((t) => t >= low * (1 - 1e-9) && t <= high * (1 + 1e-9));
}

/**
 * series: [{x, y, colour, dash, width}]; marker: an x to mark; range: [low, high] of y, or what the series need.
 * Gives back the place of the plot: {x(px), y(px)} in values, for whoever points at it.
 */
export function plot(canvas, { series, log = false, xlabel = "", marker = null, range = null }) {
  const context = sized(canvas);
  const ratio = window.devicePixelRatio || 1;
  context.scale(ratio, ratio);
  const [width, height] = [canvas.width / ratio, canvas.height / ratio];
  const style = getComputedStyle(canvas);
  const [ink, faint] = [style.getPropertyValue("--ink-soft"), style.getPropertyValue("--line")];
  const good = (v) => Number.isFinite(v) && (!log || v > 0);
  const xs = series.flatMap((s) => Array.from(s.x).filter(good));
  const ys = range ?? series.flatMap((s) => Array.from(s.y).filter(good));
  if (!xs.length || !ys.length) return null;
  let [x0, x1, y0, y1] = [least(xs), most(xs), least(ys), most(ys)];
  if (log) {
    y0 = Math.max(y0, y1 * 1e-16);
    [y0, y1] = [10 ** Math.floor(Math.log10(y0)), 10 ** Math.ceil(Math.log10(y1) + 1e-9)];
  } else {
    const room = 0.06 * (y1 - y0) || 0.5 * Math.abs(y0) || 1;
    [y0, y1] = [y0 === 0 ? 0 : y0 - room, y1 + room];
  }
  if (x0 === x1) [x0, x1] = log ? [x0 / 2, x1 * 2] : [x0 - 1, x1 + 1];
  const scale = (low, high, from, to) => {
    const f = log ? Math.log : (v) => v;
    return (v) => from + ((f(v) - f(low)) / (f(high) - f(low))) * (to - from);
  };
  const px = scale(x0, x1, EDGE.left, width - EDGE.right);
  const py = scale(y0, y1, height - EDGE.bottom, EDGE.top);

  context.font = `11px ${style.fontFamily}`;
  context.lineWidth = 1;
  context.strokeStyle = faint;
  context.fillStyle = ink;
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const t of (log ? powers : ticks)(y0, y1, 5)) {
    line(context, [EDGE.left, py(t)], [width - EDGE.right, py(t)]);
    context.fillText(short(t), EDGE.left - 7, py(t));
  }
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const t of (log ? powers : ticks)(x0, x1, 6)) {
    line(context, [px(t), height - EDGE.bottom], [px(t), height - EDGE.bottom + 4]);
    context.fillText(short(t), px(t), height - EDGE.bottom + 6);
  }
  context.fillText(xlabel, (EDGE.left + width - EDGE.right) / 2, height - 13);

  context.save();
  context.beginPath();
  context.rect(EDGE.left, EDGE.top - 2, width - EDGE.left - EDGE.right, height - EDGE.top - EDGE.bottom + 4);
  context.clip();
  if (marker !== null) {
    context.strokeStyle = ink;
    context.setLineDash([3, 3]);
    line(context, [px(marker), EDGE.top], [px(marker), height - EDGE.bottom]);
  }
  for (const s of series) {
    context.strokeStyle = s.colour;
    context.lineWidth = s.width ?? 1.8;
    context.lineJoin = "round";
    context.setLineDash(s.dash ?? []);
    context.beginPath();
    let down = false;
    for (let i = 0; i < s.x.length; i++) {
      if (!good(s.x[i]) || !good(s.y[i])) {
        down = false;
        continue;
      }
      if (down) context.lineTo(px(s.x[i]), py(s.y[i]));
      else context.moveTo(px(s.x[i]), py(s.y[i]));
      down = true;
    }
    context.stroke();
    if (s.x.length === 1) context.fillRect(px(s.x[0]) - 2, py(s.y[0]) - 2, 4, 4);
  }
  context.restore();
  return {
    x: (p) => x0 + ((p - EDGE.left) / (width - EDGE.left - EDGE.right)) * (x1 - x0),
    y: (p) => y0 + ((height - EDGE.bottom - p) / (height - EDGE.top - EDGE.bottom)) * (y1 - y0),
  };
}

function line(context, from, to) {
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(...to);
  context.stroke();
}

const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
