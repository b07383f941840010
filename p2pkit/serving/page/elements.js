// Elements of the page, made with their properties.
export function make(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}
