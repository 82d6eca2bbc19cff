import { CaptionLog, clockText } from "./captions.js";
import { connect } from "./connection.js";
import { stepText, Timeline } from "./timeline.js";

const isMirror = document.body.dataset.layout === "mirror";
/** Parts that a layout does without are null. */
const part = (id) => document.getElementById(id);

const captions = new CaptionLog(part("captions"), {
  maxLines: isMirror ? 6 : 40,
  withTimes: !isMirror,
  scrolls: !isMirror,
});
const timeline = new Timeline(part("timeline"), { withWords: !isMirror });

/** What a person needs to know of a task. A mirror has room for those that still run. */
const OVER = ["result", "failed", "refused"];

function setText(element, text) {
  if (element !== null && element.textContent !== text) element.textContent = text;
}

function item(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/** Fills a list anew if what it shows has changed, so that nothing is read aloud twice. */
function setList(list, entries, fill) {
  const content = JSON.stringify(entries);
  if (list === null || list.dataset.content === content) return;
  list.dataset.content = content;
  list.replaceChildren(...entries.map(fill));
}

function showActivity(activity) {
  setText(part("activity"), activity);
  part("activity").dataset.state = activity;
}

function showConditions({ savings, offline, recording }) {
  const conditions = [
    ...(recording ? [{ className: "recording", text: "● recording" }] : []),
    ...(savings.length > 0
      ? [{ className: "degraded", text: isMirror ? "degraded" : `degraded: ${savings.join(", ")}` }]
      : []),
    ...(offline ? [{ className: "offline", text: isMirror ? "offline" : "offline: no reasoner" }] : []),
  ];
  setList(part("conditions"), conditions, ({ className, text }) => item("span", className, text));
}

function showNumber(number) {
  const element = part("number");
  if (element.textContent === (number ?? "")) return;
  element.textContent = number ?? "";
  if (isMirror)
    element.setAttribute(
      "aria-label",
      number === null ? "no number said yet" : `last number said: ${number}`,
    );
  // Taking the class away and reading a length restarts the animation.
  element.className = (number?.length ?? 0) > 3 ? "long" : "";
  void element.offsetWidth;
  element.classList.add("changed");
}

function showTasks(tasks) {
  const shown = isMirror ? tasks.filter(({ state }) => !OVER.includes(state)).slice(-2) : tasks.toReversed();
  setList(part("tasks"), shown, ({ state, about, text, stale }) => {
    const line = item("li", "", "");
    // On a mirror only a question is the person's concern.
    const words = isMirror ? (state === "ask" ? text : about) : about;
    line.append(item("span", `state ${state}`, `${state}${stale ? ", late" : ""}:`), ` ${words}`);
    if (!isMirror) line.append(item("span", "detail", text));
    return line;
  });
}

function showDevices(devices) {
  setList(part("devices"), devices, ({ device, state, detail }) => {
    const line = item("li", "", `${device} `);
    line.append(item("span", `state ${state}`, state), item("span", "detail", detail));
    return line;
  });
}

function showFault(text) {
  part("fault").hidden = text === "";
  setText(part("fault"), text);
}

/** The kind of a device without its path, which is of no interest to a person before a mirror. */
function lostDevices(devices) {
  const lost = devices.filter(({ state, device }) => state === "lost" && device !== "reasoner");
  return lost
    .map(({ device }) => `${isMirror ? device.replace(/\s\S*[/:]\S*$/, "") : device} lost`)
    .join(", ");
}

let newest = null;

function showView(view) {
  newest = view;
  showActivity(view.activity);
  showConditions(view);
  setText(part("clock"), clockText(view.tMs));
  setText(part("title"), view.title);
  showNumber(view.number);
  showTasks(view.tasks);
  showDevices(view.devices);
  showFault(lostDevices(view.devices));
  // After all that leaves less room for them.
  captions.show(view.captions);
  setText(part("steps"), stepText(view));
  timeline.draw(view);
}

let decoding = false;

async function showPicture(jpeg) {
  if (decoding) return;
  decoding = true;
  try {
    const bitmap = await createImageBitmap(jpeg);
    const canvas = part("picture");
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
    canvas.hidden = false;
    if (part("no-picture") !== null) part("no-picture").hidden = true;
  } finally {
    decoding = false;
  }
}

connect({
  view: showView,
  picture: showPicture,
  lost(reason) {
    // Then it is not missed, and its last words stay.
    if (newest?.activity === "ended") return;
    showActivity("offline");
    showFault(reason);
  },
});
showActivity("offline");
addEventListener("resize", () => newest !== null && timeline.draw(newest));
