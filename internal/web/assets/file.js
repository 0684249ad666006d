import { call, dollars, element, Fault, notice, number, picture, table } from "./common.js";
import { cells, lines } from "./csv.js";
import { Parquet } from "./parquet.js";

const fields = ["bedrooms", "bathrooms", "sqft_living", "sqft_lot", "floors", "sqft_above", "sqft_basement", "zipcode", "waterfront", "view",
  "condition", "grade", "yr_built", "yr_renovated", "lat", "long", "sqft_living15", "sqft_lot15", "valuation_date"];
const texts = ["zipcode", "valuation_date", "date"]; // columns whose values are not numbers
const partings = { ";": "semicolons", "\t": "tabs", "|": "bars" }; // of columns, where they should be commas
const shownFaults = 500; // lines that are listed
const shownUnused = 20; // columns

const form = document.getElementById("file-form");
const input = document.getElementById("file");
const drop = document.getElementById("drop");
const start = document.getElementById("file-start");
const cancel = document.getElementById("file-cancel");
const progress = document.getElementById("file-progress");
const bar = document.getElementById("file-bar");
const state = document.getElementById("file-state");
const result = document.getElementById("file-result");
const most = Number(form.dataset.maxRecords);

let file;

// busy says whether a run is under way: no other file is taken then.
function busy(is) {
  input.disabled = is;
  start.disabled = is;
  cancel.hidden = !is;
}

function choose(chosen) {
  file = chosen;
  start.disabled = !file;
  result.replaceChildren();
  progress.hidden = true;
}
input.addEventListener("change", () => choose(input.files[0]));
busy(false); // whatever the browser has kept over a reload
choose(input.files[0]); // which it may have kept too
for (const name of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover" && !input.disabled);
    if (name !== "drop" || input.disabled || !event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    choose(input.files[0]);
  });
}
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const stop = new AbortController();
  cancel.onclick = () => stop.abort();
  busy(true);
  progress.hidden = false;
  result.replaceChildren();
  try {
    show(await run(file, stop.signal));
  } catch (error) {
    if (stop.signal.aborted) {
      state.textContent = "Cancelled. Nothing was kept.";
      bar.value = 0;
    } else {
      progress.hidden = true;
      result.replaceChildren(notice("The file is not valued", error.message));
    }
  } finally {
    busy(false);
  }
});

// run values a file. Of each line only its price is kept, or what is wrong
// with it.
async function run(source, signal) {
  const reading = lines(source, signal);
  const first = await reading.next();
  if (first.done) throw new Error("The file is empty.");
  const names = cells(first.value.text).map((name) => name.trim());
  const columns = names.map((name) => (fields.includes(name) || name === "date" ? name : null));
  const twice = names.find((name, i) => name && names.indexOf(name) < i);
  if (twice) throw new Error(`Column ${twice} stands twice in the first line.`);
  const missing = fields.slice(0, 8).filter((name) => !names.includes(name));
  if (missing.length) {
    const parting = names.length === 1 && partings[/[;\t|]/.exec(names[0])?.[0]];
    throw new Error("The first line must name the columns. Missing: " + missing.join(", ") + "."
      + (parting ? ` Columns must be parted by commas, not by ${parting}.` : ""));
  }

  const unused = names.map((name, i) => name || "column " + (i + 1)).filter((_, i) => !columns[i]);
  const outcome = { prices: [], faults: [], lines: 0, unused, name: source.name, header: first.value, source };
  let rows = [];
  const flush = async () => {
    if (rows.length) await value(rows, outcome, signal);
    rows = [];
    bar.value = first.value.read() / source.size;
    state.textContent = `${number(outcome.lines)} houses, ${number(outcome.faults.length)} lines with faults …`;
  };
  for await (const line of reading) {
    const values = cells(line.text);
    if (values.length !== names.length) {
      outcome.lines++;
      outcome.faults.push({ line: line.number, why: `has ${values.length} cells where the first line has ${names.length}` });
      continue;
    }
    const record = {};
    columns.forEach((name, i) => {
      const text = values[i].trim();
      if (name && text) record[name] = texts.includes(name) || Number.isNaN(Number(text)) ? text : Number(text);
    });
    const { date, ...house } = record; // the day, as of sales, where valuation_date has none
    if (date) house.valuation_date ??= date;
    rows.push({ line: line.number, record: house });
    if (rows.length === most) await flush();
  }
  await flush();
  if (!outcome.lines) throw new Error("There is no house below the line of names, or a quote is not closed.");
  bar.value = 1;
  return outcome;
}

// value has some rows valued. Lines that the service finds fault with are
// noted and left out, and the rest is sent again.
async function value(rows, outcome, signal) {
  outcome.lines += rows.length;
  for (let left = rows; left.length; ) {
    try {
      const answer = await call("/v1/predict", {
        method: "POST", signal, headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ records: left.map((row) => row.record) }),
      });
      const { predictions } = await answer.json();
      left.forEach((row, i) => { outcome.prices[row.line] = predictions[i]; });
      return;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      if (error.status === 429 || error.status === 503) {
        await pause(error.retryAfter, signal);
        continue;
      }
      const bad = new Map();
      for (const fault of error.errors) {
        const [, index, field] = /^body\.records\[(\d+)\]\.?(.*)$/.exec(fault.location) ?? [];
        if (index === undefined) throw error;
        const said = [field, fault.message].filter(Boolean).join(" ") + (fault.value === undefined ? "" : ", is " + JSON.stringify(fault.value));
        bad.set(Number(index), [...(bad.get(Number(index)) ?? []), said]);
      }
      if (!bad.size) throw error;
      for (const [index, said] of bad) outcome.faults.push({ line: left[index].line, why: said.join("; ") });
      left = left.filter((_, i) => !bad.has(i));
    }
  }
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * Math.min(seconds, 60));
    signal.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}

