// What a model is given: the sheet in the units of its sources; and the picture of what it made.
import { nearest } from "./drawing.js";

const TYPES = { uint8: ["|u1", Uint8Array], uint16: ["<u2", Uint16Array], int16: ["<i2", Int16Array], int32: ["<i4", Int32Array], float32: ["<f4", Float32Array] };

// The values of a sheet as they would be stored: { data, planes, height, width }, the planes of a pixel side by side.
export function stored(pixels, source) {
  const { data, width, height } = pixels;
  const planes = source.kind === "labels" || source.channels === 1 ? 1 : 3;
  const values = new (type(source)[1])(width * height * planes);
  const whole = source.type !== "float32";
  const scale = (source.high - source.low) / 255;
  const at255 = (value) => (whole ? Math.round(source.low + scale * value) : source.low + scale * value);
  for (let at = 0; at < width * height; at++) {
    const [red, green, blue] = data.subarray(at * 4, at * 4 + 3);
    if (source.kind === "labels") values[at] = nearest(data, at * 4, source.colours);
    else if (planes === 1) values[at] = at255(source.lightness ? lightness(red, green, blue) : Math.round(0.299 * red + 0.587 * green + 0.114 * blue));
    else values.set([at255(red), at255(green), at255(blue)], at * 3);
  }
  return { data: values, planes, height, width };
}

// As a NumPy file, which loses nothing.
export function npy({ data, planes, height, width }, source) {
  const shape = planes === 1 ? [height, width] : [height, width, planes];
  const head = `{'descr': '${type(source)[0]}', 'fortran_order': False, 'shape': (${shape.join(", ")}), }`;
  const length = Math.ceil((head.length + 11) / 64) * 64 - 10;
  const start = new Uint8Array(10 + length).fill(32);
  start.set([0x93, 78, 85, 77, 80, 89, 1, 0, length & 255, length >> 8]);
  start.set(new TextEncoder().encode(head), 10);
  start[start.length - 1] = 10;
  return new Blob([start, data]);
}

// As a program takes it: plane by plane.
export function planar({ data, planes, height, width }) {
  const values = new data.constructor(data.length);
  const size = height * width;
  for (let at = 0; at < data.length; at++) values[(at % planes) * size + Math.floor(at / planes)] = data[at];
  return { data: values, dims: [1, planes, height, width] };
}

// What a program made, as people see it.
export function picture({ data, dims: [, planes, height, width] }, target) {
  const made = new ImageData(width, height);
  const size = width * height;
  const at255 = (value) => Math.round(((Number(value) - target.low) * 255) / (target.high - target.low));
  const shown = target.shown.length ? target.shown : planes >= 3 ? [0, 1, 2] : [0];
  for (let at = 0; at < size; at++) {
    if (target.kind === "labels") made.data.set(target.colours[data[at]] ?? [0, 0, 0], at * 4);
    else if (shown.length >= 3) for (let plane = 0; plane < 3; plane++) made.data[at * 4 + plane] = at255(data[shown[plane] * size + at]);
    else made.data.fill(at255(data[shown[0] * size + at]), at * 4, at * 4 + 3);
    made.data[at * 4 + 3] = 255;
  }
  return made;
}

function type(source) {
  return TYPES[source.type] ?? TYPES.float32;
}

// CIE lightness of an sRGB colour, 0 to 255.
function lightness(...colour) {
  const [red, green, blue] = colour.map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  const light = 0.212671 * red + 0.71516 * green + 0.072169 * blue;
  return ((light > 0.008856 ? 116 * Math.cbrt(light) - 16 : 903.3 * light) * 255) / 100;
}
