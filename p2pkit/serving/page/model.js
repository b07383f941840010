// A model's answer: one request at a time, and always of the newest drawing.
import { backend } from "./backends.js";
import { Beside } from "./beside.js";
import { make } from "./elements.js";
import { name, say } from "./strings.js";

const DOWN = "M12 4v12 M7 11l5 5 5-5 M4 16v4h16v-4";

export class Model {
  constructor(about, changed) {
    Object.assign(this, { about, changed, backend: backend(about), busy: false, next: null });
    this.card = make("article", { className: "card" });
    const head = make("div", { className: "head" });
    this.canvas = make("canvas", { width: about.width, height: about.height });
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", say("answer", { name: about.name }));
    this.canvas.classList.toggle("small", about.width < 200);
    const save = make("button", { type: "button", onclick: () => this.save() });
    save.innerHTML = `<svg viewBox="0 0 24 24"><path d="${DOWN}"/></svg>`;
    name(save, say("download", { name: about.name }));
    head.append(make("h2", { textContent: about.name, title: about.name }), save);
    this.below = make("p");
    this.beside = new Beside(about, () => this.last && this.ask(this.last));
    this.card.append(head, this.canvas, ...(this.beside.any ? [this.beside.element] : []), this.below);
    this.tell(this.scores(), false);
  }

  scores() {
    return Object.entries(this.about.scores).map(([metric, value]) => `${metric} ${value.toPrecision(3)}`).join(" · ");
  }

  tell(text, wrong) {
    this.below.textContent = text;
    this.below.className = wrong ? "wrong" : "dim";
  }

  async ask(pixels) {
    this.next = this.last = pixels;
    if (this.busy) return;
    this.busy = true;
    this.card.classList.add("waiting");
    while (this.next) {
      const asked = this.next;
      this.next = null;
      await this.once(asked);
    }
    this.busy = false;
    this.card.classList.remove("waiting");
    this.card.dataset.answers = Number(this.card.dataset.answers ?? 0) + 1;
  }

  async once(pixels) {
    try {
      const image = await this.backend.translate(pixels, this.beside);
      Object.assign(this.canvas, { width: image.width, height: image.height });
      this.canvas.getContext("2d").drawImage(image, 0, 0);
      this.tell(this.scores(), false);
      this.changed(this);
    } catch (refusal) {
      this.tell(refusal.message, true);
      if (!refusal.again) return;
      await new Promise((resolve) => setTimeout(resolve, 1000));
      this.next ??= pixels;
    }
  }

  save() {
    this.canvas.toBlob((blob) => {
      const link = make("a", { href: URL.createObjectURL(blob), download: `${this.about.name}.png` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }
}
