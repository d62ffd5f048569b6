// Copies what a link leads to. Without this script, or without a clipboard, the link opens it.
"use strict";

async function copy(event) {
  const link = event.target instanceof Element ? event.target.closest("a[data-copy]") : null;
  if (!link || !navigator.clipboard || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const words = link.dataset.words || link.textContent;
  link.dataset.words = words;
  try {
    const answer = await fetch(link.href, { credentials: "same-origin", redirect: "error" });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    await navigator.clipboard.writeText(await answer.text());
    link.textContent = "Copied";
    setTimeout(() => (link.textContent = words), 1500);
  } catch {
    location.href = link.href;
  }
}

document.addEventListener("click", copy);
