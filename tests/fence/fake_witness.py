#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A witness by the letter of remus-witness(8), and one that misbehaves.

    fake_witness.py NAME KEYFILE DIR

Listens on a free port of 127.0.0.1 and writes it to DIR/NAME.port.  What it
sees is read from DIR/NAME.vms (the list `vms' of /v1/evidence) for every
request, and how it misbehaves from DIR/NAME.mode ("ticket HOW": at /v1/ticket
only).  The tickets that it accepts
are kept in memory and put into the evidence; DIR/NAME.log has a line for each
request that it took for a right one.
"""
import hashlib
import hmac
import http.server
import json
import os
import sys
import time

NAME, KEYFILE, DIR = sys.argv[1:4]
with open(KEYFILE, "rb") as f:
    KEY = f.read()

registers = {}
last_mac = "0" * 64


def path(what):
    return os.path.join(DIR, NAME + "." + what)


def mode():
    try:
        with open(path("mode"), encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def mac(lines, body):
    text = "".join(line + "\n" for line in lines).encode() + body
    return hmac.new(KEY, text, hashlib.sha256).hexdigest()


def number(ballot):
    return (ballot["n"], ballot["proposer"])


class Register:
    """An acceptor without leases of its own: those are in DIR/NAME.vms."""

    def __init__(self, vm):
        self.promised = self.accepted = vm["accepted"]
        self.value = vm["ticket"]

    def on(self, m, vm):
        answer = {"ballot": self.promised, "value": self.value,
                  "lease_left_ms": 0, "why": ""}
        if m["question"] == "prepare":
            if m["purpose"] == "fence" and vm["seen"]:
                return dict(answer, reply="refused-seen", why=vm["why"])
            if number(m["ballot"]) <= number(self.promised):
                return dict(answer, reply="refused-ballot")
            self.promised = m["ballot"]
            return dict(answer, reply="promise", ballot=self.accepted)
        if m["question"] == "accept":
            if number(m["ballot"]) < number(self.promised):
                return dict(answer, reply="refused-ballot")
            self.promised = self.accepted = m["ballot"]
            self.value = m["value"]
            return dict(answer, reply="accepted",
                        lease_left_ms=vm["lease_left_ms"])
        return dict(answer, reply="refused-value")


def known():
    with open(path("vms"), encoding="ascii") as file:
        vms = json.load(file)
    for vm in vms:
        r = registers.setdefault(vm["vm"], Register(vm))
        vm["ticket"], vm["accepted"] = r.value, r.accepted
    return vms


def answer_to(where, request):
    if where == "/v1/evidence":
        return {"witness": NAME, "up_ms": 99999, "vms": known(),
                "vote": {"hold_ms": 0, "grants": []}}
    for vm in known():
        if vm["vm"] == request["vm"]:
            return registers[vm["vm"]].on(request, vm)
    return {"reply": "refused-bad", "ballot": {"n": 0, "proposer": "0" * 16},
            "value": {"generation": 0, "state": "none", "holder": "",
                      "backup": ""},
            "lease_left_ms": 0, "why": "no such virtual machine"}


# What it says instead of what is right; each returns the bytes of a body.
BODIES = {
    "notjson": lambda right: b"yes, of course",
    "empty": lambda right: b"",
    "array": lambda right: b"[1,2,3]",
    "deep": lambda right: b"[" * 30000 + b"]" * 30000,
    "huge": lambda right: b'{"x":"' + b"x" * 200000 + b'"}',
    "nul": lambda right: right.replace(b"web", b"w\\u0000b"),
    "othername": lambda right: right.replace(
        b'"witness": "%s"' % NAME.encode(), b'"witness": "w9"'),
    "types": lambda right: right.replace(b'"generation": 3',
                                         b'"generation": "3"'),
    "nonsense": lambda right: b'{"reply":"accepted","witness":"%s","vms":{}}'
    % NAME.encode(),
    "cut": lambda right: right[:len(right) // 2],
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def refuse(self, status):
        body = b'{"error":"no"}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        global last_mac
        body = self.rfile.read(int(self.headers["Content-Length"]))
        auth = self.headers["Remus-Auth"].split(" ")
        version, node, witness, when, nonce, theirs = auth
        right = mac(["remus-witness 1 request", "POST", self.path, node,
                     witness, when, nonce], body)
        how = mode()
        if how.startswith("ticket "):
            how = how[7:] if self.path == "/v1/ticket" else ""
        if (version != "1" or witness != NAME or theirs != right or
                abs(int(when) - time.time() * 1000) > 30000):
            self.refuse(401)
            return
        with open(path("log"), "a", encoding="ascii") as file:
            file.write(self.path + " " + body.decode() + "\n")
        if how == "silent":
            time.sleep(30)
        if how in ("500", "503", "401", "302"):
            self.refuse(int(how))
            return
        out = json.dumps(answer_to(self.path, json.loads(body))).encode()
        out = BODIES.get(how, lambda b: b)(out)
        ours = mac(["remus-witness 1 answer", NAME, node, nonce, "200"], out)
        header = "1 %s %s" % (NAME, ours)
        if how == "badmac":
            header = "1 %s %s" % (NAME, "0" * 64)
        elif how == "replay":
            header = "1 %s %s" % (NAME, last_mac)
        elif how == "request-mac":
            header = "1 %s %s" % (NAME, theirs)
        elif how == "longmac":
            header = "1 %s %s" % (NAME, "0" * 60000)
        last_mac = ours
        if how == "hangup":
            self.close_connection = True
            return
        self.send_response(200)
        if how != "nomac":
            self.send_header("Remus-Auth", header)
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        if how == "trickle":
            for i in range(len(out)):
                self.wfile.write(out[i:i + 1])
                self.wfile.flush()
                time.sleep(0.5)
        self.wfile.write(out)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # whoever asked has gone


server = Server(("127.0.0.1", 0), Handler)
with open(path("port.new"), "w", encoding="ascii") as f:
    f.write(str(server.server_address[1]))
os.rename(path("port.new"), path("port"))
server.serve_forever()
