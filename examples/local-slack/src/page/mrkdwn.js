// Slack's text objects as nodes. What is not a known form stays the text that it is.

import { el } from "./dom.js";

const EMOJI = {
  alarm_clock: "⏰", arrow_left: "⬅️", arrow_right: "➡️", arrows_counterclockwise: "🔄", ballot_box_with_check: "☑️",
  bangbang: "‼️", bell: "🔔", black_circle_for_record: "⏺️", bomb: "💣", bug: "🐛", bulb: "💡", busts_in_silhouette: "👥",
  bust_in_silhouette: "👤", calendar: "📅", chart_with_downwards_trend: "📉", chart_with_upwards_trend: "📈", clipboard: "📋",
  clock1: "🕐", clock3: "🕒", construction: "🚧", eyes: "👀", exclamation: "❗", fast_forward: "⏩", fire: "🔥", fire_extinguisher: "🧯",
  gear: "⚙️", grey_question: "❔", hammer_and_wrench: "🛠️", heavy_check_mark: "✔️", hourglass: "⌛", hourglass_flowing_sand: "⏳",
  information_source: "ℹ️", large_blue_circle: "🔵", large_green_circle: "🟢", large_orange_circle: "🟠", large_red_circle: "🔴",
  large_yellow_circle: "🟡", leftwards_arrow_with_hook: "↩️", link: "🔗", lock: "🔒", mag: "🔍", memo: "📝", no_entry: "⛔",
  no_entry_sign: "🚫", octagonal_sign: "🛑", package: "📦", pager: "📟", point_right: "👉", question: "❓", raised_hand: "✋", red_circle: "🔴",
  repeat: "🔁", rewind: "⏪", robot_face: "🤖", rocket: "🚀", rotating_light: "🚨", ship: "🚢", shield: "🛡️", siren: "🚨",
  snowflake: "❄️", sos: "🆘", stop_sign: "🛑", stopwatch: "⏱️", tada: "🎉", test_tube: "🧪", timer_clock: "⏲️", traffic_light: "🚦",
  twisted_rightwards_arrows: "🔀", unlock: "🔓", warning: "⚠️", wastebasket: "🗑️", wave: "👋", white_check_mark: "✅",
  white_circle: "⚪", white_large_square: "⬜", wrench: "🔧", x: "❌", zap: "⚡", "+1": "👍", "-1": "👎", thumbsup: "👍", thumbsdown: "👎",
};

export function emoji(name) {
  return Object.hasOwn(EMOJI, name) ? EMOJI[name] : `:${name}:`;
}

/** A text object as nodes. */
export function textObject(object, names) {
  if (object?.type === "mrkdwn") return mrkdwn(object.text, names, object.verbatim === true);
  return plain(object?.text ?? "", object?.emoji !== false);
}

/** Plain text: shortcodes of emoji, and nothing else. */
export function plain(text, withEmoji) {
  return [withEmoji ? text.replace(/:([a-z0-9_+-]+):/g, (_all, name) => emoji(name)) : text];
}

export function mrkdwn(text, names, verbatim) {
  const nodes = [];
  let quote = null;
  const fence = /```([\s\S]+?)```/g;
  let from = 0;
  const lines = (part) => {
    part.split("\n").forEach((line, index) => {
      const quoted = /^&gt; ?(.*)$/.exec(line) ?? /^> ?(.*)$/.exec(line);
      if (quoted) {
        if (quote) quote.append(el("br"));
        else nodes.push((quote = el("blockquote")));
        quote.append(...inline(quoted[1], names, verbatim));
        return;
      }
      if (index > 0 && !quote) nodes.push(el("br"));
      quote = null;
      nodes.push(...inline(line, names, verbatim));
    });
  };
  for (const match of text.matchAll(fence)) {
    lines(text.slice(from, match.index));
    quote = null;
    nodes.push(el("pre", {}, decode(match[1].replace(/^\n|\n$/g, ""))));
    from = match.index + match[0].length;
    if (text[from] === "\n") from += 1;
  }
  lines(text.slice(from));
  return nodes;
}

const PAIRS = [["*", "strong"], ["_", "em"], ["~", "s"]];
// A mark opens after a boundary and before something, and closes the other way round.
const PAIR = (mark) =>
  `(?<=^|[\\s\\p{P}\\p{S}])[${mark}](?=\\S)([^${mark}]+?)(?<=\\S)[${mark}](?=$|[\\s\\p{P}\\p{S}])`;
const INLINE = new RegExp(
  [
    "`([^`]+)`", // 1 code
    "<([^<>]+)>", // 2 control
    ":([a-z0-9_+-]+):", // 3 emoji
    ...PAIRS.map(([mark]) => PAIR(mark)), // 4 5 6
    "(?<![\\w/])(https?://[^\\s<>|]+)", // 7 bare link
    "(?<!\\w)@(here|channel|everyone)(?!\\w)", // 8 bare broadcast
  ].join("|"),
  "gu",
);

