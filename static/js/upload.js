// Upload page: files dropped anywhere are sent at once, chosen ones when the button is pressed. One multipart POST, as a
// script would send it; the tray has one line a file. Without this script the plain form does the same.
import { ntr, tr } from "./texts.js";

document.documentElement.classList.add("has-script");
const form = document.getElementById("upload");
const input = document.getElementById("files");
const send = document.getElementById("send");
const tray = document.getElementById("tray");
const list = document.getElementById("tray-files");
const title = document.getElementById("tray-title");
const words = document.getElementById("tray-words");
const progress = document.getElementById("tray-progress");
const close = document.getElementById("tray-close");
const veil = document.getElementById("drop-veil");
const maxFiles = Number(form.dataset.maxFiles);
const maxBytes = Number(form.dataset.maxBytes);
let files = [];
let running = null;
let allSent = false;

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
const total = () => files.reduce((sum, file) => sum + file.size, 0);

function say(text, isError = false) {
  words.textContent = text;
  words.classList.toggle("is-error", isError);
}

function line(file) {
  const item = document.createElement("li");
  for (const [name, text] of [["name", file.name], ["size", megabytes(file.size)], ["state", tr("chosen")]]) {
    const cell = document.createElement("span");
    cell.className = name;
    cell.textContent = text;
    item.append(cell);
  }
  item.firstChild.title = file.name;
  return item;
}

function show(chosen) {
  files = [...chosen];
  tray.hidden = files.length === 0;
  list.replaceChildren(...files.map(line));
  title.textContent = `${ntr("%(n)s file", "%(n)s files", files.length)}, ${megabytes(total())}`;
  progress.hidden = true;
  close.textContent = tr("Clear");
  say(files.length ? tr("Ready: press ‘Upload and read’.") : "");
  return checkLimits();
}

function checkLimits() {
  if (files.length > maxFiles) {
    say(tr("At most %(n)s files fit in one go. Choose fewer.", { n: maxFiles }), true);
  } else if (total() > maxBytes) {
    say(tr("At most %(n)s GB fit in one go. Choose fewer.", { n: maxBytes / 1e9 }), true);
  } else {
    return true;
  }
  return false;
}

// the body is sent in the files' order, so the bytes sent so far say which files are through
function mark(sent) {
  let before = 0;
  files.forEach((file, i) => {
    const state = list.children[i].lastChild;
    if (sent >= before + file.size) state.textContent = tr("sent");
    else if (sent > before) state.textContent = `${Math.floor((100 * (sent - before)) / file.size)} %`;
    else state.textContent = tr("waiting");
    before += file.size;
  });
}

function explain(request) {
  try {
    return JSON.parse(request.responseText).error;
  } catch {
    return tr("The server answered %(status)s. Try again.", { status: request.status });
  }
}

function upload() {
  if (running || files.length === 0 || !checkLimits()) return;
  if (form.elements.project?.value === "") { // dropped files are sent at once, past the browser's own question
    say(tr("Choose the project that the study belongs to, then press ‘Upload and read’."), true);
    form.elements.project.focus();
    return;
  }
  const body = new FormData(form); // every field of the form, as without this script; the files are the tray's
  body.delete(input.name);
  files.forEach((file) => body.append(input.name, file, file.name));
  running = new XMLHttpRequest();
  running.open("POST", form.action);
  running.setRequestHeader("Accept", "application/json");
  running.setRequestHeader("X-CSRFToken", document.querySelector("meta[name=csrf-token]").content);
  running.upload.onprogress = (event) => {
    progress.value = event.lengthComputable ? event.loaded / event.total : 0;
    mark(event.loaded);
    allSent = event.loaded >= event.total;
    say(event.loaded < event.total ? tr("Sending…") : tr("Storing…"));
  };
  running.onload = () => {
    const done = running;
    stop();
    // a 303 was followed: the address is that of the new study
    if (done.status === 200) window.location.assign(done.responseURL);
    else say(explain(done), true);
  };
  running.onerror = () => {
    stop();
    say(`${tr("The connection broke off.")} ${whatWasStored()}`, true);
  };
  allSent = false;
  progress.value = 0;
  progress.hidden = false;
  close.textContent = tr("Cancel");
  say(tr("Sending…"));
  running.send(body);
}

// once the server has all bytes it may store them, whether or not it can still answer
function whatWasStored() {
  return allSent
    ? tr("All files had been sent: reload this page to see whether the study is in the list.")
    : tr("Nothing was stored.");
}

function stop() {
  running = null;
  close.textContent = tr("Clear");
}

input.addEventListener("change", () => show(input.files));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (files.length === 0) input.click();
  else upload();
});
close.addEventListener("click", () => {
  if (running) {
    running.abort();
    stop();
    say(`${tr("Cancelled.")} ${whatWasStored()}`);
  } else {
    form.reset();
    show([]);
  }
});

const holdsFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
document.addEventListener("dragover", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  veil.hidden = false;
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) veil.hidden = true;
});
document.addEventListener("drop", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  veil.hidden = true;
  if (running) return;
  // a folder comes as an entry without bytes, which would break the upload off
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
  if (entries.some((entry) => entry?.isDirectory)) {
    show([]);
    tray.hidden = false;
    say(tr("Folders cannot be sent. Open the folder and drop the files in it."), true);
  } else if (show(event.dataTransfer.files)) {
    upload();
  }
});
// coming back by the browser's button: the form may still hold files
window.addEventListener("pageshow", () => show(input.files));
send.disabled = false;
