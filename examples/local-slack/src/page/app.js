// The page: asks for the state after every change, and shows it.

import { avatar, el } from "./dom.js";
import { showMessages } from "./messages.js";
import { Modal, confirmed } from "./modal.js";

const byId = (id) => document.getElementById(id);
const narrow = window.matchMedia("(max-width: 52rem)");

let state = null;
let person = new URLSearchParams(location.search).get("as") ?? sessionStorage.getItem("person");
let channel = null;
let thread = null;
let announced = null; // newest `ts` that was read out, by channel
let onTab = "chat";
const seenChannels = new Map(); // person and channel: newest `ts` seen
const seenNews = new Map(); // person: count of direct and ephemeral messages seen
const listeners = new Set();

const names = () => ({
  app: state.app,
  people: () => state.people,
  person: (id) => (id === state.app.user_id ? state.app.name : state.people.find((one) => one.id === id)?.name),
  channel: (id) => state.channels.find((one) => one.id === id)?.name,
  group: (id) => state.groups.find((one) => one.id === id)?.handle,
});

async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  try {
    return text ? JSON.parse(text) : { ok: response.ok };
  } catch {
    return { outcome: "nothing", detail: text };
  }
}

const act = (body) => post("/_act", { user: person, ...body });
const control = (body) => post("/_control", body);

async function clickMessage(message, element, chosen, button) {
  if (element.confirm && !(await confirmed(element.confirm, names()))) return;
  if (element.url) window.open(element.url, "_blank", "noopener");
  const where = { channel: channelOf(message), ts: message.ts };
  await press(button, { do: "click", ...where, action_id: element.action_id, chosen });
}

async function clickInView(view, element, chosen, button) {
  if (element.confirm && !(await confirmed(element.confirm, names()))) return;
  if (element.url) window.open(element.url, "_blank", "noopener");
  await press(button, { do: "click_in_view", view_id: view.id, action_id: element.action_id, chosen });
}

/** Does it, with the button busy; trouble is marked at the button, as Slack marks it. */
async function press(button, body) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  button.parentElement.querySelector(".trouble")?.remove();
  const answer = await act(body);
  button.removeAttribute("aria-busy");
  if (answer.outcome !== "trouble" && answer.outcome !== "nothing") return;
  button.after(el("span", { class: "trouble", title: answer.detail }, "⚠"));
  toast(`That did not work: ${answer.detail}`);
}

function channelOf(message) {
  return state.channels.find((one) => [...one.messages, ...one.ephemerals].some((other) => other.ts === message.ts))?.id;
}

const modal = new Modal(byId("modal"), { person: () => person, names, act, clickInView });

function toast(text) {
  const node = el("p", {}, text);
  byId("toasts").append(node);
  setTimeout(() => node.remove(), 6000);
}

// --- state -------------------------------------------------------------------------------------

let asking = false;
let askAgain = false;

async function refresh() {
  if (asking) {
    askAgain = true;
    return;
  }
  asking = true;
  do {
    askAgain = false;
    const asked = person;
    try {
      const response = await fetch(`/_state?as=${encodeURIComponent(asked ?? "")}`);
      const fresh = await response.json();
      if (asked !== person) {
        askAgain = true;
        continue;
      }
      state = fresh;
      person = state.me;
      show();
    } catch {
      // The server is gone or restarts; the event stream comes back by itself, and asks again.
    }
  } while (askAgain);
  asking = false;
}

const newest = (one) =>
  [...one.messages, ...one.ephemerals].reduce((latest, message) => (message.ts > latest ? message.ts : latest), "");

function show() {
  if (!state.channels.some((one) => one.id === channel)) {
    channel = state.channels[0]?.id ?? null;
    thread = null;
  }
  showPeople();
  showChannels();
  showConversation();
  byId("outage").hidden = !state.faults.outage;
  modal.show(state.views);
  announce();
  for (const listener of listeners) listener(state);
}

