// Light charts as inline SVG, coloured by the style sheet, so that both themes can read them.

function niceTicks(low, high, wanted = 4) {
  if (!(high > low)) return [low];
  const raw = (high - low) / wanted,
    size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((k) => k * size).find((s) => s >= raw);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) ticks.push(+(k * step).toPrecision(10));
  return ticks;
}

// Axes with a grid: {root, plot, x(value), y(value)}
function axes({
  width = 460,
  height = 250,
  xRange,
  yRange,
  xTicks,
  yTicks,
  xLabel,
  yLabel,
  title,
  xText = String,
  yText = String,
}) {
  const box = { left: 46, right: width - 12, top: 12, bottom: height - 40 };
  const x = (v) => box.left + ((v - xRange[0]) / (xRange[1] - xRange[0] || 1)) * (box.right - box.left);
  const y = (v) => box.bottom - ((v - yRange[0]) / (yRange[1] - yRange[0] || 1)) * (box.bottom - box.top);
  const text = (px, py, words, anchor, extra) => {
    const node = svg("text", { x: px, y: py, "text-anchor": anchor, ...extra });
    node.textContent = words;
    return node;
  };
  const plot = svg("g", {});
  const root = svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": title },
    yTicks
      .map((v) => [
        svg("line", { x1: box.left, x2: box.right, y1: y(v), y2: y(v), class: "grid" }),
        text(box.left - 7, y(v) + 3.5, yText(v), "end"),
      ])
      .flat(),
    xTicks.map((v) => text(x(v), box.bottom + 16, xText(v), "middle")),
    text((box.left + box.right) / 2, height - 6, xLabel, "middle", { class: "label" }),
    yLabel
      ? text(12, (box.top + box.bottom) / 2, yLabel, "middle", {
          class: "label",
          transform: `rotate(-90 12 ${(box.top + box.bottom) / 2})`,
        })
      : null,
    plot,
  );
  return { root, plot, x, y, box };
}

const hint = (words) => {
  const node = svg("title", {});
  node.textContent = words;
  return node;
};

