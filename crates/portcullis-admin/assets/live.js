// Keeps a page up to date that says so. Without this script the page is as good as when it was loaded.
"use strict";
(() => {
  const seconds = Number(document.querySelector("main[data-live]")?.dataset.live);
  if (!seconds) return;
  setInterval(async () => {
    const main = document.querySelector("main");
    const busy = main.contains(document.activeElement) || String(document.getSelection());
    if (document.hidden || busy) return;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", redirect: "error" });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = page.querySelector("main");
      if (next) main.replaceChildren(...next.childNodes);
      const footer = page.querySelector("footer");
      if (footer) document.querySelector("footer").textContent = footer.textContent;
    } catch {
      // The gateway ends, or the session has ended: what is shown stays, with its time below.
    }
  }, seconds * 1000);
})();
