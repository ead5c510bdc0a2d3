"use strict";
// Optional: every page also works without JavaScript.

// Highlight the payload field that a Drip field comes from while its link is hovered or focused.
for (const link of document.querySelectorAll(".from a")) {
  const target = document.getElementById(decodeURIComponent(link.hash.slice(1)));
  const light = (on) => target && target.classList.toggle("lit", on);
  link.addEventListener("mouseenter", () => light(true));
  link.addEventListener("mouseleave", () => light(false));
  link.addEventListener("focus", () => light(true));
  link.addEventListener("blur", () => light(false));
  link.addEventListener("click", (event) => {
    if (!target) return;
    event.preventDefault();
    target.scrollIntoView({ block: "center" });
    for (const other of document.querySelectorAll(".tree .lit")) other.classList.remove("lit");
    light(true);
  });
}

// A checkbox that selects everything on the page.
for (const box of document.querySelectorAll("[data-all]")) {
  box.closest("label").hidden = false;
  const boxes = () => box.form.querySelectorAll('input[name="id"]');
  box.addEventListener("change", () => boxes().forEach((each) => { each.checked = box.checked; }));
}

// A picture that can't be loaded leaves its empty frame.
for (const picture of document.querySelectorAll(".picture img")) {
  picture.addEventListener("error", () => picture.remove());
  if (picture.complete && !picture.naturalWidth) picture.remove();
}

// Copy buttons.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  });
}

// Reload a store's page as soon as a webhook is received or refused.
const live = document.querySelector("[data-arrivals]");
if (live) {
  const check = async () => {
    try {
      const response = await fetch(live.dataset.arrivals, { headers: { Accept: "application/json" } });
      if (response.status === 401) return location.reload();
      const state = await response.json();
      if (state.changed) return location.reload();
    } catch { /* try again below */ }
    setTimeout(check, document.hidden ? 10000 : 2000);
  };
  setTimeout(check, 1000);
}

// Reload a page that is waiting for a change, unless the reader has scrolled down.
const waiting = document.querySelector("[data-reload]");
if (waiting) setTimeout(() => { if (window.scrollY < 200) location.reload(); }, Number(waiting.dataset.reload) * 1000);
