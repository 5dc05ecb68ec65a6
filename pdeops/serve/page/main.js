// What is chosen, what is known of it, and what is asked next.

import { Api, Refused } from "./api.js";
import { attach, place, touch } from "./brush.js";
import { extent } from "./panel.js";
import * as view from "./view.js";
import { seconds } from "./words.js";

const { $, panels } = view;
const api = new Api();

/**
 * sampled, drawn: {shape, values}, the problem's inputs, before and after drawing; prediction, truth: {frames, channels,
 * values, there}, `there` frames have come; amounts: [low, high] that may be painted, in two phases only these two; asking,
 * solving: what gives them up.
 */
const state = { infos: [], undo: [], frame: 0, slice: 0, busy: false, asking: new AbortController(), amounts: [0, 1] };

let due = 0;
function redraw() {
  cancelAnimationFrame(due);
  due = requestAnimationFrame(() => view.draw(state));
}

function status(text) {
  $("status").textContent = text;
}

/** Of what may be refused: a refusal is shown, and what was given up is forgotten. */
async function attempt(work) {
  try {
    $("alert").hidden = true;
    await work();
  } catch (error) {
    if (error.name === "AbortError") return;
    status("");
    if (error.status === 401) {
      $("door").showModal();
      return;
    }
    $("alert").textContent = error instanceof Refused ? error.message : `The service cannot be reached: ${error.message}`;
    $("alert").hidden = false;
  }
}

async function start() {
  state.infos = await api.surrogates();
  const names = state.infos.map((info) => info.name);
  view.options($("surrogate"), names);
  const named = decodeURIComponent(location.hash.slice(1));
  await choose(names.includes(named) ? named : names[0]);
}

async function choose(name) {
  const info = state.infos.find((one) => one.name === name);
  play(false);
  Object.assign(state, { info, drawn: null, slice: Math.floor((info.space[2]?.n ?? 0) / 2), frame: 0 });
  $("surrogate").value = name;
  history.replaceState(null, "", `#${encodeURIComponent(name)}`);
  view.tell(info);
  $("slice").value = state.slice;
  await sample();
}

/** What was predicted, solved and asked holds no more. */
function forget() {
  state.asking.abort();
  state.asking = new AbortController();
  state.solving?.abort();
  Object.assign(state, { prediction: null, truth: null, comparison: null, predictionTime: null, solverTime: null });
}

async function sample() {
  const { info } = state;
  forget();
  if (info.problem) {
    state.sampled = await api.array(info.name, "sample", { options: { seed: seed() }, signal: state.asking.signal });
  } else {
    const grid = info.grid_in.map((axis) => axis.n);
    const nodes = grid.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: nodes * info.mean.length }, (_, i) => info.mean[Math.floor(i / nodes)]);
    state.sampled = { shape: [1, info.mean.length, ...grid], values };
  }
  state.undo = [];
  keep(state.sampled.values);
  amounts();
  await predict();
}

/** Takes values for the input; the truth of others is no longer its truth. */
function keep(values) {
  state.drawn = { shape: state.sampled.shape, values: values.slice() };
  state.solving?.abort();
  Object.assign(state, { truth: null, comparison: null, solverTime: null });
  $("undo").disabled = !state.undo.length;
  $("reset").disabled = !state.undo.length;
  redraw();
}

const seed = () => Number($("seed").value);
const steps = () => Math.round(Math.min(2000, Math.max(1, Number($("steps").value) || 1)));

/** Predicts what is drawn; where that changes meanwhile, once more. */
async function predict() {
  if (state.busy) {
    state.again = true;
    return;
  }
  state.busy = true;
  try {
    do {
      state.again = false;
      redraw();
      await predicted().catch((error) => {
        if (!state.again) throw error;
      });
    } while (state.again);
  } finally {
    state.busy = false;
    redraw();
  }
}

async function predicted() {
  const { info, drawn } = state;
  const { signal } = state.asking;
  const options = { seed: seed() };
  const input = info.problem ? await api.array(info.name, "input", { options, input: drawn, signal }) : drawn;
  if (info.evolves) {
    const told = (shape, values, there) => {
      state.prediction = { frames: shape[0], channels: shape[2], values, there };
      state.frame = Math.min(state.frame, shape[0] - 1);
      redraw();
    };
    const timing = await api.rollout(info.name, steps(), input, told, signal);
    state.predictionTime = (Math.ceil(steps() / info.frames_out) * timing.model) / 1000;
    status(steps() > 1 ? `Rolled out ${steps()} frames.` : "Predicted.");
  } else {
    const { shape, values, timing } = await api.array(info.name, "predict", { input, signal });
    state.prediction = { frames: 1, channels: shape[1], values, there: 1 };
    state.predictionTime = timing.model / 1000;
    status("Predicted.");
  }
  await compare();
}

async function solve() {
  const { info, drawn } = state;
  const solving = new AbortController();
  state.solving = solving;
  const begin = performance.now();
  const clock = setInterval(() => status(`Solving: ${seconds((performance.now() - begin) / 1000)}`), 100);
  $("cancel").hidden = false;
  $("solve").disabled = true;
  redraw();
  try {
    const options = { seed: seed(), ...(info.evolves ? { steps: steps() } : {}) };
    const { shape, values, timing } = await api.array(info.name, "solve", { options, input: drawn, signal: solving.signal });
    const frames = info.evolves ? shape[0] : 1;
    state.truth = { frames, channels: shape[info.evolves ? 2 : 1], values, there: frames, shape };
    state.solverTime = timing.solver / 1000;
    await compare();
    status(`Solved in ${seconds(state.solverTime)}.`);
  } catch (error) {
    status(error.name === "AbortError" ? "Not solved." : "");
    throw error;
  } finally {
    clearInterval(clock);
    state.solving = null;
    $("cancel").hidden = true;
    $("solve").disabled = false;
    redraw();
  }
}

