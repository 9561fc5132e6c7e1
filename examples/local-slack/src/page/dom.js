// Elements from data. Text always ends up as text: nothing here parses markup.

/** Makes an element; `props` are attributes, but for `on…` (listeners) and `data` (dataset). */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "data") {
      for (const [key, text] of Object.entries(value)) {
        if (text !== undefined && text !== null) node.dataset[key] = text;
      }
    } else if (name.startsWith("on")) {
      node.addEventListener(name.slice(2), value);
    } else {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const HUES = [24, 205, 262, 92, 338, 230, 45, 300];
const seen = new Map();

/** A colour that is the same for a person wherever they show up; neighbours differ. */
export function hue(id) {
  if (!seen.has(id)) seen.set(id, HUES[seen.size % HUES.length]);
  return seen.get(id);
}

/** A square with initials. */
export function avatar(id, name, isApp) {
  const initials = isApp
    ? "↺"
    : name.split(/\s+/).map((word) => [...word][0] ?? "").slice(0, 2).join("").toUpperCase();
  const node = el("span", { class: isApp ? "avatar app" : "avatar", "aria-hidden": "true" }, initials);
  if (!isApp) node.style.setProperty("--hue", hue(id));
  return node;
}

/** `ts` as a date. */
export function moment(ts) {
  return new Date(Number(ts) * 1000);
}

export function clock(ts) {
  return moment(ts).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
