"""Checks of Docs/Protocol.md and its schemas against each other."""

import copy
import json
import re

from document import Example, anchors, examples, links, sections, table_rows
from minischema import problems
from runner import Skip

try:
    import jsonschema
except ImportError:
    jsonschema = None

KINDS = ("llm", "audio_stt", "audio_tts", "image", "video")
REQUESTS = ("initialize", "model/load", "model/unload", "job/run", "ping", "shutdown")
TO_ENGINE = ("job/cancel", "job/credit")
TO_HOST = ("job/progress", "job/chunk", "log", "model/progress")
UNKNOWN = "job/estimate"  # the document's example of a method that does not exist


class Schemas:
    """The published schemas, by file name without `.schema.json`."""

    def __init__(self, directory):
        self.by_name = {path.name.removesuffix(".schema.json"): json.loads(path.read_text()) for path in sorted(directory.iterdir())}

    def __getitem__(self, name):
        return self.by_name[name]

    def require(self, value, name):
        """Raises with all problems when the value does not match; both validators must agree."""
        self.require_schema(value, self.by_name[name], name)

    def require_schema(self, value, schema, name):
        found = problems(value, schema)
        if jsonschema is not None:
            agrees = jsonschema.Draft202012Validator(schema).is_valid(value) == (not found)
            assert agrees, f"{name}: the two validators disagree about {value!r}: {found}"
        assert not found, f"{name}: {'; '.join(found)}"

    def rejects(self, value, name):
        try:
            self.require(value, name)
        except AssertionError as problem:
            if "disagree" in str(problem):
                raise
            return True
        return False


def schema_name(method, part):
    return f"{method.replace('/', '-')}.{part}"


def payload(example):
    """The member of an example that its own schema describes, with the schema's name; None for an unknown method."""
    if example.form == "error":
        return "error", "error"
    part = "result" if example.form == "response" else "params"
    return part, None if example.method == UNKNOWN else schema_name(example.method, part)


def add(suite, docs):
    """Adds the checks to a suite. `docs` is the directory with Protocol.md."""
    path = docs / "Protocol.md"
    text = path.read_text(encoding="utf-8")
    schemas = Schemas(docs / "schema" / "messages")
    read = list(examples(text))
    good = [found for _, found in read if isinstance(found, Example)]
    for line, found in read:
        if not isinstance(found, Example):
            suite.check(f"example at line {line}", lambda found=found: suite.fail(found))
    for example in good:
        suite.check(f"example, {example.name}", lambda example=example: check_example(example, good, schemas))
        suite.check(f"damaged example is refused, {example.name}", lambda example=example: check_damage(example, schemas))
    suite.check("the document has examples", lambda: suite.require(len(good) >= 30, f"only {len(good)} were found"))
    suite.check("every message has an example and a schema", lambda: check_coverage(good, schemas))
    for method in REQUESTS + TO_ENGINE + TO_HOST:
        suite.check(f"tables and schemas agree on {method}", lambda method=method: check_tables(method, sections(text), schemas))
    suite.check("kinds have a schema for task and output", lambda: check_kinds(schemas))
    suite.check("kind tables and schemas agree", lambda: check_kind_fields(text, schemas))
    suite.check("the manifest's table and schema agree", lambda: check_manifest_table(text, docs))
    suite.check("a task of a wrong shape is refused", lambda: check_tasks(schemas))
    suite.check("a task and an output are there or in a file", lambda: check_content_files(schemas))
    suite.check("inputs have a shape", lambda: check_inputs(schemas))
    suite.check("an artifact that is no plain name is refused", lambda: check_artifact_names(schemas))
    suite.check("schemas are valid JSON Schema 2020-12", lambda: check_metaschema(schemas))
    suite.check("shared definitions are the same everywhere", lambda: check_shared(schemas))
    for target in sorted(set(links(text))):
        suite.check(f"link {target}", lambda target=target: check_link(target, docs, anchors(text)))
    return schemas


def check_example(example, others, schemas):
    message = example.message
    schemas.require(message, "envelope")
    assert len(json.dumps(message)) < 1 << 20, "longer than a line may be"
    part, name = payload(example)
    assert part in message, f"annotated as {example.form}, but it has no {part}"
    assert ("id" in message) == (example.form != "notification"), "a notification has no id, all others have one"
    if example.form in ("request", "notification"):
        assert message["method"] == example.method, f"annotated as {example.method}, but it is {message['method']}"
        direction = "engine-to-host" if example.method in TO_HOST else "host-to-engine"
        known = REQUESTS + (UNKNOWN,) if example.form == "request" else TO_ENGINE + TO_HOST
        assert example.method in known, f"{example.method} is no {example.form}"
    else:
        direction = "engine-to-host"
        requests = [other for other in others if other.form == "request" and other.message["id"] == message["id"]]
        assert [r.method for r in requests] == [example.method], f"answers {requests}"
    assert example.direction == direction, f"goes {direction}"
    if name is not None:
        schemas.require(message[part], name)
    if example.method == "job/run" and example.form == "response" and "output" in message["result"]:
        kind = requests[0].message["params"]["kind"]
        schemas.require_schema(message["result"]["output"], schemas[name]["$defs"][kind], f"output of kind {kind}")


