"use strict";
// Every page works without this; it only spares people a click.

// What a Drip field was made from lights up while the field is pointed at or focused.
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

// One box that selects all on the page.
for (const box of document.querySelectorAll("[data-all]")) {
  box.closest("label").hidden = false;
  const boxes = () => box.form.querySelectorAll('input[name="id"]');
  box.addEventListener("change", () => boxes().forEach((each) => { each.checked = box.checked; }));
}

// Copy an address.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
  });
}

// Turn "waiting for the first webhook" into "received" as soon as it is.
const live = document.querySelector("[data-arrivals]");
if (live) {
  const ask = async () => {
    try {
      const answer = await fetch(live.dataset.arrivals, { headers: { Accept: "application/json" } });
      if (answer.status === 401) return location.reload();
      const said = await answer.json();
      if (said.changed) return location.reload();
    } catch { /* the next one will tell */ }
    setTimeout(ask, document.hidden ? 10000 : 2000);
  };
  setTimeout(ask, 1000);
}

// A page that waits for something to move comes again by itself, unless somebody is reading on.
const again = document.querySelector("[data-again]");
if (again) setTimeout(() => { if (window.scrollY < 200) location.reload(); }, Number(again.dataset.again) * 1000);
