#!/usr/bin/env python3
"""A stand-in for a CD system: the CD API contract over revisions in memory.

It deploys nothing. Try the button with it before your CD system speaks the contract, and read it as
the shortest server of the contract there is. Usage: CD_TOKEN=… stand-in-cd.py [PORT]
"""

import hmac
import json
import os
import sys
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOCK = threading.Lock()
NOW = datetime.now(timezone.utc)


def revision(number, version, days_ago):
    at = (NOW - timedelta(days=days_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"id": number, "version": version, "commit": None, "deployed_at": at,
            "status": "succeeded", "restorable": True, "migrations": []}


REVISIONS = [revision("42", "2.14.0", 0), revision("41", "2.13.4", 1), revision("40", "2.13.3", 2)]
LIVE = "42"
OPERATIONS = {}


class Contract(BaseHTTPRequestHandler):
    def answer(self, status, body):
        text = json.dumps(body).encode()
        kind = "application/json" if status < 400 else "application/problem+json"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def problem(self, status, detail):
        self.answer(status, {"type": "about:blank", "status": status, "title": detail,
                             "detail": detail})

    def may(self):
        given = self.headers.get("Authorization", "").encode()
        if hmac.compare_digest(given, b"Bearer " + os.environ["CD_TOKEN"].encode()):
            return True
        self.problem(401, "give the bearer token of this CD system")
        return False

    def do_GET(self):
        if not self.may():
            return
        parts = self.path.strip("/").split("/")
        with LOCK:
            if parts[:2] == ["v1", "services"] and len(parts) == 5:
                live = next(r for r in REVISIONS if r["id"] == LIVE)
                self.answer(200, {"live": live, "in_progress": None,
                              "undone_by": None, "revisions": REVISIONS})
            elif parts[:2] == ["v1", "rollbacks"] and parts[-1] in OPERATIONS:
                self.answer(200, OPERATIONS[parts[-1]][1])
            else:
                self.problem(404, "there is no such thing here")

    def do_POST(self):
        global LIVE
        if not self.may():
            return
        length = int(self.headers.get("Content-Length") or 0)
        order = json.loads(self.rfile.read(min(length, 65536)))
        name = order["operation_id"]
        with LOCK:
            known = OPERATIONS.get(name)
            target = next((r for r in REVISIONS if r["id"] == order["target"]), None)
            if known and known[0] != order:
                self.problem(422, "this operation id was used for another order")
            elif known:
                self.answer(202, {"execution_id": "run-" + name})
            elif target is None:
                self.problem(404, "there is no such revision")
            elif order["expected_live"] != LIVE:
                self.problem(409, f"{LIVE} is live, not {order['expected_live']}")
            else:
                LIVE = target["id"]
                done = {"execution_id": "run-" + name, "phase": "complete",
                        "message": "done", "live": target}
                OPERATIONS[name] = (order, done)
                self.answer(202, {"execution_id": "run-" + name})

    def do_DELETE(self):
        if self.may():
            self.problem(409, "it is done already")

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    ThreadingHTTPServer(("127.0.0.1", port), Contract).serve_forever()
