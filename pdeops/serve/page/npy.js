// Arrays in .npy files: what the service speaks.

const MAGIC = "\x93NUMPY";

/** {shape, values, start} of the header at the beginning of bytes; null while it is not all there. */
export function header(bytes) {
  if (bytes.length < 10) return null;
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint16(8, true);
  const start = 10 + length;
  if (bytes.length < start) return null;
  const text = new TextDecoder("latin1").decode(bytes.subarray(10, start));
  const type = { "<f4": Float32Array, "<f8": Float64Array }[/'descr': '(.*?)'/.exec(text)[1]];
  const shape = /'shape': \((.*?)\)/.exec(text)[1].split(",").filter((s) => s.trim()).map(Number);
  return { shape, type, start };
}

/** {shape, values (Float32Array)} of a whole file. */
export function read(buffer) {
  const { shape, type, start } = header(new Uint8Array(buffer));
  return { shape, values: Float32Array.from(new type(buffer.slice(start))) };
}

/** A file of single-precision values. */
export function write(shape, ...parts) {
  const size = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${size}), }`;
  const padded = text.padEnd(Math.ceil((10 + text.length + 1) / 64) * 64 - 11) + "\n";
  const head = new Uint8Array(10 + padded.length);
  [...MAGIC].forEach((c, i) => (head[i] = c.charCodeAt(0)));
  head[6] = 1;
  new DataView(head.buffer).setUint16(8, padded.length, true);
  [...padded].forEach((c, i) => (head[10 + i] = c.charCodeAt(0)));
  return new Blob([head, ...parts]);
}
