"""Slack's own Python SDK and Bolt against the local Slack: does it speak what they speak?

usage: sdk.py BASE_URL, where BASE_URL is the local Slack's root. It uses the token and the
signing secret that Options::default has, and the people and channels of tests/it/oracle.rs.
Prints a line for each thing seen to work; the first that does not ends it with a traceback.
"""

import json
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from slack_bolt import App, BoltRequest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

BASE = sys.argv[1]
TOKEN = "xoxb-local-slack"
SECRET = "local-slack-signing-secret"
CHANNEL = "C0DEPLOYS"

BLOCKS = [
    {"type": "header", "text": {"type": "plain_text", "text": "api deployed"}},
    {"type": "section", "fields": [{"type": "mrkdwn", "text": "*By*\n<@U02ANA>", "verbatim": True}]},
    {"type": "actions", "block_id": "act", "elements": [
        {"type": "button", "action_id": "rollback_open", "style": "danger", "value": "d-142",
         "text": {"type": "plain_text", "text": "Roll back"}}]},
]
MODAL = {
    "type": "modal", "callback_id": "rollback_confirm", "notify_on_close": True,
    "title": {"type": "plain_text", "text": "Roll back"},
    "submit": {"type": "plain_text", "text": "Roll back"},
    "blocks": [{"type": "input", "block_id": "reason", "label": {"type": "plain_text", "text": "Reason"},
                "element": {"type": "plain_text_input", "action_id": "reason"}}],
}


def seen(what):
    print("ok", what, flush=True)


def refused(error, call):
    try:
        call()
    except SlackApiError as refusal:
        assert refusal.response["error"] == error, refusal.response
        return refusal.response
    raise AssertionError(f"{error} was expected")


def post(path, body):
    request = urllib.request.Request(
        BASE.rstrip("/") + path, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request) as response:
        text = response.read()
        return json.loads(text) if text else None


def web_api(client):
    me = client.auth_test()
    assert me["user_id"] == "U0ROLLBACK" and "chat:write" in me.headers["x-oauth-scopes"]
    seen("auth.test")

    posted = client.chat_postMessage(
        channel=CHANNEL, text="api deployed", blocks=BLOCKS, unfurl_links=False,
        metadata={"event_type": "deploy", "event_payload": {"id": "d-142"}})
    ts = posted["ts"]
    # The SDK's own models read back what the server stored.
    assert len([block for block in Block.parse_all(posted["message"]["blocks"]) if block.to_dict()]) == 3
    seen("chat.postMessage")
    assert client.chat_update(channel=CHANNEL, ts=ts, text="x", blocks=BLOCKS)["ts"] == ts
    assert client.chat_getPermalink(channel=CHANNEL, message_ts=ts)["permalink"].startswith("http")
    reply = client.chat_postMessage(channel=CHANNEL, text="r", thread_ts=ts)["ts"]
    assert client.chat_postEphemeral(channel=CHANNEL, user="U02ANA", text="only you")["message_ts"]
    client.reactions_add(channel=CHANNEL, timestamp=ts, name="eyes")
    refused("already_reacted", lambda: client.reactions_add(channel=CHANNEL, timestamp=ts, name="eyes"))
    client.reactions_remove(channel=CHANNEL, timestamp=ts, name="eyes")
    client.chat_delete(channel=CHANNEL, ts=client.chat_postMessage(channel=CHANNEL, text="gone")["ts"])
    seen("chat.* and reactions.*")

    page = client.conversations_history(channel=CHANNEL, limit=1, include_all_metadata=True)
    assert page["messages"][0]["metadata"]["event_payload"]["id"] == "d-142", page.data
    # The SDK follows the cursors by itself; each page is the same object with new content.
    pages = client.conversations_replies(channel=CHANNEL, ts=ts, limit=1)
    assert [page["messages"][0]["ts"] for page in pages] == [ts, reply]
    assert client.conversations_info(channel=CHANNEL)["channel"]["name"] == "deploys"
    direct = client.conversations_open(users=["U02ANA"])["channel"]["id"]
    assert client.chat_postMessage(channel=direct, text="to you")["channel"] == direct
    seen("conversations.*")

    assert client.users_info(user="U02ANA")["user"]["team_id"] == "T0LOCAL"
    assert client.users_lookupByEmail(email="ana@example.com")["user"]["id"] == "U02ANA"
    assert client.usergroups_list(include_users=True)["usergroups"][0]["users"] == ["U02ANA"]
    assert client.usergroups_users_list(usergroup="S0PAYMENTS")["users"] == ["U02ANA"]
    seen("users.* and usergroups.*")

    refused("invalid_trigger_id", lambda: client.views_open(trigger_id="1.2.3", view=View(**MODAL)))
    refusal = refused("invalid_blocks", lambda: client.chat_postMessage(
        channel=CHANNEL, text="x", blocks=[{"type": "section"}]))
    assert "json-pointer:/blocks/0" in refusal["response_metadata"]["messages"][0]
    refused("invalid_auth", lambda: WebClient("xoxb-wrong", base_url=BASE + "api/").auth_test())
    refused("not_authed", lambda: WebClient(base_url=BASE + "api/").auth_test())
    seen("errors")

    post("/_control", {"do": "fail", "fault": "rate_limited", "retry_after": 1, "method": "auth.test"})
    patient = WebClient(TOKEN, base_url=BASE + "api/", retry_handlers=[RateLimitErrorRetryHandler()])
    started = time.monotonic()
    assert patient.auth_test()["ok"] and time.monotonic() - started >= 1
    seen("the SDK waits as Retry-After says")


