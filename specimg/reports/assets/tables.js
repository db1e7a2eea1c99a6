// Confusions, classes, groups and calibration: numbers, and the clips behind them.

const MOST_CELLS = 40; // classes up to which every cell is a button; beyond it the matrix is drawn
const WIDE = 22; // classes beyond which a matrix of buttons takes the whole width
const MOST_PAIRS = 60; // rows of the most confused

// ---------------------------------------------------------------- confusion

// clips by cell: cells.get(a * classes + g) are those of class `a` that were predicted as `g`
function fileUnder(cells, a, g, i) {
  const key = a * vocab.length + g;
  if (!cells.has(key)) cells.set(key, []);
  cells.get(key).push(i);
}

const isScored = (i) => clips.target[i] !== null && clips.guess[i] !== null;

function confusionCounts() {
  const cells = new Map();
  for (const i of everyClip.filter(isScored)) fileUnder(cells, clips.target[i], clips.guess[i], i);
  return cells;
}

// With several labels per clip: which label was predicted in a clip where another was missed.
function mistakePairs() {
  const cells = new Map();
  for (const i of everyClip.filter(isScored)) {
    const missed = clips.target[i].filter((k) => !clips.guess[i].includes(k)),
      extra = clips.guess[i].filter((k) => !clips.target[i].includes(k));
    for (const a of missed) for (const g of extra) fileUnder(cells, a, g, i);
  }
  return cells;
}

function cellTitle(a, g, ids) {
  const clips = counted(ids.length, "clip");
  if (page.multi) return `${isolated(vocab[a])} missed, ${isolated(vocab[g])} predicted: ${clips}`;
  if (a === g) return `${isolated(vocab[a])}, correct: ${clips}`;
  return `${isolated(vocab[a])}, predicted as ${isolated(vocab[g])}: ${clips}`;
}

const headRow = (...heads) => el("thead", {}, el("tr", {}, heads));
const labelCell = (label) => el("td", { className: "long", title: label }, shortened(label));

function pairTable(cells, shelf) {
  const n = vocab.length;
  const pairs = [...cells]
    .map(([key, ids]) => [Math.floor(key / n), key % n, ids])
    .filter(([a, g]) => a !== g)
    .sort((p, q) => q[2].length - p[2].length);
  if (!pairs.length) return el("p", { className: "soft" }, "No confusions.");
  const rows = pairs.slice(0, MOST_PAIRS).map(([a, g, ids]) => {
    const title = cellTitle(a, g, ids),
      onclick = () => shelf.show(title, ids);
    const number = el("button", { className: "link", type: "button", ariaLabel: title, onclick }, String(ids.length));
    const arrow = el("td", { className: "soft", ariaHidden: "true" }, "→");
    return el("tr", {}, el("td", { className: "number" }, number), labelCell(vocab[a]), arrow, labelCell(vocab[g]));
  });
  const rest = pairs.length - rows.length;
  const head = headRow(
    el("th", { scope: "col", className: "number" }, "clips"),
    el("th", { scope: "col" }, page.multi ? "missed" : "actual"),
    el("td", {}),
    el("th", { scope: "col" }, page.multi ? "predicted instead" : "predicted"),
  );
  return el(
    "div",
    { className: "scroll" },
    el("table", { className: "plain pairs" }, head, el("tbody", {}, rows)),
    rest > 0 ? el("p", { className: "soft rest" }, `and ${counted(rest, "pair")} more`) : null,
  );
}

function shade(share) {
  return Math.min(9, Math.ceil(share * 9));
}

function buttonMatrix(cells, order, shelf, totals) {
  const n = vocab.length;
  const head = el(
    "tr",
    {},
    el("td", {}),
    order.map((g) => el("th", { scope: "col", title: vocab[g] }, el("span", {}, vocab[g]))),
  );
  const body = order.map((a) =>
    el(
      "tr",
      {},
      el("th", { scope: "row", title: vocab[a] }, vocab[a]),
      order.map((g) => {
        const ids = cells.get(a * n + g) || [];
        if (!ids.length) return el("td", {});
        const title = cellTitle(a, g, ids);
        const options = {
          type: "button",
          className: `cell ${a === g ? "good" : "bad"} s${shade(ids.length / totals[a])}`,
          data: { actual: vocab[a], predicted: vocab[g] },
          ariaLabel: title,
          title: `${title}\nof ${totals[a]} (${percent(ids.length / totals[a])})`,
          onclick: () => shelf.show(title, ids),
        };
        return el("td", {}, el("button", options, String(ids.length)));
      }),
    ),
  );
  const table = el("table", { className: `matrix${n > 16 ? " fine" : ""}` }, el("thead", {}, head), el("tbody", {}, body));
  if (n <= 16) table.style.maxWidth = `${11 + 6 * n}rem`;
  // the longest name determines the height of the column heads
  table.style.setProperty("--up", `${Math.min(9, 1 + 0.52 * Math.max(...vocab.map((v) => v.length))).toFixed(1)}em`);
  return el("div", { className: "scroll" }, table);
}

