// The page as it shows what is known: one function of the state.

import { node, Panel, extent, share } from "./panel.js";
import { colour } from "./maps.js";
import { plot } from "./curves.js";
import { percent, seconds, short } from "./words.js";

export const $ = (id) => document.getElementById(id);

export const panels = {
  input: new Panel("input", "Input"),
  prediction: new Panel("prediction", "Prediction"),
  truth: new Panel("truth", "Solver’s truth"),
  difference: new Panel("difference", "Error"),
};
panels.input.more = "Draw with the mouse; or move with the arrow keys and paint with the space bar.";

const charts = { spectrum: new Panel("spectrum", "Spectrum"), course: new Panel("course", "Error in time") };

export function options(select, names) {
  select.replaceChildren(...names.map((name) => new Option(name)));
  select.hidden = names.length < 2 && select.classList.contains("channel");
}

export const inputChannel = () => Math.max(0, panels.input.part("select").selectedIndex);
export const outputChannel = () => Math.max(0, panels.prediction.part("select").selectedIndex);
export const inputGrid = (info) => info.problem?.grid ?? info.grid_in;
export const drawable = (info) => inputGrid(info).length < 3;

/** Everything that depends on the surrogate alone. */
export function tell(info) {
  const { problem } = info;
  const nodes = info.space.map((axis) => axis.n).join(" × ");
  const settings = Object.entries(problem?.parameters ?? {}).map(([name, value]) => `${name} ${short(value)}`);
  const equation = [problem?.name ?? "no equation", ...settings].join(", ");
  const tested = info.card.test?.metrics?.relative_l2;
  const known = tested === undefined ? "" : ` · mean error ${percent(tested)} of ${info.card.test.samples} test samples`;
  const sizes = `${info.parameters.toLocaleString("en")} parameters, ${nodes} nodes`;
  $("about").textContent = `${info.model}, ${sizes} · ${equation}${known}`;
  $("about").title = info.card.problem?.equation ?? "";
  options(panels.input.part("select"), problem?.inputs ?? info.inputs);
  options(panels.prediction.part("select"), info.evolves ? info.fields : info.outputs);
  const flat = info.space.length === 1;
  panels.truth.figure.hidden = flat;
  panels.difference.part("h2").textContent = flat ? "Error" : "Absolute error";
  panels.prediction.part("h2").textContent = flat ? "Prediction and truth" : "Prediction";
  $("sampling").hidden = $("solving").hidden = !problem;
  $("drawing").hidden = !drawable(info);
  $("amount-of").hidden = inputGrid(info).length === 1;
  panels.input.figure.classList.toggle("drawable", drawable(info));
  $("how").textContent = flat
    ? "Drag in the input to pull its curve to the pointer."
    : "Drag in the input to paint this amount.";
  $("timing").hidden = !info.evolves;
  panels.input.part("h2").textContent = info.evolves ? "Initial state" : "Input";
  $("steps").value = Math.max(info.frames_out ?? 1, info.frames_trained ?? 1);
  $("solver").textContent = problem ? `${problem.solver}${accuracy(problem)}.` : "";
  $("solver-took").textContent = problem ? `Solver${accuracy(problem)}` : "Solver";
  $("slicing").hidden = info.space.length < 3;
  $("slice").max = (info.space[2]?.n ?? 1) - 1;
}

const accuracy = ({ tolerance }) => (tolerance ? `, to a tolerance of ${short(tolerance)}` : "");

/** Everything else. */
export function draw(state) {
  const { info, drawn, prediction, truth } = state;
  if (!info || !drawn) return;
  numbers(state);
  const input = field(drawn.values, drawn.shape[1], inputChannel(), inputGrid(info), state.slice);
  const name = panels.input.part("select").value;
  const shown = inputGrid(info).length === 1 ? state.amounts : extent(input);
  show(panels.input, inputGrid(info), [{ y: input, colour: "var(--a)" }], name, shown);
  const u = prediction && frame(state, prediction);
  const v = truth && frame(state, truth);
  const output = panels.prediction.part("select").value;
  const range = extent(...[prediction, truth].filter(Boolean).flatMap((one) => frames(state, one)));
  if (!u) panels.prediction.empty(state.busy ? "Predicting …" : "Nothing predicted yet.", state.busy);
  else show(panels.prediction, info.space, [{ y: u, colour: "var(--a)" }, ...dashed(v)], output, range);
  const says = state.solving ? "Solving …" : info.problem ? "Press Solve." : "There is no equation to solve.";
  if (!v) panels.truth.empty(says, Boolean(state.solving));
  else if (info.space.length > 1) show(panels.truth, info.space, [{ y: v }], output, range);
  if (!u || !v) panels.difference.empty("Known once it is solved.");
  else difference(state, u, v, output);
  spectrum(state);
  course(state);
  player(state);
}

const dashed = (v) => (v ? [{ y: v, colour: "var(--b)", dash: [6, 4] }] : []);

function show(panel, grid, curves, name, range, colours = "viridis") {
  if (grid.length === 1) panel.curves(grid, curves.map(resolved), name, range);
  else panel.map(grid.slice(0, 2), curves[0].y, name, range, colours);
}

function resolved(curve) {
  const name = /--\w+/.exec(curve.colour)[0];
  return { ...curve, colour: getComputedStyle(document.documentElement).getPropertyValue(name) };
}

function difference({ info }, u, v, name) {
  const flat = info.space.length === 1;
  const e = u.map((x, i) => (flat ? x - v[i] : Math.abs(x - v[i])));
  const range = flat ? extent(e) : [0, extent(e)[1]];
  show(panels.difference, info.space, [{ y: e, colour: "var(--c)" }], name, range, "magma");
}