async function compare() {
  const { info, prediction: u, truth: v } = state;
  if (!u || !v || u.there < u.frames || u.frames !== v.frames) return;
  const found = await api.compare(info.name, v.shape, u.values, v.values, state.asking.signal);
  if (state.prediction === u && state.truth === v) state.comparison = found;
  redraw();
}

/** What may be painted: the sample's values and, where they have both signs, half as many beyond. */
function amounts() {
  const { info, sampled } = state;
  const channel = view.inputChannel();
  const nodes = sampled.values.length / sampled.shape[1];
  const values = sampled.values.subarray(channel * nodes, (channel + 1) * nodes);
  const [low, high] = extent(values);
  state.phases = high > low && values.every((v) => v === low || v === high);
  const room = low < 0 && high > 0 ? (high - low) / 4 : high > low ? 0 : info.problem ? 1 : 2 * info.deviation[channel];
  state.amounts = [low - room, high + room];
  view.brush(state);
}

function play(on) {
  clearInterval(state.playing);
  state.playing = on ? setInterval(() => seek((state.frame + 1) % (state.prediction?.there ?? 1)), 90) : null;
  $("play").classList.toggle("playing", on);
  $("play").setAttribute("aria-label", on ? "Pause" : "Play");
}

function seek(frame) {
  state.frame = Math.min(frame, (state.prediction?.there ?? 1) - 1);
  redraw();
}

function drawing() {
  const panel = panels.input;
  const middle = () => panel.grid.map((axis) => place(axis, Math.floor(axis.n / 2)));
  attach(panel.canvas, {
    where: (event) => panel.where(event),
    start: () => {
      const x = middle();
      return { x, value: panel.values[view.node(panel.grid[0], x[0])] };
    },
    steps: ({ x, value }, [right, up]) => {
      const move = (d, k) => Math.min(panel.grid[d].start + panel.grid[d].length, Math.max(panel.grid[d].start, x[d] + (k * panel.grid[d].length) / 32));
      if (x.length > 1) return { x: [move(0, right), move(1, up)] };
      return { x: [move(0, right)], value: value + (up * (state.amounts[1] - state.amounts[0])) / 20 };
    },
    begin: () => {
      if (!view.drawable(state.info) || !state.drawn) return false;
      state.undo = [...state.undo.slice(-30), state.drawn.values];
      return true;
    },
    paint: ({ x, value }) => {
      const { drawn, info } = state;
      keep(drawn.values);
      const nodes = drawn.values.length / drawn.shape[1];
      const channel = state.drawn.values.subarray(view.inputChannel() * nodes, (view.inputChannel() + 1) * nodes);
      touch(channel, view.inputGrid(info), x, view.radius(info), value ?? view.amount(state), state.phases);
      attempt(predict);
    },
    end: () => attempt(predict),
    moved: (there) => view.ring(there, view.radius(state.info), view.amount(state)),
  });
}

function listen() {
  const on = (id, event, work) => $(id).addEventListener(event, work);
  on("surrogate", "change", () => attempt(() => choose($("surrogate").value)));
  on("sampling", "submit", (event) => {
    event.preventDefault();
    attempt(sample);
  });
  on("another", "click", () => {
    $("seed").value = seed() + 1;
    attempt(sample);
  });
  on("steps", "change", () => {
    $("steps").value = steps();
    forget();
    attempt(predict);
  });
  on("solve", "click", () => attempt(solve));
  on("cancel", "click", () => state.solving?.abort());
  on("undo", "click", () => {
    keep(state.undo.pop());
    attempt(predict);
  });
  on("reset", "click", () => {
    state.undo = [];
    keep(state.sampled.values);
    attempt(predict);
  });
  for (const id of ["amount", "size"]) on(id, "input", () => view.brush(state));
  on("play", "click", () => play(!state.playing && Boolean(state.prediction)));
  on("frame", "input", () => seek(Number($("frame").value) - 1));
  on("slice", "input", () => {
    state.slice = Number($("slice").value);
    redraw();
  });
  panels.input.part("select").addEventListener("change", () => {
    amounts();
    redraw();
  });
  panels.prediction.part("select").addEventListener("change", redraw);
  for (const panel of [panels.prediction, panels.truth, panels.difference]) {
    panel.canvas.addEventListener("pointermove", (event) => {
      const there = panel.where(event);
      for (const each of [panels.prediction, panels.truth, panels.difference]) each.say(each.read(there));
    });
    panel.canvas.addEventListener("pointerleave", () => Object.values(panels).forEach((each) => each.say("\u00a0")));
  }
  on("theme", "click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    redraw();
  });
  on("door", "close", () => {
    api.keep($("token").value);
    attempt(start);
  });
  new ResizeObserver(redraw).observe($("panels"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "z" && state.undo.length) $("undo").click();
  });
}

listen();
drawing();
attempt(start);