def serve(app):
    """Bolt behind a plain HTTP server; returns where."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            headers = {name: [value] for name, value in self.headers.items()}
            answer = app.dispatch(BoltRequest(body=body, headers=headers))
            self.send_response(answer.status)
            for name, values in answer.headers.items():
                for value in values:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(answer.body.encode())))
            self.end_headers()
            self.wfile.write(answer.body.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


def state():
    with urllib.request.urlopen(BASE + "_state?as=U02ANA") as response:
        return json.load(response)


def bolt(client):
    app = App(client=client, signing_secret=SECRET, token_verification_enabled=False)
    closed = threading.Event()

    @app.action("rollback_open")
    def clicked(ack, body, client, respond):
        assert body["actions"][0]["value"] == "d-142" and body["user"]["id"] == "U02ANA"
        client.views_open(trigger_id=body["trigger_id"], view=MODAL)
        respond("you clicked")
        ack()

    @app.view("rollback_confirm")
    def submitted(ack, view):
        reason = view["state"]["values"]["reason"]["reason"]["value"]
        if reason == "no":
            ack(response_action="errors", errors={"reason": "say more"})
        else:
            ack()

    @app.view_closed("rollback_confirm")
    def was_closed(ack):
        closed.set()
        ack()

    right = serve(app)
    wrong = serve(App(client=client, signing_secret="other", token_verification_enabled=False))
    ts = client.chat_postMessage(channel=CHANNEL, text="api deployed", blocks=BLOCKS)["ts"]
    click = {"do": "click", "user": "U02ANA", "channel": CHANNEL, "ts": ts, "action_id": "rollback_open"}

    post("/_control", {"do": "interactivity_url", "url": wrong})
    answer = post("/_act", click)
    assert answer["outcome"] == "trouble" and "401" in answer["detail"], answer
    seen("Bolt refuses a signature of another secret")
    post("/_control", {"do": "interactivity_url", "url": right})
    assert post("/_act", click)["outcome"] == "acknowledged"
    screen = state()
    view_id = screen["views"][0]["id"]
    assert screen["channels"][0]["ephemerals"][-1]["text"] == "you clicked"
    seen("Bolt verifies a click, opens a view with its trigger id, and responds")

    submit = {"do": "submit", "user": "U02ANA", "view_id": view_id}
    answer = post("/_act", {**submit, "values": {"reason": ["no"]}})
    assert answer == {"outcome": "errors", "detail": {"reason": "say more"}}, answer
    assert post("/_act", {**submit, "values": {"reason": ["errors up"]}}) == {"outcome": "closed"}
    assert state()["views"] == []
    seen("Bolt's answers to a submission are understood")

    post("/_act", click)
    view_id = state()["views"][0]["id"]
    post("/_act", {"do": "close", "user": "U02ANA", "view_id": view_id})
    assert closed.wait(5)
    seen("Bolt hears of a closed view")


if __name__ == "__main__":
    slack = WebClient(TOKEN, base_url=BASE + "api/")
    web_api(slack)
    bolt(slack)
