// Live pages, colours and keys. Every page can be read without this.
"use strict";

function watch(live) {
  const mark = document.querySelector(".live-mark");
  const events = new EventSource(live.dataset.live);
  events.onopen = () => { mark.hidden = false; };
  events.onerror = () => { mark.hidden = true; };
  events.addEventListener("change", async () => {
    const answer = await fetch(location.href, { cache: "no-store" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("live") || page.querySelector("main");
    const open = [...live.querySelectorAll("details")].map((one) => one.open);
    live.replaceChildren(...fresh.childNodes);
    live.querySelectorAll("details").forEach((one, place) => { one.open = open[place] ?? one.open; });
  });
  addEventListener("pagehide", () => events.close());
}

function colour(modes) {
  const turns = document.querySelector(".turns");
  modes.addEventListener("change", (event) => { turns.dataset.mode = event.target.value; });
}

function step(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const places = [...document.querySelectorAll(".turn, a.row")];
  const way = { j: 1, k: -1 }[event.key];
  if (!way || !places.length) return;
  const at = places.findIndex((place) => place === document.activeElement || place.id && `#${place.id}` === location.hash);
  const next = places[Math.min(places.length - 1, Math.max(0, at + way))];
  if (next.id) history.replaceState(null, "", `#${next.id}`);
  next.focus();
  next.scrollIntoView({ block: next.id ? "start" : "nearest" });
  mark();
}

function mark() {
  document.querySelectorAll(".strip a").forEach((link) => {
    link.toggleAttribute("aria-current", link.hash === location.hash);
  });
  const place = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (place && place.matches("details")) place.open = true;
}

document.querySelectorAll("[data-live]").forEach(watch);
document.querySelectorAll("[data-modes]").forEach(colour);
addEventListener("keydown", step);
addEventListener("hashchange", mark);
mark();
