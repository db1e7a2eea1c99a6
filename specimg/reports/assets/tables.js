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

const labelCell = (label) => el("td.long", { title: label }, shortened(label));

function pairTable(cells, shelf) {
  const n = vocab.length;
  const pairs = [...cells]
    .map(([key, ids]) => [Math.floor(key / n), key % n, ids])
    .filter(([a, g]) => a !== g)
    .sort((p, q) => q[2].length - p[2].length);
  if (!pairs.length) return soft("No confusions.");
  const rows = pairs.slice(0, MOST_PAIRS).map(([a, g, ids]) => {
    const title = cellTitle(a, g, ids),
      onclick = () => shelf.show(title, ids);
    const number = el("button.link", { ariaLabel: title, onclick }, String(ids.length));
    const arrow = el("td.soft", { ariaHidden: "true" }, "→");
    return el("tr", cell(number), labelCell(vocab[a]), arrow, labelCell(vocab[g]));
  });
  const rest = pairs.length - rows.length;
  const [actual, predicted] = page.multi ? ["missed", "predicted instead"] : ["actual", "predicted"],
    column = (name) => el("th", { scope: "col" }, name);
  const head = headRow(el("th.number", { scope: "col" }, "clips"), column(actual), el("td"), column(predicted));
  const more = rest > 0 && el("p.soft.rest", `and ${counted(rest, "pair")} more`);
  return el("div.scroll", el("table.plain.pairs", head, el("tbody", rows)), more);
}

function matrixCell(a, g, ids, total, shelf) {
  if (!ids) return el("td");
  const title = cellTitle(a, g, ids),
    share = ids.length / total;
  const button = el(`button.cell.${a === g ? "good" : "bad"}`, {
    data: { actual: vocab[a], predicted: vocab[g] },
    ariaLabel: title,
    title: `${title}\nof ${total} (${percent(share)})`,
    onclick: () => shelf.show(title, ids),
  });
  button.style.setProperty("--share", (0.07 + 0.72 * share).toFixed(2));
  button.append(ids.length);
  return el("td", button);
}

function buttonMatrix(cells, order, shelf, totals) {
  const n = vocab.length;
  const heads = order.map((g) => el("th", { scope: "col", title: vocab[g] }, el("span", vocab[g])));
  const rows = order.map((a) => {
    const row = order.map((g) => matrixCell(a, g, cells.get(a * n + g), totals[a], shelf));
    return el("tr", el("th", { scope: "row", title: vocab[a] }, vocab[a]), row);
  });
  const table = el(n > 16 ? "table.matrix.fine" : "table.matrix", headRow(el("td"), heads), el("tbody", rows));
  if (n <= 16) table.style.maxWidth = `${11 + 6 * n}rem`;
  // the longest name determines the height of the column heads
  table.style.setProperty("--up", `${Math.min(9, 1 + 0.52 * Math.max(...vocab.map((v) => v.length))).toFixed(1)}em`);
  return el("div.scroll", table);
}

