// Runs models' programs apart from the page, so that drawing never waits for them.
import { env, InferenceSession, Tensor } from "./ort.js";

env.wasm.wasmPaths = { wasm: new URL("ort.wasm", import.meta.url).href };
const sessions = new Map();
let before = Promise.resolve();

self.onmessage = ({ data }) => {
  before = before.then(() => run(data)); // one at a time: they share one core
};

async function run({ id, program, inputs }) {
  try {
    if (!sessions.has(program)) sessions.set(program, InferenceSession.create(program, { graphOptimizationLevel: "all" }));
    const session = await sessions.get(program);
    const given = Object.entries(inputs).map(([name, { type, data, dims }]) => [name, new Tensor(type, data, dims)]);
    const { fake } = await session.run(Object.fromEntries(given));
    const made = await fake.getData();
    self.postMessage({ id, data: made, dims: fake.dims });
  } catch (error) {
    self.postMessage({ id, wrong: String(error.message ?? error) });
  }
}