function drawnMatrix(cells, order, shelf, totals) {
  const n = vocab.length,
    place = new Map(order.map((k, at) => [k, at]));
  const side = Math.max(3, Math.floor(900 / n)),
    canvas = el("canvas", {
      className: "drawn",
      role: "img",
      width: n * side,
      height: n * side,
      ariaLabel: "Confusion matrix; the table of pairs beside it holds the same numbers",
    });
  const pointed = el("p", { className: "soft pointed" }, "Point at a cell to read it, click to list its clips.");
  const paint = () => {
    const style = getComputedStyle(document.documentElement),
      brush = canvas.getContext("2d");
    brush.clearRect(0, 0, canvas.width, canvas.height);
    brush.fillStyle = style.getPropertyValue("--sunken");
    brush.fillRect(0, 0, canvas.width, canvas.height);
    for (const [key, ids] of cells) {
      const a = Math.floor(key / n),
        g = key % n;
      brush.globalAlpha = 0.35 + 0.65 * Math.min(1, ids.length / totals[a]);
      brush.fillStyle = style.getPropertyValue(a === g ? "--right" : "--wrong");
      brush.fillRect(place.get(g) * side, place.get(a) * side, side, side);
    }
    brush.globalAlpha = 1;
  };
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * n),
      row = Math.floor(((event.clientY - box.top) / box.height) * n);
    return [order[Math.min(n - 1, Math.max(0, row))], order[Math.min(n - 1, Math.max(0, column))]];
  };
  canvas.addEventListener("pointermove", (event) => {
    const [a, g] = at(event);
    pointed.textContent = cellTitle(a, g, cells.get(a * n + g) || []);
  });
  canvas.addEventListener("click", (event) => {
    const [a, g] = at(event);
    const ids = cells.get(a * n + g) || [];
    shelf.show(cellTitle(a, g, ids), ids);
  });
  onTheme(paint);
  paint();
  return el("div", {}, canvas, pointed);
}

function confusionView(root) {
  const isDrawn = !page.multi && vocab.length > MOST_CELLS;
  const shelf = makeShelf(`Click a ${isDrawn ? "cell or a " : ""}number to list its clips.`),
    cells = page.multi ? mistakePairs() : confusionCounts();
  const pairs = el(
    "section",
    {},
    el("h3", {}, page.multi ? "Predicted where another was missed" : "Most confused"),
    pairTable(cells, shelf),
  );
  if (page.multi) {
    put(
      root,
      el(
        "p",
        { className: "lead" },
        "Clips may have several labels, so there is no confusion matrix: these labels were predicted in clips where another " +
          "one was missed.",
      ),
      el("div", { className: "beside" }, el("div", {}, pairs), shelf),
    );
    return;
  }
  const totals = new Array(vocab.length).fill(0);
  for (const [key, ids] of cells) totals[Math.floor(key / vocab.length)] += ids.length;
  const draw = isDrawn ? drawnMatrix : buttonMatrix,
    given = vocab.map((_, k) => k);
  const place = el("div", {}, draw(cells, given, shelf, totals));
  const orders = page.order
    ? el(
        "label",
        { className: "field inline" },
        "Order",
        el(
          "select",
          {
            onchange: (event) =>
              place.replaceChildren(draw(cells, event.target.value === "clusters" ? page.order : given, shelf, totals)),
          },
          el("option", { value: "given" }, "as in the vocabulary"),
          el("option", { value: "clusters" }, "confused classes as neighbours"),
        ),
      )
    : null;
  const lost = everyClip.filter((i) => clips.target[i] !== null && clips.guess[i] === null);
  put(
    root,
    el(
      "p",
      { className: "lead" },
      "Actual classes down, predicted ones across. The colour shows the share of the actual class.",
    ),
    orders,
    lost.length ? el("p", { className: "soft" }, `${counted(lost.length, "clip")} without a prediction left out.`) : null,
    el("div", { className: `beside three${!isDrawn && vocab.length > WIDE ? " wide" : ""}` }, place, shelf, pairs),
  );
}

// ---------------------------------------------------------------- classes

