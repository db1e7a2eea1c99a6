// The page's data: one JSON block, parsed at once, and blocks of media, parsed when one of their clips comes into view.

const page = JSON.parse(document.getElementById("page").textContent);
const clips = page.clips,
  vocab = page.vocab;
const everyClip = Array.from({ length: clips.n }, (_, i) => i); // by descending loss
const CHUNK = page.chunk; // clips per block

// ---------------------------------------------------------------- elements: text is always text, never markup

function el(tag, options, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// `append` of the browser would write "null"
const put = (node, ...children) => node.append(...children.flat().filter(Boolean));

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  node.append(...children.flat(Infinity).filter(Boolean));
  return node;
}

// a figure drawn when the page was written; null where there is none
function chart(name) {
  const kept = document.getElementById(`chart-${name}`);
  return kept && el("figure", {}, kept.content.cloneNode(true));
}

const icon = (path) => svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: path }));
const ICONS = {
  play: "M4 2.5v11l9.5-5.5z",
  pause: "M4 2.5h3v11H4zM9 2.5h3v11H9z",
  sun:
    "M8 4.5a3.5 3.5 0 100 7 3.5 3.5 0 000-7zM8 0v2.5M8 13.5V16M0 8h2.5M13.5 8H16" +
    "M2.3 2.3l1.8 1.8M11.9 11.9l1.8 1.8M2.3 13.7l1.8-1.8M11.9 4.1l1.8-1.8",
  moon: "M13.5 10.2A6 6 0 015.8 2.5a6 6 0 107.7 7.7z",
  eye: "M1 8s2.5-4.5 7-4.5S15 8 15 8s-2.5 4.5-7 4.5S1 8 1 8zM8 5.8a2.2 2.2 0 100 4.4 2.2 2.2 0 000-4.4z",
};

// ---------------------------------------------------------------- text

const isNumber = (x) => typeof x === "number" && Number.isFinite(x);
const fixed = (x, digits = 2) => (isNumber(x) ? x.toFixed(digits) : "not a number");
const percent = (x) => (isNumber(x) ? `${(100 * x).toFixed(x > 0.995 && x < 1 ? 2 : 1)} %` : "–");
const counted = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
const baseName = (path) => path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1) || path;
const sameText = (a, b) => a.localeCompare(b, "en", { numeric: true });

function labelsOf(cell) {
  const numbers = cell === null ? [] : Array.isArray(cell) ? cell : [cell];
  return numbers.map((k) => vocab[k]);
}

// "dog", "dog, cat", or `absent` for an unknown label
function named(cell, absent) {
  if (cell === null) return absent;
  return labelsOf(cell).join(", ") || "no label";
}

// text of any length on a line or two; the whole belongs in a title
function shortened(text, most = 80) {
  const letters = Array.from(text);
  return letters.length > most ? `${letters.slice(0, most - 20).join("")} … ${letters.slice(-15).join("")}` : text;
}

// a label within other text: one written from right to left is isolated, so that it does not reorder that
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/;
const isolated = (text) => (RIGHT_TO_LEFT.test(text) ? `\u2068${shortened(text)}\u2069` : shortened(text));

const has = (cell, label) => cell !== null && (Array.isArray(cell) ? cell.includes(label) : cell === label);

function spanText(i) {
  const start = clips.start[i],
    end = clips.end[i];
  return isNumber(start) || isNumber(end) ? `${fixed(start || 0, 2)} to ${isNumber(end) ? fixed(end, 2) : "end"} s` : "";
}

// ---------------------------------------------------------------- media

const blocks = new Map();

function mediaOf(kind, i) {
  const number = Math.floor(i / CHUNK),
    name = `${kind}-${number}`;
  if (!blocks.has(name)) {
    const block = document.getElementById(name);
    blocks.set(name, block ? JSON.parse(block.textContent) : []);
    if (blocks.size > 60) blocks.delete(blocks.keys().next().value); // the text stays in the document and can be parsed again
  }
  return blocks.get(name)[i % CHUNK] || null;
}

function bytesOf(base64) {
  const text = atob(base64),
    bytes = new Uint8Array(text.length);
  for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
  return bytes;
}

function pictureAddress(i) {
  const there = clips.picture[i];
  return there === 1 ? `data:image/webp;base64,${mediaOf("pictures", i)}` : there;
}

// ---------------------------------------------------------------- what the browser stores, where allowed

function remember(name, value) {
  try {
    localStorage.setItem(`specimg:${name}`, JSON.stringify(value));
    return true;
  } catch (error) {
    return false;
  }
}

function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(`specimg:${name}`));
  } catch (error) {
    return null;
  }
}
