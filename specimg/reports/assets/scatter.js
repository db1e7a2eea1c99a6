// The t-SNE map, a mark per clip: wheel or pinch zooms, dragging moves, pointing shows the clip, clicking plays it and lists its neighbours.

// after Paul Tol's "muted"
const HUES = ["#6f63d9", "#dd6f86", "#33af98", "#cfa62c", "#b04a7e", "#62aedd", "#3f9d57", "#b56cbd", "#9a9a3c"];
const SHAPES = ["circle", "square", "triangle", "diamond"];

function markPath(brush, shape, x, y, r) {
  brush.beginPath();
  if (shape === "circle") brush.arc(x, y, r, 0, 7);
  else if (shape === "square") brush.rect(x - r * 0.88, y - r * 0.88, r * 1.76, r * 1.76);
  else if (shape === "triangle") {
    brush.moveTo(x, y - r * 1.15);
    brush.lineTo(x + r, y + r * 0.8);
    brush.lineTo(x - r, y + r * 0.8);
    brush.closePath();
  } else {
    brush.moveTo(x, y - r * 1.2);
    brush.lineTo(x + r * 1.2, y);
    brush.lineTo(x, y + r * 1.2);
    brush.lineTo(x - r * 1.2, y);
    brush.closePath();
  }
}

