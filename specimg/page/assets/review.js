// Label review: the clips whose label is most likely wrong, a choice for each, and corrections.csv, which is read at the next training.

const CHOICES = [["keep", "Keep"], ["suggestion", "It is"], ["other", "Another label"], ["out", "Leave out"], ["unsure", "Unsure"]];
const WORDS_PER_LABEL = 400;   // labels that a list can still show

const cellOf = (labels) => (Array.isArray(labels) ? JSON.stringify(labels) : labels);   // as `specimg.corrections` reads it

function csvCell(text) {
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// The rows of corrections.csv: those who are decided. Kept labels stand there too, confirmed; "unsure" is no decision.
function correctionRows(rows, decisions) {
  const timed = rows.some((row) => isNumber(clips.end[row.clip]));
  const header = ["path", ...(timed ? ["start", "end"] : []), "label", "corrected", "note"], lines = [header];
  for (const row of rows) {
    const said = decisions[keyOf(row)];
    if (!said || said.choice === "unsure" || (said.choice === "other" && !said.labels)) continue;
    const corrected = { keep: row.label, suggestion: row.suggestion, other: said.labels, out: "" }[said.choice];
    const times = timed ? [clips.start[row.clip], clips.end[row.clip]].map((t) => (isNumber(t) ? String(t) : "")) : [];
    lines.push([clips.path[row.clip], ...times, cellOf(row.label), said.choice === "out" ? "" : cellOf(corrected), said.note || ""]);
  }
  return lines;
}

const keyOf = (row) => [clips.path[row.clip], clips.start[row.clip], clips.end[row.clip]].join("|");

function reviewView(root) {
  const review = page.review;
  if (review.why) { put(root, el("p", { className: "lead" }, `There is nothing to review: ${review.why}`)); return; }
  const rows = review.rows, store = `review:${page.id}`, decisions = recall(store) || {}, byClip = new Map(rows.map((row) => [row.clip, row]));
  const count = el("b"), kept = el("span", { className: "soft" }), exporter = el("button", { type: "button", className: "primary", onclick: () => save() }, "Save corrections.csv");
  const textOf = (labels) => (Array.isArray(labels) ? labels.join(", ") || "no label" : labels);

  const tell = (stored) => {
    const decided = rows.filter((row) => decisions[keyOf(row)]), lines = correctionRows(rows, decisions).length - 1;
    count.textContent = `${decided.length} of ${rows.length}`;
    kept.textContent = ` decided; ${counted(lines, "row")} for corrections.csv${stored ? "" : "; this browser keeps nothing: save before you leave"}`;
    exporter.disabled = !lines;
  };
  const decide = (row, said) => {
    if (said) decisions[keyOf(row)] = { ...decisions[keyOf(row)], ...said };
    else delete decisions[keyOf(row)];
    tell(remember(store, decisions));
  };
  const save = () => {
    const text = correctionRows(rows, decisions).map((cells) => cells.map(csvCell).join(",")).join("\n") + "\n";
    const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    const link = el("a", { href: address, download: "corrections.csv" });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  };

  const other = (row, said, pick) => {
    if (page.multi) return el("div", { className: "several", hidden: true }, vocab.slice(0, WORDS_PER_LABEL).map((label) => el("label", {}, el("input", { type: "checkbox", value: label, checked: ((said.labels || row.suggestion) || []).includes(label), onchange: (event) => pick([...event.target.closest(".several").querySelectorAll("input:checked")].map((box) => box.value)) }), label)));
    const select = el("select", { hidden: true, ariaLabel: "Another label", onchange: (event) => pick(event.target.value || null) }, el("option", { value: "" }, "which label?"), vocab.map((label) => el("option", { value: label }, label)));
    select.value = said.labels || "";
    return select;
  };

  const controls = (i, card) => {
    const row = byClip.get(i), said = decisions[keyOf(row)] || {}, agrees = textOf(row.label) === textOf(row.suggestion);
    const picker = other(row, said, (labels) => decide(row, { choice: "other", labels }));
    const radios = CHOICES.filter(([choice]) => !(choice === "suggestion" && agrees)).map(([choice, words], k) => {
      const radio = el("input", { type: "radio", name: `review-${i}`, value: choice, checked: said.choice === choice, onchange: () => set(choice) });
      const what = choice === "keep" ? textOf(row.label) : choice === "suggestion" ? textOf(row.suggestion) : "";
      return el("label", { className: "choice", title: what }, radio, el("kbd", {}, String(k + 1)), words, what ? el("b", {}, what) : null);
    });
    const set = (choice) => {
      picker.hidden = choice !== "other";
      decide(row, { choice, labels: choice === "other" ? (page.multi ? row.suggestion : picker.value || null) : null });
      card.root.classList.add("decided");
    };
    picker.hidden = said.choice !== "other";
    card.root.classList.toggle("decided", Boolean(said.choice));
    card.root.addEventListener("keydown", (event) => {
      if (event.target.matches("select, input[type=text]") || !/^[1-5]$/.test(event.key)) return;
      const radio = radios[Number(event.key) - 1] && radios[Number(event.key) - 1].querySelector("input");
      if (radio) { radio.checked = true; set(radio.value); if (radio.value === "other" && picker.focus) picker.focus(); event.preventDefault(); }
    });
    return el("fieldset", { className: "review" }, el("legend", { className: "hidden" }, `Label of ${baseName(clips.path[i])}`),
      el("p", { className: "tiny soft" }, row.issue ? el("span", { className: "flag" }, "likely wrong") : "doubtful", ` label quality ${fixed(row.quality, 3)}`), radios, picker);
  };

  const ids = rows.map((row) => row.clip);
  put(root, 
    el("p", { className: "lead" }, `Of ${counted(review.judged, "labelled clip")}, ${review.issues.toLocaleString("en")} carry a label that is likely wrong: the network, which never learnt from them, is sure of another one (confident learning). The most doubtful stand first.`),
    el("p", { className: "soft" }, "Tab goes to the players and space plays; the arrow keys go from clip to clip, and 1 to 5 choose. What you save is applied by ", el("code", {}, "corrections=\"corrections.csv\""), " at the next training."),
    review.notes.map((note) => el("p", { className: "soft tiny" }, note)),
    el("div", { className: "toolbar sticky" }, el("span", {}, count, kept), exporter),
    cardList(ids, controls));
  tell(remember(store, decisions));
}
