// What the page says, in strings.json.
const strings = await (await fetch(new URL("strings.json", import.meta.url))).json();

export function say(key, values = {}) {
  return strings[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export function fillIn() {
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", say(element.dataset.label));
  for (const element of document.querySelectorAll("[data-title]")) name(element, say(element.dataset.title));
}

export function name(element, text) {
  element.title = text;
  element.setAttribute("aria-label", text);
}
