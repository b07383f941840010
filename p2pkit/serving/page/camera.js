// A picture by the camera, which is off again as soon as the window closes.
const at = (id) => document.getElementById(id);

export const possible = Boolean(navigator.mediaDevices?.getUserMedia); // not where a page is not safe: http of other machines

export async function photograph() {
  const [dialog, video] = [at("camera"), at("video")];
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  video.srcObject = stream;
  dialog.returnValue = "";
  dialog.showModal();
  await video.play();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  const taken = document.createElement("canvas");
  Object.assign(taken, { width: video.videoWidth, height: video.videoHeight });
  if (dialog.returnValue === "take") taken.getContext("2d").drawImage(video, 0, 0);
  for (const track of stream.getTracks()) track.stop();
  video.srcObject = null;
  return dialog.returnValue === "take" ? new Promise((resolve) => taken.toBlob(resolve)) : null;
}
