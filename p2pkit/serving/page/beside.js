// What a model takes beside the drawing: a control for each, and the request that holds them all.
import { make } from "./elements.js";
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
    const control = { class: classes, numbers }[spec.kind]?.(spec) ?? make("input", { type: "file", accept: "image/*" });
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

  async body(image) {
    return JSON.stringify({ ...this.values, source: await base64(image) });
  }
}

function classes(spec) {
  const select = make("select");
  const names = spec.names.length ? spec.names : [...Array(spec.size).keys()].map(String);
  select.append(...names.map((text) => make("option", { value: text, textContent: text })));
  return select;
}

function numbers(spec) {
  return make("input", { type: "text", value: Array(spec.size).fill(0).join(" ") });
}

function base64(blob) {
  return new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.readAsDataURL(blob);
  });
}
