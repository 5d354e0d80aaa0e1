#!/usr/bin/env python3
"""Compares the engine with libmodsecurity on mutated requests: the ids of the rules that match, request by request.

    pip install libmodsecurity
    cargo build -p portcullis-waf --example judge
    CRS_DIR=... python3 compare.py target/debug/examples/judge [count] [seed]

It prints each rule id on which the two differ, how often, and one request. Exit code 1 if a difference is not in KNOWN.
"""
import collections
import json
import os
import pathlib
import random
import subprocess
import sys
import urllib.parse

import libmodsecurity

# Differences that were judged: the id, and why the two need not agree.
LINES = "libmodsecurity lets ^ and $ match at line ends inside of a value; ModSecurity 2 and this engine do not"
STEPS = "libmodsecurity's normalizePath takes a segment that ends in two dots, as in `passwd../x`, for a step up"
BODY = "libmodsecurity has REQUEST_BODY for JSON bodies as well"
KNOWN = {
    920273: BODY,
    930110: LINES,
    930120: STEPS,
    930121: STEPS,
    931100: LINES,
    932160: STEPS,
    932206: LINES,
    933130: STEPS,
    941170: LINES,
    942330: LINES,
    949110: "the score differs if any rule differs",
    980170: "libmodsecurity does not list the matches of phase 5",
}
PIECES = [
    "'", '"', "`", ";", "|", "&&", "||", "(", ")", "{{7*7}}", "<script>", "onerror=", "javascript:", "alert(1)", "../", "%00",
    "/etc/passwd", "cat ", "wget http://a.example/", "union select", "or 1=1", "sleep(5)", "--", "/*", "*/", "#", "${jndi:ldap://a}",
    "<?php", "system(", "$_GET[", "__proto__", "\\x41", "\\u0027", "%27", "%2527", "&#39;", "\n", "\r\n", "\t", "é", "日本",
    "0x41", "hello", "world", "name", "1", "42", " ", ".", ",", "=", "+", "base64_decode(", "document.cookie", "http://10.0.0.1",
    "file:///", "powershell", "rO0ABXNy", "O:8:\"a\":1:{", "select * from users", "information_schema", "waitfor delay", "nc -e",
]


def value(rng):
    return "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 6)))


def request(rng):
    pairs = [(rng.choice(["q", "id", "name", "file", "url", "a[b]"]), value(rng)) for _ in range(rng.randint(1, 3))]
    text = urllib.parse.urlencode(pairs)
    headers = [
        ["Host", "localhost"],
        ["User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"],
        ["Accept", "text/html,*/*;q=0.8"],
    ]
    if rng.random() < 0.3:
        headers.append(["Cookie", "session=abc; x=" + value(rng).replace("\n", "").replace("\r", "").replace(";", "")])
    if rng.random() < 0.2:
        headers.append(["Referer", "https://example.com/?" + urllib.parse.urlencode({"r": value(rng)})])
    kind = rng.random()
    if kind < 0.5:
        return {"method": "GET", "target": "/" + rng.choice(["", "a/b", "index.php"]) + "?" + text, "headers": headers, "body": ""}
    if kind < 0.8:
        content_type, body = "application/x-www-form-urlencoded", text
    else:
        content_type, body = "application/json", json.dumps(dict(pairs))
    headers += [["Content-Type", content_type], ["Content-Length", str(len(body.encode()))]]
    return {"method": "POST", "target": "/post", "headers": headers, "body": body}


def reference(rules, engine, sent):
    ids = []
    engine.set_log_callback(lambda *_: None)
    with engine.transaction(rules) as transaction:
        transaction.process_connection("192.0.2.7", 50000, "127.0.0.1", 80)
        transaction.process_uri(sent["target"], sent["method"], "1.1")
        for name, text in sent["headers"]:
            transaction.add_request_header(name, text)
        transaction.process_request_headers()
        if sent["body"]:
            transaction.append_request_body(sent["body"].encode())
        transaction.process_request_body()
        transaction.process_logging()
        ids = [message.rule_id for message in transaction.get_rule_messages()]
    return ids


def main():
    judge, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5000
    rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    directory = pathlib.Path(os.environ["CRS_DIR"])
    paranoia = "4"
    setup = (
        "SecRuleEngine DetectionOnly\nSecRequestBodyAccess On\n"
        'SecRule REQUEST_HEADERS:Content-Type "^application/json" "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"\n'
        f'SecAction "id:900005,phase:1,nolog,pass,setvar:tx.crs_setup_version=4250,setvar:tx.blocking_paranoia_level={paranoia}"\n'
    )
    rules = libmodsecurity.RulesSet()
    rules.load('SecDefaultAction "phase:1,log,auditlog,pass"\nSecDefaultAction "phase:2,log,auditlog,pass"\n' + setup)
    for file in sorted((directory / "rules").glob("*.conf")):
        rules.load_from_uri(str(file))
    engine = libmodsecurity.ModSecurity()
    sent = [request(rng) for _ in range(count)]
    lines = "".join(json.dumps(one) + "\n" for one in sent)
    ours = subprocess.run([judge, str(directory), paranoia], input=lines, capture_output=True, text=True, check=True)
    differ = collections.defaultdict(list)
    same = 0
    for one, line in zip(sent, ours.stdout.splitlines(), strict=True):
        mine = {int(word) for word in line.split()}
        theirs = set(reference(rules, engine, one))
        same += mine == theirs
        for rule in mine ^ theirs:
            differ[rule].append(("only here" if rule in mine else "only there", one))
    print(f"{same} of {count} requests have the same rules")
    unknown = 0
    for rule, cases in sorted(differ.items(), key=lambda item: -len(item[1])):
        where = collections.Counter(case[0] for case in cases)
        print(f"{rule}: {dict(where)} {KNOWN.get(rule, '')}")
        if rule not in KNOWN:
            unknown += 1
            print("   ", json.dumps(cases[0][1], ensure_ascii=False)[:400])
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