// --- people ------------------------------------------------------------------------------------

function showPeople() {
  const box = byId("people");
  const shape = JSON.stringify(state.people.map(({ news, ...rest }) => rest));
  if (box.shape !== shape) {
    box.shape = shape;
    box.replaceChildren(box.querySelector("legend"), ...state.people.map(personChoice));
  }
  for (const one of state.people) {
    const input = box.querySelector(`input[value="${CSS.escape(one.id)}"]`);
    input.checked = one.id === person;
    if (one.id === person || !seenNews.has(one.id)) seenNews.set(one.id, one.news);
    input.closest("label").classList.toggle("news", one.news > seenNews.get(one.id));
  }
}

function personChoice(one) {
  const kind = { guest: "Guest", foreign: "Other workspace", deactivated: "Deactivated" }[one.kind.kind];
  const role = [one.title, kind !== one.title && kind].filter(Boolean).join(" · ");
  return el(
    "label",
    { class: `person ${one.kind.kind}`, data: { person: one.id } },
    el("input", { type: "radio", name: "person", value: one.id, onchange: () => selectPerson(one.id) }),
    avatar(one.id, one.name, false),
    el("span", { class: "person-words" }, el("span", { class: "person-name" }, one.name), el("span", { class: "muted" }, role)),
    el("span", { class: "dot", "aria-hidden": "true" }),
  );
}

function selectPerson(id) {
  person = id;
  sessionStorage.setItem("person", id);
  announced = null;
  refresh();
}

// --- channels ----------------------------------------------------------------------------------

function showChannels() {
  const box = byId("channels");
  const open = state.channels.filter((one) => one.kind !== "direct" || newest(one));
  const focused = document.activeElement?.dataset?.channel;
  const buttons = open.map((one) => {
    const key = `${person}/${one.id}`;
    const latest = newest(one);
    if (one.id === channel || !seenChannels.has(key)) seenChannels.set(key, latest);
    const unread = latest > seenChannels.get(key);
    const [sign, name] = one.kind === "direct" ? ["↺", state.app.name] : [one.kind === "private" ? "🔒" : "#", one.name];
    return el(
      "button",
      {
        type: "button",
        class: unread ? "channel unread" : "channel",
        data: { channel: one.id },
        "aria-current": one.id === channel ? "page" : null,
        onclick: () => go(one.id, null),
      },
      el("span", { class: "sign", "aria-hidden": "true" }, sign),
      el("span", { class: "channel-name" }, name),
      one.kind === "direct" && el("span", { class: "unseen" }, " (direct messages)"),
      unread && el("span", { class: "unseen" }, " (new messages)"),
    );
  });
  box.replaceChildren(el("h2", {}, "Channels"), ...buttons);
  if (focused) box.querySelector(`[data-channel="${CSS.escape(focused)}"]`)?.focus();
}

function go(id, ts) {
  channel = id;
  thread = ts;
  selectTab("chat");
  show();
  const list = byId("messages");
  list.scrollTop = list.scrollHeight;
}

// --- messages ----------------------------------------------------------------------------------

function showConversation() {
  const open = state.channels.find((one) => one.id === channel);
  const title = !open ? "" : open.kind === "direct" ? state.app.name : `# ${open.name}`;
  byId("channel-name").textContent = title;
  document.title = `${title} · Local Slack`;
  const me = state.people.find((one) => one.id === person);
  byId("acting").textContent = me ? `You look and click as ${me.name}${me.title ? `, ${me.title.toLowerCase()}` : ""}. The app posts; its buttons are yours.` : "";
  const all = open ? [...open.messages, ...open.ephemerals].sort((a, b) => (a.ts < b.ts ? -1 : 1)) : [];
  const context = { names: names(), act: clickMessage, shape: [state.people.length, state.groups] };
  showMessages(byId("messages"), all.filter((message) => !message.thread_ts || message.broadcast), {
    ...context,
    shape: [context.shape, thread],
    thread,
    openThread: (ts) => openThread(ts),
  });
  byId("messages").classList.toggle("empty", all.length === 0);
  const replies = thread ? all.filter((message) => message.ts === thread || message.thread_ts === thread) : [];
  byId("thread").hidden = !thread;
  byId("shell").classList.toggle("with-thread", thread !== null);
  if (thread) showMessages(byId("replies"), replies, context);
  else byId("replies").replaceChildren();
}

