// Keeps a page up to date, shows what a mark in a picture stands for, and takes the token out of the address.
// What the server sends as HTML is escaped there; this script writes text only.
"use strict";

const LONGEST = 15000;
let interval = 1000;

const live = document.getElementById("live");
const state = document.getElementById("state");
const tip = document.getElementById("tip");

function hideToken() {
  const address = new URL(location.href);
  if (address.searchParams.has("token")) {
    address.searchParams.delete("token");
    history.replaceState(history.state, "", address);
  }
}

// Live updates: the server answers 204 as long as nothing has changed.

async function update() {
  const address = new URL(location.href);
  address.searchParams.set("fragment", live.dataset.version);
  const answer = await fetch(address, { credentials: "same-origin", redirect: "error" });
  if (answer.status === 204) return;
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  const html = await answer.text();
  live.dataset.version = answer.headers.get("X-Version") || "";
  interval = Number(answer.headers.get("X-Pause")) || interval;
  replace(html);
}

function replace(html) {
  const focus = live.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const open = new Set([...live.querySelectorAll("details[open][id]")].map((one) => one.id));
  const closed = new Set([...live.querySelectorAll("details:not([open])[id]")].map((one) => one.id));
  const places = new Map([...live.querySelectorAll("[data-scroll]")].map((one) => [one.dataset.scroll, one.scrollLeft]));
  const before = new Map([...live.querySelectorAll("[id]")].map((one) => [one.id, one]));
  live.innerHTML = html;
  // What cannot have changed is not sent again.
  for (const place of live.querySelectorAll("[data-kept]")) {
    const kept = before.get(place.id);
    if (kept) place.replaceWith(kept);
  }
  for (const one of live.querySelectorAll("details[id]")) {
    if (open.has(one.id)) one.open = true;
    if (closed.has(one.id)) one.open = false;
  }
  for (const one of live.querySelectorAll("[data-scroll]")) {
    const place = places.get(one.dataset.scroll);
    if (place !== undefined) one.scrollLeft = place;
  }
  if (focus !== undefined) {
    live.querySelector(`[data-key="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
  } else {
    hideTip();
  }
}

async function follow() {
  let wait = interval;
  for (;;) {
    await new Promise((done) => setTimeout(done, wait));
    if (document.hidden) continue;
    try {
      await update();
      wait = interval;
      state.textContent = "";
    } catch {
      wait = Math.min(LONGEST, wait * 2);
      state.textContent = "The gateway does not answer.";
    }
  }
}

// What a mark stands for: shown for the mouse and for the keyboard.

function showTip(mark) {
  tip.textContent = mark.dataset.tip || mark.getAttribute("aria-label");
  tip.hidden = false;
  const at = mark.getBoundingClientRect();
  const size = tip.getBoundingClientRect();
  const left = Math.min(Math.max(8, at.left + at.width / 2 - size.width / 2), innerWidth - size.width - 8);
  const above = at.top - size.height - 8;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${above >= 8 ? above : at.bottom + 8}px`;
}

function hideTip() {
  tip.hidden = true;
}

function pointed(event) {
  const mark = event.target instanceof Element ? event.target.closest("[data-tip]") : null;
  if (mark) showTip(mark);
  else hideTip();
}

// Left and right go from mark to mark, so that a picture with hundreds of them is one stop of the Tab key.

function step(event) {
  const move = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
  const group = event.target instanceof Element ? event.target.closest("[data-marks]") : null;
  if (move === undefined || !group || event.ctrlKey || event.metaKey || event.altKey) return;
  const marks = [...group.querySelectorAll("[data-tip][href]")];
  const at = marks.indexOf(event.target);
  if (at < 0) return;
  event.preventDefault();
  marks[Math.max(0, Math.min(marks.length - 1, at + move))].focus();
}

// "/" goes to the search field, as in many other tools.

function search(event) {
  const field = document.querySelector("input[type=search]");
  const writes = event.target instanceof Element && event.target.closest("input, textarea, select");
  if (event.key !== "/" || writes || !field || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  field.focus();
  field.select();
}

// A filter takes effect as soon as it is chosen; words wait for Enter.

function choose(event) {
  const form = event.target instanceof Element ? event.target.closest("form[data-filter]") : null;
  if (form && event.target.type !== "search") form.requestSubmit();
}

hideToken();
document.addEventListener("mouseover", pointed);
document.addEventListener("focusin", pointed);
document.addEventListener("focusout", hideTip);
document.addEventListener("keydown", step);
document.addEventListener("keydown", search);
document.addEventListener("keydown", (event) => event.key === "Escape" && hideTip());
document.addEventListener("change", choose);
if (live && live.dataset.version !== undefined) follow();