// A click on a head sorts. columns: [{name, key, text(row), number}]; foot: rows that stay below
function sortableTable(columns, rows, onRow, first, foot = null) {
  const body = el("tbody");
  let by = first,
    down = false;
  const heads = columns.map((column) =>
    el(
      "th",
      { scope: "col", className: column.number ? "number" : "" },
      el(
        "button",
        {
          type: "button",
          className: "sort",
          onclick: () => {
            down = by === column ? !down : column.number && !column.rising;
            by = column;
            fill();
          },
        },
        column.name,
      ),
    ),
  );
  const fill = () => {
    const sorted = [...rows].sort((p, q) => {
      const a = by.key(p),
        b = by.key(q);
      return (typeof a === "string" ? sameText(a, b) : (isNumber(a) ? a : -1) - (isNumber(b) ? b : -1)) * (down ? -1 : 1);
    });
    body.replaceChildren(
      ...sorted.map((row) =>
        el(
          "tr",
          {},
          columns.map((column) =>
            el(
              column.head ? "th" : "td",
              { className: column.number ? "number" : "long" },
              column.head
                ? el(
                    "button",
                    { className: "link", type: "button", title: column.text(row), onclick: () => onRow(row) },
                    shortened(column.text(row)),
                  )
                : column.text(row),
            ),
          ),
        ),
      ),
    );
    heads.forEach((head, k) => head.setAttribute("aria-sort", columns[k] === by ? (down ? "descending" : "ascending") : "none"));
  };
  fill();
  return el("div", { className: "scroll" }, el("table", { className: "plain sortable" }, headRow(heads), body, foot));
}

// a table and its figure, which comes first where it is not much higher than the screen
const withChart = (name, rows, table) => (rows > 24 ? [table, chart(name)] : [chart(name), table]);

function classesView(root) {
  const shelf = makeShelf("Click a class to list its clips, the missed ones first.");
  const rate = (name, key) => ({ name, key: (r) => r[key], number: true, rising: true, text: (r) => fixed(r[key], 3) });
  const columns = [
    { name: "class", key: (r) => r.label, head: true, text: (r) => r.label },
    rate("precision", "precision"),
    rate("recall", "recall"),
    rate("F1", "f1"),
    { name: "clips", key: (r) => r.support, number: true, text: (r) => r.support.toLocaleString("en") },
  ];
  const show = (row) => {
    const k = vocab.indexOf(row.label);
    const wrongly = everyClip.filter((i) => !has(clips.target[i], k) && has(clips.guess[i], k) && clips.target[i] !== null),
      own = everyClip.filter((i) => has(clips.target[i], k));
    const missed = own.filter((i) => !has(clips.guess[i], k)),
      found = own.filter((i) => has(clips.guess[i], k));
    shelf.show(
      row.label,
      [...missed, ...wrongly, ...found],
      `${missed.length} missed, then ${wrongly.length} wrongly predicted as it, then ${found.length} correct`,
    );
  };
  // accuracy is one number, which scikit-learn's report writes into every column
  const averages = page.averages.map((row) => {
    const numbers = row.label === "accuracy" ? [null, null, row.f1] : [row.precision, row.recall, row.f1];
    const cells = numbers.map((x) => el("td", { className: "number" }, x === null ? "" : fixed(x, 3)));
    return el("tr", {}, el("th", { scope: "row" }, row.label.replace(/avg$/, "average")), cells, el("td", {}));
  });
  const table = sortableTable(columns, page.report, show, columns[3], el("tfoot", {}, averages));
  put(
    root,
    el(
      "p",
      { className: "lead" },
      "Precision: the share of the clips predicted as the class that are of it. Recall: the share of the class's clips that are found.",
    ),
    el(
      "div",
      { className: "beside" },
      el("div", {}, withChart("classes", page.report.length, table)),
      shelf,
    ),
  );
}

// ---------------------------------------------------------------- groups

function groupsView(root) {
  const shelf = makeShelf("Click a group to list its clips, the highest loss first.");
  const tables = page.breakdown.map((part, k) => {
    const group = page.groups.find((g) => g.name === part.name);
    const columns = [
      { name: part.name, key: (r) => r.value, head: true, text: (r) => r.value },
      { name: "clips", key: (r) => r.clips, number: true, text: (r) => r.clips.toLocaleString("en") },
      {
        name: page.multi ? "exact match" : "accuracy",
        key: (r) => r.rate,
        number: true,
        rising: true,
        text: (r) => fixed(r.rate, 3),
      },
      {
        name: "95 %",
        key: (r) => r.low,
        number: true,
        text: (r) => (isNumber(r.low) ? `${fixed(r.low, 3)} to ${fixed(r.high, 3)}` : "–"),
      },
    ];
    const show = (row) => {
      const k = group.values.indexOf(row.value);
      shelf.show(
        `${part.name} ${row.value}`,
        everyClip.filter((i) => group.of[i] === k),
      );
    };
    const table = sortableTable(columns, part.rows, show, columns[2]);
    return el("section", {}, el("h3", {}, `By ${part.name}`), withChart(`groups-${k}`, part.rows.length, table));
  });
  put(
    root,
    el("p", { className: "lead" }, "Share of correct clips with its 95 % interval (Wilson)."),
    el("div", { className: "beside" }, el("div", {}, tables), shelf),
  );
}

// ---------------------------------------------------------------- calibration

function calibrationView(root) {
  put(
    root,
    el(
      "p",
      { className: "lead" },
      "Are predictions with a probability of 0.8 correct in 8 of 10 cases? On the diagonal they are; below it the network is overconfident.",
    ),
    el("div", { className: "charts" }, chart("calibration"), chart("probabilities")),
  );
}
