// An image that is not read: it goes to the front of the queue, and one that failed is tried again.
import { addressOf, byId, commands, post } from "./base.js";
import { tr } from "../texts.js";

// the page asks itself, for callbacks only read; no answer is no harm
export async function raisePriority({ uid, waits }) {
  if (waits) await post(addressOf(uid, "attend"), {}).catch(() => {});
  return window.dash_clientside.no_update;
}

commands["try-again"] = async () => {
  const response = await post(addressOf(byId("retry").dataset.uid, "retry"), {}).catch(() => null);
  if (response && response.ok) window.location.reload();
  else byId("retry-words").textContent = tr("It could not be queued again. Reload the page.");
};