function drawnMatrix(cells, order, shelf, totals) {
  const n = vocab.length,
    place = new Map(order.map((k, at) => [k, at]));
  const side = Math.max(3, Math.floor(900 / n)),
    canvas = el("canvas.drawn", {
      role: "img",
      width: n * side,
      height: n * side,
      ariaLabel: "Confusion matrix; the table of pairs beside it holds the same numbers",
    });
  const pointed = el("p.soft.pointed", "Point at a cell to read it, click to list its clips.");
  const paint = () => {
    const style = getComputedStyle(document.documentElement),
      brush = canvas.getContext("2d");
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
  const under = (event) => {
    const [a, g] = at(event),
      ids = cells.get(a * n + g) || [];
    return [cellTitle(a, g, ids), ids];
  };
  canvas.addEventListener("pointermove", (event) => (pointed.textContent = under(event)[0]));
  canvas.addEventListener("click", (event) => shelf.show(...under(event)));
  window.addEventListener("repaint", paint);
  paint();
  return el("div", canvas, pointed);
}

function confusionView(root) {
  const isDrawn = !page.multi && vocab.length > MOST_CELLS;
  const shelf = makeShelf(`Click a ${isDrawn ? "cell or a " : ""}number to list its clips.`),
    cells = page.multi ? mistakePairs() : confusionCounts();
  const pairs = section(page.multi ? "Predicted where another was missed" : "Most confused", pairTable(cells, shelf));
  if (page.multi) {
    const why = "Clips may have several labels, so there is no confusion matrix: ";
    put(root, lead(why, "these labels were predicted in clips where another one was missed."));
    put(root, el("div.beside", el("div", pairs), shelf));
    return;
  }
  const totals = new Array(vocab.length).fill(0);
  for (const [key, ids] of cells) totals[Math.floor(key / vocab.length)] += ids.length;
  const draw = isDrawn ? drawnMatrix : buttonMatrix,
    given = vocab.map((_, k) => k);
  const place = el("div", draw(cells, given, shelf, totals));
  const reorder = (event) =>
    place.replaceChildren(draw(cells, event.target.value === "clusters" ? page.order : given, shelf, totals));
  const options = { "as in the vocabulary": "given", "confused classes as neighbours": "clusters" };
  const orders = page.order && picker("Order", Object.entries(options), reorder, "label.field.inline");
  const lost = everyClip.filter((i) => clips.target[i] !== null && clips.guess[i] === null);
  const wide = !isDrawn && vocab.length > WIDE;
  put(
    root,
    lead("Actual classes down, predicted ones across. The colour shows the share of the actual class."),
    orders,
    lost.length && soft(`${counted(lost.length, "clip")} without a prediction left out.`),
    el(wide ? "div.beside.three.wide" : "div.beside.three", place, shelf, pairs),
  );
}

// ---------------------------------------------------------------- classes

// columns of a sortable table: `key` of a row sorts, `text` is shown; a click on the first column's text lists clips
const names = (name, key) => ({ name, key: (row) => row[key], text: (row) => row[key], head: true });
const numbers = (name, key, text) => ({ name, key: (row) => row[key], text, number: true });
const counts = (key) => numbers("clips", key, (row) => row[key].toLocaleString("en"));
const rates = (name, key) => ({ ...numbers(name, key, (row) => fixed(row[key], 3)), rising: true });

// A click on a head sorts; `foot` are rows that stay below.
function sortableTable(columns, rows, onRow, first, foot = null) {
  const body = el("tbody");
  let by = first,
    down = false;
  const sortBy = (column) => {
    down = by === column ? !down : column.number && !column.rising;
    by = column;
    fill();
  };
  const heads = columns.map((column) =>
    el(column.number ? "th.number" : "th", { scope: "col" }, el("button.sort", { onclick: () => sortBy(column) }, column.name)),
  );
  const cellOf = (column, row) => {
    const text = column.text(row);
    if (!column.head) return el(column.number ? "td.number" : "td.long", text);
    return el("th.long", el("button.link", { title: text, onclick: () => onRow(row) }, shortened(text)));
  };
  const compare = (a, b) => (typeof a === "string" ? sameText(a, b) : (isNumber(a) ? a : -1) - (isNumber(b) ? b : -1));
  const fill = () => {
    const sorted = [...rows].sort((p, q) => compare(by.key(p), by.key(q)) * (down ? -1 : 1));
    body.replaceChildren(
      ...sorted.map((row) =>
        el(
          "tr",
          columns.map((column) => cellOf(column, row)),
        ),
      ),
    );
    heads.forEach((head, k) => (head.ariaSort = columns[k] === by ? (down ? "descending" : "ascending") : "none"));
  };
  fill();
  return el("div.scroll", el("table.plain.sortable", headRow(heads), body, foot));
}

// a table and its figure, which comes first where it is not much higher than the screen
const withChart = (name, rows, table) => (rows > 24 ? [table, chart(name)] : [chart(name), table]);

function classesView(root) {
  const shelf = makeShelf("Click a class to list its clips, the missed ones first.");
  const columns = [
    names("class", "label"),
    rates("precision", "precision"),
    rates("recall", "recall"),
    rates("F1", "f1"),
    counts("support"),
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
    const values = row.label === "accuracy" ? [null, null, row.f1] : [row.precision, row.recall, row.f1];
    const cells = values.map((x) => cell(x === null ? "" : fixed(x, 3)));
    return el("tr", el("th", { scope: "row" }, row.label.replace(/avg$/, "average")), cells, el("td"));
  });
  const table = sortableTable(columns, page.report, show, columns[3], el("tfoot", averages));
  const precision = "Precision: the share of the clips predicted as the class that are of it. ";
  put(root, lead(precision, "Recall: the share of the class's clips that are found."));
  put(root, el("div.beside", el("div", withChart("classes", page.report.length, table)), shelf));
}

// ---------------------------------------------------------------- groups

function groupsView(root) {
  const shelf = makeShelf("Click a group to list its clips, the highest loss first.");
  const tables = page.breakdown.map((part, k) => {
    const group = page.groups.find((g) => g.name === part.name);
    const columns = [
      names(part.name, "value"),
      counts("clips"),
      rates(page.multi ? "exact match" : "accuracy", "rate"),
      numbers("95 %", "low", interval),
    ];
    const show = (row) => {
      const members = everyClip.filter((i) => group.values[group.of[i]] === row.value);
      shelf.show(`${part.name} ${row.value}`, members);
    };
    const table = sortableTable(columns, part.rows, show, columns[2]);
    return section(`By ${part.name}`, withChart(`groups-${k}`, part.rows.length, table));
  });
  put(root, lead("Share of correct clips with its 95 % interval (Wilson)."), el("div.beside", el("div", tables), shelf));
}

// ---------------------------------------------------------------- calibration

function calibrationView(root) {
  const question = "Are predictions with a probability of 0.8 correct in 8 of 10 cases? ";
  put(root, lead(question, "On the diagonal they are; below it the network is overconfident."));
  put(root, el("div.charts", chart("calibration"), chart("probabilities")));
}
