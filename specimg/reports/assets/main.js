// The page itself: summary, the list of all clips with its filters, and the views by their tabs.

const painters = []; // what has to be drawn again when the theme changes
function onTheme(paint) {
  painters.push(paint);
}

// ---------------------------------------------------------------- summary

function scoreTiles() {
  return el(
    "div",
    { className: "tiles" },
    page.scores.map((score) =>
      el(
        "div",
        { className: "tile" },
        el("p", { className: "soft" }, score.name),
        el("p", { className: "big" }, isNumber(score.value) ? fixed(score.value, 3) : "–"),
        el(
          "p",
          { className: "soft tiny" },
          [
            isNumber(score.low) ? `95 %: ${fixed(score.low, 3)} to ${fixed(score.high, 3)}` : "",
            score.clips ? counted(score.clips, "clip") : "",
          ]
            .filter(Boolean)
            .join(" · "),
        ),
      ),
    ),
  );
}

function networkTable() {
  if (page.networks.length < 2) return null;
  return el(
    "section",
    {},
    el("h3", {}, "Each network"),
    el(
      "div",
      { className: "scroll" },
      el(
        "table",
        { className: "plain" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            ["fold", "seed", "score", "95 %", "clips", "epochs"].map((t) => el("th", { scope: "col", className: "number" }, t)),
          ),
        ),
        el(
          "tbody",
          {},
          page.networks.map((m) =>
            el(
              "tr",
              {},
              [
                m.fold,
                m.seed,
                fixed(m.score, 3),
                isNumber(m.low) ? `${fixed(m.low, 3)} to ${fixed(m.high, 3)}` : "–",
                m.clips,
                m.epochs,
              ].map((t) => el("td", { className: "number" }, String(t))),
            ),
          ),
        ),
      ),
    ),
  );
}

function factList() {
  return el(
    "section",
    {},
    el("h3", {}, "Data, network, training"),
    el(
      "div",
      { className: "facts" },
      page.facts.map(([section, rows]) =>
        el(
          "div",
          {},
          el("h4", {}, section),
          el(
            "dl",
            {},
            rows.map(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]),
          ),
        ),
      ),
    ),
  );
}

function summaryView(root) {
  const curves = chart("curves");
  const notes = page.notes.length
    ? el(
        "ul",
        { className: "notes" },
        page.notes.map((note) => el("li", {}, note)),
      )
    : null;
  const worst = everyClip.filter((i) => clips.right[i] === 0).slice(0, 4);
  put(
    root,
    scoreTiles(),
    notes,
    worst.length
      ? el(
          "section",
          {},
          el("h3", {}, page.some_loss ? "The highest losses among the mistakes" : "Mistakes"),
          cardList(worst),
          el("p", { className: "more" }, el("a", { href: "#clips" }, `all ${counted(clips.n, "clip")}`)),
        )
      : null,
    curves && el("section", {}, el("h3", {}, "Learning curves"), curves),
    networkTable(),
    factList(),
  );
}

// ---------------------------------------------------------------- all clips

const ORDERS = {
  "highest loss first": null,
  "lowest loss first": (a, b) =>
    (isNumber(clips.loss[a]) ? clips.loss[a] : Infinity) - (isNumber(clips.loss[b]) ? clips.loss[b] : Infinity),
  "least confident first": (a, b) => (clips.confidence[a] ?? 2) - (clips.confidence[b] ?? 2),
  "most confident first": (a, b) => (clips.confidence[b] ?? -1) - (clips.confidence[a] ?? -1),
  "file name": (a, b) => sameText(clips.path[a], clips.path[b]),
};

function clipsView(root) {
  const host = el("div", { className: "cards" }),
    count = el("p", { className: "count", role: "status" });
  const select = (name, values, words) =>
    el(
      "label",
      { className: "field" },
      name,
      el(
        "select",
        { data: { filter: name }, onchange: () => apply() },
        el("option", { value: "" }, words),
        values.map(([text, value]) => el("option", { value }, text)),
      ),
    );
  const labels = vocab.map((label, k) => [label, String(k)]).sort((a, b) => sameText(a[0], b[0]));
  const actual = hasLabels ? select("actual", labels, "any class") : null,
    predicted = select("predicted", labels, "any class");
  const unknown = clips.right.includes(null) ? [["unknown", "x"]] : [];
  const results = hasLabels ? select("result", [["correct", "1"], ["wrong", "0"], ...unknown], "correct or wrong") : null;
  const groups = page.groups.map((g) =>
    select(
      g.name,
      g.values.map((value, k) => [value, String(k)]),
      `any ${g.name}`,
    ),
  );
  const orders = Object.keys(ORDERS).filter((name) => page.some_loss || !name.includes("loss"));
  const order = el(
    "label",
    { className: "field" },
    "order",
    el(
      "select",
      { onchange: () => apply() },
      orders.map((name) => el("option", {}, name)),
    ),
  );
  const search = el("input", {
    type: "search",
    placeholder: "part of a file name",
    ariaLabel: "Search by file name",
    oninput: () => apply(),
  });
  const chosen = (field) => (field ? field.querySelector("select").value : "");
  const apply = () => {
    const words = search.value.trim().toLowerCase(),
      a = chosen(actual),
      p = chosen(predicted),
      v = chosen(results),
      g = groups.map(chosen);
    const found = everyClip.filter(
      (i) =>
        (a === "" || has(clips.target[i], Number(a))) &&
        (p === "" || has(clips.guess[i], Number(p))) &&
        (v === "" || (v === "x" ? clips.right[i] === null : clips.right[i] === Number(v))) &&
        g.every((k, at) => k === "" || page.groups[at].of[i] === Number(k)) &&
        (!words || clips.path[i].toLowerCase().includes(words)),
    );
    const by = ORDERS[order.querySelector("select").value];
    if (by) found.sort(by);
    count.textContent =
      found.length === clips.n ? counted(clips.n, "clip") : `${found.length.toLocaleString("en")} of ${counted(clips.n, "clip")}`;
    fillList(host, found);
  };
  put(
    root,
    el(
      "div",
      { className: "toolbar" },
      el("label", { className: "field wide" }, "search", search),
      actual,
      predicted,
      results,
      groups,
      order,
    ),
    count,
    host,
  );
  apply();
}

