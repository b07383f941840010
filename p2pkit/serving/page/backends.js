// Who translates: the server that the page came from, or a worker with the models' programs.
import { cover } from "./drawing.js";
import { Refusal } from "./refusal.js";
import { npy, picture, planar, stored } from "./source.js";
import { say } from "./strings.js";

export function backend(about) {
  return about.program ? new Program(about) : new Server(about);
}

class Server {
  constructor(about) {
    this.about = about;
  }

  // What a model makes of a sheet, and of what stands beside it.
  async translate(pixels, beside) {
    const { source, translate } = this.about;
    const image = npy(stored(pixels, source), source);
    const address = `${translate}?size=trained&given=source&picture=true${beside.seed ? `&seed=${beside.seed}` : ""}`;
    return beside.any ? this.ask(address, await beside.body(image), "application/json") : this.ask(address, image, "application/x-npy");
  }

  // What the data set makes of a file: of a photo its edges, of class numbers their colours.
  async read(file) {
    const { source, translate, width, height } = this.about;
    const address = translate.replace(/translate$/, "source");
    if (source.kind === "labels") return this.ask(`${address}?size=trained`, file, file.type || "application/octet-stream");
    const image = await createImageBitmap(file);
    if (!source.edges) return image;
    const sheet = new OffscreenCanvas(width, height);
    cover(sheet.getContext("2d"), image);
    return this.ask(address, await sheet.convertToBlob(), "image/png");
  }

  async ask(address, body, kind) {
    let answer;
    try {
      answer = await fetch(address, { method: "POST", body, headers: { "content-type": kind, accept: "image/png, application/problem+json" } });
    } catch {
      throw new Refusal(say("away"));
    }
    if (answer.ok) return createImageBitmap(await answer.blob());
    const problem = await answer.json();
    const extra = problem.where in this.about.beside ? `${problem.where}: ` : "";
    throw new Refusal(extra + [problem.detail, problem.remedy].filter(Boolean).join("; "), problem.status === 429);
  }
}

class Program {
  static worker = null;
  static waiting = new Map();

  constructor(about) {
    this.about = about;
    if (Program.worker) return;
    Program.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    Program.worker.onerror = () => Program.waiting.forEach((answer) => answer({ wrong: say("broken") }));
    Program.worker.onmessage = ({ data }) => {
      Program.waiting.get(data.id)(data);
      Program.waiting.delete(data.id);
    };
  }

  async translate(pixels, beside) {
    const { source, target, program, width, height } = this.about;
    const sheet = planar(stored(fit(pixels, width, height, source.kind === "labels"), source));
    const inputs = { source: { type: source.type, ...sheet }, ...beside.inputs() };
    const id = Program.waiting.size ? Math.max(...Program.waiting.keys()) + 1 : 0;
    const answered = new Promise((resolve) => Program.waiting.set(id, resolve));
    Program.worker.postMessage({ id, program: new URL(program, document.baseURI).href, inputs }, [sheet.data.buffer]);
    const answer = await answered;
    if (answer.wrong) throw new Refusal(answer.wrong);
    return createImageBitmap(picture(answer, target));
  }

  // A file is taken as it is, since a browser reads nothing as a data set does.
  async read(file) {
    return createImageBitmap(file);
  }
}

function fit(pixels, width, height, crisp) {
  if (pixels.width === width && pixels.height === height) return pixels;
  const from = new OffscreenCanvas(pixels.width, pixels.height);
  from.getContext("2d").putImageData(pixels, 0, 0);
  const context = new OffscreenCanvas(width, height).getContext("2d");
  Object.assign(context, { imageSmoothingEnabled: !crisp, imageSmoothingQuality: "high" });
  context.drawImage(from, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}
