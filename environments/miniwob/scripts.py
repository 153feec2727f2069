"""What is run within the pages."""

CLOCK = """(() => {
  const start = Date.UTC(2020, 0, 1, 12);
  let now = start, last = 1e9, draws = 1;
  const waiting = new Map();
  const real = {setTimeout: window.setTimeout, clearTimeout: window.clearTimeout, Date: window.Date};
  const wait = (run, delay, every) => {
    waiting.set(++last, {run, every, due: now + delay});
    return last;
  };
  const call = (run, rest) => () => typeof run === "function" ? run(...rest) : (0, eval)(run);
  const forget = id => { if (!waiting.delete(id)) real.clearTimeout.call(window, id); };
  window.setTimeout = (run, delay, ...rest) =>
    delay > 0 ? wait(call(run, rest), delay, 0) : real.setTimeout.call(window, run, 0, ...rest);
  window.setInterval = (run, delay, ...rest) => wait(call(run, rest), Math.max(delay || 0, 4), Math.max(delay || 0, 4));
  window.requestAnimationFrame = run => wait(() => run(now - start), 16, 0);
  window.clearTimeout = window.clearInterval = window.cancelAnimationFrame = forget;
  window.performance.now = () => now - start;
  window.Date = new Proxy(real.Date, {
    construct: (date, rest) => rest.length ? new date(...rest) : new date(now),
    apply: date => new date(now).toString(),
    get: (date, name) => name === "now" ? () => now : date[name],
  });
  Math.random = () => (draws = draws * 48271 % 2147483647) / 2147483647;
  const advance = span => {
    const until = now + span;
    for (let left = 5000; left > 0; left--) {
      let next = null;
      for (const [id, one] of waiting) if (one.due <= until && (!next || one.due < next.one.due)) next = {id, one};
      if (!next) break;
      now = Math.max(now, next.one.due);
      if (next.one.every) next.one.due = now + next.one.every;
      else waiting.delete(next.id);
      try { next.one.run(); } catch (error) { console.error(error); }
    }
    now = until;
  };
  Object.defineProperty(window, "agentgym", {value: {advance, playing: false, known: new Set(Object.keys(window))}});
})();"""
"""Runs before a page's own scripts: time stands still until `agentgym.advance(ms)` lets it pass.

Timers, intervals, animation frames and dates follow that clock; a time-out of no time stays one of the browser's, as
it only means "after this". What is drawn at random before a seed is set is always the same. A turn of the clock runs
5,000 callbacks at most.
"""

BEGIN = """async seed => {
  if (!window.agentgym || typeof core === "undefined" || !core.cover_div) return null;
  const style = document.createElement("style");
  style.textContent = "#reward-display, #click-canvas, #sync-task-cover { display: none !important; } html { overflow: hidden; }";
  document.head.appendChild(style);
  Math.seedrandom(seed);
  core.startEpisodeReal();
  agentgym.playing = true;
  const told = core.getUtterance();
  document.getElementById("query").setAttribute("aria-hidden", "true");
  return typeof told === "string" ? told : told.utterance;
}"""
"""Start the episode of a seed and return what is asked for; null where the page is no task."""

PASS = """async span => {
  if (!window.agentgym || !agentgym.playing) return null;
  if (!WOB_DONE_GLOBAL) agentgym.advance(span);
  return {done: WOB_DONE_GLOBAL, raw: WOB_RAW_REWARD_GLOBAL, timed: WOB_REWARD_GLOBAL, reason: WOB_REWARD_REASON};
}"""
"""Let time pass and return how the episode stands; null where this is no longer the page that it began on."""

STATE = """() => {
  const ours = new Set(["reward-display", "click-canvas", "sync-task-cover", "query"]);
  const fields = ["value", "checked", "selectedIndex", "scrollTop", "scrollLeft"];
  const nodes = [];
  const walk = node => {
    if (node.nodeType === Node.TEXT_NODE) { nodes.push(node.data); return; }
    if (node.nodeType !== Node.ELEMENT_NODE || ours.has(node.id) || /^(SCRIPT|STYLE)$/.test(node.tagName)) return;
    nodes.push([node.tagName, [...node.attributes].map(a => [a.name, a.value]).sort(), fields.map(f => node[f] ?? null),
      node === document.activeElement]);
    for (const child of node.childNodes) walk(child);
    nodes.push(0);
  };
  walk(document.body);
  const plain = {};
  for (const name of Object.keys(window)) {
    if (agentgym.known.has(name) || /^(WOB_|core$)/.test(name)) continue;
    try {
      const text = JSON.stringify(window[name]);
      if (text !== undefined && text.length < 20000) plain[name] = text;
    } catch { /* what points at itself, or at the page */ }
  }
  const s = getSelection(), range = s.rangeCount ? s.toString() : "";
  return JSON.stringify([nodes, plain, range, scrollX, scrollY]);
}"""
"""Return what there is to know of a page: its elements with what fields hold, its global data, focus and selection."""

SHAPES = """most => {
  const drawn = /^(circle|rect|ellipse|line|polygon|polyline|path)$/i, boxes = /^(DIV|SPAN|TD|LI|I|CANVAS)$/;
  const found = [];
  for (const element of document.querySelectorAll("#wrap *")) {
    if (element.closest("#query, button, [aria-label]")) continue;
    const svg = drawn.test(element.tagName);
    if (!svg && !(boxes.test(element.tagName) && !element.children.length && !element.textContent.trim())) continue;
    const box = element.getBoundingClientRect(), style = getComputedStyle(element);
    const inside = box.right > 0 && box.bottom > 0 && box.left < innerWidth && box.top < innerHeight;
    if (!inside || box.width + box.height < 3 || style.visibility === "hidden") continue;
    const color = svg ? (style.fill === "none" ? style.stroke : style.fill) : style.backgroundColor;
    const name = [element.tagName.toLowerCase(), element.id && "#" + element.id,
      ...[...element.classList].map(one => "." + one)].join("");
    const middle = [box.left + box.width / 2, box.top + box.height / 2].map(Math.round).join(", ");
    const size = [box.width, box.height].map(Math.round).join("x");
    found.push(`${name}${/^rgba.*, 0[)]$/.test(color) ? "" : " " + color} at (${middle}), ${size}`);
  }
  return [found.slice(0, most), Math.max(found.length - most, 0)];
}"""
"""Return what is seen and has no text or role: drawn shapes and empty boxes, `most` of them, and how many more."""
