// The page: tools, models and pictures tied to one drawing.
import { photograph, possible } from "./camera.js";
import { Compare } from "./compare.js";
import { Drawing, hex } from "./drawing.js";
import { make } from "./elements.js";
import { Model } from "./model.js";
import { Refusal } from "./refusal.js";
import { share, shared } from "./share.js";
import { fillIn, name, say } from "./strings.js";

const WAIT = 30; // milliseconds without a change before the models are asked
const GREYS = ["#000000", "#555555", "#aaaaaa", "#ffffff"];
const PAINTS = ["#000000", "#ffffff", "#d0342c", "#f2a33a", "#f5e14d", "#3d9b4f", "#3b7dd8", "#7a4fb5", "#8a5a3b"];
const at = (id) => document.getElementById(id);

fillIn();
const listed = await (await fetch(new URL("models.json", import.meta.url))).json();
const models = listed.map((about) => new Model(about, () => compare.draw()));
const compare = new Compare();
const first = models[0].about;
at("docs").hidden = Boolean(first.program);
const colours = first.source.colours;
const shown = new Set(models);
const given = await shared();
let timer;

const drawing = new Drawing(at("drawing"), first.width, first.height, {
  background: colours.length ? hex(colours[0]) : "#ffffff",
  crisp: colours.length > 0,
  changed,
  moved,
});

function changed() {
  at("undo").disabled = !drawing.past.length;
  at("redo").disabled = !drawing.future.length;
  timer ??= setTimeout(() => {
    timer = null;
    const pixels = drawing.pixels();
    for (const model of shown) model.ask(pixels);
  }, WAIT);
}

// Where the pen is that the keyboard moves.
function moved(place, down) {
  at("pen").hidden = !place;
  at("pen").classList.toggle("down", down);
  if (!place) return;
  at("pen").style.left = `${(place[0] / first.width) * 100}%`;
  at("pen").style.top = `${(place[1] / first.height) * 100}%`;
}

function choose(group, chosen) {
  for (const button of group.querySelectorAll("[role=radio]")) button.setAttribute("aria-checked", button === chosen);
}

function useTool(tool) {
  drawing.tool = tool;
  choose(document, null);
  choose(at("colours"), [...at("colours").children].find((each) => each.dataset.colour === drawing.colour));
  choose(document.querySelector(".tools"), document.querySelector(`[data-tool=${tool}]`));
}

function useColour(colour) {
  drawing.colour = colour;
  useTool(drawing.tool === "eraser" ? "pen" : drawing.tool);
}

function useSize(size) {
  const most = Math.max(4, Math.round(first.width / 4));
  drawing.size = Math.min(most, Math.max(1, size));
  Object.assign(at("size"), { max: most, value: drawing.size });
  at("size-shown").textContent = drawing.size;
}

function showColours() {
  const offered = colours.length ? colours.map(hex) : first.source.channels === 1 ? GREYS : PAINTS;
  for (const [number, colour] of offered.entries()) {
    const button = make("button", { type: "button", onclick: () => useColour(colour) });
    const patch = make("i");
    patch.style.background = button.dataset.colour = colour;
    button.setAttribute("role", "radio");
    button.append(patch);
    if (first.source.kind === "labels") {
      button.className = "named";
      button.append(say("class", { number }));
    } else name(button, say("colour", { colour }));
    at("colours").append(button);
  }
  if (!colours.length && first.source.channels !== 1) {
    const any = make("input", { type: "color", value: "#3b7dd8", oninput: () => useColour(any.value) });
    name(any, say("any"));
    at("colours").append(any);
  }
  drawing.colour = offered[colours.length > 1 ? 1 : 0];
}

function showSamples() {
  for (const [number, src] of first.samples.entries()) {
    const image = make("img", { src, alt: "", loading: "lazy" });
    const button = make("button", { type: "button", onclick: () => drawing.lay(image, colours) });
    name(button, say("sample", { number: number + 1 }));
    if (!number && !given) image.addEventListener("load", () => drawing.past.length || start(image), { once: true });
    button.append(image);
    at("samples").append(button);
  }
}

function start(image) {
  drawing.lay(image, colours);
  drawing.past = [];
  changed();
}

function showModels() {
  at("models").append(...models.map((model) => model.card));
  compare.of(models);
  if (models.length < 2) return;
  for (const model of models) {
    const button = make("button", { type: "button", textContent: model.about.name, onclick: () => toggle(model, button) });
    button.setAttribute("aria-pressed", true);
    at("choice").append(button);
  }
}

function toggle(model, button) {
  if (shown.delete(model)) model.card.remove();
  else shown.add(model);
  button.setAttribute("aria-pressed", shown.has(model));
  const left = models.filter((each) => shown.has(each));
  at("models").replaceChildren(...left.map((each) => each.card));
  compare.of(left);
  changed();
}

async function open(file) {
  if (!file) return;
  try {
    drawing.lay(await models[0].backend.read(file), colours);
    tell(first.program && first.source.edges ? say("drawings") : "");
  } catch (refusal) {
    tell(refusal instanceof Refusal ? refusal.message : say("unreadable"));
    if (refusal instanceof Refusal) drawing.lay(await createImageBitmap(file), colours);
  }
}

function tell(text) {
  at("status").textContent = text;
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => (at("status").textContent = ""), 6000);
}

async function link() {
  const address = await share(drawing.canvas);
  if (!address) return tell(say("long"));
  history.replaceState(null, "", address);
  try {
    await navigator.clipboard.writeText(address);
    tell(say("copied"));
  } catch {
    tell(say("linked"));
  }
}

const KEYS = { b: () => useTool("pen"), e: () => useTool("eraser"), f: () => useTool("fill"), "[": () => useSize(drawing.size - 1), "]": () => useSize(drawing.size + 1) };
const WITH_CONTROL = { z: () => drawing.undo(), y: () => drawing.redo(), Z: () => drawing.redo() };

document.addEventListener("keydown", (event) => {
  if (event.target.matches("select, input:not([type=range])") || event.altKey) return;
  const act = event.ctrlKey || event.metaKey ? WITH_CONTROL[event.shiftKey ? event.key.toUpperCase() : event.key] : KEYS[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act();
});
document.addEventListener("paste", (event) => open([...event.clipboardData.files][0]));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  open(event.dataTransfer.files[0]);
});
for (const button of document.querySelectorAll("[data-tool]")) button.onclick = () => useTool(button.dataset.tool);
at("size").oninput = () => useSize(Number(at("size").value));
at("undo").onclick = () => drawing.undo();
at("redo").onclick = () => drawing.redo();
at("clear").onclick = () => drawing.clear();
at("share").onclick = link;
at("photo").hidden = !possible;
at("photo").onclick = () => photograph().then(open, () => tell(say("dark")));
at("upload").onclick = () => at("file").click();
at("file").onchange = () => open(at("file").files[0]).then(() => (at("file").value = ""));

showColours();
useTool("pen");
useSize(drawing.size);
showModels();
showSamples();
if (given) start(given);
changed();
document.body.dataset.ready = "yes";
