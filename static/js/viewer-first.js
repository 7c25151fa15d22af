// The page comes with its content (#first-view), and all of the reader's work goes on in it at once. Dash starts behind it
// when the film is drawn, makes the same page out of sight, and takes its place in one step when the reader's hands are off.
// Loaded last.
"use strict";

(() => {
  const { viewer } = window;
  const { stage } = viewer;
  const byId = (id) => document.getElementById(id);
  const LATEST_MS = 3000; // a film that does not come keeps Dash no longer
  const LOOK_EVERY_MS = 100;
  const first = byId("first-view");
  const entry = byId("react-entry-point");
  const stored = (id) => JSON.parse(byId(`first-${id}`)?.textContent || "null");
  const [reading, selected] = [stored("reading"), stored("selected")];
  let isHeld = false; // a button of the mouse is down, or a finger

  viewer.isDash = false;
  if (reading) viewer.show(reading, selected);

  const drawn = () => new Promise((resume) => {
    if (!reading) resume();
    document.addEventListener("drawn", ({ target }) => { if (target.film.pixels) resume(); });
    setTimeout(resume, LATEST_MS);
  });

  const loaded = (address) => new Promise((resume, fail) => {
    const script = Object.assign(document.createElement("script"), { src: address, async: false });
    Object.assign(script, { onload: resume, onerror: () => fail(new Error(`${address} did not load`)) });
    document.head.append(script);
  });

  const hasContent = () => entry.querySelector(".viewer-content > *") !== null;

  // resolves when Dash has made the page
  const made = () => new Promise((resume) => {
    const watch = new MutationObserver(() => {
      if (!hasContent()) return;
      watch.disconnect();
      resume();
    });
    watch.observe(entry, { childList: true, subtree: true });
  });

  const isBusy = () => isHeld || stage.loading > 0 || document.querySelector("dialog[open]") !== null
    || document.activeElement.matches("textarea, select");

  // how to find the same element in a page made anew; null where nothing has the focus
  function wayTo(element) {
    const name = ["id", "data-do", "data-finding", "data-tool", "data-prior", "data-order", "data-verdict-choice", "href"]
      .find((attribute) => element.hasAttribute(attribute));
    return name ? `${element.localName}[${name}="${CSS.escape(element.getAttribute(name))}"]` : null;
  }

  function takeOver() {
    if (isBusy()) {
      setTimeout(takeOver, LOOK_EVERY_MS);
      return;
    }
    const carryOn = viewer.carry();
    const focused = wayTo(document.activeElement);
    first.replaceWith(entry);
    viewer.isDash = true;
    carryOn();
    if (focused) entry.querySelector(focused)?.focus({ preventScroll: true });
    if (stage.facts && stage.selected !== selected) viewer.choose(stage.selected);
    if (viewer.waiting) viewer.show(...viewer.waiting);
    document.body.dataset.dash = "shown";
  }

  async function start() {
    await drawn();
    await viewer.painted();
    const scripts = [...byId("dash-scripts").content.querySelectorAll("script[src]")];
    await Promise.all(scripts.map((script) => loaded(script.getAttribute("src"))));
    const done = made();
    new DashRenderer(); // finds its entry in the document, then works on it wherever it is
    entry.remove();
    await done;
    await viewer.painted();
    takeOver();
  }

  for (const [name, isDown] of [["pointerdown", true], ["pointerup", false], ["pointercancel", false]]) {
    addEventListener(name, () => { isHeld = isDown; }, true);
  }
  start();
})();
