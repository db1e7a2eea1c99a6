// A clip as a card: spectrogram over seconds and hertz, player, prediction and label. Cards are made as they come into view, and
// leave the document with it.

const BATCH = 24; // cards made at once; a multiple of the columns that a screen has room for, 1 to 4
const NEAR = "800px"; // beyond the view, where cards are made before they are seen

// about four round seconds between two ends; the last one with its unit
function secondTicks(left, right) {
  const width = right - left;
  if (!(width > 0)) return [];
  const raw = width / 4,
    size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * size).find((s) => s >= raw);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const ticks = [];
  for (let k = Math.ceil(left / step - 1e-9); k * step <= right + 1e-9; k++) {
    ticks.push([k === 0 ? "0" : (k * step).toFixed(digits), (k * step - left) / width]);
  }
  if (ticks.length) ticks[ticks.length - 1][0] += " s";
  return ticks;
}

function edge(kind, ticks, side) {
  const tick = ([text, at]) => {
    const node = el(at < 0.04 ? "span.first" : at > 0.9 ? "span.last" : "span", text);
    node.style[side] = `${(100 * at).toFixed(2)}%`;
    return node;
  };
  return el(`div.${kind}`, { ariaHidden: "true" }, ticks.map(tick));
}

// ---------------------------------------------------------------- class maps

const maps = { on: false };

function drawMap(card) {
  const [height, width] = clips.cam[card.clip],
    levels = bytesOf(mediaOf("cams", card.clip)),
    pixels = new ImageData(width, height),
    most = Math.max(...levels);
  Object.assign(card.map, { width, height });
  if (!most) {
    card.note("The class map is zero everywhere: there is no evidence for the predicted class.");
    return;
  }
  // weak parts are darkened
  levels.forEach((level, k) => pixels.data.set([6, 5, 14, Math.round(218 * (1 - level / most))], 4 * k));
  card.map.getContext("2d").putImageData(pixels, 0, 0);
}

function showMap(card, on) {
  if (clips.cam[card.clip] && on && !card.isMapDrawn) {
    drawMap(card);
    card.isMapDrawn = true;
  }
  card.root.classList.toggle("mapped", on);
  if (card.eye) card.eye.ariaPressed = String(on);
}

// ---------------------------------------------------------------- the card

function plate(card) {
  const i = card.clip,
    address = clips.picture[i] === null ? null : pictureAddress(i);
  const gone = () => el("div.gone", "no picture");
  card.cursor = el("i.cursor");
  card.map = el("canvas.classmap", { width: 0, height: 0 });
  const image = address
    ? el("img", { src: address, alt: "", decoding: "async", onerror: (event) => event.target.replaceWith(gone()) })
    : gone();
  const playFrom = (event) => {
    if (!isNumber(clips.left[i]) || isSilent(i)) return;
    const box = event.currentTarget.getBoundingClientRect();
    playCard(card, clips.left[i] + ((event.clientX - box.left) / box.width) * (clips.edge[i] - clips.left[i]));
    card.play.focus({ preventScroll: true });
  };
  return el("div.plate", { onclick: playFrom }, image, card.map, card.cursor);
}

function sonogram(card) {
  const i = card.clip,
    axes = page.axes[clips.axes[i]] || { ticks: [], unit: "" },
    seconds = isNumber(clips.left[i]) ? secondTicks(clips.left[i], clips.edge[i]) : [],
    unit = el("div.units", { ariaHidden: "true" }, axes.unit);
  return el("div.sonogram", edge("hertz", axes.ticks, "top"), plate(card), edge("seconds", seconds, "left"), unit, curves(i));
}

// ---------------------------------------------------------------- frames