// show shows what came of a file.
function show(outcome) {
  const prices = outcome.prices.filter((price) => price !== undefined);
  outcome.faults.sort((a, b) => a.line - b.line);
  state.textContent = `Done: ${number(prices.length)} of ${number(outcome.lines)} houses are valued, ${number(outcome.faults.length)} lines have faults.`;
  const parts = [];
  if (outcome.unused.length) {
    parts.push(element("p", { class: "soft", id: "file-unused" }, "Not used, but kept in the file: " + outcome.unused.slice(0, shownUnused).join(", ")
      + (outcome.unused.length > shownUnused ? " and others." : ".")));
  }
  if (prices.length) {
    const sorted = Float64Array.from(prices).sort();
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
    parts.push(element("section", { class: "card" }, element("h2", {}, "Prices"),
      element("dl", { class: "facts" }, ...[["Median", at(0.5)], ["Lowest", sorted[0]], ["Highest", at(1)], ["Sum", sorted.reduce((a, b) => a + b, 0)]].map(([name, price]) =>
        element("div", {}, element("dt", {}, name), element("dd", {}, dollars(price))))),
      histogram(sorted),
      element("p", { class: "actions" },
        save(outcome, "CSV", csv), save(outcome, "Parquet", parquet))));
  }
  if (outcome.faults.length) {
    parts.push(element("section", { class: "card", id: "file-faults" }, element("h2", {}, "Lines with faults"),
      element("p", { class: "soft" }, outcome.faults.length > shownFaults ? `The first ${shownFaults} of ${number(outcome.faults.length)}.` : "These are not valued; all others are."),
      table(["Line", "What is wrong"], outcome.faults.slice(0, shownFaults).map(({ line, why }) => [String(line), why]), "Lines with faults")));
  }
  result.replaceChildren(...parts);
}

// histogram draws how prices are distributed, on a scale of logarithms.
function histogram(sorted) {
  const bins = 24;
  const low = Math.log(sorted[0]);
  const width = Math.max(Math.log(sorted.at(-1)) - low, 1e-6) / bins;
  const counts = new Array(bins).fill(0);
  for (const price of sorted) counts[Math.min(bins - 1, Math.floor((Math.log(price) - low) / width))]++;
  const top = Math.max(...counts);
  const label = (i) => dollars(Math.exp(low + width * i));
  return element("figure", { class: "histogram" },
    picture("svg", { viewBox: "0 0 480 150", role: "img", "aria-label": `Distribution of ${sorted.length} prices` },
      ...counts.map((count, i) => picture("rect", { x: i * 20 + 1, width: 18, y: 125 - (120 * count) / top, height: (120 * count) / top })),
      picture("text", { x: 0, y: 145 }, label(0)),
      picture("text", { x: 240, y: 145, "text-anchor": "middle" }, label(bins / 2)),
      picture("text", { x: 480, y: 145, "text-anchor": "end" }, label(bins))));
}

// save is a button that makes the file again with its prices.
function save(outcome, name, make) {
  return element("button", { type: "button", class: name === "CSV" ? false : "plain", onclick: async ({ target }) => {
    target.disabled = true;
    try {
      const address = URL.createObjectURL(await make(outcome));
      element("a", { href: address, download: outcome.name.replace(/(\.csv)?$/i, "-prices." + name.toLowerCase()) }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000);
    } catch (error) {
      result.prepend(notice("The file cannot be saved", error.message));
    } finally {
      target.disabled = false;
    }
  } }, "Download " + name);
}

const priceColumn = "predicted_price";

// csv makes the file again with a column of prices, a piece at a time.
async function csv(outcome) {
  let pieces = [];
  let piece = "";
  for await (const line of lines(outcome.source, new AbortController().signal)) {
    piece += line.text + "," + (line.number === outcome.header.number ? priceColumn : (outcome.prices[line.number] ?? "")) + "\n";
    if (piece.length > 1 << 20) {
      pieces = [new Blob([...pieces, piece])];
      piece = "";
    }
  }
  return new Blob([...pieces, piece], { type: "text/csv" });
}

// groupRows is how many rows of a Parquet file are in memory at once.
const groupRows = 10_000;

// parquet makes the file again as Parquet. What a house has as numbers are
// numbers, unknown where a cell holds none; zipcode, day and columns that are
// not of a house stay text.
async function parquet(outcome) {
  const taken = new Set([priceColumn]);
  const columns = cells(outcome.header.text).map((cell, i) => {
    let name = cell.trim() || "column_" + (i + 1);
    const kind = fields.includes(name) && !taken.has(name) && !texts.includes(name) ? "number" : "text";
    while (taken.has(name)) name += "_";
    taken.add(name);
    return { name, kind };
  });
  const file = new Parquet([...columns, { name: priceColumn, kind: "number" }]);
  const empty = () => [...columns.map(() => []), []];
  let rows = empty();
  for await (const line of lines(outcome.source, new AbortController().signal)) {
    if (line.number === outcome.header.number) continue;
    const row = cells(line.text);
    columns.forEach(({ kind }, i) => {
      const text = row[i]?.trim() ?? "";
      const unknown = text === "" || (kind === "number" && Number.isNaN(Number(text)));
      rows[i].push(unknown ? null : kind === "number" ? Number(text) : text);
    });
    if (rows.at(-1).push(outcome.prices[line.number] ?? null) === groupRows) {
      await file.add(rows);
      rows = empty();
    }
  }
  if (rows[0].length) await file.add(rows);
  return file.end();
}
