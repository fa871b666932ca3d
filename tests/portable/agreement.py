"""Cases on which Python and Rust agree, in `agreement.json`.

`python -m tests.portable.agreement` writes the file: the inputs are below, and the results are
those of Python. `test_agreement.py` and `tests/rust/carrier/agreement.rs` read it. The file has
each value as the text of its codec. A header is a text with one character for each octet, or a
list of texts and of repeated texts, as in `["a=", ["x", 8000]]`.
"""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

import ctxvars
from ctxvars import ContextVar, Signer, extract, inject, portable
from ctxvars._portable.codecs import codec_of
from ctxvars._portable.headers.signing import _mac

FILE = Path(__file__).with_suffix(".json")

Case = dict[str, Any]

CODECS: dict[str, Any] = {
    "str": str,
    "int": int,
    "bool": bool,
    "float": float,
    "bytes": bytes,
    "str | None": str | None,
    "int | None": int | None,
}
DECLARED: dict[str, tuple[str, dict[str, Any]]] = {
    "tests.text": ("str", {}),
    "tests.number": ("int", {"validate": lambda number: number >= -9}),
    "tests.flag": ("bool", {}),
    "tests.ratio": ("float", {"to": "public"}),
    "tests.key": ("bytes", {"to": "process"}),
    "tests.name": ("str | None", {"to": "public"}),
    "tests.depth": (
        "int",
        {"version": 3, "older": {1: len, 2: lambda text: codec_of(int)[1](text) * 2}},
    ),
}


def declare() -> dict[str, ContextVar[Any]]:
    return {
        name: portable(ContextVar(name), name, codec=CODECS[codec], **options)
        for name, (codec, options) in DECLARED.items()
    }


def expanded(header: str | list[Any]) -> str:
    parts = [header] if isinstance(header, str) else header
    return "".join(part if isinstance(part, str) else part[0] * part[1] for part in parts)


def text_of(name: str, value: Any) -> str:
    return codec_of(CODECS[DECLARED[name][0]])[0](value)


def value_of(name: str, text: str) -> Any:
    return codec_of(CODECS[DECLARED[name][0]])[1](text)


def signer_of(case: Case) -> Signer | None:
    if "signer" not in case:
        return None
    keys = {name: secret.encode() for name, secret in case["signer"]["keys"].items()}
    return Signer(keys, max_age=60, leeway=30, clock=lambda: case["signer"]["now"])


def injected(case: Case, variables: dict[str, ContextVar[Any]]) -> Case:
    """The header of a case, or the error."""
    values = {
        variables[name]: value_of(name, expanded(text)) for name, text in case["values"].items()
    }
    headers = [(b"baggage", expanded(header).encode()) for header in case.get("present", [])]
    foreign = [expanded(each) for each in case.get("foreign", [])]
    with ctxvars.scope(values):
        try:
            inject(headers, to=case["to"], signer=signer_of(case), foreign=foreign)
        except ValueError as error:
            return {"error": str(error)}
    return {"headers": [value.decode() for _, value in headers]}


def extracted(case: Case) -> Case:
    """The result of a case."""
    pairs = [(b"baggage", expanded(header).encode("latin-1")) for header in case["headers"]]
    received = extract(pairs, accept=case["accept"], signer=signer_of(case))
    return {
        # The value of the deadline depends on the time.
        "values": {
            it.name: "" if it.name.startswith("ctxvars.") else text_of(it.name, value)
            for it, value in sorted(received.values.items(), key=lambda item: item[0].name)
        },
        "errors": sorted([it.name, it.reason, it.members] for it in received.errors),
        "foreign": list(received.foreign),
    }


def encoded(kind: str, data: str) -> str:
    """The text of a number or of bytes, given in hexadecimal."""
    octets = bytes.fromhex(data)
    value = octets if kind == "bytes" else struct.unpack(">d", octets)[0]
    return codec_of(CODECS[kind])[0](value)


def decoded(kind: str, text: str) -> str | None:
    """The text of the value of a text, or `None` if the codec refuses it."""
    encode, decode = codec_of(CODECS[kind])
    try:
        return encode(decode(text))
    except ValueError:
        return None


RANDOM = random.Random(18)

FLOATS = [0.0, -0.0, 1.0, 0.1, 123456789012345.6, 1e15, 1e16, 9999999999999998.0, 1e-4, 9.999e-5]
FLOATS += [5e-324, 1.7976931348623157e308, float("inf"), float("-inf"), float("nan"), 1 / 3, 1e22]
FLOATS += [sign * RANDOM.random() * 10.0**power for power in range(-20, 20) for sign in (1, -1)]


def encode_cases() -> list[list[str]]:
    floats = [struct.pack(">d", each).hex() for each in FLOATS]
    octets = [RANDOM.randbytes(length).hex() for length in range(20)]
    return [["float", each] for each in floats] + [["bytes", each] for each in octets]