def check_damage(example, schemas):
    """Takes away each required member and gives each described member a wrong type: the schema must refuse it."""
    part, name = payload(example)
    for member in ("jsonrpc", part):
        damaged = {key: value for key, value in example.message.items() if key != member}
        if member != "params":
            assert schemas.rejects(damaged, "envelope"), f"the envelope schema does not miss {member}"
    if name is None:
        return
    for member in schemas[name].get("required", []):
        damaged = copy.deepcopy(example.message[part])
        del damaged[member]
        assert schemas.rejects(damaged, name), f"{name} does not miss {member}"
    for member in schemas[name].get("properties", {}):
        if (name, member) == ("job-chunk.params", "data"):
            continue  # Any value but null is right.
        damaged = copy.deepcopy(example.message[part])
        damaged[member] = [[]] if not isinstance(damaged.get(member), list) else {}
        assert schemas.rejects(damaged, name), f"{name} takes any type for {member}"
    assert schemas.rejects([], name), f"{name} takes a list"
    grown = {**example.message[part], "member-of-a-later-version": 1}
    assert not schemas.rejects(grown, name), f"{name} refuses members it does not know"


def check_coverage(good, schemas):
    wanted = {"envelope", "error"}
    for method in REQUESTS:
        wanted |= {schema_name(method, "params"), schema_name(method, "result")}
    wanted |= {schema_name(method, "params") for method in TO_ENGINE + TO_HOST}
    assert set(schemas.by_name) == wanted, f"files that are missing or too many: {set(schemas.by_name) ^ wanted}"
    shown = {payload(example)[1] for example in good} | {"envelope"}
    assert wanted <= shown, f"no example of {wanted - shown}"
    kinds = {example.message["params"]["kind"] for example in good if (example.method, example.form) == ("job/run", "request")}
    assert kinds == set(KINDS), f"no example of a job of kind {set(KINDS) - kinds}"


def check_tables(method, by_heading, schemas):
    for header in ("params", "result"):
        schema = schemas.by_name.get(schema_name(method, header))
        if schema is None:
            continue
        rows = table_rows(by_heading[method], header)
        assert {name.split(".")[0] for name, _ in rows} == set(schema.get("properties", {})), f"{header}: {rows}"
        for name, optional in rows:
            place, *_, last = [schema] + name.split(".")[-1:]
            for step in name.split(".")[:-1]:
                place = place["properties"][step]
            assert last in place["properties"], f"{name} is not in the schema"
            if method != "job/chunk" or last in ("jobId", "seq"):  # A chunk has one of text and data.
                assert (last not in place.get("required", [])) == optional, f"{name}: the table and the schema differ about `?`"


def check_kinds(schemas):
    for name, others in (("job-run.params", {"input"}), ("job-run.result", set())):
        assert set(schemas[name]["$defs"]) == set(KINDS) | others, f"{name}: {list(schemas[name]['$defs'])}"


def check_kind_fields(text, schemas):
    body = text.split("## Tasks and outputs by kind")[1].split("\n## ")[0]
    for kind in KINDS:
        row = next(line for line in body.split("\n") if line.startswith(f"| `{kind}` |"))
        _, required, optional = [cell.strip() for cell in row.strip("|\n ").split(" | ", 2)]
        definition = schemas["job-run.params"]["$defs"][kind]
        fields = set(re.findall(r"`(\w+)`", required + optional))
        missing = set(definition["properties"]) - fields
        assert not missing, f"{kind}: the table does not name {missing}"
        for name in definition["required"]:
            assert f"`{name}`" in required, f"{kind}: {name} is required by the schema only"


def check_manifest_table(text, docs):
    schema = json.loads((docs / "schema" / "plugin.schema.json").read_text(encoding="utf-8"))
    body = text.split("\n## The manifest")[1].split("\n## ")[0]
    shown = {name for name, _ in table_rows(body, "key")}
    assert shown == set(schema["properties"]), f"only in one of them: {shown ^ set(schema['properties'])}"
    required = {re.search(r"`(\w+)`", row)[1] for row in body.split("\n") if row.startswith("|") and "required" in re.sub("`[^`]*`", "", row)}
    assert required == set(schema["required"]), f"required in one only: {required ^ set(schema['required'])}"
    clocks = set(schema["properties"]["timeouts"]["properties"])
    assert clocks <= {name for name, _ in table_rows(text, "clock")}, "a timeout of the manifest is not among the clocks"


