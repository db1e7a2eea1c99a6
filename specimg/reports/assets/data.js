// The page's data: one JSON block, parsed at once, and blocks of media, parsed when one of their clips comes into view.

const page = JSON.parse(document.getElementById("page").textContent);
const clips = page.clips,
  vocab = page.vocab;
const everyClip = Array.from({ length: clips.n }, (_, i) => i); // by descending loss
const CHUNK = page.chunk; // clips per block

// ---------------------------------------------------------------- elements: text is always text, never markup

// el("p.soft", {title}, "text", node, [nodes], null): tag and classes, options if any, then what is in it
function el(name, ...parts) {
  const [tag, ...classes] = name.split("."),
    node = document.createElement(tag);
  const options = parts[0] && Object.getPrototypeOf(parts[0]) === Object.prototype ? parts.shift() : {};
  node.classList.add(...classes);
  for (const [option, value] of Object.entries(options)) {
    if (value === null || value === undefined || value === false) continue;
    if (option.startsWith("on")) node.addEventListener(option.slice(2), value);
    else if (option === "data") Object.assign(node.dataset, value);
    else if (option in node) node[option] = value;
    else node.setAttribute(option, value === true ? "" : value);
  }
  put(node, parts);
  return node;
}

// `append` of the browser would write "null"
const put = (node, ...children) => node.append(...children.flat(Infinity).filter(Boolean));

const section = (title, ...parts) => el("section", el("h3", title), parts);
const lead = (...text) => el("p.lead", text);
const soft = (...text) => el("p.soft", text);
const cell = (text) => el("td.number", text);
const headRow = (...heads) => el("thead", el("tr", heads));

const option = ([text, value]) => el("option", { value }, text);

// a choice by name: options are [text, value]
function picker(name, options, onchange, tag = "label.field") {
  return el(tag, name, el("select", { onchange, data: { filter: name } }, options.map(option)));
}

// a figure drawn when the page was written; null where there is none
function chart(name) {
  const kept = document.getElementById(`chart-${name}`);
  return kept && el("figure", kept.content.cloneNode(true));
}

function icon(path) {
  const [root, line] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  root.setAttribute("viewBox", "0 0 16 16");
  root.setAttribute("aria-hidden", "true");
  line.setAttribute("d", path);
  root.append(line);
  return root;
}
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
const interval = (score) => (isNumber(score.low) ? `${fixed(score.low, 3)} to ${fixed(score.high, 3)}` : "–");
const counted = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
const baseName = (path) => path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1) || path;
const sameText = new Intl.Collator("en", { numeric: true }).compare;

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
