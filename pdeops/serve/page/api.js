// Requests to the service.

import { header, read, write } from "./npy.js";

const NPY = "application/x-npy";

/** Milliseconds by what took them. */
function timing(answer) {
  const said = answer.headers.get("server-timing") ?? "";
  return Object.fromEntries([...said.matchAll(/(\w+);dur=([\d.]+)/g)].map((m) => [m[1], Number(m[2])]));
}

export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    Object.assign(this, { status, code });
  }
}

export class Api {
  constructor() {
    this.token = sessionStorage.getItem("pdeops-token");
  }

  keep(token) {
    this.token = token;
    sessionStorage.setItem("pdeops-token", token);
  }

  async surrogates() {
    return (await (await this.#call("/v1/surrogates", {})).json()).surrogates;
  }

  /** An array, and the milliseconds that the service says it took. */
  async array(name, what, { options = {}, input = null, signal } = {}) {
    const answer = await this.#post(name, what, options, input, NPY, signal);
    return { ...read(await answer.arrayBuffer()), timing: timing(answer) };
  }

  /** A rollout: told(shape, values, frames there) as frames come; values fill up. The milliseconds of the first output. */
  async rollout(name, steps, input, told, signal) {
    const answer = await this.#post(name, "rollout", { steps }, input, NPY, signal);
    let bytes = new Uint8Array(0);
    let values, shape, frame, there = 0;
    for (const reader = answer.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      const joined = new Uint8Array(bytes.length + value.length);
      joined.set(bytes);
      joined.set(value, bytes.length);
      bytes = joined;
      if (!values) {
        const head = header(bytes);
        if (!head) continue;
        shape = head.shape;
        frame = shape.slice(1).reduce((a, b) => a * b, 1);
        values = new Float32Array(shape[0] * frame);
        bytes = bytes.slice(head.start);
      }
      const whole = Math.floor(bytes.length / (4 * frame));
      if (whole) {
        values.set(new Float32Array(bytes.slice(0, 4 * frame * whole).buffer), there * frame);
        there += whole;
        bytes = bytes.slice(4 * frame * whole);
        told(shape, values, there);
      }
    }
    if (!values || there < shape[0]) throw new Refused(500, "cut", `the rollout ended after ${there} of ${steps} frames`);
    return timing(answer);
  }

  /** Errors and spectra of a prediction beside the truth, both of one shape. */
  async compare(name, shape, prediction, truth, signal) {
    const input = write([2, ...shape], prediction, truth);
    return (await this.#post(name, "compare", {}, input, "application/json", signal)).json();
  }

  #post(name, what, options, input, accept, signal) {
    const body = input instanceof Blob || input === null ? input : write(input.shape, input.values);
    const headers = { accept, ...(body ? { "content-type": NPY } : {}) };
    const address = `/v1/surrogates/${encodeURIComponent(name)}/${what}?${new URLSearchParams(options)}`;
    return this.#call(address, { method: "POST", headers, body, signal });
  }

  async #call(address, request) {
    const headers = { ...request.headers, ...(this.token ? { authorization: `Bearer ${this.token}` } : {}) };
    const answer = await fetch(address, { ...request, headers });
    if (answer.ok) return answer;
    const { error } = await answer.json().catch(() => ({ error: { code: "failed", message: answer.statusText } }));
    throw new Refused(answer.status, error.code, error.message);
  }
}
