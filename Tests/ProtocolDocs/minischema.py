"""A validator for the part of JSON Schema 2020-12 that Docs/schema/messages uses.

It exists so that these tests need nothing but Python. A keyword that it does not know is an error, never ignored: a schema that
starts to use more fails loudly here. Where the jsonschema package is installed, run.py asks it too and compares.
"""

import re

ANNOTATIONS = {"$schema", "$id", "title", "description", "$defs"}
TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "integer": lambda v: (isinstance(v, int) and not isinstance(v, bool)) or (isinstance(v, float) and v.is_integer()),
}


def problems(value, schema, root=None, path="$"):
    """Says what is wrong with `value`, one line for each problem; an empty list means that it is valid."""
    root = schema if root is None else root
    if isinstance(schema, bool):
        return [] if schema else [f"{path}: nothing is allowed here"]
    found = []
    for keyword, rule in schema.items():
        if keyword in ANNOTATIONS or keyword in ("then", "else"):
            continue
        check = CHECKS.get(keyword)
        if check is None:
            raise ValueError(f"{path}: the schema uses {keyword!r}, which minischema.py does not know")
        found += check(value, rule, schema, root, path)
    return found


def _type(value, rule, schema, root, path):
    names = [rule] if isinstance(rule, str) else rule
    return [] if any(TYPES[name](value) for name in names) else [f"{path}: is {value!r}, not of type {' or '.join(names)}"]


def _required(value, rule, schema, root, path):
    return [f"{path}: {name} is missing" for name in rule if isinstance(value, dict) and name not in value]


def _properties(value, rule, schema, root, path):
    if not isinstance(value, dict):
        return []
    return [p for name, sub in rule.items() if name in value for p in problems(value[name], sub, root, f"{path}.{name}")]


def _additional(value, rule, schema, root, path):
    if not isinstance(value, dict):
        return []
    others = [name for name in value if name not in schema.get("properties", {})]
    return [p for name in others for p in problems(value[name], rule, root, f"{path}.{name}")]


def _items(value, rule, schema, root, path):
    if not isinstance(value, list):
        return []
    return [p for index, element in enumerate(value) for p in problems(element, rule, root, f"{path}[{index}]")]


def _one_of(value, rule, schema, root, path):
    tried = [problems(value, sub, root, path) for sub in rule]
    matches = sum(1 for result in tried if not result)
    if matches == 1:
        return []
    return [f"{path}: matches {matches} of the {len(rule)} alternatives, not one: {tried}"]


def _any_of(value, rule, schema, root, path):
    return [] if any(not problems(value, sub, root, path) for sub in rule) else [f"{path}: matches no alternative"]


def _all_of(value, rule, schema, root, path):
    return [p for sub in rule for p in problems(value, sub, root, path)]


def _not(value, rule, schema, root, path):
    return [] if problems(value, rule, root, path) else [f"{path}: has a form that is excluded"]


def _if(value, rule, schema, root, path):
    branch = "else" if problems(value, rule, root, path) else "then"
    return problems(value, schema[branch], root, path) if branch in schema else []


def _ref(value, rule, schema, root, path):
    target = root
    for part in rule.removeprefix("#/").split("/"):
        target = target[part]
    return problems(value, target, root, path)


def _limit(kinds, measure, holds, words):
    def check(value, rule, schema, root, path):
        if isinstance(value, bool) or not isinstance(value, kinds) or holds(measure(value), rule):
            return []
        return [f"{path}: {words} {rule}"]

    return check


NUMBERS = (int, float)
CHECKS = {
    "type": _type,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "oneOf": _one_of,
    "anyOf": _any_of,
    "allOf": _all_of,
    "not": _not,
    "if": _if,
    "$ref": _ref,
    "const": lambda v, rule, s, r, p: [] if type(v) is type(rule) and v == rule else [f"{p}: is {v!r}, not {rule!r}"],
    "enum": lambda v, rule, s, r, p: [] if v in rule else [f"{p}: is {v!r}, none of {rule!r}"],
    "minimum": _limit(NUMBERS, lambda v: v, lambda m, r: m >= r, "is less than"),
    "maximum": _limit(NUMBERS, lambda v: v, lambda m, r: m <= r, "is more than"),
    "exclusiveMinimum": _limit(NUMBERS, lambda v: v, lambda m, r: m > r, "is not more than"),
    "minLength": _limit(str, len, lambda m, r: m >= r, "is shorter than"),
    "maxLength": _limit(str, len, lambda m, r: m <= r, "is longer than"),
    "minItems": _limit(list, len, lambda m, r: m >= r, "has fewer elements than"),
    "pattern": _limit(str, lambda v: v, lambda m, r: re.search(r, m) is not None, "does not match"),
}
