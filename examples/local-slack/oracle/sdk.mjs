// Slack's own Node SDK against the local Slack: does it speak what it speaks?
//
// usage: node sdk.mjs BASE_URL PEERS, where BASE_URL is the local Slack's root and PEERS the folder
// that `tools/peers slack-node` prints. Prints a line for each thing seen to work.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [base, peers] = process.argv.slice(2);
const require = createRequire(`${peers}/`);
const { WebClient } = require("@slack/web-api");
const { SocketModeClient } = require("@slack/socket-mode");

const token = "xoxb-local-slack";
const slackApiUrl = `${base}api/`;
const channel = "C0DEPLOYS";
const client = new WebClient(token, { slackApiUrl, retryConfig: { retries: 1 } });
const seen = (what) => console.log("ok", what);
const refused = (error, call) => assert.rejects(call, (refusal) => refusal.data?.error === error || assert.fail(refusal));
const put = (path, body) =>
  fetch(`${base}${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
const control = (body) => put("_control", body);
const act = async (body) => (await put("_act", { user: "U02ANA", ...body })).json();

const blocks = [
  { type: "actions", block_id: "act", elements: [{ type: "button", action_id: "rollback_open", text: { type: "plain_text", text: "Roll back" } }] },
];

assert.equal((await client.auth.test()).team_id, "T0LOCAL");
seen("auth.test");

const metadata = { event_type: "deploy", event_payload: { id: "d-142" } };
const posted = await client.chat.postMessage({ channel, text: "api deployed", blocks, metadata });
assert.equal(posted.message.blocks[0].elements[0].action_id, "rollback_open");
const { ts } = posted;
await client.chat.update({ channel, ts, text: "in flight" });
const page = await client.conversations.history({ channel, include_all_metadata: true, limit: 1 });
assert.deepEqual(page.messages[0].metadata, metadata);
assert.equal(page.messages[0].blocks.length, 0);
seen("a form carries blocks and metadata as JSON");

await client.chat.postMessage({ channel, text: "r", thread_ts: ts });
const pages = [];
for await (const part of client.paginate("conversations.replies", { channel, ts, limit: 1 })) pages.push(part);
assert.deepEqual(pages.flatMap((part) => part.messages.map((message) => message.text)), ["in flight", "r"]);
seen("the SDK follows the cursors");

assert.deepEqual((await client.usergroups.users.list({ usergroup: "S0PAYMENTS" })).users, ["U02ANA"]);
assert.equal((await client.users.info({ user: "U02ANA" })).user.is_restricted, false);
await refused("invalid_trigger_id", () =>
  client.views.open({ trigger_id: "1.2.3", view: { type: "modal", title: { type: "plain_text", text: "T" }, blocks: [] } }));
await refused("invalid_blocks", () => client.chat.postMessage({ channel, text: "x", blocks: [{ type: "section" }] }));
await refused("channel_not_found", () => client.chat.postMessage({ channel: "C0NONE", text: "x" }));
await refused("invalid_auth", () => new WebClient("xoxb-wrong", { slackApiUrl }).auth.test());
seen("errors");

await control({ do: "fail", fault: "rate_limited", retry_after: 1, method: "chat.postMessage" });
const started = Date.now();
assert.ok((await client.chat.postMessage({ channel, text: "after a pause" })).ok);
assert.ok(Date.now() - started >= 1000);
const strict = new WebClient(token, { slackApiUrl, rejectRateLimitedCalls: true });
await control({ do: "fail", fault: "rate_limited", retry_after: 7, method: "auth.test" });
await assert.rejects(() => strict.auth.test(), { code: "slack_webapi_rate_limited_error", retryAfter: 7 });
seen("the SDK waits as Retry-After says");

const once = new WebClient(token, { slackApiUrl, retryConfig: { retries: 0 } });
for (const fault of ["server_error", "reset"]) {
  await control({ do: "fail", fault, method: "auth.test" });
  await assert.rejects(() => once.auth.test(), /500|socket hang up|ECONNRESET|fetch failed|reset/i);
}
seen("500 and a reset connection reach the SDK as such");

const socket = new SocketModeClient({ appToken: "xapp-local-slack", clientOptions: { slackApiUrl }, logLevel: "error" });
socket.on("interactive", async ({ body, ack }) => {
  if (body.type === "block_actions") {
    const input = { type: "input", block_id: "reason", label: { type: "plain_text", text: "Reason" }, element: { type: "plain_text_input", action_id: "reason" } };
    const title = { type: "plain_text", text: "Roll back" };
    await client.views.open({ trigger_id: body.trigger_id, view: { type: "modal", title, submit: title, blocks: [input] } });
    await ack();
  } else {
    const typed = body.view.state.values.reason.reason.value;
    await ack(typed === "no" ? { response_action: "errors", errors: { reason: "say more" } } : { response_action: "clear" });
  }
});
await socket.start();
const button = await client.chat.postMessage({ channel, text: "api deployed", blocks });
const click = { do: "click", channel, ts: button.ts, action_id: "rollback_open" };
const views = async () => (await (await fetch(`${base}_state?as=U02ANA`)).json()).views;
assert.deepEqual(await act(click), { outcome: "acknowledged" });
const [view] = await views();
const submit = (reason) => act({ do: "submit", view_id: view.id, values: { reason: [reason] } });
assert.deepEqual(await submit("no"), { outcome: "errors", detail: { reason: "say more" } });
assert.deepEqual(await submit("errors up"), { outcome: "cleared" });
seen("Socket Mode carries callbacks and their answers");

const again = new Promise((resolve) => socket.on("connected", resolve));
await control({ do: "refresh_sockets" });
await again;
assert.deepEqual(await act(click), { outcome: "acknowledged" });
await socket.disconnect();
seen("Socket Mode comes again when it is asked to");
process.exit(0);