// a curve for each label, in steps over the seconds of the picture above, from 0 to 1
function curves(i) {
  const frames = clips.frames && clips.frames[i];
  if (!frames || !isNumber(clips.left[i])) return null;
  const svg = (tag, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  };
  const x = (t) => Math.min(100, Math.max(0, (100 * (t - clips.left[i])) / (clips.edge[i] - clips.left[i]))).toFixed(2),
    colour = (k, at) => `k${1 + (page.vocab.length <= 6 ? k : at)}`, // of few labels each keeps its own on every card
    name = frames.labels.map(([k, percent]) => `${page.vocab[k]} up to ${Math.max(...percent)} %`).join(", "),
    root = svg("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img", "aria-label": `Frames: ${name}` });
  root.append(...[0, 50, 100].map((y) => svg("line", { class: "grid", x1: 0, x2: 100, y1: y, y2: y })));
  frames.labels.forEach(([k, percent], at) => {
    const points = percent.flatMap((p, t) => [`${x(frames.edges[t])},${100 - p}`, `${x(frames.edges[t + 1])},${100 - p}`]);
    root.append(svg("polyline", { class: `curve ${colour(k, at)}`, points: points.join(" ") }));
  });
  const keys = frames.labels.map(([k], at) => el(`span.key.${colour(k, at)}`, { title: page.vocab[k] }, el("i"), shortened(page.vocab[k], 24)));
  return [edge("scale", [["1", 0], ["0", 1]], "top"), el("div.curves", root), el("div.keys", keys)];
}

// a label with its probability, where one belongs to it
function labelled(before, label, probability) {
  const number = isNumber(probability) && !page.multi ? el("span.soft", ` ${fixed(probability)}`) : null;
  return el("span.pair", el("span.soft", before), el("b", { title: label }, shortened(label)), number);
}

function result(i) {
  const actual = named(clips.target[i], null),
    guess = named(clips.guess[i], null);
  const none = guess === null ? el("span.pair.soft", "no prediction") : null;
  const line = (kind, sign, title, ...words) => {
    const mark = el(`span.mark.${kind}`, { title, role: "img", ariaLabel: title }, sign);
    return el("p.result", mark, el("span", words));
  };
  if (actual === null) return line("unknown", "?", "label unknown", none || labelled("", guess, clips.confidence[i]));
  if (clips.right[i]) return line("right", "✓", "correct", labelled("", actual, clips.own[i]));
  const guessed = none || labelled("predicted ", guess, clips.confidence[i]);
  return line("wrong", "✗", "wrong", labelled("actual ", actual, clips.own[i]), " ", guessed);
}

function small(i) {
  const parts = [
    isNumber(clips.loss[i]) ? `loss ${fixed(clips.loss[i])}` : clips.target[i] === null ? "" : "loss NaN",
    spanText(i),
    ...page.groups.filter((g) => g.values[g.of[i]] !== undefined).map((g) => `${g.name} ${shortened(g.values[g.of[i]], 60)}`),
  ];
  return parts.filter(Boolean).join(" · ");
}

function soundNote(i) {
  if (isSilent(i)) return page.reasons[clips.why[i]];
  return isLinked(i) ? "linked to the recording" : "";
}

function makeCard(i, extra) {
  const card = { clip: i },
    name = baseName(clips.path[i]),
    note = el("p.note", soundNote(i)),
    disabled = isSilent(i);
  const play = { disabled, ariaLabel: `Play ${name}`, title: disabled ? soundNote(i) : "", ariaPressed: "false" };
  card.play = el("button.play", { ...play, onclick: () => toggleCard(card) }, icon(ICONS.play));
  if (clips.cam[i]) {
    const toggle = () => showMap(card, !card.root.classList.contains("mapped"));
    const eye = { ariaLabel: `Show the class map of ${name}`, title: "class map (Grad-CAM)", ariaPressed: "false" };
    card.eye = el("button.eye", { ...eye, onclick: toggle }, icon(ICONS.eye));
  }
  card.note = (text) => {
    note.textContent = text;
  };
  const path = el("p.name", { title: clips.path[i] }, name),
    words = el("div.words", result(i), path, el("p.soft.tiny", small(i)), note),
    under = el("div.under", card.play, words, card.eye);
  card.root = el("article.card", { data: { clip: i, path: clips.path[i] }, ariaLabel: name }, sonogram(card), under);
  card.root.card = card;
  if (extra) card.root.append(extra(i, card));
  if (maps.on) showMap(card, true);
  return card;
}

// ---------------------------------------------------------------- lists

