"use strict";
// Optional: every page also works without JavaScript. Events are handled on the document, so that they outlive a refresh.

const main = document.getElementById("main");

// Highlight the payload field that a Drip field comes from while its link is hovered or focused.
const sourceOf = (event) => {
  const link = event.target.closest?.(".from a");
  return link && document.getElementById(decodeURIComponent(link.hash.slice(1)));
};
for (const [name, on] of [["mouseover", true], ["mouseout", false], ["focusin", true], ["focusout", false]]) {
  document.addEventListener(name, (event) => sourceOf(event)?.classList.toggle("lit", on));
}
document.addEventListener("click", (event) => {
  const source = sourceOf(event);
  if (!source) return;
  event.preventDefault();
  source.scrollIntoView({ block: "center" });
  for (const other of document.querySelectorAll(".tree .lit")) other.classList.remove("lit");
  source.classList.add("lit");
});

// A checkbox that selects everything on the page.
document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-all]")) return;
  for (const each of event.target.form.querySelectorAll('input[name="id"]')) each.checked = event.target.checked;
});

// Copy buttons.
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});

// Escape closes what is open around the focus: details, and the filters where they are folded.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.target.matches("select")) return;
  const details = event.target.closest("details[open]");
  const fold = document.getElementById("filtering");
  if (details) {
    details.open = false;
    details.querySelector("summary").focus();
  } else if (fold?.checkVisibility() && (event.target === fold || event.target.closest(".filters"))) {
    fold.checked = false;
    fold.focus();
  }
});

// A picture that can't be loaded leaves its empty frame.
document.addEventListener("error", (event) => { if (event.target.matches?.(".picture img")) event.target.remove(); }, true);

// Times: in the reader's zone, with UTC as a tooltip. How long ago something was keeps counting.
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
const two = (number) => String(number).padStart(2, "0");
const zone = (at) => new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" }).formatToParts(at).find((part) => part.type === "timeZoneName").value;
const clock = (at) => `${two(at.getHours())}:${two(at.getMinutes())}`;
const day = (at) => `${two(at.getDate())} ${MONTHS[at.getMonth()]}`;
const ago = (at) => {
  const seconds = (Date.now() - at) / 1000;
  const [unit, size] = UNITS.find((each) => Math.abs(seconds) >= each[1]) || UNITS[3];
  const amount = `${Math.max(1, Math.floor(Math.abs(seconds) / size))} ${unit}`;
  return seconds > -1 && seconds < 2 ? "just now" : seconds > 0 ? `${amount} ago` : `in ${amount}`;
};
const FORMS = {
  ago,
  when: (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(at)}:${two(at.getSeconds())} ${zone(at)}`,
  brief: (at) => `${day(at)} ${clock(at)}:${two(at.getSeconds())}`,
  minute: (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(at)} ${zone(at)}`,
  clock,
  day,
};
const showTimes = (root, forms = FORMS) => {
  for (const each of root.querySelectorAll("[data-as]")) {
    const form = forms[each.dataset.as];
    const text = form && form(new Date(each.getAttribute("datetime")));
    if (text && each.textContent !== text) each.textContent = text;
  }
};

// What the reader chooses as a local time is sent in UTC.
const prepare = (root) => {
  showTimes(root);
  for (const each of root.querySelectorAll("[data-zone]")) each.textContent = `Times are in your time zone, ${zone(new Date())}; UTC is shown on hover.`;
  for (const each of root.querySelectorAll("[data-all]")) each.closest("label").hidden = false;
  for (const each of root.querySelectorAll("[data-copy]")) each.hidden = !navigator.clipboard;
  for (const each of root.querySelectorAll("input[data-utc]")) {
    each.closest("label").firstChild.textContent = `${each.dataset.utc} `;
    if (!each.value) continue;
    const at = new Date(`${each.value}Z`);
    each.value = new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  }
};
document.addEventListener("submit", (event) => {
  for (const each of event.target.querySelectorAll("input[data-utc][name]")) {
    if (!each.value) continue;
    const sent = Object.assign(document.createElement("input"), { type: "hidden", name: each.name });
    sent.value = new Date(each.value).toISOString().slice(0, 16);
    each.removeAttribute("name");
    event.target.append(sent);
  }
});
prepare(document);
setInterval(() => { if (!document.hidden) showTimes(document, { ago }); }, 10000);

