"""Random small templates for the differential test of Scripts/golden/templates.py."""

ATOMS = ["s", "u", "n", "f", "big", "t", "no", "l", "w", "d", "e", "z", "m", "lines", "missing", "1", "0", "-3", "2.5", "'ab'",
         "'a-b c'", "[]", "[1, 'x', none]", "(1, 2)", "(1,)", "{'k': [1.0]}", "true", "none", "range(4)", "d.items()", "tiny"]
FILTERS = ["upper", "lower", "title", "capitalize", "trim", "length", "first", "last", "list", "string", "int", "float",
           "join('-')", "default('D')", "default('D', true)", "reverse", "reverse|list", "sort", "unique|list", "sum", "min",
           "max", "round", "round(1)", "abs", "indent(2)", "indent(2, true)", "tojson", "tojson(indent=2)", "replace('a', 'XY')",
           "wordcount", "dictsort", "items|list", "map('upper')|list", "select|list", "reject('string')|list",
           "selectattr('v', 'gt', 1)|list", "map(attribute='k')|join", "batch(2)|list", "slice(2)|list", "e", "safe", "count",
           "sort(reverse=true)", "select('defined')|list", "truncate(5)"]
TESTS = ["defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "integer", "float", "boolean",
         "true", "false", "odd", "even", "callable", "upper", "lower", "eq 1", "in [1, 2]", "not none", "not defined", "gt(1)"]
METHODS = [".strip()", ".upper()", ".title()", ".split(',')", ".split()", ".split('l', 1)", ".rsplit('o', 1)", ".splitlines()",
           ".startswith('H')", ".endswith(('d', 'x'))", ".replace('l', '')", ".find('o')", ".count('l')", ".items()|list",
           ".get('a')", ".get('q', 5)", ".keys()|list", ".k", "['a']", "[0]", "[-1]", "[1:]", "[::-1]", "[:-1]", "[-2:5:2]",
           "[5:1:-2]", ".a.b", ".__class__", ".lstrip('He')", ".rfind('l')", ".partition('o')", ".index(1)", ".isdigit()"]
BINARY = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", ">=", "in", "not in", "and", "or", "**"]


def expression(r, depth=3):
    kind = r.random()
    if depth == 0 or kind < 0.25:
        return r.choice(ATOMS)
    if kind < 0.45:
        return f"{expression(r, depth - 1)}|{r.choice(FILTERS)}"
    if kind < 0.6:
        return f"({expression(r, depth - 1)}){r.choice(METHODS)}"
    if kind < 0.7:
        return f"({expression(r, depth - 1)} is {r.choice(TESTS)})"
    if kind < 0.9:
        return f"({expression(r, depth - 1)} {r.choice(BINARY)} {expression(r, depth - 1)})"
    if kind < 0.94:
        return f"(not {expression(r, depth - 1)})"
    return f"({expression(r, depth - 1)} if {expression(r, depth - 1)} else {expression(r, depth - 1)})"


def begin(r):
    return r.choice(["{%", "{%", "{%-", "{%+"])


def end(r):
    return r.choice(["%}", "%}", "-%}", "+%}"])


def text(r):
    return r.choice(["", " ", "\n", "  \n", "a", " b ", "\n  ", "x\n\n", "\t"])


def statement(r, depth):
    def tag(body):
        return f"{begin(r)} {body} {end(r)}"
    inner = lambda: body(r, depth - 1)  # noqa: E731
    kind = r.randrange(9) if depth else 0
    if kind <= 2:
        return r.choice(["{{ %s }}", "{{- %s }}", "{{ %s -}}"]) % expression(r)
    if kind == 3:
        return tag(f"if {expression(r, 2)}") + inner() + tag("else") + inner() + tag("endif")
    if kind == 4:
        extra = r.choice(["{{ loop.index }}", "{{ loop.last }}", "{{ loop.revindex0 }}", "{{ loop.nextitem }}", "{{ i }}",
                          "{% if loop.first %}{% continue %}{% endif %}", "{% if loop.index > 2 %}{% break %}{% endif %}"])
        return tag(f"for i in {expression(r, 1)}" + r.choice(["", " if i"])) + extra + inner() + tag("else") + "E" + tag("endfor")
    if kind == 5:
        return tag(f"set x = {expression(r, 2)}") + "{{ x }}"
    if kind == 6:
        return tag("set x") + inner() + tag("endset") + "{{ x|length }}{{ x }}"
    if kind == 7:
        return tag("macro q(a, b=2)") + "{{ a }}{{ b }}" + inner() + tag("endmacro") + "{{ q(%s) }}" % expression(r, 1)
    return "{#" + r.choice(["", "-", "+"]) + " c " + r.choice(["", "-"]) + "#}"


def body(r, depth):
    return "".join(text(r) + statement(r, depth) for _ in range(r.randint(1, 3))) + text(r)


def random_template(r):
    return "{{ %s }}" % expression(r) if r.random() < 0.6 else body(r, 2)
