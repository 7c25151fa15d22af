// What the viewer's scripts share. Loaded first.
"use strict";

(() => {
  const token = () => document.querySelector('meta[name="csrf-token"]')?.content || "";

  window.viewer = {
    commands: {}, // name -> what it does: buttons name it in data-do, keys in viewer-keys.js
    // the options of a fetch that changes something
    posted: (body) => ({
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token() },
      body: JSON.stringify(body),
    }),
  };
})();
