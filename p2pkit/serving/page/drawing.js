// A sheet of the size that models were trained at; strokes, fills, and the way back.
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const MEMORY = 64 * 2 ** 20; // bytes of earlier states

export class Drawing {
  constructor(canvas, width, height, { background, crisp, changed, moved }) {
    Object.assign(this, { canvas, background, crisp, changed, moved, pen: null, down: false });
    Object.assign(canvas, { width, height });
    canvas.classList.toggle("small", width < 200);
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    Object.assign(this, { tool: "pen", colour: "#000000", size: Math.max(1, Math.round(width / 40)), past: [], future: [] });
    this.paintOver();
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (this.last = null));
    canvas.addEventListener("keydown", (event) => this.type(event));
    canvas.addEventListener("blur", () => this.lift());
  }

  pixels() {
    return this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
  }

  begin(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.keep();
    const at = this.place(event);
    if (this.tool === "fill") this.fill(at);
    else this.stroke((this.last = at), at);
    this.changed();
  }

  move(event) {
    if (!this.last) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) {
      const at = this.place(each);
      this.stroke(this.last, at);
      this.last = at;
    }
    this.changed();
  }

  // Draw without a pointer: arrows move the pen, the space bar sets it down and lifts it, Enter makes one dot.
  type(event) {
    const step = ARROWS[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || (!step && ![" ", "Enter"].includes(event.key))) return;
    event.preventDefault();
    const { width, height } = this.canvas;
    const from = this.pen ?? [width / 2, height / 2];
    if (step) {
      const far = event.shiftKey ? 8 : 1;
      this.pen = [Math.min(width - 0.5, Math.max(0.5, from[0] + step[0] * far)), Math.min(height - 0.5, Math.max(0.5, from[1] + step[1] * far))];
      if (this.down) this.stroke(from, this.pen);
    } else {
      this.pen = from;
      if (!this.down) this.keep();
      if (this.tool === "fill") this.fill(from);
      else this.stroke(from, from);
      this.down = event.key === " " && this.tool !== "fill" && !this.down;
    }
    this.moved(this.pen, this.down);
    if (this.down || !step) this.changed();
  }

  lift() {
    this.down = false;
    this.moved(null, false);
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * this.canvas.width, ((event.clientY - box.top) / box.height) * this.canvas.height];
  }

  stroke([x0, y0], [x1, y1]) {
    const context = this.context;
    context.fillStyle = context.strokeStyle = this.tool === "eraser" ? this.background : this.colour;
    if (!this.crisp) {
      Object.assign(context, { lineWidth: this.size, lineCap: "round" });
      context.beginPath();
      context.moveTo(x0, y0);
      context.lineTo(x1, y1);
      context.stroke();
      return;
    }
    const steps = Math.max(1, Math.ceil(Math.hypot(x1 - x0, y1 - y0) * 2)); // colours that mean something are not mixed
    for (let step = 0; step <= steps; step++) this.disc(x0 + ((x1 - x0) * step) / steps, y0 + ((y1 - y0) * step) / steps);
  }

  disc(x, y) {
    const radius = this.size / 2;
    for (let row = Math.floor(y - radius); row <= y + radius; row++) {
      const half = Math.sqrt(Math.max(0, radius ** 2 - (row + 0.5 - y) ** 2));
      if (half) this.context.fillRect(Math.round(x - half), row, Math.max(1, Math.round(2 * half)), 1);
    }
  }

  fill([x, y]) {
    const pixels = this.pixels();
    const { data, width, height } = pixels;
    const start = (Math.floor(y) * width + Math.floor(x)) * 4;
    const from = [...data.slice(start, start + 3)];
    const to = rgb(this.colour);
    const near = this.crisp ? 0 : 32;
    const seen = new Uint8Array(width * height);
    const waiting = [start / 4];
    while (waiting.length) {
      const at = waiting.pop();
      if (seen[at] || from.some((value, index) => Math.abs(data[at * 4 + index] - value) > near)) continue;
      seen[at] = 1;
      data.set(to, at * 4);
      if (at % width) waiting.push(at - 1);
      if ((at + 1) % width) waiting.push(at + 1);
      if (at >= width) waiting.push(at - width);
      if (at < width * (height - 1)) waiting.push(at + width);
    }
    this.context.putImageData(pixels, 0, 0);
  }

  paintOver() {
    this.context.fillStyle = this.background;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  clear() {
    this.keep();
    this.paintOver();
    this.changed();
  }

  // Lay a picture on the sheet, so that it covers it.
  lay(image, colours = []) {
    this.keep();
    this.paintOver();
    cover(this.context, image, !colours.length);
    if (colours.length) this.snap(colours);
    this.changed();
  }

  snap(colours) {
    const pixels = this.pixels();
    for (let at = 0; at < pixels.data.length; at += 4) pixels.data.set(colours[nearest(pixels.data, at, colours)], at);
    this.context.putImageData(pixels, 0, 0);
  }

  keep() {
    this.past.push(this.pixels());
    this.future = [];
    while (this.past.length * this.canvas.width * this.canvas.height * 4 > MEMORY) this.past.shift();
  }

  undo() {
    this.step(this.past, this.future);
  }

  redo() {
    this.step(this.future, this.past);
  }

  step(from, to) {
    if (!from.length) return;
    to.push(this.pixels());
    this.context.putImageData(from.pop(), 0, 0);
    this.changed();
  }
}

// Draw a picture as large as it has to be to leave nothing of a sheet free.
export function cover(context, image, smooth = true) {
  const { width, height } = context.canvas;
  const scale = Math.max(width / image.width, height / image.height);
  Object.assign(context, { imageSmoothingEnabled: smooth, imageSmoothingQuality: "high" });
  context.drawImage(image, (width - image.width * scale) / 2, (height - image.height * scale) / 2, image.width * scale, image.height * scale);
}

export function nearest(data, at, colours) {
  let best = 0;
  let least = Infinity;
  for (const [index, [red, green, blue]] of colours.entries()) {
    const apart = (data[at] - red) ** 2 + (data[at + 1] - green) ** 2 + (data[at + 2] - blue) ** 2;
    if (apart < least) [best, least] = [index, apart];
    if (!apart) break;
  }
  return best;
}

export function rgb(hex) {
  return [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
}

export function hex(colour) {
  return "#" + colour.map((value) => value.toString(16).padStart(2, "0")).join("");
}
