// The chooser in the page's head: choosing sends the form. Without this script its button does.
"use strict";

(() => {
  const form = document.getElementById("reader-form");
  const chooser = document.getElementById("reader");
  document.getElementById("choose-reader").hidden = true;
  chooser.addEventListener("change", () => form.submit());
})();