function openThread(ts) {
  thread = thread === ts ? null : ts;
  showConversation();
  if (thread) {
    byId("replies").scrollTop = byId("replies").scrollHeight;
    byId("thread-close").focus();
  }
}

function closeThread() {
  const opener = document.querySelector(`[data-thread="${CSS.escape(thread ?? "")}"]`);
  thread = null;
  showConversation();
  (document.querySelector(`[data-thread="${CSS.escape(opener?.dataset.thread ?? "")}"]`) ?? byId("messages")).focus();
}

/** Reads out what is new where the person looks. */
function announce() {
  const open = state.channels.find((one) => one.id === channel);
  if (!open) return;
  const latest = newest(open);
  if (announced?.channel === channel && latest > announced.ts) {
    const fresh = [...open.messages, ...open.ephemerals].filter((message) => message.ts > announced.ts);
    byId("live").replaceChildren(
      ...fresh.map((message) => el("p", {}, `${message.from_app ? state.app.name : (names().person(message.user) ?? "")}: ${message.ephemeral ? "only for you: " : ""}${message.text}`)),
    );
  }
  announced = { channel, ts: latest };
}

// --- the host's panel --------------------------------------------------------------------------

function selectTab(tab) {
  onTab = tab;
  document.body.dataset.tab = tab;
  for (const button of byId("tabs").children) button.setAttribute("aria-pressed", String(button.dataset.tab === onTab));
}

async function loadPanel() {
  const panel = byId("panel");
  document.head.append(el("link", { rel: "stylesheet", href: "/_panel.css" }));
  const module = await import("/_panel.js");
  panel.hidden = false;
  byId("tabs").hidden = false;
  document.body.classList.add("with-panel");
  if (typeof module.title === "string") {
    byId("tabs").querySelector('[data-tab="panel"]').textContent = module.title;
    panel.setAttribute("aria-label", module.title);
  }
  const onChange = (callback) => {
    listeners.add(callback);
    callback(state);
    return () => listeners.delete(callback);
  };
  await module.default?.(panel, {
    person: () => person,
    selectPerson,
    show: (id, ts) => go(id, ts ?? null),
    state: () => state,
    onChange,
    act,
    control,
  });
}

// --- start -------------------------------------------------------------------------------------

byId("thread-close").addEventListener("click", closeThread);
byId("tabs").addEventListener("click", (event) => {
  if (event.target.dataset.tab) selectTab(event.target.dataset.tab);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && thread && !document.querySelector("dialog[open]")) closeThread();
});
narrow.addEventListener("change", () => selectTab("chat"));

function followHash() {
  const [, id, ts] = /^#\/([^/]+)(?:\/([\d.]+))?$/.exec(location.hash) ?? [];
  if (!id || !state?.channels.some((one) => one.id === id)) return;
  const message = state.channels.find((one) => one.id === id).messages.find((one) => one.ts === ts);
  go(id, message ? (message.thread_ts ?? (message.replies ? ts : null)) : null);
  const item = [...document.querySelectorAll(".message")].find((node) => node.dataset.ts === ts);
  item?.scrollIntoView({ block: "center" });
  item?.focus();
}

selectTab("chat");
await refresh();
followHash();
window.addEventListener("hashchange", followHash);
new EventSource("/_events").addEventListener("message", refresh);
if (state?.panel) loadPanel().catch((error) => toast(`The panel could not be loaded: ${error.message}`));