// ---------------------------------------------------------------- views

const some = page.kind === "report" && clips.n > 0,
  hasLabels = some && clips.target.some((t) => t !== null);
const VIEWS = [
  { name: "summary", title: "Summary", when: page.kind === "report", draw: summaryView },
  { name: "clips", title: "Clips", when: some, draw: clipsView },
  { name: "confusion", title: page.multi ? "Mistakes" : "Confusion", when: hasLabels, draw: confusionView },
  { name: "classes", title: "Classes", when: hasLabels && page.report.length > 0, draw: classesView },
  { name: "map", title: "Map", when: some && page.map, draw: mapView },
  { name: "groups", title: "Groups", when: hasLabels && page.breakdown.length > 0, draw: groupsView },
  { name: "calibration", title: "Calibration", when: Boolean(chart("calibration")), draw: calibrationView },
  { name: "review", title: "Label review", when: Boolean(page.review), draw: reviewView },
].filter((view) => view.when);

for (const view of VIEWS) {
  view.root = el(
    "section",
    { className: "view", id: `view-${view.name}`, hidden: true, ariaLabel: view.title },
    el("h2", {}, view.title),
  );
  view.tab = el("a", { href: `#${view.name}` }, view.title);
}

function drawOnce(view) {
  if (view.drawn) return;
  view.drawn = true;
  view.draw(view.root);
}

function showView() {
  const wanted = VIEWS.find((view) => `#${view.name}` === location.hash) || VIEWS[0];
  for (const view of VIEWS) {
    view.root.hidden = view !== wanted;
    if (view === wanted) view.tab.setAttribute("aria-current", "page");
    else view.tab.removeAttribute("aria-current");
  }
  drawOnce(wanted);
  if (playing.card && !wanted.root.contains(playing.card.root)) letGo();
  document.getElementById("tip").hidden = true;
  window.scrollTo(0, 0);
  wanted.tab.scrollIntoView({ block: "nearest", inline: "nearest" });
}

// ---------------------------------------------------------------- theme, class maps

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  painters.forEach((paint) => paint());
}

const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme || (prefersDark.matches ? "dark" : "light")) === "dark";

function switches() {
  const theme = el("button", { type: "button", className: "switch", ariaLabel: "Dark or light", title: "dark or light" });
  const face = () => theme.replaceChildren(icon(isDark() ? ICONS.sun : ICONS.moon));
  theme.addEventListener("click", () => {
    const next = isDark() ? "light" : "dark";
    setTheme(next);
    remember("theme", next);
    face();
  });
  prefersDark.addEventListener("change", () => {
    painters.forEach((paint) => paint());
    face();
  });
  face();
  if (!clips.cam.some(Boolean)) return [theme];
  const mapSwitch = el(
    "button",
    { type: "button", className: "switch", title: "class maps (Grad-CAM)" },
    icon(ICONS.eye),
    el("span", {}, "Class maps"),
  );
  mapSwitch.setAttribute("aria-pressed", "false");
  mapSwitch.addEventListener("click", () => {
    maps.on = !maps.on;
    mapSwitch.setAttribute("aria-pressed", String(maps.on));
    for (const root of document.querySelectorAll(".card")) showMap(root.card, maps.on);
  });
  return [mapSwitch, theme];
}

// ---------------------------------------------------------------- start

setTheme(recall("theme"));
document.querySelector("h1").textContent = page.title;
document.querySelector(".switches").append(...switches());
document.querySelector("nav").append(...VIEWS.map((view) => view.tab));
document.querySelector("nav").hidden = VIEWS.length < 2;
document.getElementById("main").replaceChildren(...VIEWS.map((view) => view.root));
document
  .querySelector("footer")
  .append(el("p", {}, page.media), el("p", { className: "soft tiny" }, `specimg ${page.version}, ${page.made}`));
// the header is sticky: what sticks below it needs its height
const header = document.querySelector("header");
new ResizeObserver(() => document.documentElement.style.setProperty("--head", `${header.offsetHeight}px`)).observe(header);
window.addEventListener("hashchange", showView);
window.addEventListener("beforeprint", () => VIEWS.forEach(drawOnce));
showView();