def check_tasks(schemas):
    run = {"jobId": "a", "attempt": 1, "kind": "llm", "workDirectory": "/w", "task": {"messages": [{"role": "user", "content": "x"}]}}
    schemas.require(run, "job-run.params")
    schemas.require({**run, "task": {**run["task"], "seed": 2**64 - 1, "system": None, "later": []}}, "job-run.params")
    schemas.require({**run, "kind": "audio_stt", "task": {"inputUrl": "file:///a.wav"}}, "job-run.params")
    schemas.require({**run, "kind": "a-later-kind", "task": {}}, "job-run.params")
    for kind, task in [
        ("llm", {}),
        ("llm", {"messages": []}),
        ("llm", {"messages": "x"}),
        ("llm", {"messages": [{"role": "user", "content": ["x"]}]}),
        ("llm", {**run["task"], "maxTokens": "5"}),
        ("llm", {**run["task"], "seed": -1}),
        ("llm", {**run["task"], "stop": "x"}),
        ("audio_stt", {}),
        ("audio_stt", {"inputUrl": "file:///a", "timestamps": "letter"}),
        ("audio_tts", {"text": None}),
        ("audio_tts", {"text": "x", "speed": 0}),
        ("image", {"prompt": "x", "width": "512"}),
        ("video", {"seconds": 2}),
    ]:
        assert schemas.rejects({**run, "kind": kind, "task": task}, "job-run.params"), f"takes {kind} {task}"
    assert schemas.rejects({**run, "workDirectory": "relative"}, "job-run.params"), "takes a relative directory"
    assert schemas.rejects({**run, "attempt": 0}, "job-run.params"), "takes attempt 0"


def check_content_files(schemas):
    run = {"jobId": "a", "attempt": 1, "kind": "llm", "workDirectory": "/w"}
    task = {"messages": [{"role": "user", "content": "x"}]}
    for good in ({"task": task}, {"taskFile": "task.json"}, {"task": None, "taskFile": "task.json"}, {"task": task, "taskFile": None}):
        schemas.require({**run, **good}, "job-run.params")
    for bad in ({}, {"task": None}, {"taskFile": None}, {"taskFile": "../task.json"}, {"taskFile": ""}, {"task": {}, "taskFile": "a"}):
        assert schemas.rejects({**run, **bad}, "job-run.params"), f"takes {bad}"
    file = {"name": "output.json", "bytes": 1}
    for good in ({"output": {}}, {"outputFile": file}, {"output": None, "outputFile": file}):
        schemas.require(good, "job-run.result")
    for bad in ({}, {"output": None}, {"outputFile": {"name": "a"}}, {"outputFile": {"name": "a/b", "bytes": 1}}):
        assert schemas.rejects(bad, "job-run.result"), f"takes {bad}"
    assert schemas.rejects({"outputFile": {"name": "a", "bytes": (64 << 20) + 1}}, "job-run.result"), "takes more than 64 MiB"


def check_inputs(schemas):
    entry = {"name": "input-inputUrl.wav", "contentType": "audio/wav", "bytes": 0, "urlSha256": "0" * 64}
    run = {"jobId": "a", "attempt": 1, "kind": "audio_stt", "workDirectory": "/w", "task": {"inputUrl": "file:///w/x"}}
    for good in ({}, None, {"inputUrl": entry}, {"imageUrls": [entry, entry]}, {"imageUrls": []}):
        schemas.require({**run, "inputs": good}, "job-run.params")
    for member in entry:
        damaged = {key: value for key, value in entry.items() if key != member}
        assert schemas.rejects({**run, "inputs": {"inputUrl": damaged}}, "job-run.params"), f"does not miss {member}"
    for name in ("", "..", "a/b"):
        assert schemas.rejects({**run, "inputs": {"inputUrl": {**entry, "name": name}}}, "job-run.params"), f"takes {name!r}"


def check_artifact_names(schemas):
    def result(name):
        return {"output": {}, "artifacts": [{"name": name, "contentType": "a/b", "bytes": 1}]}

    for name in ("a.png", "...", ".hidden", "a b", "é" * 100):
        schemas.require(result(name), "job-run.result")
    for name in ("", ".", "..", "a/b", "/a", "../a", "a\0", "x" * 256):
        assert schemas.rejects(result(name), "job-run.result"), f"takes {name!r}"


def check_metaschema(schemas):
    if jsonschema is None:
        raise Skip("the Python package jsonschema is not installed")
    for name, schema in schemas.by_name.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["$id"] == f"urn:stoker:engine-protocol:1:{name}", f"{name}: $id is {schema['$id']}"


def check_shared(schemas):
    def model(name):
        return {key: schemas[name]["properties"]["model"][key] for key in ("required", "properties")}

    assert model("model-load.params") == model("job-run.params"), "model of model/load and of job/run differ"


def check_link(target, docs, known):
    if target.startswith("https://"):
        return
    file, _, anchor = target.partition("#")
    if file:
        assert (docs / file).exists(), f"{docs / file} does not exist"
    elif anchor:
        assert anchor in known, f"no heading makes the anchor #{anchor}"
