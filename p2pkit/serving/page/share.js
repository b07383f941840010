// A drawing as the end of an address: it never leaves the browser, and opens wherever the page is.
const MOST = 48 * 1024; // bytes of a picture that messengers and browsers still pass on

export async function share(canvas) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve));
  const bytes = new Uint8Array(await blob.arrayBuffer());
  if (bytes.length > MOST) return null;
  const text = btoa(String.fromCharCode(...bytes));
  return `${location.href.split("#")[0]}#drawing=${text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`;
}

// The drawing that an address ends with, or null.
export async function shared() {
  const text = /^#drawing=([\w-]+)$/.exec(location.hash)?.[1];
  if (!text) return null;
  try {
    const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
    return await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  } catch {
    return null;
  }
}