function inline(text, names, verbatim) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(INLINE)) {
    const node = inlineNode(match, names, verbatim);
    if (node === null) continue;
    nodes.push(decode(text.slice(from, match.index)), node);
    from = match.index + match[0].length;
  }
  nodes.push(decode(text.slice(from)));
  return nodes.filter((node) => node !== "");
}

function inlineNode(match, names, verbatim) {
  const [, code, control, shortcode, bold, italic, struck, url, broadcast] = match;
  if (code !== undefined) return el("code", {}, inline(code, names, verbatim).map(textOf));
  if (control !== undefined) return controlNode(control, names);
  if (shortcode !== undefined) return emoji(shortcode);
  for (const [inner, [, tag]] of [[bold, PAIRS[0]], [italic, PAIRS[1]], [struck, PAIRS[2]]]) {
    if (inner !== undefined) return el(tag, {}, inline(inner, names, verbatim));
  }
  // Without `verbatim`, Slack makes links and mentions of bare text: so it is shown here too.
  if (verbatim) return null;
  if (url !== undefined) return link(decode(url), decode(url));
  if (broadcast !== undefined) return mention(`@${broadcast}`, "broadcast");
  return null;
}

/** Inside code only links and mentions keep their meaning; the rest is shown as typed. */
function textOf(node) {
  if (typeof node === "string") return node;
  return node.matches("a, .mention, time") ? node : node.textContent;
}

function controlNode(control, names) {
  const bar = control.indexOf("|");
  const target = bar < 0 ? control : control.slice(0, bar);
  const label = bar < 0 ? null : decode(control.slice(bar + 1));
  if (target.startsWith("@")) return mention(`@${names.person(target.slice(1)) ?? label ?? target.slice(1)}`);
  if (target.startsWith("#")) return mention(`#${names.channel(target.slice(1)) ?? label ?? target.slice(1)}`);
  if (target.startsWith("!subteam^")) {
    const id = target.slice("!subteam^".length);
    return mention(`@${names.group(id) ?? label?.replace(/^@/, "") ?? id}`);
  }
  if (target.startsWith("!date^")) return date(target.split("^"), label);
  if (target.startsWith("!")) return mention(`@${target.slice(1)}`, "broadcast");
  return link(decode(target), label ?? decode(target));
}

export function mention(text, kind = "") {
  return el("span", { class: `mention ${kind}`.trim() }, text);
}

/** A link, if it leads where a link may lead; else its label. */
export function link(target, label) {
  if (!/^(https?:|mailto:)/i.test(target)) return label;
  return el("a", { href: target, target: "_blank", rel: "noopener noreferrer" }, label);
}

function date([, stamp, format, target], fallback) {
  const at = new Date(Number(stamp) * 1000);
  if (Number.isNaN(at.getTime())) return fallback ?? "";
  const shown = dateText(at, decode(format ?? "{date}"));
  const node = el("time", { datetime: at.toISOString(), title: fallback ?? at.toISOString() }, shown);
  return target ? el("a", { href: safe(target), target: "_blank", rel: "noopener noreferrer" }, node) : node;
}

function safe(target) {
  return /^https?:/i.test(target) ? decode(target) : null;
}

/** Fills Slack's date tokens. */
export function dateText(at, format) {
  const day = (options) => at.toLocaleDateString([], options);
  const long = { year: "numeric", month: "long", day: "numeric" };
  const short = { year: "numeric", month: "short", day: "numeric" };
  const pretty = (options) => {
    const days = Math.round((startOfDay(at) - startOfDay(new Date())) / 86400000);
    return { "-1": "yesterday", 0: "today", 1: "tomorrow" }[days] ?? day(options);
  };
  const tokens = {
    date_num: () => day({ year: "numeric", month: "2-digit", day: "2-digit" }),
    date: () => day(long),
    date_short: () => day(short),
    date_long: () => day({ weekday: "long", ...long }),
    date_pretty: () => pretty(long),
    date_short_pretty: () => pretty(short),
    date_long_pretty: () => pretty({ weekday: "long", ...long }),
    time: () => at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }),
    time_secs: () => at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" }),
    ago: () => ago(at),
  };
  return format.replace(/\{(\w+)\}/g, (all, name) => (Object.hasOwn(tokens, name) ? tokens[name]() : all));
}

function startOfDay(at) {
  return new Date(at.getFullYear(), at.getMonth(), at.getDate()).getTime();
}

function ago(at) {
  const seconds = Math.round((at.getTime() - Date.now()) / 1000);
  const words = new Intl.RelativeTimeFormat([], { numeric: "auto" });
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= size) return words.format(Math.round(seconds / size), unit);
  }
  return words.format(seconds, "second");
}

/** The three entities that Slack knows. */
function decode(text) {
  return text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
}
