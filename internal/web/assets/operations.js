import { call, card, day, element, notice, number, picture, reason, table, whenSignedIn } from "./common.js";

const target = document.getElementById("operations");
const refreshEvery = 3000;
let tag = "";
let timer;

// replicas are those that have answered of late, by name: behind one address
// each answer may come from another.
const replicas = new Map();
const forgottenAfter = 60_000;

async function show() {
  clearTimeout(timer);
  try {
    // A service that is unhealthy answers 503, with the same members.
    const health = await (await fetch("/health")).json();
    let refused; // whoever is not let in by one is let in by none
    const ask = async (path) => {
      try {
        if (refused) throw refused;
        const answer = await call(path);
        return { tag: answer.headers.get("ETag") ?? "", said: await answer.json() };
      } catch (error) {
        if (error.status === 401) refused = error;
        return { fault: reason(error) };
      }
    };
    const rollout = await ask("/v1/rollout");
    if (rollout.said) {
      tag = rollout.tag;
      const { replica } = rollout.said;
      replicas.set(replica.name, { ...replica, seen: Date.now() });
      for (const [name, { seen }] of replicas) if (Date.now() - seen > forgottenAfter) replicas.delete(name);
    }
    const models = await ask("/v1/models");
    const failed = await ask("/v1/errors");
    const info = await ask("/v1/model-info?drift=true");
    // Who is filling in a form is not disturbed.
    if (!dialog.open && !document.activeElement.matches("#operations input, #operations select")) {
      replace(sections(health, rollout, models, failed, info));
    }
  } catch {
    target.replaceChildren(notice("The service cannot be reached", "It is asked again in a moment."));
  }
  timer = setTimeout(show, refreshEvery);
}

// replace shows other parts, and leaves the focus and the tables that were
// scrolled where they are.
function replace(parts) {
  const named = (e) => e.getAttribute("aria-label") ?? e.textContent;
  const able = () => [...target.querySelectorAll("button, .scroll")];
  const focused = target.contains(document.activeElement) ? named(document.activeElement) : undefined;
  const scrolled = new Map(able().map((e) => [named(e), [e.scrollLeft, e.scrollTop]]));
  target.replaceChildren(...parts);
  for (const e of able()) {
    if (scrolled.has(named(e))) [e.scrollLeft, e.scrollTop] = scrolled.get(named(e));
    if (named(e) === focused) e.focus({ preventScroll: true });
  }
  if (focused !== undefined && !target.contains(document.activeElement)) target.focus({ preventScroll: true });
}

const untold = (what, fault) => element("p", { class: "warning" }, `${what} cannot be shown: ${fault}`);

// sections are the cards, each of which says by itself what it was not told.
function sections(health, { said: rollout, fault }, models, failed, info) {
  const parts = [];
  if (rollout) parts.push(planCard(rollout, models), replicasCard());
  else parts.push(card("Traffic plan", untold("This", fault)));
  parts.push(healthCard(health), errorsCard(failed), driftCard(info));
  if (rollout?.accuracy?.arms.length) parts.push(armsCard(rollout.accuracy));
  if (rollout) parts.push(historyCard(rollout.history));
  return parts;
}

