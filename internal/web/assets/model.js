import { bars, call, card, day, element, notice, number, table, whenSignedIn } from "./common.js";

const target = document.getElementById("model");

// figures are the columns of an accuracy, with what a good value is.
const figures = [
  ["R²", "r2", 3], ["RMSE", "rmse", 0], ["MAPE %", "mape", 2], ["MdAPE %", "mdape", 2], ["within 10 %", "ppe10", 1], ["within 20 %", "ppe20", 1],
  ["median ratio", "median_ratio", 3], ["COD", "cod", 2], ["PRD", "prd", 3], ["PRB", "prb", 3],
];

async function show() {
  try {
    const info = await (await call("/v1/model-info")).json();
    let models = [];
    try {
      ({ models } = await (await call("/v1/models")).json());
    } catch {
      // It takes another scope, and the rest of the page does not.
    }
    target.replaceChildren(...sections(info, models));
  } catch (error) {
    target.replaceChildren(notice("The model cannot be shown", error.message));
  }
}

function sections(info, models) {
  const parts = [
    card(info.model_version,
      element("dl", { class: "facts" }, ...[
        ["Kind", info.model_type], ["Trained on", number(info.sales) + " sales"], ["Newest sale", info.newest_sale], ["Features", number(info.feature_count)],
        ["Zipcodes", number(info.zipcodes)], ["Made", day(info.created)],
      ].map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)))),
      element("p", { class: "soft" }, "SHA-256 ", element("code", {}, info.sha256))),
    card("Accuracy on sales that the model had not seen",
      table(["Measured on", "Sales", ...figures.map(([name]) => name)],
        info.accuracy.map((a) => [`${a.part}, ${a.fields} fields, ${a.protocol}`, number(a.sales ?? a.n ?? 0), ...figures.map(([, key, digits]) => (a[key] === undefined ? "–" : number(a[key], digits)))]),
        "Accuracy"),
      element("p", { class: "soft" }, "The ratio study follows the IAAO Standard on Ratio Studies: a median ratio of 0.90 to 1.10, a COD of 5 to 15, a PRD of 0.98 to 1.03 and a PRB within ±0.05 are good.")),
  ];
  if (info.coverage?.length) {
    parts.push(card("How often sale prices lay within the interval",
      table(["Known of the houses", "Sales", "Level", "Covered", "Width, of the price"],
        info.coverage.map((c) => [c.fields, number(c.sales), number(100 * c.level) + " %", number(c.covered, 1) + " %", number(c.width, 1) + " %"]), "Coverage")));
  }
  if (info.importance?.length) {
    const rows = info.features.map((name, i) => [name, info.importance[i]]).sort((a, b) => b[1] - a[1]).slice(0, 20);
    parts.push(card("What the model looks at", bars(rows, (value) => number(100 * value, 1) + " %")));
  }
  if (models.length) {
    parts.push(card("Versions", table(["Version", "Runs here", "Part in the plan"], models.map((m) => [m.version, m.running ? "yes" : "no", m.role ?? "–"]), "Versions")));
  }
  return parts;
}

whenSignedIn(show);
