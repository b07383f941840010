// Two answers, one over the other, and a slider between them.
import { make } from "./elements.js";

const at = (id) => document.getElementById(id);

export class Compare {
  constructor() {
    this.models = [];
    for (const side of ["left", "right"]) at(side).addEventListener("change", () => this.draw());
    at("split").addEventListener("input", () => this.split());
    at("over").parentElement.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse" && !event.buttons) return;
      const box = at("over").getBoundingClientRect();
      at("split").value = ((event.clientX - box.left) / box.width) * 100;
      this.split();
    });
    this.split();
  }

  of(models) {
    this.models = models;
    at("compare").hidden = models.length < 2;
    for (const [index, side] of ["left", "right"].entries()) {
      const before = at(side).value;
      at(side).replaceChildren(...models.map(({ about }) => make("option", { value: about.name, textContent: about.name })));
      const known = models.some(({ about }) => about.name === before);
      if (models.length > 1) at(side).value = known ? before : models[index].about.name;
    }
    this.draw();
  }

  draw() {
    if (this.models.length < 2) return;
    for (const [side, id] of [["left", "over"], ["right", "under"]]) {
      const { canvas } = this.models.find(({ about }) => about.name === at(side).value);
      Object.assign(at(id), { width: canvas.width, height: canvas.height });
      at(id).className = canvas.className;
      at(id).getContext("2d").drawImage(canvas, 0, 0);
    }
  }

  split() {
    const share = at("split").value;
    at("over").style.clipPath = `inset(0 ${100 - share}% 0 0)`;
    at("line").style.left = `${share}%`;
  }
}