NUMBERS = ["", "0", "-0", "7", "-7", "007", "+1", " 1", "1 ", "1_0", "1.0", "0x1", "--1", "-"]
RATIOS = ["1.5", "-1.5e3", "1e5", "1E5", "1e+05", "1e", "1e400", "1.", ".5", "inf", "-inf", "nan"]
RATIOS += [
    "-nan",
    "Infinity",
    "NAN",
    "infinity",
    "1e-400",
    "e5",
    "1.5.5",
    "0.1e-5",
    "+1.0",
    "1e5e5",
]
KEYS = ["", "A", "AA", "AB", "AAA", "AAB", "AAAA", "AAAAA", "a-_9", "a+b=", "a/", "AA==", "ä"]
OTHER_DIGIT = "\u0661"
DECODED: dict[str, list[str]] = {
    "str": ["", "a", "~", "ä\u20ac\U0001f600"],
    "int": [*NUMBERS, OTHER_DIGIT, "9223372036854775807", "-9223372036854775808"],
    "bool": ["", "true", "false", "True", "1", "yes", " true"],
    "float": [*NUMBERS, *RATIOS, OTHER_DIGIT],
    "bytes": KEYS,
    "str | None": ["", "a", "~", "~~", "~~a", "~a", "a~"],
    "int | None": ["", "~", "~~", "5", "~5", "None"],
}

ALL = {
    "tests.text": 'globex & sons, "é"\u20ac\0~+%;=',
    "tests.number": "-9",
    "tests.flag": "true",
    "tests.ratio": "1e-05",
    "tests.key": "_-8",
    "tests.name": "~",
    "tests.depth": "12",
}
SIGNED: Case = {"keys": {"new": "n" * 32, "old": "o" * 16}, "now": 1_800_000_000}


def at(seconds: int) -> Case:
    return {"signer": SIGNED | {"now": SIGNED["now"] + seconds}}


def inject_cases() -> list[Case]:
    text = {"tests.text": "globex"}
    long = [["x", 8000]]
    cases: list[Case] = [
        *({"values": ALL, "to": level} for level in ("process", "internal", "public")),
        *({"values": {"tests.name": each}, "to": "public"} for each in ("a", "~~", "~~a", "")),
        {"values": {}, "to": "internal"},
        {"values": {}, "to": "internal", "present": ["a=1"]},
        {"values": {}, "to": "internal", "foreign": ["a=1", "b=2;p"], "present": [" c = 3 , a=2"]},
        {"values": {"tests.key": "AA"}, "to": "internal"},
        {"values": text, "to": "internal", "present": ["a=1, tests.text=old,,b=2;p", "c=3"]},
        {"values": text, "to": "internal", "foreign": ["a=1", "tests.text=other", "b=2;p=%20"]},
        {"values": text, "to": "internal", "foreign": [["a=", *long], ["b=", *long], "c=1"]},
        {"values": text, "to": "internal", "present": [[["a=1,", 100]]]},
        {"values": text, "to": "internal", "present": [["a=", ["x", 8173]], "b=1"]},
        {"values": text, "to": "internal", "present": [["a=", ["x", 8174]], "b=1"]},
        {"values": {"tests.text": [["x", 8181]]}, "to": "internal"},
        {"values": {"tests.text": [["x", 8182]], "tests.flag": "true"}, "to": "internal"},
        {"values": {"tests.text": [[" ", 3000]]}, "to": "internal"},
        {"values": ALL, "to": "process"} | at(0),
        {"values": text, "to": "internal", "foreign": ["a=1"]} | at(5),
        {"values": {}, "to": "internal"} | at(0),
    ]
    return cases


HOSTILE: list[str | list[Any]] = [
    "tests.text=a%2",
    "tests.text=a%zz",
    "tests.text=%",
    "tests.text=a\0b",
    "tests.text=a\r\nset-cookie: b",
    "tests.text=\xe4",
    'tests.text="a"',
    "tests.text=a\\b",
    "tests.text=a b",
    "tests.text",
    "tests.text=a;=b",
    "tests.text=a;",
    "tests.text=a;p=b c",
    "a(b)=1,=1,a b=1,\xe4=1,other=1",
    "tests.text=a+b",
    "tests.text=a=b=",
    "tests.text=",
    "tests.text=a%00b",
    "tests.text=%C3%A4%e2%82%ac",
    "tests.text=%ff,tests.name=%ED%A0%80%F0%9F%98",
    "tests.text=%E2%82,tests.name=%C0%80%F4%90%80%80a%E2%82b",
    " other =1 ,\ttests.text \t= \tglobex ; v = 1 , ",
    "tests.text=a,tests.text=b,tests.flag=true",
    "tests.text=a,tests.text=%61",
    "tests.text=a,tests.text=a;v=2",
    "tests.text=a,tests.text=b c",
    "Tests.Text=a,TESTS.TEXT=b",
    "tests.number=-10,tests.flag=yes,tests.ratio=1_0,tests.name=~x",
    "tests.key=a,tests.text=b",
    *(f"tests.depth=5{it}" for it in ("", ";v=1", ";v=2", ";v=3", ";v=4", ";v=0", ";v=00003")),
    *(f"tests.depth=5;v={it}" for it in ("x", "-1", "", "+3", "3;v=3", "0003", "3;q;r=1", "99999")),
    "tests.depth=5;v,tests.text=a;p=1;q",
    "tests.depth=+5;v=2",
    "ctxvars.future=1,ctxvars.signature=a/1/b/,ctxvars.=1,ctxvars=1",
    *(f"ctxvars.deadline={it}" for it in ("1.5", "0", "99999999.999999", "-1", "inf", "1.", "1e3")),
    "ctxvars.deadline=1,ctxvars.deadline=2",
    [",", ["x", 9000]],
    [["x", 9000]],
    [["a=1,", 70], "tests.text=a"],
    ["tests.text=a", [",", 63], "tests.flag=true"],
    ["tests.text=a", [",", 62], "tests.flag=true"],
    ["a=", ["x", 8177], ",tests.text=a"],
    ["a=", ["x", 8176], ",tests.text=a", ",b=1"],
    ["tests.text=a,a=", ["x", 9000], ",b=1"],
    ["tests.text=", ["%20", 3000]],
    ["tests.text=", ["%20", 2000], ["%", 1]],
]
NAMES = ["tests.text", "tests.name", "tests.flag", "tests.depth", "tests.number", "a", "ctxvars.x"]
PIECES = [*NAMES, *3 * ["=", ","], ";", ";v=3", ";p=q", "%20", "%C3", "%a4", "%", " ", "\t", "true"]
PIECES += ["v", "1", "-5", "~", "+", '"', "\\", "\xe9", "\0", "=x,", "=a%62c,", "=true,"]


