// Block Kit as elements.

import { el } from "./dom.js";
import { dateText, emoji, link, mention, textObject } from "./mrkdwn.js";

/**
 * Renders blocks.
 *
 * `context`: `names` (person, channel, group by id), `act(element, block, chosen, control)` for a
 * click or a choice, and for a modal `values` (what was typed, by block and action) and `errors`.
 */
export function renderBlocks(blocks, context) {
  return blocks.map((block) => renderBlock(block, context));
}

function renderBlock(block, context) {
  const render = BLOCKS[block.type];
  const node = render ? render(block, context) : el("p", { class: "unknown" }, `[${block.type}]`);
  node.classList.add("block", `block-${block.type}`);
  node.dataset.blockId = block.block_id ?? "";
  return node;
}

const BLOCKS = {
  header: (block, { names }) => el("h2", {}, textObject(block.text, names)),
  divider: () => el("hr"),
  section: (block, context) =>
    el(
      "div",
      {},
      el(
        "div",
        { class: "section-body" },
        block.text && el("div", { class: "text" }, textObject(block.text, context.names)),
        block.fields &&
          el(
            "div",
            { class: "fields" },
            block.fields.map((field) => el("div", { class: "text" }, textObject(field, context.names))),
          ),
      ),
      block.accessory && renderElement(block.accessory, block, context),
    ),
  context: (block, { names }) =>
    el(
      "div",
      {},
      block.elements.map((part) =>
        part.type === "image" ? el("span", { class: "text" }, part.alt_text) : el("span", { class: "text" }, textObject(part, names)),
      ),
    ),
  actions: (block, context) => el("div", {}, block.elements.map((element) => renderElement(element, block, context))),
  input: renderInput,
  rich_text: (block, context) => el("div", {}, block.elements.map((part) => richPart(part, context))),
  markdown: (block) => el("div", { class: "text" }, block.text),
  image: (block) => el("p", { class: "muted" }, `Picture: ${block.alt_text}`),
  alert: (block, { names }) => {
    const level = block.level ?? "default";
    const role = level === "error" ? "alert" : "note";
    return el("div", { class: `alert ${level}`, role }, el("span", { class: "alert-icon", "aria-hidden": "true" }, ALERTS[level] ?? "•"), el("div", { class: "text" }, textObject(block.text, names)));
  },
  plan: (block, context) =>
    el(
      "div",
      { class: "plan" },
      el("p", { class: "plan-title" }, block.title),
      el("ol", {}, (block.tasks ?? []).map((task) => el("li", {}, renderBlock(task, context)))),
    ),
  task_card: (block, context) => {
    const [sign, word] = TASKS[block.status ?? "pending"] ?? TASKS.pending;
    return el(
      "div",
      { class: `task ${block.status ?? "pending"}`, data: { taskId: block.task_id } },
      el("span", { class: "task-sign", "aria-hidden": "true" }, sign),
      el(
        "div",
        { class: "task-body" },
        el("span", { class: "task-title" }, block.title),
        el("span", { class: "unseen" }, ` (${word})`),
        [block.details, block.output].filter(Boolean).map((rich) => el("div", { class: "muted" }, renderBlock(rich, context))),
        (block.sources ?? []).map((source) => el("div", {}, link(source.url, source.text))),
      ),
    );
  },
};

const ALERTS = { info: "ℹ", warning: "!", error: "✕", success: "✓" };
const TASKS = {
  pending: ["", "not started"],
  in_progress: ["", "running"],
  complete: ["✓", "done"],
  error: ["✕", "failed"],
};

const RICH = { rich_text_section: "p", rich_text_quote: "blockquote", rich_text_preformatted: "pre" };

function richPart(part, context) {
  if (part.type === "rich_text_list") {
    const items = part.elements.map((item) => el("li", {}, item.elements.map((leaf) => richLeaf(leaf, context))));
    return el(part.style === "ordered" ? "ol" : "ul", {}, items);
  }
  return el(RICH[part.type] ?? "p", { class: "text" }, part.elements.map((leaf) => richLeaf(leaf, context)));
}

function richLeaf(leaf, { names }) {
  let node;
  switch (leaf.type) {
    case "text":
      node = leaf.text;
      break;
    case "link":
      node = link(leaf.url, leaf.text ?? leaf.url);
      break;
    case "user":
      node = mention(`@${names.person(leaf.user_id) ?? leaf.user_id}`);
      break;
    case "usergroup":
      node = mention(`@${names.group(leaf.usergroup_id) ?? leaf.usergroup_id}`);
      break;
    case "channel":
      node = mention(`#${names.channel(leaf.channel_id) ?? leaf.channel_id}`);
      break;
    case "broadcast":
      node = mention(`@${leaf.range}`, "broadcast");
      break;
    case "emoji":
      node = emoji(leaf.name);
      break;
    case "date":
      node = dateText(new Date(leaf.timestamp * 1000), leaf.format ?? "{date}");
      break;
    default:
      node = "";
  }
  for (const [style, tag] of [["code", "code"], ["bold", "strong"], ["italic", "em"], ["strike", "s"], ["underline", "u"]]) {
    if (leaf.style?.[style]) node = el(tag, {}, node);
  }
  return node;
}

