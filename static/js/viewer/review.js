// What the reader makes of the model's reading. It is kept in this tab until the server has stored it: nothing is lost
// by going on to the next image, by an error, or by another reader's newer revision.
import { addressOf, byId, commands, post } from "./base.js";
import { nudged } from "./geometry.js";
import { joined } from "./opinions.js";
import { filmOf, viewport } from "./viewport.js";
import { tr } from "../texts.js";

const NOTHING = { verdicts: {}, added: [], note: "", boxes: [] };
const MARKS = { agree: "✓", disagree: "✗", unsure: "?" };

// early: what the reader did before the server's review had come; it is done when it is there
const BLANK = { saved: null, draft: null, base: 0, isChanged: false, drawn: null, early: [], earlyNote: "" };
export const review = { uid: null, ...BLANK };

// ---- what is kept in this tab -----------------------------------------------------------------------------------
// by reader: who signs in after another in this tab must not find the other's draft
const reader = document.querySelector('meta[name="reader"]').content;
const key = (uid) => `review:${reader}:${uid}`;

function keep() {
  sessionStorage.setItem(key(review.uid), JSON.stringify({ base: review.base, draft: review.draft }));
}

const opinion = ({ verdicts, added, note, boxes }) => structuredClone({ verdicts, added, note, boxes });

// from: the server's review, whose opinion the draft now is
function take(from) {
  Object.assign(review, { saved: from, draft: opinion(from), base: from.revision, isChanged: false });
  sessionStorage.removeItem(key(review.uid));
  render();
}

// who may not review sees what others wrote
const isReadOnly = () => byId("review").dataset.readOnly !== undefined;

function change(how) {
  if (isReadOnly()) return;
  if (!review.draft) {
    review.early.push(how);
    return;
  }
  how(review.draft);
  review.isChanged = true;
  keep();
  render();
}

// ---- the server -------------------------------------------------------------------------------------------------
async function ask(path, body) {
  const address = addressOf(review.uid, path);
  const response = await (body === undefined ? fetch(address) : post(address, body));
  const answer = await response.json().catch(() => ({}));
  return { status: response.status, isGood: response.ok, answer };
}

review.open = async (facts) => {
  Object.assign(review, { uid: facts.uid, ...BLANK, early: [] });
  say("");
  render();
  try {
    const { isGood, answer } = await ask("review.json");
    if (review.uid !== facts.uid) return;
    if (!isGood) throw new Error(answer.error);
    takeKept(answer);
    takeEarly();
  } catch (error) {
    if (review.uid === facts.uid) say(tr("The review could not be loaded: %(why)s Reload the page.", { why: error.message || "" }), true);
  }
};

function takeKept(answer) {
  const kept = JSON.parse(sessionStorage.getItem(key(review.uid)) || "null");
  take(answer);
  if (!kept || isReadOnly()) return;
  Object.assign(review, { draft: kept.draft, base: kept.base, isChanged: true });
  keep();
  say(tr("Your unsaved changes are still here."));
  render();
}

function takeEarly() {
  const { early, earlyNote } = review;
  Object.assign(review, { early: [], earlyNote: "" });
  if (earlyNote) early.push((draft) => { draft.note = [draft.note, earlyNote].filter(Boolean).join("\n"); });
  if (early.length) change((draft) => { for (const how of early) how(draft); });
}

// true when the server has all of it
review.save = async () => {
  if (!review.draft || isReadOnly()) return false;
  const { uid } = review;
  say(tr("Saving …"));
  let outcome;
  try {
    outcome = await ask("review", { revision: review.base, ...review.draft });
  } catch {
    outcome = { status: 0, answer: {} };
  }
  if (review.uid !== uid) {
    if (outcome.isGood) sessionStorage.removeItem(key(uid));
    return false;
  }
  return settle(outcome, tr("Saved."));
};

