// A clip as a card: spectrogram over seconds and hertz, player, what was predicted and what it is. Lists make their cards as they come into view.

const BATCH = 24;   // cards made at once

// round seconds between two ends, four or so
function secondTicks(left, right) {
  const width = right - left;
  if (!(width > 0)) return [];
  const raw = width / 4, size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * size).find((s) => s >= raw);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const ticks = [];
  for (let k = Math.ceil(left / step - 1e-9); k * step <= right + 1e-9; k++) ticks.push([(k * step + 0).toFixed(digits).replace("-0", "0").replace(/^0\.0*0$/, "0"), (k * step - left) / width]);
  return ticks;
}

function edge(kind, ticks, side) {
  return el("div", { className: kind, ariaHidden: "true" }, ticks.map(([text, at]) => {
    const tick = el("span", {}, text);
    tick.style[side] = `${(100 * at).toFixed(2)}%`;
    return tick;
  }));
}

// ---------------------------------------------------------------- where the network looked

const looking = { on: false };

function drawMap(card) {
  const [rows, columns] = clips.cam[card.clip], canvas = card.map;
  const levels = bytesOf(mediaOf("cams", card.clip));
  canvas.width = columns; canvas.height = rows;
  const pixels = new ImageData(columns, rows);
  const most = Math.max(1, ...levels);
  levels.forEach((level, k) => pixels.data.set([6, 5, 14, Math.round(218 * (1 - level / most))], 4 * k));   // what was not looked at grows dark
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function showMap(card, on) {
  if (clips.cam[card.clip] && on && !card.map.width_drawn) { drawMap(card); card.map.width_drawn = true; }
  card.root.classList.toggle("looked", on);
  if (card.look) card.look.setAttribute("aria-pressed", String(on));
}

// ---------------------------------------------------------------- the card

function plate(card) {
  const i = card.clip, address = clips.picture[i] === null ? null : pictureAddress(i);
  const gone = () => el("div", { className: "gone" }, "no picture");
  card.cursor = el("i", { className: "cursor" });
  card.map = el("canvas", { className: "gaze", width: 0, height: 0 });
  const image = address ? el("img", { src: address, alt: "", decoding: "async", onerror: (event) => event.target.replaceWith(gone()) }) : gone();
  const node = el("div", { className: "plate", onclick: (event) => {
    if (!isNumber(clips.left[i]) || isSilent(i)) return;
    const box = node.getBoundingClientRect();
    playCard(card, clips.left[i] + ((event.clientX - box.left) / box.width) * (clips.edge[i] - clips.left[i]));
    card.play.focus({ preventScroll: true });
  } }, image, card.map, card.cursor);
  return node;
}

function sonogram(card) {
  const i = card.clip, axes = page.axes[clips.axes[i]] || { ticks: [], unit: "" };
  const seconds = isNumber(clips.left[i]) ? secondTicks(clips.left[i], clips.edge[i]) : [];
  return el("div", { className: "sonogram" }, edge("hertz", axes.ticks, "top"), plate(card), edge("seconds", seconds, "left"),
    el("div", { className: "units", ariaHidden: "true" }, axes.unit), el("div", { className: "unit-s", ariaHidden: "true" }, seconds.length ? "s" : ""));
}

function verdict(i) {
  const right = clips.right[i], guess = named(clips.guess[i], "no prediction"), actual = named(clips.target[i], null);
  if (actual === null) return el("p", { className: "verdict" }, el("span", { className: "mark unknown", title: "label not known" }, "?"), el("b", {}, guess), ` ${fixed(clips.confidence[i])}`);
  if (right) return el("p", { className: "verdict" }, el("span", { className: "mark right", title: "right" }, "✓"), el("b", {}, actual), el("span", { className: "soft" }, page.multi ? "" : ` ${fixed(clips.own[i])}`));
  return el("p", { className: "verdict" }, el("span", { className: "mark wrong", title: "wrong" }, "✗"),
    el("span", { className: "pair" }, el("span", { className: "soft" }, "is "), el("b", {}, actual), page.multi ? "" : el("span", { className: "soft" }, ` ${fixed(clips.own[i])}`)),
    el("span", { className: "pair" }, el("span", { className: "soft" }, "heard as "), el("b", {}, guess), page.multi ? "" : el("span", { className: "soft" }, ` ${fixed(clips.confidence[i])}`)));
}

function small(i) {
  const parts = [isNumber(clips.loss[i]) ? `loss ${fixed(clips.loss[i])}` : clips.target[i] === null ? "" : "loss is not a number", spanText(i),
    ...page.groups.filter((g) => g.values[g.of[i]] !== undefined).map((g) => `${g.name} ${g.values[g.of[i]]}`)];
  return parts.filter(Boolean).join(" · ");
}

function soundNote(i) {
  if (isSilent(i)) return page.reasons[clips.why[i]];
  return isLinked(i) ? "linked: the recording as it is" : "";
}

function makeCard(i, extra) {
  const card = { clip: i }, name = baseName(clips.path[i]);
  card.play = el("button", { className: "play", type: "button", disabled: isSilent(i), ariaLabel: `Play ${name}`, title: isSilent(i) ? soundNote(i) : "", onclick: () => toggleCard(card) }, icon(ICONS.play));
  card.play.setAttribute("aria-pressed", "false");
  if (clips.cam[i]) {
    card.look = el("button", { className: "look", type: "button", ariaLabel: `Show where the network looked in ${name}`, title: "where the network looked", onclick: () => showMap(card, !card.root.classList.contains("looked")) }, icon(ICONS.look));
    card.look.setAttribute("aria-pressed", "false");
  }
  const note = el("p", { className: "note" }, soundNote(i));
  card.say = (text) => { note.textContent = text; };
  card.root = el("article", { className: "card", data: { clip: i, path: clips.path[i] }, ariaLabel: name }, sonogram(card),
    el("div", { className: "under" }, card.play, el("div", { className: "words" }, verdict(i), el("p", { className: "name", title: clips.path[i] }, name), el("p", { className: "soft tiny" }, small(i)), note), card.look));
  card.root.card = card;
  if (extra) card.root.append(extra(i, card));
  if (looking.on) showMap(card, true);
  return card;
}

// ---------------------------------------------------------------- lists

// Cards of the clips `ids` in `host`, 24 at once; the next follow when the end comes into view.
function fillList(host, ids, extra) {
  let made = 0;
  const end = el("div", { className: "end" });
  const more = () => {
    if (made >= ids.length) return false;
    end.before(...ids.slice(made, made + BATCH).map((i) => makeCard(i, extra).root));
    made += BATCH;
    if (made >= ids.length) { watch.disconnect(); end.remove(); }
    return true;
  };
  const watch = new IntersectionObserver((seen) => { if (seen.some((entry) => entry.isIntersecting)) more(); }, { rootMargin: "500px" });
  host.replaceChildren(end);
  host.more = more;
  more();
  if (end.isConnected || made < ids.length) watch.observe(end);
}

function cardList(ids, extra) {
  const host = el("div", { className: "cards" });
  fillList(host, ids, extra);
  return host;
}

// The clips behind a number, shown beside it.
function makeShelf(hint) {
  const head = el("h3", { tabIndex: -1 }), host = el("div", { className: "cards" });
  const root = el("aside", { className: "shelf", ariaLabel: "Clips" }, head, el("p", { className: "soft hint" }, hint), host);
  root.show = (title, ids, note = "") => {
    head.textContent = title;
    root.querySelector(".hint").textContent = ids.length ? note : "No clips.";
    fillList(host, ids);
    root.classList.add("full");
    if (root.getBoundingClientRect().top > window.innerHeight * 0.75) root.scrollIntoView({ behavior: "smooth", block: "start" });
  };
  return root;
}

// Arrows go from player to player of one list.
document.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step || !event.target.classList || !event.target.classList.contains("play")) return;
  const list = event.target.closest(".cards"), card = event.target.closest(".card");
  if (!list) return;
  event.preventDefault();
  const beside = (node) => { do { node = step > 0 ? node.nextElementSibling : node.previousElementSibling; } while (node && !(node.card && !node.card.play.disabled)); return node; };
  let next = beside(card);
  if (!next && step > 0 && list.more && list.more()) next = beside(card);
  if (next) { next.card.play.focus(); next.scrollIntoView({ block: "nearest" }); }
});
