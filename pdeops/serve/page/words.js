// Numbers as people read them.

/** Three digits: 0.0123, 12.3, 1.23e-5. */
export function short(value) {
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  const text = size >= 1e4 || size < 1e-3 ? value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e") : String(Number(value.toPrecision(3)));
  return text.replace("-", "\u2212").replace("e-", "e\u2212");
}

export function percent(share) {
  return `${short(100 * share)} %`;
}

export function seconds(s) {
  return s < 0.1 ? `${short(1000 * s)} ms` : s < 1 ? `${Math.round(1000 * s)} ms` : `${short(s)} s`;
}
