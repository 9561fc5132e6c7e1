// Messages of a channel and of a thread.

import { avatar, clock, el, moment } from "./dom.js";
import { renderBlocks } from "./blocks.js";
import { emoji, mrkdwn } from "./mrkdwn.js";

/**
 * Shows `messages` in `list`, and touches only those that changed, so that the keyboard's focus
 * and the reader's place stay where they are.
 */
export function showMessages(list, messages, context) {
  const known = new Map([...list.children].map((item) => [item.dataset.ts, item]));
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  let place = null;
  for (const message of messages) {
    const shape = JSON.stringify([message, context.shape]);
    let item = known.get(message.ts);
    known.delete(message.ts);
    if (!item || item.shape !== shape) {
      const fresh = renderMessage(message, context);
      fresh.shape = shape;
      if (item) replaceKeepingFocus(item, fresh);
      item = fresh;
    }
    const next = place ? place.nextSibling : list.firstChild;
    if (item !== next) list.insertBefore(item, next);
    place = item;
  }
  for (const gone of known.values()) gone.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function replaceKeepingFocus(item, fresh) {
  const focused = item.contains(document.activeElement) ? document.activeElement : null;
  item.replaceWith(fresh);
  if (!focused) return;
  const same = [...fresh.querySelectorAll("[data-action-id]")].find(
    (node) => node.dataset.actionId === focused.dataset.actionId,
  );
  // Without its button, the message itself takes the focus: the keyboard keeps its place.
  (same ?? fresh).focus();
}

function renderMessage(message, context) {
  const { names } = context;
  const name = message.from_app ? names.app.name : (names.person(message.user) ?? message.user);
  const body = message.blocks.length
    ? renderBlocks(message.blocks, {
        ...context,
        act: (element, block, chosen, control) => context.act(message, element, chosen, control),
      })
    : el("div", { class: "text" }, mrkdwn(message.text, names, false));
  const full = moment(message.ts).toLocaleString();
  return el(
    "li",
    {
      class: `message ${message.ephemeral ? "ephemeral" : ""}`.trim(),
      tabindex: "-1",
      data: { ts: message.ts, ephemeral: message.ephemeral ? "true" : null },
    },
    avatar(message.user, name, message.from_app),
    el(
      "div",
      { class: "message-body" },
      el(
        "p",
        { class: "message-head" },
        el("strong", {}, name),
        message.from_app && el("span", { class: "badge" }, "App"),
        el("time", { class: "muted", datetime: moment(message.ts).toISOString(), title: full }, clock(message.ts)),
        message.ephemeral && el("span", { class: "only-you" }, "Only visible to you"),
      ),
      body,
      message.edited && el("span", { class: "muted edited" }, "(edited)"),
      message.reactions?.length
        ? el("p", { class: "reactions" }, message.reactions.map((reaction) => el("span", { title: reaction }, emoji(reaction))))
        : null,
      context.openThread && message.replies ? threadLink(message, context) : null,
    ),
  );
}

function threadLink(message, context) {
  const count = message.replies === 1 ? "1 reply" : `${message.replies} replies`;
  return el(
    "button",
    {
      type: "button",
      class: "thread-link",
      data: { thread: message.ts },
      "aria-expanded": context.thread === message.ts ? "true" : "false",
      "aria-controls": "thread",
      onclick: () => context.openThread(message.ts),
    },
    count,
    el("span", { class: "muted" }, ` last at ${clock(message.latest_reply)}`),
  );
}
