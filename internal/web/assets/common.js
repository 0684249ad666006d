// What all pages share: the token, calls of the API, and elements made from
// text. Nothing is ever put into a page as markup that came from outside.

document.documentElement.classList.add("js");

const keptAs = "housing-token";
let token = (document.body.hasAttribute("data-guarded") && sessionStorage.getItem(keptAs)) || "";

// authorized adds the token, if there is one, to the options of a call.
function authorized(options = {}) {
  const headers = new Headers(options.headers);
  if (token) headers.set("Authorization", "Bearer " + token);
  return { ...options, headers };
}

// Fault is an answer of the API that is an error, RFC 9457.
export class Fault extends Error {
  constructor(status, problem, retryAfter) {
    super(problem?.detail || "The service answered with " + status + ".");
    this.status = status;
    this.errors = problem?.errors ?? [];
    this.retryAfter = retryAfter;
  }
}

// call asks the API and returns the answer, or throws a Fault.
export async function call(path, options) {
  const answer = await fetch(path, authorized(options));
  if (answer.ok) return answer;
  const fault = read(answer, await answer.text());
  if (answer.status === 401 || answer.status === 403) {
    askForToken(token ? fault.message : "");
    if (!token) fault.message = "sign in above, as this needs a token"; // the API's words are for programs
  }
  throw fault;
}

// read returns the Fault that an answer with a text is.
function read(answer, text) {
  let problem = {};
  try {
    problem = JSON.parse(text);
  } catch {
    // It is no problem+json, as from a proxy.
  }
  return new Fault(answer.status, problem, Number(answer.headers.get("Retry-After")) || 1);
}

// page fetches a page that the service renders, or the parts of one. What is
// wrong with a form stands in such a page too; any other answer, as a proxy's
// page of an error, is thrown as a Fault.
export async function page(path, options) {
  const answer = await fetch(path, authorized(options));
  const text = await answer.text();
  const parts = new DOMParser().parseFromString(text, "text/html");
  if (!answer.headers.get("Content-Type")?.startsWith("text/html") || !parts.getElementById("answer")) throw read(answer, text);
  return { ok: answer.ok, parts };
}

// reason says why there is no answer.
export const reason = (error) => (error instanceof Fault ? error.message : "The service cannot be reached.");

let askedFor = false; // a token was, since the last one was given
function askForToken(detail) {
  const panel = document.getElementById("signin");
  if (!panel || askedFor) return;
  askedFor = true;
  panel.open = true;
  document.getElementById("signin-state").textContent = detail;
}

// whenSignedIn runs work now, and again whenever somebody signs in.
export function whenSignedIn(work) {
  addEventListener("signedin", work);
  work();
}

const signIn = document.getElementById("signin-form");
if (signIn) {
  const input = document.getElementById("token");
  const out = document.getElementById("signout");
  const state = document.getElementById("signin-state");
  const show = () => {
    out.hidden = !token;
    state.textContent = token ? "Signed in." : "";
    document.getElementById("signin").open = !token;
  };
  signIn.addEventListener("submit", (event) => {
    event.preventDefault();
    token = input.value.trim();
    askedFor = false;
    input.value = "";
    if (document.getElementById("keep").checked) sessionStorage.setItem(keptAs, token);
    show();
    document.getElementById("content").focus(); // as the panel has closed
    dispatchEvent(new Event("signedin"));
  });
  out.addEventListener("click", () => {
    token = "";
    sessionStorage.removeItem(keptAs);
    show();
  });
  show();
}

// element makes an element with attributes and children, which are elements
// or text.
export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

// picture makes an element of SVG.
export function picture(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value !== undefined) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const card = (title, ...children) => element("section", { class: "card" }, element("h2", {}, title), ...children);

export const notice = (title, text) => element("div", { class: "notice", role: "alert" }, element("strong", {}, title), element("p", {}, text));

// isNumber says whether a cell is read as a number, so that it stands right.
const isNumber = (cell) => /^[-–−+$]?[\d,.]*( ?%)?( !)?( \(.*\))?$/.test(typeof cell === "string" ? cell : cell.textContent);

// table makes a table of texts, the first column of which names the rows.
export function table(heads, rows, label) {
  const kind = (i) => (rows.length && rows.every((row) => isNumber(row[i] ?? "–")) ? {} : { class: "text" });
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    element("table", { class: "figures" },
      element("thead", {}, element("tr", {}, ...heads.map((head, i) => element("th", { scope: "col", ...kind(i) }, head)))),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell, i) =>
        element(i === 0 ? "th" : "td", i === 0 ? { scope: "row" } : kind(i), cell ?? "–")))))));
}

// bars makes a table of named shares with a bar each.
export function bars(rows, shown) {
  const most = Math.max(...rows.map(([, value]) => value), 1e-9);
  return element("table", { class: "bars" }, element("tbody", {}, ...rows.map(([name, value]) => element("tr", {},
    element("th", { scope: "row" }, name),
    element("td", {}, picture("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
      picture("rect", { x: 0, y: 1, height: 8, width: Math.max(0.3, (100 * value) / most) }))),
    element("td", {}, shown(value))))));
}

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
export const dollars = (value) => "$" + whole.format(value);
export const number = (value, digits = 0) =>
  new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
export const day = (time) => new Date(time).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