function settle({ status, isGood, answer }, words) {
  if (isGood) {
    take(answer);
    say(words);
  } else if (status === 409 && answer.current) {
    say(tr("Not saved: another reader was faster."), true);
    showConflict(answer.current);
  } else {
    const why = answer.error || (status ? `${status}.` : tr("The server does not answer."));
    say(tr("Not saved: %(why)s Your review is kept on this page.", { why }), true);
  }
  return Boolean(isGood);
}

review.askToSign = () => {
  if (review.draft && !isReadOnly()) byId("sign-dialog").showModal();
};

async function sign() {
  byId("sign-dialog").close();
  if ((review.isChanged || review.base === 0) && !(await review.save())) return;
  const { uid } = review;
  const outcome = await ask("review/sign", { revision: review.base }).catch(() => ({ status: 0, answer: {} }));
  if (review.uid === uid) settle(outcome, tr("Signed."));
}

// ---- two readers at once ----------------------------------------------------------------------------------------
function showConflict(current) {
  review.theirs = current;
  const last = current.history.at(-1);
  byId("conflict-whose").textContent = last ? tr("%(name)s, %(time)s", { name: last.by, time: localTime(last.at) }) : "";
  fill("conflict-mine", lines(review.draft));
  fill("conflict-theirs", lines(current));
  byId("conflict-dialog").showModal();
}

function lines({ verdicts, added, note, boxes }) {
  return [
    ...Object.entries(verdicts).map(([name, verdict]) => `${MARKS[verdict]} ${label(name)}: ${verdictWord(verdict)}`),
    ...added.map((name) => tr("added: %(name)s", { name: label(name) })),
    ...boxes.map((box) => tr("box: %(name)s", { name: label(box.finding) })),
    note || tr("no note"),
  ];
}

function resolve(choice) {
  const { theirs, draft: mine } = review;
  byId("conflict-dialog").close();
  if (!theirs) return;
  review.theirs = null;
  if (choice === "theirs") {
    take(theirs);
    return;
  }
  review.saved = theirs;
  review.base = theirs.revision;
  change((draft) => { if (choice === "both") Object.assign(draft, joined(theirs, mine)); });
  if (choice === "mine") review.save();
  else say(tr("Both are joined below. Look through them, then save."));
}

// ---- what the reader does ---------------------------------------------------------------------------------------
review.verdict = (verdict) => {
  const { selected } = viewport;
  change(({ verdicts }) => {
    if (verdicts[selected] === verdict) delete verdicts[selected];
    else verdicts[selected] = verdict;
  });
};

review.add = () => {
  const select = byId("add-finding");
  const name = select.value;
  if (name) change(({ added }) => { if (!added.includes(name)) added.push(name); });
  select.value = "";
};

review.addBox = (box) => {
  const drawn = { finding: viewport.selected, ...box };
  change(({ boxes }) => boxes.push(drawn));
};

// the box under the hand, not added yet; null when it is finished
review.showDrawn = (box) => {
  review.drawn = box;
  showBoxes();
};

// moves the newest box, or its lower right corner, by a hundredth of the film
review.nudge = (right, down, isSize) => change(({ boxes }) => {
  const { pixels } = filmOf("main");
  if (boxes.length && pixels) boxes.push(nudged(boxes.pop(), [right, down], isSize, pixels));
});

review.remove = (kind, index) => change((draft) => draft[kind].splice(index, 1));

// ---- showing ----------------------------------------------------------------------------------------------------
const label = (name) => viewport.facts.names[name] || name;
const verdictWord = (verdict) => ({ agree: tr("agree"), disagree: tr("disagree"), unsure: tr("unsure") })[verdict];
const stateWord = (state) => ({ draft: tr("draft"), signed: tr("signed"), amended: tr("amended") })[state];
const localTime = (iso) => new Date(iso).toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });

function say(words, isError = false) {
  const place = byId("review-words");
  place.textContent = words;
  place.classList.toggle("is-error", isError);
}

