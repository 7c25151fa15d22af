// What the viewer's modules share.

export const commands = {}; // name -> what it does: buttons name it in data-do, keys in keys.js

export const byId = (id) => document.getElementById(id);

export const addressOf = (uid, what) => `/instances/${encodeURIComponent(uid)}/${what}`;

// posts what changes something
export const post = (address, body) => fetch(address, {
  method: "POST",
  headers: { "Content-Type": "application/json", "X-CSRFToken": document.querySelector("meta[name=csrf-token]").content },
  body: JSON.stringify(body),
});
