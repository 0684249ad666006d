import { dollars, element, notice, page, reason } from "./common.js";

const form = document.getElementById("house");
const answer = document.getElementById("answer");
const faults = document.getElementById("faults");
const remembered = "housing-house";

// A day is chosen from a calendar, which would take a while to paint at first;
// one that is no day stays, to be mended.
for (const input of form.querySelectorAll("[data-type]")) {
  if (/^(\d{4}-\d\d-\d\d)?$/.test(input.value)) input.type = input.dataset.type;
}

// values returns what is filled in, by name.
const values = () => Object.fromEntries([...new FormData(form)].filter(([name, value]) => value !== "" && name !== "token"));

// fillIn puts values into the form; what is not among them is emptied.
function fillIn(given) {
  for (const input of form.elements) {
    if (!input.name || input.name === "token") continue;
    input.value = given[input.name] ?? "";
  }
}

// ask sends a form to be valued, and returns the parts of the page.
const ask = (given) => page("/?part=answer", {
  method: "POST",
  headers: { "Content-Type": "application/x-www-form-urlencoded" },
  body: new URLSearchParams(given),
});

// replace puts the children of a part of the answer in place of those of an
// element of the page.
const replace = (target, parts) => target.replaceChildren(...(parts.getElementById(target.id)?.childNodes ?? []));

// mark puts what is wrong beside the fields that parts name, and takes away
// what stood beside the others.
function mark(parts) {
  for (const field of form.querySelectorAll(".field")) {
    const input = field.querySelector("input, select");
    const help = field.querySelector(".help");
    const named = parts.querySelector(`a[href="#${CSS.escape(input.id)}"]`);
    field.classList.toggle("wrong", named !== null);
    help?.querySelector(".fault")?.remove();
    if (named) {
      input.setAttribute("aria-invalid", "true");
      help.prepend(element("span", { class: "fault" }, named.nextSibling.data.trim() + "."), " ");
    } else input.removeAttribute("aria-invalid");
  }
}

// failed says in place of an answer why there is none.
function failed(error) {
  faults.replaceChildren();
  mark(faults);
  answer.replaceChildren(notice("There is no price", reason(error)));
}

async function value(focus) {
  const button = form.querySelector("button[type=submit]");
  button.disabled = true;
  try {
    const given = values();
    const { ok, parts } = await ask(given);
    mark(parts);
    replace(answer, parts);
    replace(faults, parts);
    if (ok) localStorage.setItem(remembered, JSON.stringify(given));
    afterAnswer();
  } catch (error) {
    failed(error);
  } finally {
    button.disabled = false;
  }
  if (!focus) return;
  const list = document.getElementById("faults-list");
  if (list) list.focus();
  else if (answer.getBoundingClientRect().top > innerHeight / 2) answer.scrollIntoView();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  value(true);
});
// What was refused for want of a token is asked again with it.
addEventListener("signedin", () => {
  if (answer.querySelector(".notice")) value(false);
});
form.addEventListener("reset", (event) => {
  event.preventDefault();
  localStorage.removeItem(remembered);
  fillIn({});
  faults.replaceChildren();
  mark(faults);
  form.elements[0].focus();
});
for (const link of form.querySelectorAll("[data-example]")) {
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    try {
      const { parts } = await page(link.getAttribute("href"));
      const { elements } = parts.getElementById("house");
      fillIn(Object.fromEntries([...elements].filter((input) => input.name).map((input) => [input.name, input.value])));
    } catch (error) {
      failed(error);
      return;
    }
    value(false);
  });
}

// What if: the house that was valued, with some fields moved.
let valued = {};
let moving;
function afterAnswer() {
  valued = values();
  for (const slider of answer.querySelectorAll("input[type=range]")) slider.addEventListener("input", () => moved(slider));
  for (const button of answer.querySelectorAll(".copy")) {
    button.hidden = !navigator.clipboard; // as over HTTP from another machine
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.nextElementSibling.textContent);
      button.textContent = "Copied";
    });
  }
}