// Refresh: fetch the same page, and change only what differs, so that focus, selections and what was typed stay.
const key = (node) => node.dataset?.key;
const isHeld = (node) => node.contains(document.activeElement) || node.querySelector?.("input:checked");
const mark = (node) => {
  node.classList.add("fresh");
  setTimeout(() => node.classList.remove("fresh"), 4000);
};
const syncAttributes = (old, fresh) => {
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value && name !== "open") old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
};
const sync = (old, fresh) => {
  if (old.isEqualNode(fresh)) return 0;
  if (old.nodeType !== Node.ELEMENT_NODE) { old.data = fresh.data; return 0; }
  if (old.matches("input, select, textarea, [data-keep]:not(details)")) return 0;
  const isNews = key(old) && old.dataset.state !== fresh.dataset.state;
  if (isNews) mark(old);
  const wasLit = old.classList.contains("lit");
  const wasFresh = old.classList.contains("fresh");
  syncAttributes(old, fresh);
  if (wasLit) old.classList.add("lit");
  if (wasFresh) old.classList.add("fresh");
  return syncChildren(old, fresh) + (isNews ? 1 : 0);
};
const move = (parent, node, next) => {
  const held = node.contains(document.activeElement) && document.activeElement; // what is moved loses the focus
  parent.insertBefore(node, next);
  if (held) held.focus({ preventScroll: true });
};
const isSame = (old, fresh) => old.nodeName === fresh.nodeName && key(old) === key(fresh);
const syncChildren = (old, fresh) => {
  let news = 0;
  let next = old.firstChild;
  const known = new Map([...old.childNodes].filter(key).map((node) => [key(node), node]));
  for (const child of [...fresh.childNodes]) {
    const match = key(child) ? known.get(key(child)) : next && isSame(next, child) ? next : null;
    if (!match) {
      old.insertBefore(child, next);
      if (key(child)) { mark(child); news += 1; }
      continue;
    }
    if (match === next) next = next.nextSibling; else move(old, match, next);
    news += sync(match, child);
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    if (!(gone.nodeType === Node.ELEMENT_NODE && isHeld(gone))) gone.remove();
  }
  return news;
};
const isSelecting = () => { const chosen = getSelection(); return chosen && !chosen.isCollapsed && main.contains(chosen.anchorNode); };

let wait = 0;
let timer = 0;
const say = (text) => { for (const each of document.querySelectorAll("[data-live]")) if (each.textContent !== text) each.textContent = text; };
const refresh = async () => {
  clearTimeout(timer);
  if (document.hidden) return; // goes on as soon as the page is visible again
  const every = Number(main.dataset.refresh) * 1000;
  try {
    const headers = { Accept: "text/html", "X-Refresh": "1", ...(main.dataset.version ? { "If-None-Match": `"${main.dataset.version}"` } : {}) };
    const response = await fetch(location.href, { headers, cache: "no-store" });
    if (response.redirected || response.status === 401) return say("You have been logged out. Reload the page to log in.");
    if (response.status !== 304) {
      if (!response.ok) throw new Error(String(response.status));
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const fresh = page.getElementById("main");
      prepare(fresh);
      if (!isSelecting()) {
        document.title = page.title;
        const news = sync(main, fresh);
        if (news) document.getElementById("news").textContent = `${news} updated`;
      }
    }
    wait = every;
    say("Updates automatically.");
  } catch {
    wait = Math.min(Math.max(wait, every) * 2, 60000);
    say("Not updating: the adapter can't be reached. Trying again.");
  }
  if (main.dataset.refresh) timer = setTimeout(refresh, Math.max(wait, Number(main.dataset.refresh) * 1000 || 0));
};
if (main?.dataset.refresh) {
  say("Updates automatically.");
  timer = setTimeout(refresh, Number(main.dataset.refresh) * 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
}
