import { bars, call, card, day, element, notice, number, table, whenSignedIn } from "./common.js";

const target = document.getElementById("model");
const shownFeatures = 20;

// figures are those of an accuracy, with digits, unit and what is better:
// 1 is more, -1 less, else nearest to that value.
const figures = {
  r2: { name: "R²", digits: 3, better: 1 },
  rmse: { name: "RMSE", digits: 0, better: -1, money: true },
  mae: { name: "MAE", digits: 0, better: -1, money: true },
  mape: { name: "MAPE", digits: 2, better: -1, unit: " %" },
  mdape: { name: "MdAPE", digits: 2, better: -1, unit: " %" },
  ppe10: { name: "Within 10 %", digits: 1, better: 1, unit: " %" },
  ppe20: { name: "Within 20 %", digits: 1, better: 1, unit: " %" },
  median_ratio: { name: "Median ratio", digits: 3, near: 1 },
  cod: { name: "COD", digits: 2, better: -1, unit: " %" },
  prd: { name: "PRD", digits: 3, near: 1 },
  prb: { name: "PRB", digits: 3, near: 0 },
};

// standard is what the IAAO Standard on Ratio Studies (2013) accepts.
const standard = { median_ratio: [0.9, 1.1], cod: [5, 15], prd: [0.98, 1.03], prb: [-0.05, 0.05] };

const written = (key, value) => (value === undefined ? "–" : (figures[key].money ? "$" : "") + number(value, figures[key].digits) + (figures[key].unit ?? ""));
const measuredOn = (a) => [a.part, a.fields && a.fields + " fields", a.protocol].filter(Boolean).join(", ");

async function show() {
  try {
    const info = await (await call("/v1/model-info")).json();
    let models = [];
    try {
      ({ models } = await (await call("/v1/models")).json());
    } catch {
      // It takes another scope, and the rest of the page does not.
    }
    target.replaceChildren(...sections(info), ...(models.length ? [versionsCard(models)] : []));
  } catch (error) {
    target.replaceChildren(notice("The model cannot be shown", error.message));
  }
}