function planCard({ plan, replica }, models) {
  const rows = [element("p", {}, element("b", {}, plan.primary), plan.candidate ? " is the primary." : " answers every caller.")];
  if (plan.candidate) {
    const percent = plan.percent ?? 0;
    rows.push(element("p", {}, element("b", {}, plan.candidate), ` is its candidate: ${plan.mode}, ${number(percent, percent % 1 ? 2 : 0)} % of ${plan.mode === "shadow" ? "the requests, aside" : "the callers"}.`),
      element("div", { class: "share", role: "img", "aria-label": `${percent} percent for ${plan.candidate}` },
        picture("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none" },
          picture("rect", { class: "primary", width: 100, height: 10 }), picture("rect", { class: "candidate", width: percent, height: 10 }))));
  }
  if (models.fault) rows.push(untold("The versions", models.fault));
  const names = (models.said?.models ?? []).map((m) => m.version).filter((version) => version !== plan.primary);
  const buttons = [];
  if (plan.candidate) {
    buttons.push(
      element("button", { type: "button", onclick: () => confirm(`Promote ${plan.candidate}?`, `${plan.candidate} answers every caller of every replica within ten seconds. ${plan.primary} stays ready, to go back to.`, { primary: plan.candidate }) }, "Promote"),
      element("button", { type: "button", class: "danger", onclick: () => confirm(`Roll back ${plan.candidate}?`, `${plan.primary} answers every caller again within ten seconds; ${plan.candidate} gets none.`, { primary: plan.primary }) }, "Roll back"));
  } else if (plan.previous) {
    buttons.push(element("button", { type: "button", class: "danger", onclick: () => confirm(`Back to ${plan.previous}?`, `${plan.previous} answers every caller again within ten seconds, in place of ${plan.primary}.`, { primary: plan.previous }) }, "Back to " + plan.previous));
  }
  if (names.length && !replica.pinned) buttons.push(startForm(plan, names));
  if (buttons.length) rows.push(element("div", { class: "buttons" }, ...buttons));
  if (replica.pinned) rows.push(element("p", { class: "warning" }, "This replica is pinned by its settings, whatever the plan says."));
  return card("Traffic plan", ...rows);
}

// startForm starts a candidate, or changes its share.
function startForm(plan, names) {
  const select = (name, label, options, chosen) => element("div", { class: "field" }, element("label", { for: name }, label),
    element("select", { id: name }, ...options.map((option) => element("option", { value: option, selected: option === chosen }, option))));
  const percent = element("input", { id: "plan-percent", type: "number", min: "0", max: "100", step: "0.01", value: String(plan.percent ?? 5) });
  const form = element("form", { class: "buttons" },
    select("plan-candidate", "Candidate", names, plan.candidate), select("plan-mode", "Mode", ["canary", "ab", "shadow", "blue-green"], plan.mode),
    element("div", { class: "field" }, element("label", { for: "plan-percent" }, "Percent"), percent),
    element("button", { type: "submit", class: "plain" }, plan.candidate ? "Change" : "Start"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const next = { primary: plan.primary, candidate: form.querySelector("#plan-candidate").value, mode: form.querySelector("#plan-mode").value, percent: Number(percent.value) };
    const what = next.mode === "shadow" ? `values ${next.percent} % of the requests aside; no caller sees its prices.` : `answers ${next.percent} % of the callers within ten seconds, always the same ones.`;
    confirm(`${next.candidate} beside ${plan.primary}?`, `${next.candidate} ${what}`, next);
  });
  return form;
}

const dialog = document.getElementById("confirm");
const confirmFault = document.getElementById("confirm-fault");
let wanted; // the plan that is asked about, and the tag of the one that it is to replace
function confirm(title, text, plan) {
  wanted = { plan, tag };
  document.getElementById("confirm-title").textContent = title;
  document.getElementById("confirm-text").textContent = text;
  document.getElementById("confirm-why").value = "";
  confirmFault.textContent = "";
  dialog.showModal();
}
document.getElementById("confirm-no").addEventListener("click", () => dialog.close());
document.getElementById("confirm-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await call("/v1/rollout", {
      method: "PUT", headers: { "Content-Type": "application/json", ...(wanted.tag && { "If-Match": wanted.tag }) },
      body: JSON.stringify({ plan: wanted.plan, why: document.getElementById("confirm-why").value }),
    });
    dialog.close();
    target.focus({ preventScroll: true }); // not back into the form, which would not be disturbed
    show();
  } catch (error) {
    confirmFault.textContent = [error.message, ...(error.errors ?? []).map((fault) => fault.message)].join(" ");
  }
});

const state = (status) => element("span", { class: "state " + (status === "healthy" ? "up" : status === "unhealthy" || status === "degraded" ? "down" : status) }, status);

