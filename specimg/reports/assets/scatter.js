// The t-SNE map, a mark per clip: wheel or pinch zooms, dragging moves, pointing shows the clip, clicking plays it and lists its neighbours.

// after Paul Tol's "muted"
const HUES = ["#6f63d9", "#dd6f86", "#33af98", "#cfa62c", "#b04a7e", "#62aedd", "#3f9d57", "#b56cbd", "#9a9a3c"];
// circle, square, triangle, diamond; of radius 1
const SHAPES = [
  "M-1 0a1 1 0 1 0 2 0a1 1 0 1 0-2 0Z",
  "M-.88-.88H.88V.88H-.88Z",
  "M0-1.15L1 .8L-1 .8Z",
  "M0-1.2L1.2 0L0 1.2L-1.2 0Z",
].map((path) => new Path2D(path));
const UNKNOWN = "#8a8a8a";

const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

const huesOf = (way) => (way.hues ? way.hues.map(colourOf) : HUES);

// the mark of a value, filled; the path is returned, to be outlined
function drawMark(brush, hues, value, x, y, r) {
  const shape = value < 0 ? 0 : Math.floor(value / hues.length) % SHAPES.length,
    path = new Path2D();
  path.addPath(SHAPES[shape], new DOMMatrix([r, 0, 0, r, x, y]));
  brush.fillStyle = value < 0 ? UNKNOWN : hues[value % hues.length];
  brush.fill(path);
  return path;
}

// what colour can stand for: [{name, values, of(i) -> number of the value, or -1}]
function colourings() {
  const firstOf = (i) => {
    const cell = clips.target[i] ?? clips.guess[i];
    return (Array.isArray(cell) ? cell[0] : cell) ?? -1;
  };
  const ways = [{ name: "class", values: vocab, of: firstOf }];
  if (clips.right.some((r) => r !== null))
    ways.push({
      name: "correct or wrong",
      values: ["correct", "wrong"],
      of: (i) => (clips.right[i] === null ? -1 : clips.right[i] ? 0 : 1),
      hues: ["--right", "--wrong"],
    });
  for (const g of page.groups) ways.push({ name: g.name, values: g.values, of: (i) => g.of[i] });
  return ways;
}

