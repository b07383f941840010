// What a model is sent: the sheet in the units of its sources, as a NumPy file, which loses nothing.
import { nearest } from "./drawing.js";

export function encode(pixels, source) {
  const { data, width, height } = pixels;
  if (source.kind === "labels") {
    const indices = new (source.type === "uint8" ? Uint8Array : Uint16Array)(width * height);
    for (let at = 0; at < indices.length; at++) indices[at] = nearest(data, at * 4, source.colours);
    return npy(indices, [height, width]);
  }
  const planes = source.channels === 1 ? 1 : 3;
  const values = new (source.full ? Uint8Array : Float32Array)(width * height * planes);
  const scale = source.full ? 1 : (source.high - source.low) / 255;
  const low = source.full ? 0 : source.low;
  for (let at = 0; at < width * height; at++) {
    const [red, green, blue] = data.subarray(at * 4, at * 4 + 3);
    if (planes === 1) values[at] = low + scale * Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
    else values.set([low + scale * red, low + scale * green, low + scale * blue], at * 3);
  }
  return npy(values, planes === 1 ? [height, width] : [height, width, 3]);
}

function npy(values, shape) {
  const type = { Uint8Array: "|u1", Uint16Array: "<u2", Float32Array: "<f4" }[values.constructor.name];
  const head = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape.join(", ")}), }`;
  const length = Math.ceil((head.length + 11) / 64) * 64 - 10;
  const start = new Uint8Array(10 + length).fill(32);
  start.set([0x93, 78, 85, 77, 80, 89, 1, 0, length & 255, length >> 8]);
  start.set(new TextEncoder().encode(head), 10);
  start[start.length - 1] = 10;
  return new Blob([start, values]);
}
