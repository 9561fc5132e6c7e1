// The modal, and the confirm dialog of a button. Both are native dialogs: the browser keeps the
// focus inside and gives it back.

import { el } from "./dom.js";
import { renderBlocks } from "./blocks.js";
import { textObject } from "./mrkdwn.js";

/** The modal on the screen of the person, for whom `context` acts. */
export class Modal {
  constructor(dialog, context) {
    this.dialog = dialog;
    this.context = context;
    this.shown = null; // id and hash of the view that is rendered
    this.kept = new Map(); // what was typed, by view
    this.errors = {};
    this.trouble = "";
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      if (this.view) this.close(false);
    });
  }

  /** Shows the view on top of the stack, or nothing. */
  show(views) {
    const view = views.at(-1) ?? null;
    const shown = view && `${this.context.person()}/${view.id}/${view.hash}`;
    if (shown === this.shown) return;
    for (const id of this.kept.keys()) {
      if (!views.some((open) => open.id === id)) this.kept.delete(id);
    }
    this.errors = {};
    this.trouble = "";
    this.shown = shown;
    this.view = view;
    if (!view) {
      this.dialog.close();
      // Whatever opened it may be gone by now; the keyboard must land somewhere.
      if (document.activeElement === document.body) document.getElementById("messages").focus();
      return;
    }
    if (!this.kept.has(view.id)) this.kept.set(view.id, new Map());
    this.values = this.kept.get(view.id);
    this.render();
    if (!this.dialog.open) this.dialog.showModal();
    this.focusFirst();
  }

  render() {
    const { view } = this;
    const names = this.context.names();
    const focused = this.dialog.contains(document.activeElement) ? document.activeElement : null;
    const form = el(
      "form",
      { novalidate: true, data: { viewId: view.id, callbackId: view.callback_id } },
      el(
        "header",
        {},
        el("h2", { id: "modal-title" }, textObject(view.title, names)),
        el("button", { type: "button", id: "modal-dismiss", class: "plain", "aria-label": "Close", onclick: () => this.close(true) }, "✕"),
      ),
      el(
        "div",
        { class: "modal-body" },
        this.trouble && el("div", { class: "alert error", role: "alert" }, this.trouble),
        renderBlocks(view.blocks, {
          names,
          values: this.values,
          errors: this.errors,
          act: (element, _block, chosen, control) => this.context.clickInView(view, element, chosen, control),
        }),
      ),
      el(
        "footer",
        {},
        el("button", { type: "button", id: "modal-close", class: "button", onclick: () => this.close(false) }, view.close ? textObject(view.close, names) : "Close"),
        view.submit && el("button", { type: "submit", id: "modal-submit", class: "button primary" }, textObject(view.submit, names)),
      ),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.dialog.replaceChildren(form);
    if (focused) this.refocus(focused);
  }

  refocus(focused) {
    const { actionId } = focused.dataset;
    const same = focused.id.startsWith("modal-")
      ? this.dialog.querySelector(`#${focused.id}`)
      : [...this.dialog.querySelectorAll("[data-action-id]")].find((node) => node.dataset.actionId === actionId);
    same?.focus();
  }

  focusFirst() {
    if (this.dialog.contains(document.activeElement) && document.activeElement.matches("textarea, input, select")) return;
    const wanted = this.dialog.querySelector("[autofocus]") ?? this.dialog.querySelector("textarea, input, select");
    (wanted ?? this.dialog.querySelector("#modal-submit") ?? this.dialog.querySelector("#modal-close")).focus();
  }

  async submit() {
    const { view } = this;
    const values = {};
    for (const block of view.blocks) {
      if (block.type !== "input") continue;
      const typed = this.values.get(`${block.block_id}/${block.element.action_id}`);
      if (typed !== undefined) values[block.block_id] = typed;
    }
    const answer = await this.busy(() => this.context.act({ do: "submit", view_id: view.id, values }));
    if (this.view?.id !== view.id) return;
    this.errors = answer.outcome === "errors" || answer.outcome === "incomplete" ? answer.detail : {};
    this.trouble = answer.outcome === "trouble" || answer.outcome === "nothing" ? `That did not work: ${answer.detail}. Try again?` : "";
    if (Object.keys(this.errors).length || this.trouble) {
      this.render();
      (this.dialog.querySelector("[aria-invalid]") ?? this.dialog.querySelector("#modal-submit"))?.focus();
    }
  }

  async close(all) {
    await this.busy(() => this.context.act({ do: "close", view_id: this.view.id, all }));
  }

  async busy(work) {
    const buttons = [...this.dialog.querySelectorAll("footer button, header button")];
    this.dialog.setAttribute("aria-busy", "true");
    buttons.forEach((button) => button.setAttribute("aria-disabled", "true"));
    if (this.working) return { outcome: "acknowledged" };
    this.working = true;
    try {
      return await work();
    } finally {
      this.working = false;
      this.dialog.removeAttribute("aria-busy");
      buttons.forEach((button) => button.removeAttribute("aria-disabled"));
    }
  }
}

/** Asks what a button's `confirm` asks; resolves to whether it was confirmed. */
export function confirmed(confirm, names) {
  const dialog = document.getElementById("confirm");
  return new Promise((resolve) => {
    const answer = (yes) => {
      resolve(yes);
      dialog.close();
    };
    dialog.replaceChildren(
      el("h2", { id: "confirm-title" }, textObject(confirm.title, names)),
      el("div", { id: "confirm-text", class: "text" }, textObject(confirm.text, names)),
      el(
        "footer",
        {},
        el("button", { type: "button", id: "confirm-no", class: "button", onclick: () => answer(false) }, textObject(confirm.deny, names)),
        el("button", { type: "button", id: "confirm-yes", class: `button ${confirm.style ?? "primary"}`, onclick: () => answer(true) }, textObject(confirm.confirm, names)),
      ),
    );
    dialog.addEventListener("close", () => resolve(false), { once: true });
    dialog.showModal();
    dialog.querySelector("#confirm-no").focus();
  });
}