// what colour can stand for: [{name, values, of(i) -> number of the value, or -1}]
function colourings() {
  const firstOf = (i) => {
    const cell = clips.target[i] !== null ? clips.target[i] : clips.guess[i];
    return cell === null ? -1 : Array.isArray(cell) ? (cell.length ? cell[0] : -1) : cell;
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
    put(root, el("p", { className: "lead" }, `There is no map: ${map.why}`));
    return;
  }
  const canvas = el("canvas", {
    className: "scatter",
    role: "application",
    tabIndex: 0,
    ariaLabel: "Map of the clips; the arrow keys move it, plus and minus zoom, Enter plays the ringed clip in the middle",
  });
  const shelf = makeShelf("Click a mark to play its clip and list those nearest to it on the map.");
  const view = { zoom: 1, x: 0, y: 0, way: null, only: -1, hover: -1, chosen: -1 };
  const at = map.clips,
    tip = document.getElementById("tip");
  const low = [Math.min(...map.x), Math.min(...map.y)],
    high = [Math.max(...map.x), Math.max(...map.y)];
  const reach = [high[0] - low[0] || 1, high[1] - low[1] || 1],
    middle = [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2];

  const size = () => ({ w: canvas.clientWidth || 600, h: canvas.clientHeight || 500 });
  const scale = () => Math.min(size().w / reach[0], size().h / reach[1]) * 0.9 * view.zoom;
  const place = (k) => [
    size().w / 2 + view.x + (map.x[k] - middle[0]) * scale(),
    size().h / 2 + view.y - (map.y[k] - middle[1]) * scale(),
  ];
  const radius = () => Math.min(9, Math.max(2.6, 70 / Math.sqrt(at.length)) * Math.sqrt(view.zoom));

  const draw = () => {
    const { w, h } = size(),
      dense = window.devicePixelRatio || 1,
      style = getComputedStyle(document.documentElement),
      brush = canvas.getContext("2d");
    if (canvas.width !== Math.round(w * dense)) canvas.width = Math.round(w * dense);
    if (canvas.height !== Math.round(h * dense)) canvas.height = Math.round(h * dense);
    brush.setTransform(dense, 0, 0, dense, 0, 0);
    brush.clearRect(0, 0, w, h);
    const ink = style.getPropertyValue("--ink"),
      hues = view.way.hues ? view.way.hues.map((name) => style.getPropertyValue(name)) : HUES,
      r = radius();
    for (let k = 0; k < at.length; k++) {
      const value = view.way.of(at[k]),
        [px, py] = place(k);
      if (px < -20 || py < -20 || px > w + 20 || py > h + 20) continue;
      brush.globalAlpha = view.only >= 0 && value !== view.only ? 0.1 : 0.85;
      brush.fillStyle = value < 0 ? "#8a8a8a" : hues[value % hues.length];
      markPath(brush, value < 0 ? "circle" : SHAPES[Math.floor(value / hues.length) % 4], px, py, r);
      brush.fill();
      if (clips.right[at[k]] === 0) {
        brush.strokeStyle = ink;
        brush.lineWidth = 1.1;
        brush.stroke();
      }
    }
    brush.globalAlpha = 1;
    for (const k of [view.hover, view.chosen])
      if (k >= 0) {
        const [px, py] = place(k);
        brush.strokeStyle = ink;
        brush.lineWidth = 2;
        brush.beginPath();
        brush.arc(px, py, r + 5, 0, 7);
        brush.stroke();
      }
  };

  const nearest = (x, y, most) => {
    let best = -1,
      least = most * most;
    for (let k = 0; k < at.length; k++) {
      const [px, py] = place(k),
        d = (px - x) ** 2 + (py - y) ** 2;
      if (d < least && !(view.only >= 0 && view.way.of(at[k]) !== view.only)) {
        least = d;
        best = k;
      }
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
      el("p", { className: "name" }, baseName(clips.path[i])),
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

  const legend = el("div", { className: "classes" });
  const colour = (way) => {
    view.way = way;
    view.only = -1;
    const used = new Set(at.map((i) => way.of(i)));
    legend.replaceChildren(
      ...way.values
        .map(
          (name, value) =>
            used.has(value) &&
            el(
              "button",
              {
                type: "button",
                className: "chip",
                ariaPressed: "false",
                title: name,
                onclick: (event) => {
                  view.only = view.only === value ? -1 : value;
                  for (const chip of legend.children)
                    chip.setAttribute("aria-pressed", String(chip === event.currentTarget && view.only >= 0));
                  draw();
                },
              },
              chipMark(way, value),
              el("span", {}, name),
            ),
        )
        .filter(Boolean),
    );
    draw();
  };
  const chipMark = (way, value) => {
    const dot = el("canvas", { width: 24, height: 24, className: "mark-of" }),
      brush = dot.getContext("2d"),
      hues = way.hues ? way.hues.map((name) => getComputedStyle(document.documentElement).getPropertyValue(name)) : HUES;
    brush.fillStyle = hues[value % hues.length];
    markPath(brush, SHAPES[Math.floor(value / hues.length) % 4], 12, 12, 7.5);
    brush.fill();
    return dot;
  };
  const ways = colourings();
  const buttons = el(
    "div",
    { className: "zoom" },
    [
      ["+", "Zoom in", () => zoomAtMiddle(1.5)],
      ["−", "Zoom out", () => zoomAtMiddle(1 / 1.5)],
      [
        "⤢",
        "Show all",
        () => {
          Object.assign(view, { zoom: 1, x: 0, y: 0 });
          draw();
        },
      ],
    ].map(([text, name, onclick]) => el("button", { type: "button", ariaLabel: name, title: name, onclick }, text)),
  );
  put(
    root,
    el(
      "p",
      { className: "lead" },
      `Clips that are similar to the network lie close together: t-SNE of the ${map.on}, perplexity ${fixed(map.perplexity, 0)}. `,
      "Outlined: misclassified. ",
      map.left_out ? `${counted(at.length, "clip")} drawn at random from ${clips.n.toLocaleString("en")}.` : null,
    ),
    el(
      "label",
      { className: "field inline" },
      "Colour by",
      el(
        "select",
        { onchange: (event) => colour(ways[event.target.selectedIndex]) },
        ways.map((way) => el("option", {}, way.name)),
      ),
    ),
    el("div", { className: "beside map" }, el("div", {}, el("div", { className: "canvas" }, canvas, buttons), legend), shelf),
  );
  colour(ways[0]);
  onTheme(() => draw());
  new ResizeObserver(draw).observe(canvas);
}
