// The page itself: summary, the list of all clips with its filters, and the views by their tabs.

// ---------------------------------------------------------------- summary

function scoreTile(score) {
  const about = [isNumber(score.low) && `95 %: ${interval(score)}`, score.clips && counted(score.clips, "clip")];
  const value = isNumber(score.value) ? fixed(score.value, 3) : "–";
  return el("div.tile", soft(score.name), el("p.big", value), el("p.soft.tiny", about.filter(Boolean).join(" · ")));
}

function networkTable() {
  if (page.networks.length < 2) return null;
  const heads = ["fold", "seed", "score", "95 %", "clips", "epochs"].map((name) => el("th.number", { scope: "col" }, name));
  const rows = page.networks.map((m) => [m.fold, m.seed, fixed(m.score, 3), interval(m), m.clips, m.epochs]);
  const body = rows.map((row) => el("tr", row.map(String).map(cell)));
  return section("Each network", el("div.scroll", el("table.plain", headRow(heads), el("tbody", body))));
}

function factList() {
  const parts = page.facts.map(([name, rows]) => {
    const facts = rows.map(([fact, text]) => [el("dt", fact), el("dd", text)]);
    return el("div", el("h4", name), el("dl", facts));
  });
  return section("Data, network, training", el("div.facts", parts));
}

function summaryView(root) {
  const curves = chart("curves"),
    notes = page.notes.map((note) => el("li", note)),
    worst = everyClip.filter((i) => clips.right[i] === 0).slice(0, 4),
    title = page.some_loss ? "The highest losses among the mistakes" : "Mistakes",
    all = el("p.more", el("a", { href: "#clips" }, `all ${counted(clips.n, "clip")}`));
  put(root, el("div.tiles", page.scores.map(scoreTile)), notes.length && el("ul.notes", notes));
  put(root, worst.length && section(title, cardList(worst), all), curves && section("Learning curves", curves));
  put(root, networkTable(), factList());
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
  const host = el("div.cards"),
    count = el("p.count", { role: "status" }),
    filters = [];
  const apply = () => {
    const words = search.value.trim().toLowerCase(),
      active = filters.map(({ field, holds }) => [field.lastChild.value, holds]).filter(([value]) => value !== "");
    const found = everyClip.filter(
      (i) => active.every(([value, holds]) => holds(i, value)) && clips.path[i].toLowerCase().includes(words),
    );
    const by = ORDERS[order.lastChild.value],
      all = counted(clips.n, "clip");
    if (by) found.sort(by);
    count.textContent = found.length === clips.n ? all : `${found.length.toLocaleString("en")} of ${all}`;
    fillList(host, found);
  };
  const filter = (name, options, any, holds) => {
    const field = picker(name, [[any, ""], ...options], apply);
    filters.push({ field, holds });
    return field;
  };
  const labels = vocab.map((label, k) => [label, k]).sort((a, b) => sameText(a[0], b[0]));
  const results = { correct: 1, wrong: 0, ...(clips.right.includes(null) ? { unknown: null } : {}) };
  const fields = [
    hasLabels && filter("actual", labels, "any class", (i, value) => has(clips.target[i], Number(value))),
    filter("predicted", labels, "any class", (i, value) => has(clips.guess[i], Number(value))),
    hasLabels &&
      filter(
        "result",
        Object.keys(results).map((named) => [named, named]),
        "correct or wrong",
        (i, value) => clips.right[i] === results[value],
      ),
    page.groups.map((g) =>
      filter(
        g.name,
        g.values.map((value, k) => [value, k]),
        `any ${g.name}`,
        (i, value) => g.of[i] === Number(value),
      ),
    ),
  ];
  const orders = Object.keys(ORDERS).filter((name) => page.some_loss || !name.includes("loss"));
  const order = picker(
    "order",
    orders.map((name) => [name, name]),
    apply,
  );
  const search = el("input", {
    type: "search",
    placeholder: "part of a file name",
    ariaLabel: "Search by file name",
    oninput: apply,
  });
  put(root, el("div.toolbar", el("label.field.wide", "search", search), fields, order), count, host);
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
  view.root = el("section.view", { id: `view-${view.name}`, hidden: true, ariaLabel: view.title }, el("h2", view.title));
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

const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme || (prefersDark.matches ? "dark" : "light")) === "dark";
const repaint = () => window.dispatchEvent(new Event("repaint"));

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  repaint();
}

function themeSwitch() {
  const toggle = () => {
    const next = isDark() ? "light" : "dark";
    setTheme(next);
    remember("theme", next);
  };
  const button = el("button.switch", { ariaLabel: "Dark or light", title: "dark or light", onclick: toggle });
  window.addEventListener("repaint", () => button.replaceChildren(icon(isDark() ? ICONS.sun : ICONS.moon)));
  prefersDark.addEventListener("change", repaint);
  return button;
}

function mapSwitch() {
  if (!clips.cam.some(Boolean)) return null;
  const toggle = () => {
    maps.on = !maps.on;
    button.ariaPressed = String(maps.on);
    for (const root of document.querySelectorAll(".card")) showMap(root.card, maps.on);
  };
  const options = { title: "class maps (Grad-CAM)", ariaPressed: "false", onclick: toggle };
  const button = el("button.switch", options, icon(ICONS.eye), el("span", "Class maps"));
  return button;
}

// ---------------------------------------------------------------- start

put(document.querySelector(".switches"), mapSwitch(), themeSwitch());
setTheme(recall("theme"));
document.querySelector("h1").textContent = page.title;
document.querySelector("nav").append(...VIEWS.map((view) => view.tab));
document.querySelector("nav").hidden = VIEWS.length < 2;
document.getElementById("main").replaceChildren(...VIEWS.map((view) => view.root));
document.querySelector("footer").append(el("p", page.media), el("p.soft.tiny", `specimg ${page.version}, ${page.made}`));
// the header is sticky: what sticks below it needs its height
const header = document.querySelector("header");
new ResizeObserver(() => document.documentElement.style.setProperty("--head", `${header.offsetHeight}px`)).observe(header);
window.addEventListener("hashchange", showView);
window.addEventListener("beforeprint", () => {
  VIEWS.forEach(drawOnce);
  for (const host of document.querySelectorAll(".cards")) if (host.list) host.list.print();
});
showView();
