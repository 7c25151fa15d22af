// Starts the viewer: gives Dash the callbacks that run in the browser (diagnosis_tool/viewer/callbacks.py names them),
// then starts Dash itself, as its inline script would, which may not run here.
import { drawTrend } from "./charts.js";
import { select, showOrder } from "./findings.js";
import "./keys.js";
import "./pointer.js";
import { review } from "./review.js";
import { viewport } from "./viewport.js";
import { raisePriority } from "./waiting.js";

// an image that was read; facts: facts.ViewerFacts
function showImage(facts, selected) {
  if (viewport.open(facts)) {
    select(selected);
    review.open(facts);
    viewport.pressButtons();
    showOrder();
    document.querySelector(".strip-item.is-shown")?.scrollIntoView({ block: "nearest" });
  }
  return window.dash_clientside.no_update;
}

window.dash_clientside.viewer = { showImage, drawTrend, raisePriority };
new window.DashRenderer();
