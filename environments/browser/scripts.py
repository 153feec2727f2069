"""What is run within pages, as functions of JavaScript whose `this` is the node meant."""

POINT = """function () {
  const element = this.nodeType === Node.TEXT_NODE ? this.parentElement : this;
  if (!element || !element.isConnected) return {problem: "gone"};
  const disabled = element.matches(":disabled");
  const rects = () => {
    let list;
    if (this.nodeType === Node.TEXT_NODE) {
      const range = document.createRange();
      range.selectNodeContents(this);
      list = range.getClientRects();
    } else list = element.getClientRects();
    return [...list].filter(r => r.width > 0 && r.height > 0);
  };
  let found = rects();
  if (!found.length) return {problem: "invisible"};
  const [w, h] = [document.documentElement.clientWidth || innerWidth, innerHeight];
  if (found.some(r => r.top < 0 || r.left < 0 || r.bottom > h || r.right > w)) {
    element.scrollIntoView({block: "center", inline: "center", behavior: "instant"});
    found = rects();
  }
  const label = element.closest("label");
  const belongs = top => top && (element.contains(top) || top.contains(element) && top === label
    || top.shadowRoot && top.shadowRoot.contains(element) || [...(element.labels || [])].some(l => l.contains(top)));
  let cover = null;
  for (const r of found) {
    for (const [fx, fy] of [[.5, .5], [.5, .2], [.5, .8], [.2, .5], [.8, .5], [.1, .1], [.9, .1], [.1, .9], [.9, .9]]) {
      const [x, y] = [r.left + r.width * fx, r.top + r.height * fy];
      if (x < 0 || y < 0 || x >= innerWidth || y >= innerHeight) continue;
      const top = document.elementFromPoint(x, y);
      if (belongs(top)) return {x, y, disabled};
      cover = cover || top;
    }
  }
  if (!cover) return {problem: "out of reach"};
  const text = (cover.innerText || cover.id || "").trim().slice(0, 40);
  return {problem: "covered", by: cover.tagName.toLowerCase() + (text ? ` '${text}'` : "")};
}"""
"""Bring the node into view; return a point at which a click meets it, or what the `problem` is."""

FOCUS_AND_SELECT = """function () {
  const element = this.nodeType === Node.TEXT_NODE ? this.parentElement : this;
  if (!element.isConnected) return "gone";
  if (element.disabled) return "disabled";
  if (element.readOnly) return "readonly";
  const typed = /^(text|search|email|url|tel|password|number|)$/i;
  if (element instanceof HTMLTextAreaElement
      || (element instanceof HTMLInputElement && typed.test(element.type))) {
    element.focus();
    element.select();
    return "selected";
  }
  if (element.isContentEditable) {
    element.focus();
    const range = document.createRange();
    range.selectNodeContents(element);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    return "selected";
  }
  if (element instanceof HTMLInputElement && /^(date|time|datetime-local|month|week|range|color)$/.test(element.type)) {
    element.focus();
    return "set";
  }
  return "no field";
}"""
"""Make ready for a text to be typed in place of what a field contains; return how it is to be done, or the problem."""

SET_VALUE = """function (text) {
  const before = this.value;
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(this, text);
  if (this.value !== text) {
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(this, before);
    return this.type;
  }
  this.dispatchEvent(new Event("input", {bubbles: true, composed: true}));
  this.dispatchEvent(new Event("change", {bubbles: true}));
  return "";
}"""
"""Set a date, a colour or the like; return the kind of field where it does not take the text."""

SELECT = """function (texts) {
  const list = this instanceof HTMLOptionElement ? this.closest("select") : this;
  if (!list || !list.isConnected) return {problem: "gone"};
  if (!(list instanceof HTMLSelectElement)) return {problem: "no list"};
  if (list.disabled) return {problem: "disabled"};
  const name = o => o.label.replace(/\\s+/g, " ").trim();
  const chosen = [];
  for (const text of texts) {
    const option = [...list.options].find(o => name(o) === text) || [...list.options].find(o => o.value === text);
    if (!option) return {problem: "unknown", text, known: [...list.options].slice(0, 30).map(name)};
    if (option.disabled) return {problem: "disabled"};
    chosen.push(option);
  }
  if (chosen.length > 1 && !list.multiple) return {problem: "one only"};
  list.focus();
  for (const option of list.options) option.selected = chosen.includes(option);
  list.dispatchEvent(new Event("input", {bubbles: true, composed: true}));
  list.dispatchEvent(new Event("change", {bubbles: true}));
  return {};
}"""
"""Choose the options with these labels or values."""

FOCUS = """function () {
  const element = this.nodeType === Node.TEXT_NODE ? this.parentElement : this;
  if (!element.isConnected) return "gone";
  element.focus();
  return "";
}"""

SCROLL = """([x, y, dx, dy]) => {
  let box = document.elementFromPoint(x, y);
  const moves = e => {
    const [left, top] = [e.scrollLeft, e.scrollTop];
    e.scrollBy({left: dx, top: dy, behavior: "instant"});
    return e.scrollLeft !== left || e.scrollTop !== top;
  };
  for (; box; box = box.parentElement) {
    const style = getComputedStyle(box);
    if (/auto|scroll/.test(style.overflowX + style.overflowY) && moves(box)) return true;
  }
  return moves(document.scrollingElement || document.documentElement);
}"""
"""Scroll the innermost box at a point that can be, or the page; return whether anything moved."""