function stateWords() {
  if (!review.saved) return tr("not loaded");
  const { state, revision, signed_by: by, signed_at: at } = review.saved;
  const signed = by ? tr("%(name)s, %(time)s", { name: by, time: localTime(at) }) : "";
  const words = {
    none: tr("○ not reviewed"),
    draft: tr("◐ draft, revision %(revision)s", { revision }),
    signed: tr("● signed: %(signed)s", { signed }),
    amended: tr("◐ amended after %(signed)s, not signed", { signed }),
  }[state];
  return review.isChanged ? `${words} · ${tr("not saved")}` : words;
}

function fill(id, texts) {
  byId(id).replaceChildren(...texts.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

function chip(sign, name, text, kind, index) {
  const item = Object.assign(document.createElement("li"), { className: "review-chip", title: text });
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: "×" });
  button.setAttribute("aria-label", tr("Remove %(what)s", { what: text }));
  button.addEventListener("click", () => review.remove(kind, index));
  item.append(`${sign} ${label(name)}`, ...(isReadOnly() ? [] : [button]));
  return item;
}

function showBoxes() {
  const boxes = review.draft ? review.draft.boxes.map((box) => ({ ...box, label: label(box.finding) })) : [];
  if (review.drawn) boxes.push({ ...review.drawn, isDraft: true, label: label(viewport.selected) });
  viewport.setBoxes(boxes);
}

function render() {
  if (!byId("review")) return;
  const draft = review.draft || NOTHING;
  byId("review-state").textContent = stateWords();
  const note = byId("note");
  const written = review.draft ? draft.note : review.earlyNote;
  if (note.value !== written) note.value = written;
  byId("review-items").replaceChildren(
    ...draft.added.map((name, k) => chip("+", name, tr("added: %(name)s", { name: label(name) }), "added", k)),
    ...draft.boxes.map((box, k) => chip("▭", box.finding, tr("box: %(name)s", { name: label(box.finding) }), "boxes", k)),
  );
  const history = review.saved ? review.saved.history : [];
  fill("history", history.map((h) => `${h.revision} · ${stateWord(h.state)} · ${h.by} · ${localTime(h.at)}`));
  byId("history-box").hidden = history.length === 0;
  for (const row of document.querySelectorAll(".finding-row")) row.dataset.verdict = MARKS[draft.verdicts[row.dataset.finding]] || "";
  review.showSelected();
  showBoxes();
}

review.showSelected = () => {
  if (!byId("verdict-of") || !viewport.selected) return;
  byId("verdict-of").textContent = label(viewport.selected);
  const chosen = review.draft ? review.draft.verdicts[viewport.selected] : null;
  for (const button of document.querySelectorAll("[data-verdict-choice]")) {
    button.setAttribute("aria-pressed", String(button.dataset.verdictChoice === chosen));
  }
};

document.addEventListener("input", (event) => {
  if (event.target.id !== "note") return;
  const { value } = event.target;
  if (review.draft) change((draft) => { draft.note = value; });
  else review.earlyNote = value;
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-verdict-choice], [data-resolve]");
  if (!button) return;
  if (button.dataset.resolve) resolve(button.dataset.resolve);
  else review.verdict(button.dataset.verdictChoice);
});
addEventListener("beforeunload", (event) => {
  if (review.isChanged || review.early.length || review.earlyNote) event.preventDefault(); // closing the tab would lose what is kept in it
});

const closeDialog = () => document.querySelector("dialog[open]")?.close();
addEventListener("popstate", closeDialog); // what it asked was about the image before

Object.assign(commands, {
  agree: () => review.verdict("agree"),
  disagree: () => review.verdict("disagree"),
  unsure: () => review.verdict("unsure"),
  save: review.save,
  sign: review.askToSign,
  "sign-now": sign,
  "add-finding": review.add,
  "close-dialog": closeDialog,
});
