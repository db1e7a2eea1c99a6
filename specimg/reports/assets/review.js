// Label review: the clips whose label is most likely wrong, a choice for each, and corrections.csv for the next training.

const CHOICES = { keep: "Keep", suggestion: "It is", other: "Another label", out: "Leave out", unsure: "Unsure" };

const cellOf = (labels) => (Array.isArray(labels) ? JSON.stringify(labels) : labels); // as `specimg.corrections` reads it

function csvCell(text) {
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const keyOf = (row) => [clips.path[row.clip], clips.start[row.clip], clips.end[row.clip]].join("|");

// The rows of corrections.csv: the decided ones, also confirmed labels; "unsure" is not a decision.
function correctionRows(rows, decisions) {
  const timed = rows.some((row) => isNumber(clips.end[row.clip]));
  const lines = [["path", ...(timed ? ["start", "end"] : []), "label", "corrected", "note"]];
  for (const row of rows) {
    const made = decisions[keyOf(row)];
    if (!made || made.choice === "unsure" || (made.choice === "other" && !made.labels)) continue;
    const corrected = { keep: row.label, suggestion: row.suggestion, other: made.labels, out: "" }[made.choice];
    const times = timed ? [clips.start[row.clip], clips.end[row.clip]].map((t) => (isNumber(t) ? String(t) : "")) : [];
    lines.push([clips.path[row.clip], ...times, cellOf(row.label), cellOf(corrected), ""]);
  }
  return lines;
}

// The choice among all labels, filled when first opened: {root, read()}, where read() is null before one is chosen.
function labelPicker(chosen, onPick) {
  const root = el("div", { hidden: true });
  let read = () => chosen;
  const fill = () => {
    if (page.multi) {
      const boxes = vocab.map((label) =>
        el("input", { type: "checkbox", value: label, checked: (chosen || []).includes(label), onchange: onPick }),
      );
      root.className = "several";
      root.append(...boxes.map((box) => el("label", box, box.value)));
      read = () => boxes.filter((box) => box.checked).map((box) => box.value);
      return;
    }
    const options = [["which label?", ""], ...vocab.map((label) => [shortened(label), label])],
      select = el("select", { ariaLabel: "Another label", onchange: onPick }, options.map(option));
    select.value = chosen || "";
    root.append(select);
    read = () => select.value || null;
  };
  const show = (isOpen) => {
    if (isOpen && !root.hasChildNodes()) fill();
    root.hidden = !isOpen;
  };
  return { root, show, read: () => read(), focus: () => root.querySelector("select, input").focus() };
}

function reviewView(root) {
  const review = page.review;
  if (review.why) {
    put(root, lead(`There is nothing to review: ${review.why}`));
    return;
  }
  const rows = review.rows,
    store = `review:${page.id}`,
    decisions = recall(store) || {},
    byClip = new Map(rows.map((row) => [row.clip, row]));
  const count = el("b"),
    kept = el("span.soft"),
    exporter = el("button.primary", { onclick: () => save() }, "Save corrections.csv");
  const textOf = (labels) => (Array.isArray(labels) ? labels.join(", ") || "no label" : labels);

  const showCount = (stored) => {
    const decided = rows.filter((row) => decisions[keyOf(row)]),
      lines = correctionRows(rows, decisions).length - 1;
    count.textContent = `${decided.length} of ${rows.length}`;
    const warning = stored ? "" : "; this browser stores nothing: save before you leave";
    kept.textContent = ` decided; ${counted(lines, "row")} for corrections.csv${warning}`;
    exporter.disabled = !lines;
  };
  const decide = (row, made) => {
    decisions[keyOf(row)] = made;
    showCount(remember(store, decisions));
  };
  const save = () => {
    const lines = correctionRows(rows, decisions).map((cells) => `${cells.map(csvCell).join(",")}\n`);
    const address = URL.createObjectURL(new Blob(lines, { type: "text/csv" }));
    el("a", { href: address, download: "corrections.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  };

  const controls = (i, card) => {
    const row = byClip.get(i),
      made = decisions[keyOf(row)] || {},
      texts = { keep: textOf(row.label), suggestion: textOf(row.suggestion) };
    const chosen = made.labels || (page.multi ? row.suggestion : null);
    const labels = labelPicker(chosen, () => decide(row, { choice: "other", labels: labels.read() }));
    const set = (choice) => {
      labels.show(choice === "other");
      decide(row, { choice, labels: choice === "other" ? labels.read() : null });
      card.root.classList.add("decided");
    };
    const offered = Object.keys(CHOICES).filter((choice) => choice !== "suggestion" || texts.keep !== texts.suggestion);
    const radios = offered.map((value) =>
      el("input", { type: "radio", name: `review-${i}`, value, checked: made.choice === value, onchange: () => set(value) }),
    );
    const choices = radios.map((radio, k) => {
      const what = texts[radio.value],
        words = el("span", CHOICES[radio.value]);
      return el("label.choice", { title: what }, radio, el("kbd", String(k + 1)), words, what && el("b", shortened(what)));
    });
    labels.show(made.choice === "other");
    card.root.classList.toggle("decided", Boolean(made.choice));
    card.root.addEventListener("keydown", (event) => {
      const radio = radios[Number(event.key) - 1];
      if (!radio || event.target.matches("select") || event.ctrlKey || event.metaKey || event.altKey) return;
      radio.click();
      if (radio.value === "other") labels.focus();
      event.preventDefault();
    });
    const legend = el("legend.hidden", `Label of ${baseName(clips.path[i])}`),
      flag = row.issue ? el("span.flag", "likely wrong") : "doubtful",
      quality = el("p.tiny.soft", flag, ` · label quality ${fixed(row.quality, 3)}`);
    return el("fieldset.review", legend, quality, choices, labels.root);
  };

  put(
    root,
    lead(
      `${review.issues.toLocaleString("en")} of ${counted(review.labelled, "labelled clip")} carry a label that is likely wrong: `,
      "the network, which was not trained on them, is confident of another one (confident learning). ",
      "The most doubtful come first.",
    ),
    soft(
      "Tab goes to the players and space plays; the arrow keys go from clip to clip, and 1 to 5 choose. The saved file is applied by ",
      el("code", 'corrections="corrections.csv"'),
      " at the next training.",
    ),
    review.notes.map((note) => el("p.soft.tiny", note)),
    el("div.toolbar.sticky", el("span", count, kept), exporter),
    cardList([...byClip.keys()], controls),
  );
  showCount(remember(store, decisions));
}