// series: [{name, colour (1 to 6), faint, dashed, points: [[x, y] ...]}]
function lineChart(series, { xLabel, yLabel, title, yRange }) {
  const all = series.flatMap((s) => s.points).filter(([, v]) => isNumber(v));
  if (!all.length) return el("p", { className: "soft" }, `${title}: nothing but numbers that are none`);
  const xs = all.map(([v]) => v),
    ys = all.map(([, v]) => v);
  const low = Math.min(...ys),
    high = Math.max(...ys),
    room = (high - low) * 0.06 || 0.05;
  const range = yRange || [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
  const xRange = [Math.min(...xs), Math.max(...xs)];
  if (xRange[0] === xRange[1]) {
    xRange[0] -= 0.5;
    xRange[1] += 0.5;
  }
  const whole = niceTicks(xRange[0], xRange[1], 8).filter(Number.isInteger);
  const chart = axes({ xRange, yRange: range, xTicks: whole, yTicks: niceTicks(range[0], range[1]), xLabel, yLabel, title });
  for (const s of series) {
    let path = "",
      gap = true;
    for (const [px, py] of s.points) {
      if (!isNumber(py)) {
        gap = true;
        continue;
      }
      path += `${gap ? "M" : "L"}${chart.x(px).toFixed(1)} ${chart.y(py).toFixed(1)}`;
      gap = false;
    }
    const look = `line c${s.colour}${s.faint ? " faint" : ""}${s.dashed ? " dashed" : ""}`;
    chart.plot.append(svg("path", { d: path, class: look }, hint(s.name)));
    if (!s.faint)
      for (const [px, py] of s.points)
        if (isNumber(py))
          chart.plot.append(
            svg(
              "circle",
              { cx: chart.x(px), cy: chart.y(py), r: 2.4, class: `dot c${s.colour}` },
              hint(`${s.name}, ${xLabel} ${px}: ${+py.toPrecision(4)}`),
            ),
          );
  }
  const names = [...new Map(series.map((s) => [s.name, s])).values()];
  const legend = el(
    "p",
    { className: "legend" },
    names.map((s) => el("span", {}, el("i", { className: `swatch c${s.colour}${s.dashed ? " dashed" : ""}` }), s.name)),
  );
  return el("figure", {}, chart.root, legend);
}

function reliability(bins) {
  const chart = axes({
    width: 420,
    height: 400,
    xRange: [0, 1],
    yRange: [0, 1],
    xTicks: [0, 0.2, 0.4, 0.6, 0.8, 1],
    yTicks: [0, 0.2, 0.4, 0.6, 0.8, 1],
    xLabel: "probability that was given",
    yLabel: "share that was right",
    title: "Calibration",
  });
  chart.plot.append(svg("line", { x1: chart.x(0), y1: chart.y(0), x2: chart.x(1), y2: chart.y(1), class: "diagonal" }));
  const full = bins.filter((b) => b.n > 0),
    most = Math.max(...full.map((b) => b.n));
  chart.plot.append(
    svg("path", {
      class: "line c1",
      d: full.map((b, k) => `${k ? "L" : "M"}${chart.x(b.confidence)} ${chart.y(b.accuracy)}`).join(""),
    }),
  );
  for (const b of full) {
    const px = chart.x(b.confidence);
    chart.plot.append(
      svg("line", { x1: px, x2: px, y1: chart.y(b.accuracy_low), y2: chart.y(b.accuracy_high), class: "whisker" }),
      svg(
        "circle",
        { cx: px, cy: chart.y(b.accuracy), r: 2.5 + 5 * Math.sqrt(b.n / most), class: "dot c1" },
        hint(
          `${b.low.toFixed(2)} to ${b.high.toFixed(2)}: ${counted(b.n, "statement")}, said ${fixed(b.confidence)}, ` +
            `right ${fixed(b.accuracy)} (95 % ${fixed(b.accuracy_low)} to ${fixed(b.accuracy_high)})`,
        ),
      ),
    );
  }
  return el("figure", {}, chart.root);
}

function histogram(bins) {
  const most = Math.max(1, ...bins.map((b) => b.n));
  const chart = axes({
    width: 420,
    height: 190,
    xRange: [0, 1],
    yRange: [0, most],
    xTicks: [0, 0.2, 0.4, 0.6, 0.8, 1],
    yTicks: niceTicks(0, most, 3).filter(Number.isInteger),
    xLabel: "probability that was given",
    yLabel: page.multi ? "labels" : "clips",
    title: "Histogram of probabilities",
  });
  for (const b of bins) {
    if (b.n)
      chart.plot.append(
        svg(
          "rect",
          {
            x: chart.x(b.low) + 1,
            width: Math.max(1, chart.x(b.high) - chart.x(b.low) - 2),
            y: chart.y(b.n),
            height: chart.y(0) - chart.y(b.n),
            class: "bar c1",
            rx: 2,
          },
          hint(`${b.low.toFixed(2)} to ${b.high.toFixed(2)}: ${b.n.toLocaleString("en")}`),
        ),
      );
  }
  return el("figure", {}, chart.root);
}

// A thin bar from 0 to 1; where an interval is known, a mark in a pale band.
function rateBar(value, low, high) {
  const bar = svg(
    "svg",
    { viewBox: "0 0 100 10", preserveAspectRatio: "none", class: "rate", "aria-hidden": "true" },
    svg("rect", { x: 0, y: 4.2, width: 100, height: 1.6, class: "track" }),
  );
  if (isNumber(low))
    bar.append(svg("rect", { x: 100 * low, y: 2.5, width: Math.max(0.5, 100 * (high - low)), height: 5, class: "band" }));
  else if (isNumber(value)) bar.append(svg("rect", { x: 0, y: 3, width: 100 * value, height: 4, class: "tick" }));
  if (isNumber(value) && isNumber(low))
    bar.append(svg("rect", { x: Math.min(99, 100 * value - 0.6), y: 0, width: 1.6, height: 10, class: "tick" }));
  return bar;
}