function mapView(root) {
  const map = page.map;
  if (map.why) {
    put(root, lead(`There is no map: ${map.why}`));
    return;
  }
  const canvas = el("canvas.scatter", {
    role: "application",
    tabIndex: 0,
    ariaLabel: "Map of the clips; the arrow keys move it, plus and minus zoom, Enter plays the ringed clip in the middle",
  });
  const shelf = makeShelf("Click a mark to play its clip and list those nearest to it on the map.");
  const view = { zoom: 1, x: 0, y: 0, way: null, only: -1, hover: -1, chosen: -1 };
  const at = map.clips,
    tip = document.getElementById("tip");
  const [ofX, ofY] = [map.x, map.y].map((values) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return { reach: high - low || 1, middle: (low + high) / 2 };
  });

  const size = () => ({ w: canvas.clientWidth || 600, h: canvas.clientHeight || 500 });
  const scale = () => Math.min(size().w / ofX.reach, size().h / ofY.reach) * 0.9 * view.zoom;
  const place = (k) => [
    size().w / 2 + view.x + (map.x[k] - ofX.middle) * scale(),
    size().h / 2 + view.y - (map.y[k] - ofY.middle) * scale(),
  ];
  const radius = () => Math.min(9, Math.max(2.6, 70 / Math.sqrt(at.length)) * Math.sqrt(view.zoom));
  const isShown = (k) => view.only < 0 || view.way.of(at[k]) === view.only;

  const draw = () => {
    const { w, h } = size(),
      dense = window.devicePixelRatio || 1,
      brush = canvas.getContext("2d"),
      hues = huesOf(view.way),
      r = radius();
    canvas.width = Math.round(w * dense); // which clears it, too
    canvas.height = Math.round(h * dense);
    brush.scale(dense, dense);
    brush.strokeStyle = colourOf("--ink");
    brush.lineWidth = 1.1;
    for (let k = 0; k < at.length; k++) {
      const [px, py] = place(k);
      if (px < -20 || py < -20 || px > w + 20 || py > h + 20) continue;
      brush.globalAlpha = isShown(k) ? 0.85 : 0.1;
      const mark = drawMark(brush, hues, view.way.of(at[k]), px, py, r);
      if (clips.right[at[k]] === 0) brush.stroke(mark);
    }
    brush.globalAlpha = 1;
    brush.lineWidth = 2;
    for (const k of [view.hover, view.chosen].filter((k) => k >= 0)) {
      brush.beginPath();
      brush.arc(...place(k), r + 5, 0, 7);
      brush.stroke();
    }
  };

  const nearest = (x, y, most) => {
    let best = -1,
      least = most * most;
    for (let k = 0; k < at.length; k++) {
      const [px, py] = place(k),
        d = (px - x) ** 2 + (py - y) ** 2;
      if (d < least && isShown(k)) [least, best] = [d, k];
    }
    return best;
  };
  const neighbours = (k, n) =>
    at
      .map((_, j) => [(map.x[j] - map.x[k]) ** 2 + (map.y[j] - map.y[k]) ** 2, j])
      .sort((p, q) => p[0] - q[0])
      .slice(0, n + 1)
      .map(([, j]) => at[j]);
  const choose = (k) => {
    view.chosen = k;
    draw();
    const near = neighbours(k, 7).filter((i) => i !== at[k]);
    shelf.show(baseName(clips.path[at[k]]), [at[k], ...near], "This clip, then those nearest to it on the map.");
    playCard(shelf.querySelector(".card").card);
  };

  const showTip = (k, event) => {
    tip.hidden = k < 0;
    if (k < 0) return;
    const i = at[k];
    tip.replaceChildren(
      clips.picture[i] === null ? "" : el("img", { src: pictureAddress(i), alt: "" }),
      result(i),
      el("p.name", baseName(clips.path[i])),
    );
    tip.style.left = `${Math.min(window.innerWidth - 230, event.clientX + 16)}px`;
    tip.style.top = `${Math.min(window.innerHeight - 190, event.clientY + 16)}px`;
  };
  const zoomAt = (factor, x, y) => {
    const next = Math.min(60, Math.max(0.6, view.zoom * factor)),
      f = next / view.zoom,
      { w, h } = size();
    view.x = (view.x + w / 2 - x) * f + x - w / 2;
    view.y = (view.y + h / 2 - y) * f + y - h / 2;
    view.zoom = next;
    draw();
  };

  const zoomAtMiddle = (factor) => zoomAt(factor, size().w / 2, size().h / 2);
  const ring = (k) => {
    if (k === view.hover) return;
    view.hover = k;
    draw();
  };
  // for the keyboard: the mark in the middle is the one that Enter chooses
  const ringMiddle = () => {
    ring(nearest(size().w / 2, size().h / 2, Infinity));
    draw();
  };

  const fingers = new Map();
  let moved = 0;
  const here = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      zoomAt(Math.exp(-event.deltaY * 0.0015), ...here(event));
    },
    { passive: false },
  );
  canvas.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, here(event));
    moved = fingers.size > 1 ? Infinity : 0; // two fingers zoom, and choose nothing when lifted
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = here(event),
      before = fingers.get(event.pointerId);
    if (!before) {
      const k = nearest(x, y, 16);
      ring(k);
      showTip(k, event);
      canvas.classList.toggle("over", k >= 0);
      return;
    }
    if (fingers.size === 1) {
      view.x += x - before[0];
      view.y += y - before[1];
    } else {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1],
        far = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
      zoomAt(far([x, y]) / (far(before) || 1), (x + other[0]) / 2, (y + other[1]) / 2);
    }
    moved += Math.hypot(x - before[0], y - before[1]);
    fingers.set(event.pointerId, [x, y]);
    tip.hidden = true;
    draw();
  });
  canvas.addEventListener("pointerup", (event) => {
    fingers.delete(event.pointerId);
    if (moved < 6) {
      const k = nearest(...here(event), 18);
      if (k >= 0) choose(k);
    }
  });
  canvas.addEventListener("pointercancel", (event) => fingers.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => {
    tip.hidden = true;
    ring(-1);
  });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[event.key],
      factor = { "+": 1.3, "=": 1.3, "-": 1 / 1.3 }[event.key];
    if (step) [view.x, view.y] = [view.x + step[0], view.y + step[1]];
    else if (factor) zoomAtMiddle(factor);
    else if (event.key === "Enter" && view.hover >= 0) choose(view.hover);
    else return;
    event.preventDefault();
    ringMiddle();
  });
  canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && ringMiddle());
  canvas.addEventListener("blur", () => ring(-1));

  const legend = el("div.classes");
  const markOf = (value) => {
    const dot = el("canvas.mark-of", { width: 24, height: 24 });
    drawMark(dot.getContext("2d"), huesOf(view.way), value, 12, 12, 7.5);
    return dot;
  };
  const chip = (name, value) => {
    const toggle = () => {
      view.only = view.only === value ? -1 : value;
      for (const other of legend.children) other.ariaPressed = String(other === button && view.only >= 0);
      draw();
    };
    const button = el("button.chip", { ariaPressed: "false", title: name, onclick: toggle }, markOf(value), el("span", name));
    return button;
  };
  const colour = (way) => {
    Object.assign(view, { way, only: -1 });
    const used = new Set(at.map((i) => way.of(i)));
    legend.replaceChildren(...way.values.map((name, value) => used.has(value) && chip(name, value)).filter(Boolean));
    draw();
  };
  const ways = colourings();
  const showAll = () => {
    Object.assign(view, { zoom: 1, x: 0, y: 0 });
    draw();
  };
  const button = (text, title, onclick) => el("button", { ariaLabel: title, title, onclick }, text);
  const zoom = el(
    "div.zoom",
    button("+", "Zoom in", () => zoomAtMiddle(1.5)),
    button("−", "Zoom out", () => zoomAtMiddle(1 / 1.5)),
    button("⤢", "Show all", showAll),
  );
  const options = ways.map((way, k) => [way.name, k]),
    by = picker("Colour by", options, (event) => colour(ways[event.target.value]), "label.field.inline");
  put(
    root,
    lead(
      "Clips that are similar to the network lie close together: ",
      `t-SNE of the ${map.on}, perplexity ${fixed(map.perplexity, 0)}. Outlined: misclassified. `,
      map.left_out && `${counted(at.length, "clip")} drawn at random from ${clips.n.toLocaleString("en")}.`,
    ),
    by,
    el("div.beside.map", el("div", el("div.canvas", canvas, zoom), legend), shelf),
  );
  colour(ways[0]);
  window.addEventListener("repaint", draw);
  new ResizeObserver(draw).observe(canvas);
}