// The clips `ids` as boxes of 24 cards. Every box has its place from the start, so that the scroll bar reaches the end at once; only those near
// the view hold cards. Cards with `extra` are kept beside the document, as what was typed into them is.
function fillList(host, ids, extra) {
  const kept = new Map(),
    boxes = [];
  let width = 0; // px, for which the places are measured
  const cardOf = (i) => {
    if (!kept.has(i)) {
      const card = makeCard(i, extra);
      if (!extra) return card.root;
      kept.set(i, card);
    }
    const card = kept.get(i);
    if (maps.on) showMap(card, true);
    return card.root;
  };
  const fill = (box) => {
    if (box.hasChildNodes()) return;
    box.style.height = "";
    box.replaceChildren(...box.ids.map(cardOf));
    box.isSeen = true;
  };
  const empty = (box) => {
    const isNeeded = box.contains(document.activeElement) || (playing.card && box.contains(playing.card.root));
    if (!box.hasChildNodes() || isNeeded) return;
    box.style.height = `${box.offsetHeight}px`;
    box.replaceChildren();
  };
  // the place of boxes without cards; where the width is the same, those that had cards keep theirs
  const measure = () => {
    const full = boxes.find((box) => box.hasChildNodes());
    if (!full || !full.offsetHeight || host.offsetWidth === width) return;
    width = host.offsetWidth;
    const { gridTemplateColumns, rowGap } = getComputedStyle(full),
      rows = (box) => Math.ceil(box.ids.length / gridTemplateColumns.split(" ").length);
    const rowHeight = (full.offsetHeight + parseFloat(rowGap)) / rows(full);
    for (const box of boxes) if (!box.hasChildNodes()) box.style.height = `${rows(box) * rowHeight - parseFloat(rowGap)}px`;
  };
  const isShown = () => host.offsetParent !== null;
  const watch = new IntersectionObserver(
    (entries) => isShown() && entries.forEach(({ isIntersecting, target }) => (isIntersecting ? fill : empty)(target)),
    { rootMargin: `${NEAR} 0px`, scrollMargin: `${NEAR} 0px` },
  );
  if (playing.card && host.contains(playing.card.root)) letGo();
  if (host.list) host.list.end();
  for (let at = 0; at < ids.length; at += BATCH) {
    const box = Object.assign(el("div.batch"), { ids: ids.slice(at, at + BATCH) });
    box.style.height = "1500px"; // until there is a card to measure
    boxes.push(box);
  }
  host.replaceChildren(...boxes);
  if (boxes.length) fill(boxes[0]);
  const resized = new ResizeObserver(measure);
  resized.observe(host);
  boxes.forEach((box) => watch.observe(box));
  host.list = {
    ids,
    // the card at this position
    at(k) {
      const box = boxes[Math.floor(k / BATCH)];
      fill(box);
      return box.children[k % BATCH].card;
    },
    // what was seen is printed
    print() {
      boxes.filter((box) => box.isSeen).forEach(fill);
      host.classList.toggle("cut", boxes.some((box) => !box.isSeen));
    },
    end() {
      watch.disconnect();
      resized.disconnect();
    },
  };
}

function cardList(ids, extra) {
  const host = el("div.cards");
  fillList(host, ids, extra);
  return host;
}

// The clips behind a number.
function makeShelf(hint) {
  const head = el("h3", { ariaLive: "polite" }),
    host = el("div.cards");
  const root = el("aside.shelf", { ariaLabel: "Clips" }, head, el("p.soft.hint", hint), host);
  root.show = (title, ids, note = "") => {
    head.textContent = title;
    root.querySelector(".hint").textContent = ids.length ? note : "No clips.";
    fillList(host, ids);
    root.classList.add("full");
    if (root.getBoundingClientRect().top > window.innerHeight * 0.75) root.scrollIntoView({ behavior: "smooth", block: "start" });
  };
  return root;
}

// Arrow keys go from player to player of one list.
document.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step || !event.target.classList || !event.target.classList.contains("play")) return;
  const list = event.target.closest(".cards"),
    card = event.target.closest(".card");
  if (!list) return;
  event.preventDefault();
  const { ids, at } = list.list;
  let k = ids.indexOf(card.card.clip) + step;
  while (k >= 0 && k < ids.length && isSilent(ids[k])) k += step;
  const next = k >= 0 && k < ids.length ? at(k).root : null;
  if (next) {
    next.card.play.focus();
    next.scrollIntoView({ block: "nearest" });
  }
});