def random_header() -> str:
    return "".join(RANDOM.choices(PIECES, k=RANDOM.randrange(1, 30)))


def signed_twice(name: str, text: str) -> str:
    """A member, and a signature that lists it twice."""
    key, issued = "new", str(SIGNED["now"])
    mac = _mac(SIGNED["keys"][key].encode(), key, issued, [(name, 1, text)] * 2)
    return f"{name}={text},ctxvars.signature={key}/{issued}/{mac}/{name}:{name}"


def extract_cases(variables: dict[str, ContextVar[Any]]) -> list[Case]:
    def sent(values: Case, **options: Any) -> str:
        return injected({"values": values, "to": "process", **options}, variables)["headers"][0]

    cases: list[Case] = [{"headers": [header], "accept": "internal"} for header in HOSTILE]
    every = sent(ALL)
    for accept in ("process", "internal", "public", [], ["tests.text", "tests.key"]):
        cases.append({"headers": [every], "accept": accept})
    cases += [
        {"headers": [], "accept": "internal"},
        {"headers": [""], "accept": "internal"},
        {"headers": ["a=1", "", "tests.text=a"], "accept": "internal"},
        {"headers": [["a=", ["x", 4096]]] * 3, "accept": "internal"},
        {"headers": ["tests.text=a", "tests.text=b"], "accept": "internal"},
    ]
    two = {"tests.text": "a b", "tests.flag": "true"}
    good = sent(two, **at(0))
    unsigned, _, mac = good.partition("ctxvars.signature=")
    altered = [
        good,
        good.replace("a%20b", "%61%20%62"),
        good.replace("a%20b", "c"),
        good.replace("true", "true;v=2"),
        good + ",tests.number=5",
        good + ",a=1",
        good.replace("tests.flag=true,", ""),
        *(good + f",ctxvars.signature={mac}" * repeated for repeated in (1, 2)),
        f"{unsigned}ctxvars.signature=,ctxvars.signature={mac}",
        signed_twice("tests.text", "a"),
        good.replace("new/", "old/"),
        good.replace("new/", "other/"),
        good.replace("/1800000000/", "/1800000001/"),
        good.replace("/1800000000/", "/18000000000000/"),
        good.replace(":tests.text", ""),
        *(f"{unsigned}ctxvars.signature={it}" for it in ("", "new", "new/1800000000//", "%")),
        unsigned,
        sent(two, signer=SIGNED | {"keys": {"old": "o" * 16}}),
    ]
    cases += [{"headers": [each], "accept": "internal"} | at(0) for each in altered]
    cases += [{"headers": [good], "accept": "internal"} | at(each) for each in (60, 61, -30, -31)]
    cases.append({"headers": [good], "accept": ["tests.text"]} | at(0))
    for _ in range(300):
        headers = [random_header() for _ in range(RANDOM.randrange(1, 3))]
        cases.append({"headers": headers, "accept": RANDOM.choice(["process", "internal"])})
    return cases


def write() -> None:
    variables = declare()
    sections = {
        "encode": [[*it, encoded(*it)] for it in encode_cases()],
        "decode": [
            [kind, text, decoded(kind, text)] for kind, texts in DECODED.items() for text in texts
        ],
        "inject": [case | injected(case, variables) for case in inject_cases()],
        "extract": [case | extracted(case) for case in extract_cases(variables)],
    }
    # A case in each line.
    lists = (
        f'  "{name}": [\n' + ",\n".join(f"    {json.dumps(case)}" for case in cases) + "\n  ]"
        for name, cases in sections.items()
    )
    FILE.write_text("{\n" + ",\n".join(lists) + "\n}\n")


if __name__ == "__main__":
    write()
