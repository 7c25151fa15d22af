// The rows of findings: which one is selected, and in which order they stand.
import { byId } from "./base.js";
import { review } from "./review.js";
import { viewport } from "./viewport.js";

const ORDER = "findings-order"; // kept for the session
export const order = () => sessionStorage.getItem(ORDER) || "anatomical";

export function select(finding) {
  viewport.select(finding);
  review.showSelected();
  for (const item of document.querySelectorAll("[data-finding]")) {
    item.setAttribute("aria-pressed", String(item.dataset.finding === finding));
  }
  byId("save-heatmap").href = viewport.facts.outputs[finding].blend;
}

// at once, for the next key may be a verdict on it; Dash is told for what it draws
export function choose(finding) {
  select(finding);
  window.dash_clientside.set_props("selected", { data: finding });
}

export function showOrder() {
  const places = viewport.facts.places[order()];
  for (const row of document.querySelectorAll(".finding-row")) row.style.top = `${100 * places[row.dataset.finding]}%`;
  for (const button of document.querySelectorAll("[data-order]")) {
    button.setAttribute("aria-pressed", String(button.dataset.order === order()));
  }
}

document.addEventListener("click", (event) => {
  const item = event.target.closest("[data-finding]");
  if (item) {
    if (item.matches(".map")) viewport.showHeatmap(true);
    choose(item.dataset.finding);
  }
  const button = event.target.closest("[data-order]");
  if (button) {
    sessionStorage.setItem(ORDER, button.dataset.order);
    showOrder();
  }
});