/** One frame of the chosen channel. */
function frame(state, one) {
  const at = Math.min(state.frame, one.there - 1);
  const size = one.values.length / one.frames;
  return field(one.values.subarray(at * size, (at + 1) * size), one.channels, outputChannel(), state.info.space, state.slice);
}

function frames(state, one) {
  return Array.from({ length: one.there }, (_, at) => frame({ ...state, frame: at }, one));
}

/** A channel of (C, *grid), or a slice of it across the last of three axes. */
export function field(values, channels, channel, grid, slice) {
  const nodes = values.length / channels;
  const whole = values.subarray(channel * nodes, (channel + 1) * nodes);
  return grid.length < 3 ? whole : whole.filter((_, i) => i % grid[2].n === slice);
}

function numbers({ info, frame, comparison, predictionTime, solverTime, prediction }) {
  const error = comparison && errors(comparison, info)[info.evolves ? frame : 0];
  $("error").textContent = error === undefined || error === null ? "–" : percent(error);
  $("error-of").textContent = steps(info, prediction) ? `, frame ${frame + 1}` : "";
  $("surrogate-time").textContent = predictionTime ? seconds(predictionTime) : "–";
  $("solver-time").textContent = solverTime ? seconds(solverTime) : "–";
  const outputs = info.evolves && prediction ? Math.ceil(prediction.frames / info.frames_out) : 1;
  const each = predictionTime && outputs > 1 ? `, ${outputs} times ${seconds(predictionTime / outputs)}` : "";
  $("surrogate-took").textContent = `Surrogate${each}`;
}

/** Of the chosen channel, per frame. */
function errors(comparison, info) {
  return (info.evolves ? comparison.relative_l2 : [comparison.relative_l2]).map((each) => each[0][outputChannel()]);
}

function spectrum({ info, frame, comparison }) {
  if (!comparison) return charts.spectrum.empty("Known once it is solved.");
  const of = (which) => (info.evolves ? comparison[which][frame] : comparison[which])[0][outputChannel()];
  const [u, v] = [of("prediction"), of("truth")];
  const floor = Math.max(...v) * 1e-14;
  const above = (values) => values.map((e) => (e > floor ? e : NaN));
  charts.spectrum.figure.classList.remove("empty");
  charts.spectrum.canvas.setAttribute(
    "aria-label",
    `Energy by wavenumber, of prediction and truth. At the highest wavenumber ${short(u.at(-1))} and ${short(v.at(-1))}.`,
  );
  plot(charts.spectrum.canvas, {
    log: true,
    xlabel: "wavenumber",
    series: [
      { x: comparison.wavenumbers, y: above(u), colour: "var(--a)" },
      { x: comparison.wavenumbers, y: above(v), colour: "var(--b)", dash: [6, 4] },
    ].map(resolved),
  });
}

function course({ info, frame, comparison, prediction }) {
  charts.course.figure.hidden = !steps(info, prediction);
  if (charts.course.figure.hidden) return;
  if (!comparison) return charts.course.empty("Known once it is solved.");
  const e = errors(comparison, info);
  const t = e.map((_, i) => (i + 1) * info.time_step);
  charts.course.figure.classList.remove("empty");
  charts.course.canvas.setAttribute("aria-label", `Relative error in time: ${percent(e[0])} at first, ${percent(e.at(-1))} at last.`);
  plot(charts.course.canvas, {
    xlabel: "time",
    marker: t[frame],
    range: [0, extent(e)[1]],
    series: [resolved({ x: t, y: e, colour: "var(--c)", width: 2.2 })],
  });
}

/** Whether there is more than one frame to show. */
const steps = (info, prediction) => info.evolves && prediction?.frames > 1;

function player({ info, frame, prediction }) {
  $("player").hidden = !steps(info, prediction);
  if ($("player").hidden) return;
  $("frame").max = prediction.frames;
  $("frame").value = frame + 1;
  $("when").textContent = `frame ${frame + 1} of ${prediction.frames}, t = ${short(Number(((frame + 1) * info.time_step).toPrecision(12)))}`;
}

/** The brush, in words and as a ring about a place. */
export function ring(there, radius, amount) {
  const { grid, figure } = panels.input;
  const cursor = figure.querySelector(".cursor");
  cursor.hidden = !there || grid.length < 2;
  if (!cursor.hidden) {
    const box = panels.input.canvas.getBoundingClientRect();
    const wide = (2 * radius * box.width) / grid[0].length;
    Object.assign(cursor.style, {
      left: `${100 * share(grid[0], there.x[0])}%`,
      top: `${100 * (1 - share(grid[1], there.x[1]))}%`,
      width: `${wide}px`,
      height: `${wide}px`,
    });
  }
  for (const panel of Object.values(panels)) panel.say(panel.read(there));
}

export function brush(state) {
  const [low, high] = state.amounts;
  $("amount-is").textContent = short(amount(state));
  $("amount-is").style.borderBottom = `3px solid ${colour("viridis", (amount(state) - low) / (high - low || 1))}`;
  $("size-is").textContent = `${$("size").value} %`;
}

export const amount = ({ amounts: [low, high], phases }) => {
  const share = Number($("amount").value) / 100;
  return low + (phases ? Math.round(share) : share) * (high - low);
};
export const radius = (info) => (Number($("size").value) / 100) * Math.max(...inputGrid(info).map((axis) => axis.length));
export { node };