const facts = (pairs) => element("dl", { class: "facts" }, ...pairs.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
const soft = (...said) => element("p", { class: "soft" }, ...said);

function sections(info) {
  const accuracy = info.accuracy ?? [];
  const columns = ["r2", "rmse", "mape", "mdape", "ppe10", "ppe20"];
  const parts = [
    card(info.model_version,
      facts([["Kind", info.model_type.replace(/([a-z])([A-Z])/g, "$1 $2")], ["Trained on", number(info.sales) + " sales"], ["Newest sale", info.newest_sale],
        ["Features", number(info.feature_count)], ["Zipcodes", number(info.zipcodes)], ["Made", day(info.created)]]),
      soft("SHA-256 ", element("code", {}, info.sha256)),
      soft(`Made by ${info.program} from ` + info.sources.map((s) => `${s.name} (${number(s.rows)} rows)`).join(" and ") + ".")),
    card("Accuracy on sales that the model had not seen",
      table(["Measured on", "Sales", ...columns.map((key) => figures[key].name)],
        accuracy.map((a) => [measuredOn(a), number(a.sales), ...columns.map((key) => written(key, a[key]))]), "Accuracy"),
      soft("Errors are in percent of what a house sold for: MAPE is their mean, MdAPE their median, so that half of the prices are closer.")),
  ];
  if (info.segments?.length) parts.push(segmentsCard(info.segments, accuracy[0]));
  if (accuracy.length) parts.push(studyCard(accuracy));
  if (info.coverage?.length) {
    const quarters = ["cheapest", "second", "third", "dearest"];
    parts.push(card("How often sale prices lay within the interval",
      table(["Known of the houses", "Sales", "Promised", "Kept", ...quarters.map((q) => q + " quarter"), "Mean width"],
        info.coverage.map((c) => [c.fields, number(c.sales), number(100 * c.level) + " %", number(c.covered, 1) + " %",
          ...quarters.map((_, i) => (c.by_price?.[i] === undefined ? "–" : number(c.by_price[i], 1) + " %")), number(c.width, 1) + " %"]), "Coverage"),
      soft("The width is in percent of the price.")));
  }
  if (info.importance?.length) {
    const rows = info.features.map((name, i) => [name, info.importance[i]]).sort((a, b) => b[1] - a[1]).slice(0, shownFeatures);
    parts.push(card("What the model looks at", bars(rows, (value) => number(100 * value, 1) + " %"),
      soft(`Share of what the splits of the trees gained, of the ${shownFeatures} features with the most.`)));
  }
  parts.push(card("What it is for", element("p", {}, `Estimates of the sale price of single houses in its ${number(info.zipcodes)} zipcodes, up to ${info.newest_sale} or soon after.`),
    element("p", {}, "Not for other regions, for days long after its newest sale, for commercial property or land, nor for a decision on credit without an appraiser. What a change would be worth is not what a reason says: reasons say how the model came to its price.")));
  return parts;
}

// segmentsCard shows tiers as bars, and zipcodes as a table.
function segmentsCard(segments, overall) {
  const of = (by) => segments.filter((s) => s.by === by);
  const rows = (list) => list.map((s) => [s.name, number(s.sales), ...["mdape", "ppe10", "median_ratio", "cod"].map((key) => written(key, s[key]))]);
  const heads = (first) => [first, "Sales", "MdAPE", "Within 10 %", "Median ratio", "COD"];
  const tiers = of("price");
  const zipcodes = of("zipcode").sort((a, b) => b.mdape - a.mdape);
  const parts = [];
  if (tiers.length) {
    parts.push(element("h3", {}, "By tier of the sale price"), bars(tiers.map((s) => [s.name, s.mdape]), (value) => number(value, 2) + " %"),
      table(heads("Sold for"), rows(tiers), "By tier of the sale price"),
      soft("A sale that went cheap by chance stands in a low tier and one that went dear in a high one, so even a perfect model leans above 1 in the first and below 1 in the last."));
  }
  if (zipcodes.length) {
    parts.push(element("h3", {}, "By zipcode, the least exact first"), table(heads("Zipcode"), rows(zipcodes), "By zipcode"));
  }
  return card("Where it is how close", soft(`Of all ${number(overall?.sales ?? 0)} sales the MdAPE is ${written("mdape", overall?.mdape)}. Segments of fewer than 20 sales are left out.`), ...parts);
}

// studyCard compares the ratio study with the standard.
function studyCard(accuracy) {
  const keys = Object.keys(standard);
  const cell = (a, key) => {
    const [low, high] = standard[key];
    const good = a[key] >= low && a[key] <= high;
    return element("span", { class: good ? "" : "fault" }, written(key, a[key]) + (good ? "" : " !"));
  };
  const digits = (key) => (key === "cod" ? 0 : 2);
  return card("Ratio study",
    table(["Measured on", ...keys.map((key) => figures[key].name)],
      [...accuracy.map((a) => [measuredOn(a), ...keys.map((key) => cell(a, key))]),
        ["Accepted", ...keys.map((key) => standard[key].map((v) => number(v, digits(key))).join(" to "))]], "Ratio study"),
    soft("After the IAAO Standard on Ratio Studies (2013). The median ratio is the level of the prices; COD how they scatter about it; PRD over 1 and PRB below 0 mean that dear houses are valued low. What is outside has a !"));
}

// versionsCard lists the versions and puts two of them side by side.
function versionsCard(models) {
  const list = table(["Version", "Runs here", "Part in the plan"], models.map((m) => [m.version, m.running ? "yes" : "no", m.role ?? "–"]), "Versions");
  if (models.length < 2) return card("Versions", list, soft("With two versions in the registry their figures stand here side by side."));
  const first = (models.find((m) => m.role === "primary") ?? models[0]).version;
  const second = (models.find((m) => m.role === "candidate") ?? models.findLast((m) => m.version !== first)).version;
  const choose = (id, label, chosen) => element("div", { class: "field" }, element("label", { for: id }, label),
    element("select", { id, onchange: compare }, ...models.map((m) => element("option", { value: m.version, selected: m.version === chosen }, m.version))));
  const out = element("div", { "aria-live": "polite" });
  const left = choose("version-left", "This version", first);
  const right = choose("version-right", "beside", second);
  let turn = 0;
  async function compare() {
    const mine = ++turn;
    const names = [left, right].map((field) => field.querySelector("select").value);
    try {
      const both = await Promise.all(names.map(async (name) => (await call("/v1/models/" + encodeURIComponent(name))).json()));
      if (mine === turn) out.replaceChildren(...sideBySide(both));
    } catch (error) {
      if (mine === turn) out.replaceChildren(notice("The versions cannot be compared", error.message));
    }
  }
  compare();
  return card("Versions side by side", list, element("div", { class: "buttons" }, left, right), out);
}

function sideBySide([a, b]) {
  const unread = [a, b].filter((m) => !m.measured).map((m) => m.version);
  if (unread.length) return [notice("The versions cannot be compared", `What ${unread.join(" and ")} says of itself cannot be read.`)];
  const heads = (first) => [first, a.version, b.version, "Change"];
  const row = (name, key, x, y) => [name, written(key, x[key]), written(key, y[key]), changed(key, x[key], y[key])];
  const parts = [facts([["Trained on", `${number(a.measured.sales)} and ${number(b.measured.sales)} sales`],
    ["Newest sale", `${a.measured.newest_sale} and ${b.measured.newest_sale}`], ["Made", `${day(a.measured.created)} and ${day(b.measured.created)}`]])];
  const same = a.measured.accuracy.map((x) => [x, b.measured.accuracy.find((y) => measuredOn(y) === measuredOn(x))]).filter(([, y]) => y);
  if (!same.length) return [...parts, soft("They were measured in different ways: compare them on the same houses by housing model compare.")];
  const [x, y] = same[0];
  parts.push(element("h3", {}, "Measured on " + measuredOn(x)), table(heads("Figure"), Object.keys(figures).map((key) => row(figures[key].name, key, x, y)), "Figures side by side"));
  if (same.length > 1) {
    parts.push(element("h3", {}, "MdAPE, however measured"), table(heads("Measured on"), same.map(([x, y]) => row(measuredOn(x), "mdape", x, y)), "MdAPE side by side"));
  }
  const both = (a.measured.segments ?? []).map((s) => [s, (b.measured.segments ?? []).find((t) => t.by === s.by && t.name === s.name)]).filter(([, t]) => t);
  if (both.length) {
    parts.push(element("h3", {}, "MdAPE by tier and zipcode"), table(heads("Segment"), both.map(([s, t]) => row(s.name, "mdape", s, t)), "Segments side by side"));
  }
  return [...parts, soft("Each was measured at its own training, on the sales it was made from. Where those differ, compare them on the same houses: housing model compare, or what the houses then sold for, under Operations.")];
}

// changed says what became of a figure, and whether that is good.
function changed(key, before, after) {
  const f = figures[key];
  const change = after - before;
  const size = number(Math.abs(change), f.digits);
  if (!/[1-9]/.test(size)) return "the same";
  const gain = f.better ? change * f.better : Math.abs(before - f.near) - Math.abs(after - f.near);
  return (change > 0 ? "+" : "−") + size + (gain > 0 ? ", better" : ", worse");
}

whenSignedIn(show);