function moved(slider) {
  answer.querySelector(`output[for="${slider.id}"]`).textContent = slider.value;
  slider.dataset.moved = "yes";
  clearTimeout(moving);
  moving = setTimeout(reprice, 120);
}

let latest = 0;
async function reprice() {
  const changed = { ...valued };
  for (const slider of answer.querySelectorAll("input[type=range][data-moved]")) changed[slider.dataset.field] = slider.value;
  if (changed.sqft_living !== valued.sqft_living) {
    // The new space is above ground, as a basement stays what it is.
    changed.sqft_above = String(Math.max(0, Number(changed.sqft_living) - Number(valued.sqft_basement || 0)));
  }
  const turn = ++latest;
  const out = document.getElementById("what-if-answer");
  try {
    const { parts } = await ask(changed);
    if (turn !== latest) return; // a later move has been asked for
    const price = Number(parts.querySelector("[data-price]")?.dataset.price);
    if (!price) {
      out.textContent = parts.querySelector(".notice")?.textContent ?? "There is no price for that.";
      return;
    }
    const before = Number(answer.querySelector("[data-price]").dataset.price);
    const change = Math.round(price - before);
    out.replaceChildren(document.createElement("b"), ` – ${change < 0 ? dollars(-change) + " less" : dollars(change) + " more"} than as it is.`);
    out.firstChild.textContent = dollars(price);
  } catch (error) {
    out.textContent = reason(error);
  }
}

// Paste a row.
const dialog = document.getElementById("paste-dialog");
const text = document.getElementById("paste-text");
document.getElementById("paste-open").addEventListener("click", () => dialog.showModal());
document.getElementById("paste-close").addEventListener("click", () => dialog.close());
document.getElementById("paste-fill").addEventListener("click", async () => {
  const fault = document.getElementById("paste-fault");
  try {
    const row = await readRow(text.value.trim());
    const names = new Set([...form.elements].map((input) => input.name));
    if (!Object.keys(row).some((name) => names.has(name))) throw new Error("No name in it is a field of a house.");
    if (row.valuation_date) row.valuation_date = row.valuation_date.replace(/^(\d{4})-?(\d\d)-?(\d\d).*$/, "$1-$2-$3");
    for (const { name, options } of form.querySelectorAll("select")) {
      const given = row[name]?.trim();
      if (!given) continue;
      const whole = String(Number(given)); // 8.0 is 8: pandas writes whole numbers so
      if (![...options].some((option) => option.value === whole)) throw new Error(`${name} must be one of its list, is "${given}".`);
      row[name] = whole;
    }
    fillIn(row);
    fault.textContent = "";
    dialog.close();
    value(true);
  } catch (error) {
    fault.textContent = error.message;
  }
});

// readRow reads a house from JSON, a record or a whole request, or from CSV
// with a line of names.
async function readRow(pasted) {
  if (pasted.startsWith("{")) {
    let parsed;
    try {
      parsed = JSON.parse(pasted);
    } catch (error) {
      throw new Error("This is not JSON: " + error.message);
    }
    const record = parsed.records?.[0] ?? parsed;
    return Object.fromEntries(Object.entries(record).filter(([, v]) => v !== null).map(([name, v]) => [name, String(v)]));
  }
  const lines = pasted.split(/\r?\n/);
  if (lines.length < 2) throw new Error("CSV needs two lines: the names, then the house.");
  const { cells } = await import("./csv.js"); // not before it is needed
  const separator = /[,;\t]/.exec(lines[0])?.[0] ?? ",";
  const [names, row] = lines.map((line) => cells(line, separator).map((cell) => cell.trim()));
  return Object.fromEntries(names.map((name, i) => [name, row[i] ?? ""]));
}

// The last house comes back into an empty form.
if (Object.keys(values()).length === 0) {
  try {
    fillIn(JSON.parse(localStorage.getItem(remembered) ?? "{}"));
  } catch {
    localStorage.removeItem(remembered);
  }
}
// An example of the address is valued, as one that is chosen is.
if (new URLSearchParams(location.search).has("example") && !answer.querySelector("[data-price]")) value(false);
afterAnswer();
