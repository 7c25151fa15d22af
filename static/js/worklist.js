// Worklist: rows change where they stand while images are read and reviewed; new studies are only told of, so that no
// row moves under the reader's hand. Arrows or j and k go from row to row, Enter opens, x chooses, / searches.
import { ntr, tr } from "./texts.js";

const table = document.getElementById("worklist");
const filters = document.getElementById("filters");
const pollMs = 2000;

// a choice applies at once; the button is for the search text and for those without this script
filters.addEventListener("change", (event) => {
  if (event.target.matches("select, input[type=date]")) filters.requestSubmit();
});
// an empty filter needs no place in the address
filters.addEventListener("formdata", (event) => {
  for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    document.getElementById("search").focus();
  }
});

function keepLive() {
  const news = document.getElementById("news");
  const finding = table.dataset.finding;
  const rows = () => [...table.tBodies[0].rows];

  function replace(row, html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    const fresh = template.content.querySelector("tr");
    const box = row.querySelector("input[type=checkbox]");
    if (box) fresh.querySelector("input[type=checkbox]").checked = box.checked;
    const held = row.contains(document.activeElement);
    row.replaceWith(fresh);
    if (held) fresh.querySelector("a.open").focus();
  }

  async function poll() {
    try {
      const query = new URLSearchParams(rows().map((row) => ["row", row.dataset.row]));
      if (finding) query.set("finding", finding);
      const response = await fetch(`${table.dataset.changes}?${query}`);
      if (response.status === 401) return window.location.reload(); // the sign-in has ended: to the way in and back
      if (response.ok) {
        const changes = await response.json();
        for (const row of rows()) {
          const uid = row.dataset.row.split(":")[0];
          if (changes.rows[uid]) replace(row, changes.rows[uid]);
          row.classList.toggle("is-gone", changes.gone.includes(uid));
        }
        news.hidden = !changes.newest || changes.newest === table.dataset.newest;
      }
    } catch {
      // the server is away: the rows stay as they were, and are asked for again
    }
    setTimeout(poll, document.hidden ? 5 * pollMs : pollMs);
  }

  table.addEventListener("click", (event) => {
    const row = event.target.closest("tbody tr");
    if (row && !event.target.closest("a, input, label")) row.querySelector("a.open").click();
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input:not([type=checkbox]), select, textarea, summary, button")) return;
    const all = rows();
    const at = all.findIndex((row) => row.contains(document.activeElement));
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      const next = all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + step))];
      next.querySelector("a.open").focus();
    } else if (event.key === "x" && at >= 0) {
      all[at].querySelector("input[type=checkbox]")?.click();
    }
  });

  const boxes = () => [...table.querySelectorAll("tbody input[type=checkbox]")];
  const all = document.getElementById("choose-all");
  function count() {
    const n = boxes().filter((box) => box.checked).length;
    all.checked = n > 0 && n === boxes().length;
    all.indeterminate = n > 0 && !all.checked;
    document.getElementById("chosen-words").textContent = n ? ntr("%(n)s chosen", "%(n)s chosen", n) : tr("Choose all on this page");
    for (const button of document.querySelectorAll(".actions .button")) button.disabled = n === 0;
  }
  if (all) { // who may export or delete nothing has nothing to choose
    all.addEventListener("change", () => {
      for (const box of boxes()) box.checked = all.checked;
      count();
    });
    table.addEventListener("change", count);
    window.addEventListener("pageshow", count);
    count();
  }

  setTimeout(poll, pollMs);
}

if (table) keepLive();
