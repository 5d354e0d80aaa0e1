#!/usr/bin/env python3
"""Compares the engine with libmodsecurity on mutated requests: the ids of the rules that match, request by request.

    cargo test -p portcullis-waf --test libmodsecurity

That test runs this program. It writes the requests to standard output, a JSON object a line, and reads the ids of the rules
that matched, a line each, from standard input. `DIFFERENTIAL="25000 7"` asks for another count and another seed.

Requests are put together of pieces of attacks, and of texts made from the rules' own expressions, with small changes. It
prints each rule id on which the two differ, how often, and one request. Exit code 1 if a difference is not judged in
`tests/data/differential.txt`. Rules of phase 5 only report, and libmodsecurity does not list them, so they do not count.
"""
import collections
import json
import os
import pathlib
import random
import re
import re._parser as sre_parse
import sys
import urllib.parse

import libmodsecurity

PIECES = [
    "'", '"', "`", ";", "|", "&&", "||", "(", ")", "{{7*7}}", "<script>", "onerror=", "javascript:", "alert(1)", "../", "%00",
    "/etc/passwd", "cat ", "wget http://a.example/", "union select", "or 1=1", "sleep(5)", "--", "/*", "*/", "#", "${jndi:ldap://a}",
    "<?php", "system(", "$_GET[", "__proto__", "\\x41", "\\u0027", "%27", "%2527", "&#39;", "\n", "\r\n", "\t", "é", "日本",
    "0x41", "hello", "world", "name", "1", "42", " ", ".", ",", "=", "+", "base64_decode(", "document.cookie", "http://10.0.0.1",
    "file:///", "powershell", "rO0ABXNy", "O:8:\"a\":1:{", "select * from users", "information_schema", "waitfor delay", "nc -e",
]


DATA = pathlib.Path(__file__).parent.parent / "data"
ANY = [chr(code) for code in range(32, 127)]


def known():
    """Differences that were judged: for each rule and side, why the two need not agree."""
    judged = {}
    for line in (DATA / "differential.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            rule, side, reason = line.split(None, 2)
            judged[int(rule), side] = reason
    return judged


def patterns(directory):
    """Every expression of the rules, taken apart. Those with what Python does not read are left out."""
    found = []
    for file in sorted((directory / "rules").glob("REQUEST-*.conf")):
        text = file.read_text(encoding="utf-8")
        for line in re.findall(r'"@rx ((?:[^"\\]|\\.)*)"', text):
            try:
                found.append(sre_parse.parse(line.replace('\\"', '"'), re.DOTALL))
            except (re.error, OverflowError):
                pass
    return found


def sample(rng, parsed, groups=None):
    """A text that the expression matches, more or less: look-around is left out."""
    groups = {} if groups is None else groups
    out = []
    for op, argument in parsed:
        name = str(op)
        if name == "LITERAL":
            out.append(chr(argument))
        elif name == "NOT_LITERAL":
            out.append(rng.choice([char for char in ANY if ord(char) != argument]))
        elif name == "ANY":
            out.append(rng.choice(ANY))
        elif name == "IN":
            out.append(member(rng, argument))
        elif name == "BRANCH":
            out.append(sample(rng, rng.choice(argument[1]), groups))
        elif name == "SUBPATTERN":
            text = sample(rng, argument[3], groups)
            groups[argument[0]] = text
            out.append(text)
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            least, most, inner = argument
            count = rng.randint(least, max(least, min(int(most), least + 2)))
            out.extend(sample(rng, inner, groups) for _ in range(count))
        elif name == "ATOMIC_GROUP":
            out.append(sample(rng, argument, groups))
        elif name == "GROUPREF":
            out.append(groups.get(argument, ""))
    return "".join(out)


CLASSES = {"CATEGORY_DIGIT": "0179", "CATEGORY_SPACE": " \t\n", "CATEGORY_WORD": "aZ_5"}
OTHERS = {"CATEGORY_NOT_DIGIT": "a-. ", "CATEGORY_NOT_SPACE": "a1-'", "CATEGORY_NOT_WORD": " -'(;"}


def member(rng, items):
    """A character of a class."""
    negated = bool(items) and str(items[0][0]) == "NEGATE"
    ranges, chars = [], ""
    for op, argument in items:
        name = str(op)
        if name == "LITERAL":
            ranges.append((argument, argument))
        elif name == "RANGE":
            ranges.append(argument)
        elif name == "CATEGORY":
            chars += {**CLASSES, **OTHERS}[str(argument)]
    if negated:
        good = [c for c in ANY if c not in chars and not any(low <= ord(c) <= high for low, high in ranges)]
        return rng.choice(good or ANY)
    if chars and (not ranges or rng.random() < 0.3):
        return rng.choice(chars)
    low, high = rng.choice(ranges)
    return chr(rng.randint(low, high))


def mutated(rng, text):
    """The text with at most two small changes."""
    for _ in range(rng.randint(0, 2)):
        at = rng.randint(0, len(text))
        kind = rng.randint(0, 3)
        if kind == 0:
            text = text[:at] + rng.choice(PIECES) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + 1 :]
        elif kind == 2:
            text = text[:at] + text[at : at + 1].swapcase() + text[at + 1 :]
        else:
            text = text[:at] + rng.choice(ANY) + text[at:]
    return text


def value(rng):
    if rng.random() < 0.6 and PATTERNS:
        text = mutated(rng, sample(rng, rng.choice(PATTERNS))[:200])
        # Both engines are shown the same bytes: what is no text of UTF-8 has none here.
        return text.encode("utf-8", "replace").decode("utf-8")
    return "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 6)))


PATTERNS = []


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
    count, seed, paranoia = sys.argv[1:]
    count, rng = int(count), random.Random(int(seed))
    directory = pathlib.Path(os.environ["CRS_DIR"])
    PATTERNS.extend(patterns(directory))
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
    for one in sent:
        print(json.dumps(one))
    sys.stdout.flush()
    ours = sys.stdin.read()
    judged, differ = known(), collections.defaultdict(list)
    same = 0
    for one, line in zip(sent, ours.splitlines(), strict=True):
        mine = {int(word) for word in line.split() if not word.startswith("980")}
        theirs = {rule for rule in reference(rules, engine, one) if not 980_000 <= rule < 981_000}
        same += mine == theirs
        for rule in mine ^ theirs:
            differ[rule, "here" if rule in mine else "there"].append(one)
    print(f"{same} of {count} requests have the same rules ({len(PATTERNS)} expressions)")
    unknown = 0
    for (rule, side), cases in sorted(differ.items(), key=lambda item: -len(item[1])):
        reason = judged.get((rule, side))
        print(f"{rule} only {side}: {len(cases)} ({reason or 'NOT JUDGED'})")
        if reason is None:
            unknown += 1
            print("   ", json.dumps(cases[0], ensure_ascii=False)[:1000])
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