/** An interactive element of a message, or of a view outside an input block. */
function renderElement(element, block, context) {
  const { names } = context;
  const data = { actionId: element.action_id };
  switch (element.type) {
    case "button": {
      const button = el(
        "button",
        { type: "button", class: `button ${element.style ?? ""}`.trim(), "aria-label": element.accessibility_label, data },
        textObject(element.text, names),
        element.url ? el("span", { "aria-hidden": "true" }, " ↗") : null,
      );
      button.addEventListener("click", () => context.act(element, block, null, button));
      return button;
    }
    case "static_select":
    case "overflow":
    case "radio_buttons":
      return select(element, { data }, names, (value, control) => context.act(element, block, value, control));
    case "image":
      return el("span", { class: "muted" }, element.alt_text);
    default:
      return el("span", { class: "muted" }, `[${element.type}]`);
  }
}

function optionsOf(element) {
  return element.options ?? (element.option_groups ?? []).flatMap((group) => group.options);
}

function select(element, props, names, onChoice) {
  const label = element.type === "overflow" ? "…" : (element.placeholder?.text ?? "Choose");
  const node = el(
    "select",
    { "aria-label": label, ...props },
    el("option", { value: "" }, label),
    optionsOf(element).map((option) =>
      el("option", { value: option.value, selected: option.value === element.initial_option?.value }, option.text.text),
    ),
  );
  node.addEventListener("change", () => onChoice(node.value, node));
  return node;
}

let lastId = 0;

function renderInput(block, context) {
  const { element } = block;
  const key = `${block.block_id}/${element.action_id}`;
  const id = `input-${(lastId += 1)}`;
  const error = context.errors?.[block.block_id];
  const optional = block.optional ? el("span", { class: "muted" }, " (optional)") : null;
  const group = element.type === "radio_buttons" || element.type === "checkboxes";
  const label = textObject(block.label, context.names);
  const described = [block.hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  const control = inputControl(element, context, key, {
    id,
    data: { actionId: element.action_id },
    "aria-describedby": described || null,
    "aria-invalid": error ? "true" : null,
    "aria-required": block.optional ? null : "true",
    autofocus: element.focus_on_load === true,
  });
  return el(
    group ? "fieldset" : "div",
    { class: error ? "input wrong" : "input" },
    group ? el("legend", {}, label, optional) : el("label", { for: id }, label, optional),
    control,
    element.max_length && element.type === "plain_text_input" ? counter(control, element) : null,
    block.hint && el("p", { class: "muted", id: `${id}-hint` }, textObject(block.hint, context.names)),
    error && el("p", { class: "error", id: `${id}-error` }, error),
  );
}

function counter(control, element) {
  const node = el("p", { class: "muted counter", "aria-hidden": "true" });
  const show = () => {
    node.textContent = `${[...control.value].length} / ${element.max_length}`;
  };
  control.addEventListener("input", show);
  show();
  return node;
}

/** The control; what was typed is kept in `context.values` over a new rendering. */
function inputControl(element, context, key, props) {
  const { values, names } = context;
  const keep = (list) => values.set(key, list);
  switch (element.type) {
    case "plain_text_input": {
      const typed = values.get(key)?.[0] ?? element.initial_value ?? "";
      const limits = { minlength: element.min_length, maxlength: element.max_length };
      const placeholder = element.placeholder?.text;
      const node = element.multiline
        ? el("textarea", { rows: 4, placeholder, ...limits, ...props })
        : el("input", { type: "text", placeholder, ...limits, ...props });
      node.value = typed;
      node.addEventListener("input", () => keep([node.value]));
      return node;
    }
    case "radio_buttons":
    case "checkboxes": {
      const single = element.type === "radio_buttons";
      const initial = single ? [element.initial_option] : (element.initial_options ?? []);
      const chosen = values.get(key) ?? initial.filter(Boolean).map((option) => option.value);
      const boxes = element.options.map((option) => {
        const box = el("input", { type: single ? "radio" : "checkbox", name: props.id, value: option.value, checked: chosen.includes(option.value) });
        return [box, el("label", { class: "choice" }, box, el("span", {}, textObject(option.text, names), option.description && el("small", {}, textObject(option.description, names))))];
      });
      const node = el("div", props, boxes.map(([, label]) => label));
      node.addEventListener("change", () => keep(boxes.filter(([box]) => box.checked).map(([box]) => box.value)));
      return node;
    }
    case "static_select": {
      const node = select(element, props, names, (value) => keep([value]));
      const chosen = values.get(key)?.[0];
      if (chosen !== undefined) node.value = chosen;
      return node;
    }
    case "users_select": {
      const options = names.people().map((person) => ({ value: person.id, text: { text: person.name } }));
      const node = select({ ...element, options }, props, names, (value) => keep([value]));
      node.value = values.get(key)?.[0] ?? element.initial_user ?? "";
      return node;
    }
    default:
      return el("span", { class: "muted", ...props }, `[${element.type}]`);
  }
}
