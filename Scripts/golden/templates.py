#!/usr/bin/env python3
"""Renders templates of our own with jinja2, set up as transformers does, into Tests/TokenizersTests/templates.json.

Needs jinja2 3.1. With arguments `OUT FILE.jinja…` it renders those files instead (for checks during development).
With `OUT --random SEED COUNT` it renders random small templates.
"""
import copy
import datetime
import json
import pathlib
import random
import sys

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = pathlib.Path(__file__).resolve().parents[2] / "Tests" / "TokenizersTests"
NOW = datetime.datetime(2024, 7, 4, 15, 5, 9)


class Raised(jinja2.TemplateError):
    pass


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def environment():
    def raise_exception(message):
        raise Raised(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


ENV = environment()


def render(template, context):
    """`(text, family of the error)`; families are those of TemplateError in the Swift test."""
    full = {"messages": [], "tools": None, "documents": None, "add_generation_prompt": False, **copy.deepcopy(context)}
    try:
        return ENV.from_string(template).render(**full), None
    except jinja2.exceptions.SecurityError:
        return None, "forbidden"
    except jinja2.UndefinedError:
        return None, "undefined"
    except Raised as error:
        return None, f"raised {error.message}"
    except (jinja2.TemplateSyntaxError, SyntaxError):
        return None, "syntax"
    except Exception:  # noqa: BLE001  TypeError, ValueError, OverflowError and so on: one family here
        return None, "invalid"


def call(name, **arguments):
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


TOOLS = [
    {"type": "function", "function": {
        "name": "weather", "description": "Tells the weather at \"a\" place.",
        "parameters": {"type": "object", "properties": {
            "place": {"type": "string", "description": "Where <it> is"},
            "days": {"type": "integer", "enum": [1, 3, 7]}}, "required": ["place"]}}},
    {"type": "function", "function": {"name": "clock", "description": "Tells the time.", "parameters": {
        "type": "object", "properties": {}}}},
]
U = {"role": "user", "content": "How are you, Zoë? 你好"}
A = {"role": "assistant", "content": "Fine.\n"}
S = {"role": "system", "content": " Be brief. "}
TURNS = {
    "one": [U], "system": [S, U], "many": [U, A, {"role": "user", "content": "  Why?\n"}],
    "system many": [S, U, A, {"role": "user", "content": "And now?"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nYes"}],
    "calls": [S, U, {"role": "assistant", "content": "", "tool_calls": [call("weather", place="Ulm", days=3)]},
              {"role": "tool", "name": "weather", "content": "sun, 21.5 °C"},
              {"role": "assistant", "content": "Sunny."}, {"role": "user", "content": "Thanks"}],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image"}, {"type": "text", "text": "it"}]}],
    "bad order": [U, U], "none": [],
}
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


def contexts():
    made = {}
    for name, messages in TURNS.items():
        for prompt in (False, True):
            made[f"{name} {int(prompt)}"] = {"messages": messages, "add_generation_prompt": prompt, **SPECIAL}
    for name in ("one", "system", "calls"):
        made[f"{name} tools"] = {"messages": TURNS[name], "tools": TOOLS, "add_generation_prompt": True, **SPECIAL}
    made["thinking off"] = {"messages": TURNS["system many"], "add_generation_prompt": True, "enable_thinking": False, **SPECIAL}
    made["values"] = {
        "s": "Hello, World", "u": "naïve Straße\t'q'", "n": 7, "f": 2.5, "big": 1e16, "tiny": 1e-5, "t": True, "no": None,
        "l": [3, 1, 2], "w": ["b", "A", "c", "a"], "d": {"b": 1, "a": [True, None], "items": "x"}, "e": [], "z": 0,
        "m": [{"k": "x", "v": 2, "o": True}, {"k": "Y", "v": 1}, {"k": "x", "v": 3, "o": False}],
        "lines": "one\ntwo\n\nthree", "tree": [{"v": 1, "c": [{"v": 2, "c": []}, {"v": 3, "c": [{"v": 4, "c": []}]}]}],
    }
    return made


from templates_texts import FAMILIES, SNIPPETS  # noqa: E402  the texts are long, so they have a file of their own
from templates_random import random_template  # noqa: E402


def main():
    made = contexts()
    cases = []
    templates = {}
    if len(sys.argv) > 2 and sys.argv[2] == "--random":
        maker = random.Random(int(sys.argv[3]))
        for _ in range(int(sys.argv[4])):
            text = random_template(maker)
            out = render(text, made["values"])
            cases.append([text, "values", *out] if out[1] else [text, "values", out[0]])
    elif len(sys.argv) > 2:
        templates = {pathlib.Path(p).name: pathlib.Path(p).read_text() for p in sys.argv[2:]}
    else:
        templates = FAMILIES
        for text in SNIPPETS:
            out = render(text, made["values"])
            cases.append([text, "values", *out] if out[1] else [text, "values", out[0]])
    for name, text in templates.items():
        for key, context in made.items():
            if key != "values":
                out = render(text, context)
                cases.append([name, key, *out] if out[1] else [name, key, out[0]])
    golden = {"contexts": made, "templates": templates, "cases": cases}
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "templates.json"
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    head = json.dumps({k: v for k, v in golden.items() if k != "cases"}, ensure_ascii=False)
    path.write_text(head[:-1] + ', "cases": [\n' + lines + "\n]}\n")
    print(f"{len(cases)} cases, {sum(len(c) > 3 for c in cases)} of them errors, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
