// The browser keeps a page whole when one leaves it, and shows it again on the way back without asking the server: also
// after its reader has signed out. So what is left is hidden, and what comes back is fetched anew.
window.addEventListener("pagehide", () => {
  document.documentElement.style.visibility = "hidden";
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
});
