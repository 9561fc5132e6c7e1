// The panel beside the chat: scenes, the shop, the state machine, the audit trail. It shows what
// `/_demo/state` says; data becomes text and never markup.

import { el } from "/_page/dom.js";

export const title = "Backstage";

const ASKED_EVERY = 400; // milliseconds
const PATH = ["authorizing", "confirming", "approving", "checking", "recording", "triggering", "running", "verifying", "succeeded"];
const ENDS = ["denied", "refused", "withdrawn", "expired", "failed", "not_verified", "outcome_unknown"];
const words = (name) => name.replaceAll("_", " ");
/** Text with what stands between backticks set as code. */
const prose = (text) => text.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));

export default async function start(panel, page) {
  const scene = sceneSection(page);
  const parts = [scene, shopSection(), machineSection(), auditSection()];
  panel.append(el("div", { id: "demo" }, parts.map((part) => part.node)));

  let run = null;
  const ask = async () => {
    try {
      const response = await fetch("/_demo/state");
      const state = await response.json();
      if (run !== state.run) {
        run = state.run;
        page.selectPerson(state.scene.person);
        page.show("C0DEPLOYS");
      }
      for (const part of parts) part.show(state);
    } catch {
      // The demo has ended, or starts again; the chat says so.
    }
    setTimeout(ask, ASKED_EVERY);
  };
  await ask();
}

/** Shows again only what has changed, so that focus, scrolling and selections stay. */
function section(id, heading, children, render) {
  const body = el("div", { class: "demo-body" }, children);
  const node = el("section", { id, "aria-labelledby": `${id}-title` }, el("h2", { id: `${id}-title` }, heading), body);
  let last = null;
  return {
    node,
    show(state) {
      const [shape, draw] = render(state);
      const text = JSON.stringify(shape);
      if (text === last) return;
      last = text;
      draw();
    },
  };
}

// --- scenes --------------------------------------------------------------------------------------

function sceneSection(page) {
  const choice = el("select", { id: "demo-scene", "aria-label": "Scene" });
  const again = el("button", { type: "button", class: "button", id: "demo-reset" }, "Reset");
  const steps = el("div", { class: "demo-steps" });
  const told = el("ol", { class: "demo-told", "aria-live": "polite", "aria-label": "What has happened by itself" });
  const process = el("p", { class: "demo-process", role: "status" });
  const wish = async () => {
    const id = choice.value;
    again.disabled = true;
    await fetch("/_demo/scene", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ id }),
    });
    again.disabled = false;
  };
  choice.addEventListener("change", wish);
  again.addEventListener("click", wish);
  return section("demo-scenes", "Scene", [el("div", { class: "demo-row" }, choice, again), steps, told, process], (state) => [
    [state.run, state.scene, state.told, state.ready, state.worker],
    () => {
      if (!choice.options.length) {
        choice.append(...state.scenes.map((one, index) => el("option", { value: one.id }, `${index + 1}. ${one.title}`)));
      }
      choice.value = state.scene.id;
      steps.dataset.ready = state.ready ? state.scene.id : "";
      steps.replaceChildren(
        ...(state.ready
          ? [step("Do", state.scene.click), step("Watch", state.scene.watch)]
          : [el("p", { class: "muted" }, "The stage is being set…")]),
      );
      told.replaceChildren(
        ...state.told.map((one) => el("li", {}, el("time", { datetime: one.at }, time(one.at)), " ", one.text)),
      );
      process.dataset.state = state.worker ? "alive" : "dead";
      process.textContent = state.worker ? `Rollback service: process ${state.worker} is running` : "Rollback service: no process is running";
    },
  ]);
}

const step = (name, text) => el("p", {}, el("b", {}, name), el("span", {}, text));
const time = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

// --- the shop ------------------------------------------------------------------------------------