function replicasCard() {
  const all = [...replicas.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const parts = [element("p", { class: "soft" }, "Those that have answered this page in the last minute; each answer may come from another."),
    table(["Replica", "Answers with", "Runs", "Since", "Faults", "State", "Heard"], all.flatMap((replica) => replica.running.map((m) => [
      replica.name, replica.answers + (replica.pinned ? " (pinned)" : ""), m.version, day(m.since), number(m.faults),
      m.sent_back ? "sent back" : "well", `${Math.round((Date.now() - replica.seen) / 1000)} s ago`])), "Replicas")];
  const problems = all.flatMap((replica) => replica.problems.map((p) => [replica.name, p.version || "the plan", [p.reason, p.detail].filter(Boolean).join(": ")]));
  if (problems.length) parts.push(element("h3", {}, "Problems"), table(["Replica", "Version", "What is wrong"], problems, "Problems"));
  return card("Replicas", ...parts);
}

function healthCard(health) {
  return card("Health", element("p", {}, state(health.status), " version ", health.version),
    table(["Part", "State", "Since"], Object.entries(health.components).sort().map(([name, c]) =>
      [name, element("span", {}, state(c.status), c.reason ? " " + c.reason : ""), c.since ? day(c.since) : "–"]), "Parts of the service"));
}

function errorsCard({ said, fault }) {
  if (fault) return card("Recent errors", untold("This", fault));
  const failed = said.errors;
  if (!failed.length) return card("Recent errors", element("p", { class: "soft" }, "This replica has answered every request that it could read."));
  return card("Recent errors", table(["When", "Route", "Status", "What was said", "Request"], failed.slice(0, 10).map((e) => [day(e.time), e.route, String(e.status), e.detail, e.request_id]), "Recent errors"));
}

function driftCard({ said: info, fault }) {
  const title = "What is asked, against the training";
  if (fault) return card(title, untold("This", fault));
  const { drift } = info;
  const sentence = (text) => text[0].toUpperCase() + text.slice(1) + ".";
  if (drift.status === "off") return card(title, element("p", { class: "soft" }, sentence(drift.reason)));
  const share = (v) => (v === undefined ? "–" : number(100 * v, 1) + " %");
  const rows = [...drift.features].sort((a, b) => (b.psi ?? -1) - (a.psi ?? -1)).slice(0, 10);
  const said = drift.status === "waiting" ? sentence(drift.reason) : drift.population?.shifted ? "The houses as a whole have shifted." : "The houses as a whole are as in the training.";
  const compared = element("p", {}, `${number(drift.houses)} houses were compared. ${said}`);
  if (!drift.houses) return card(title, compared);
  return card(title, compared,
    table(["Feature", "PSI", "Unknown", "Unknown in training", "Outside its range"], rows.map((f) =>
      [f.feature, f.psi === undefined ? "–" : number(f.psi, 3), share(f.unknown_share), share(f.unknown_share_trained), share(f.outside_share)]), "Drift by feature"),
    element("p", { class: "soft" }, "By habit, a PSI below 0.1 is no change to speak of, and over 0.2 it matters."));
}

function armsCard(accuracy) {
  const figure = (e) => (e.value === undefined ? "–" : number(e.value, 2) + (e.low === undefined ? "" : ` (${number(e.low, 2)} to ${number(e.high, 2)})`));
  const parts = [table(["Version", "Part", "Valued", "Sold", "MdAPE %", "within 10 %", "Median ratio"],
    accuracy.arms.map((a) => [a.version, a.role, number(a.predictions), number(a.outcomes), figure(a.mdape), figure(a.ppe10), figure(a.median_ratio)]), "Versions side by side")];
  if (accuracy.difference) parts.push(element("p", {}, accuracy.difference.better ? `The ${accuracy.difference.better} is closer to the sales, and that is no chance.` : "Which is closer to the sales may still be chance."));
  return card("How close the versions came", ...parts);
}

function historyCard(history) {
  if (!history.length) return card("History", element("p", { class: "soft" }, "The plan was never changed."));
  const said = (plan) => (plan ? plan.primary + (plan.candidate ? ` + ${plan.candidate} ${plan.mode} ${plan.percent ?? 0} %` : "") : "–");
  return card("History", table(["When", "Who", "What", "From", "To", "Why"],
    history.map((c) => [day(c.when), c.who, c.what, said(c.from), said(c.to), c.why ?? ""]), "History of the plan"));
}

whenSignedIn(show);
