// What a model takes beside the drawing: a control for each, and the request or the program's inputs that hold them all.
import { make } from "./elements.js";
import { Refusal } from "./refusal.js";
import { say } from "./strings.js";

export class Beside {
  constructor(about, changed) {
    Object.assign(this, { about, changed, values: {}, seed: 0, element: make("div", { className: "beside" }) });
    const offered = Object.entries(about.beside);
    for (const [key, spec] of offered.filter(([, spec]) => spec.kind !== "noise")) this.offer(key, spec);
    if (offered.some(([, spec]) => spec.kind === "noise")) {
      const another = make("button", { type: "button", textContent: say("another"), onclick: () => this.draw() });
      this.element.append(another);
    }
  }

  get any() {
    return Object.keys(this.about.beside).length > 0;
  }

  offer(key, spec) {
    const control = { class: select, numbers: text }[spec.kind]?.(spec) ?? make("input", { type: "file", accept: "image/*" });
    const label = make("label", { title: spec.text });
    label.append(`${key} `, control);
    this.element.append(label);
    if (control.type !== "file") this.values[key] = control.value;
    control.onchange = async () => {
      this.values[key] = control.type === "file" ? await base64(control.files[0]) : control.value;
      this.changed();
    };
  }

  draw() {
    this.seed += 1;
    this.changed();
  }

  // As the server takes it.
  async body(image) {
    return JSON.stringify({ ...this.values, source: await base64(image) });
  }

  // As a program takes it, by name; noise is drawn here.
  inputs() {
    const dice = normal(this.seed);
    const offered = Object.entries(this.about.beside);
    return Object.fromEntries(offered.map(([key, spec]) => [key, { class: index, numbers, noise }[spec.kind](spec, this.values[key], key, dice)]));
  }
}

function index(spec, chosen) {
  return { type: "int64", data: BigInt64Array.of(BigInt(names(spec).indexOf(chosen))), dims: [1] };
}

function numbers(spec, text, key) {
  const data = Float32Array.from(text.trim().split(/[\s,]+/), Number);
  if (data.length !== spec.size || !data.every(Number.isFinite)) throw new Refusal(say("numbers", { key, size: spec.size }));
  return { type: "float32", data, dims: [1, spec.size] };
}

function noise(spec, _value, _key, dice) {
  return { type: "float32", data: Float32Array.from({ length: spec.size }, dice), dims: [1, spec.size] };
}

// Draws normal numbers, always the same by a seed.
function normal(seed) {
  let state = seed;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (((mixed ^ (mixed >>> 14)) >>> 0) + 1) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

function names(spec) {
  return spec.names.length ? spec.names : [...Array(spec.size).keys()].map(String);
}

function select(spec) {
  const element = make("select");
  element.append(...names(spec).map((text) => make("option", { value: text, textContent: text })));
  return element;
}

function text(spec) {
  return make("input", { type: "text", value: Array(spec.size).fill(0).join(" ") });
}

function base64(blob) {
  return new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.readAsDataURL(blob);
  });
}