function shopSection() {
  const badge = el("span", { id: "demo-shop-status", class: "demo-badge", role: "status" });
  const releases = el("span", { class: "muted" });
  const glass = el("div", { class: "demo-glass" });
  const shop = section("demo-shop", "The shop", [el("p", { class: "demo-row" }, badge, releases), glass], (state) => [
    [state.run, state.view, state.shop, state.engine?.live],
    () => {
      shop.node.querySelector("h2").textContent = state.view.title;
      if (state.view.height) glass.style.height = `${state.view.height}rem`;
      const status = state.shop?.status;
      const working = status === 200;
      badge.dataset.state = status === undefined ? "gone" : working ? "good" : "broken";
      badge.textContent = status === undefined ? "no answer" : working ? "200 · works" : `${status} · broken`;
      const live = state.engine?.live;
      releases.textContent = live ? `release ${live.revision} (${live.version ?? "no version"}) is live` : "what is live is not known";
      frame(glass, `/_demo/shop?v=${state.shop?.version ?? "none"}`);
    },
  ]);
  return shop;
}

/** Puts the new page in place when it has arrived: nothing flickers. */
function frame(glass, source) {
  const next = el("iframe", { src: source, title: "The shop", sandbox: true, tabindex: "-1" });
  next.addEventListener("load", () => {
    for (const one of [...glass.children]) if (one !== next) one.remove();
  });
  glass.append(next);
}

// --- the state machine ---------------------------------------------------------------------------

function machineSection() {
  const chip = (name) => el("li", { data: { state: name } }, words(name));
  const path = el("ol", { class: "demo-path", "aria-label": "The way of a rollback" }, PATH.map(chip));
  const ends = el("ul", { class: "demo-ends", "aria-label": "Other ends" }, ENDS.map(chip));
  const said = el("p", { class: "demo-said", role: "status" });
  return section("demo-machine", "The state machine", [path, ends, said], (state) => {
    const rollbacks = state.engine?.rollbacks ?? [];
    const [latest] = rollbacks;
    return [
      [state.run, rollbacks.map((one) => [one.id, one.state, one.explanation])],
      () => {
        for (const node of [...path.children, ...ends.children]) {
          const name = node.dataset.state;
          const here = rollbacks.filter((one) => one.state === name);
          node.classList.toggle("lit", latest?.state === name);
          node.classList.toggle("also", latest?.state !== name && here.length > 0);
          node.classList.toggle("passed", latest !== undefined && PATH.indexOf(name) >= 0 && PATH.indexOf(name) < PATH.indexOf(latest.state) && !(name === "approving" && latest.approvals_min === 0));
          if (latest?.state === name) node.setAttribute("aria-current", "step");
          else node.removeAttribute("aria-current");
          node.replaceChildren(words(name), ...here.map((one) => el("span", { class: "who" }, one.requested_by?.name ?? one.requested_by?.id ?? "")));
        }
        said.replaceChildren(...(latest ? prose(latest.explanation) : ["Nobody has clicked yet."]));
      },
    ];
  });
}

// --- the audit trail -----------------------------------------------------------------------------

function auditSection() {
  const chain = el("p", { id: "demo-chain", role: "status" });
  const list = el("ol", { class: "demo-records", tabindex: "0", "aria-label": "Audit records, the newest first" });
  return section("demo-audit", "The audit trail", [chain, list], (state) => {
    const records = state.engine?.records ?? [];
    const verified = state.engine?.chain;
    return [
      [state.run, records.length, verified],
      () => {
        chain.dataset.state = !verified ? "none" : verified.ok ? "good" : "broken";
        chain.textContent = !verified
          ? "not read yet"
          : !verified.ok
            ? `the chain is broken: ${verified.problem}`
            : records.length === 0
              ? "nothing recorded yet"
              : `✓ ${verified.records} records, the whole chain verified · head ${verified.head.slice(0, 8)}`;
        list.replaceChildren(...records.toReversed().map(record));
      },
    ];
  });
}

function record(one) {
  const who = one.actor?.name ?? one.actor?.id;
  const what = one.explanation ?? one.decision ?? one.reason;
  return el(
    "li",
    { data: { kind: one.kind } },
    el("span", { class: "number" }, `${one.sequence}`),
    el("span", { class: "kind" }, words(one.kind)),
    el("span", { class: "what" }, prose([who, what].filter(Boolean).join(": "))),
    el("code", { title: `hash ${one.hash}, after ${one.previous_hash}` }, one.hash.slice(0, 8)),
  );
}
