"""The trusted half inside the worker: it loads the program, calls it and encodes what came back.

User code lives in a namespace of its own and is handed copies made from JSON text, so it reaches neither the driver nor
another case. Results leave as *one string*, encoded here under the memory limit of the sandbox: a value that is small
there but huge when written out (a million references to one long string) never reaches our process.

    reply       meaning
    "=<json>"   the result
    "!<type>"   a value of this type, that JSON cannot hold
    "#<n>"      a result of n characters, over the limit
    null        (in `run_many`) it raised; run this one alone to learn why
"""

from __future__ import annotations

NO_MODEL_ACCESS = "this grader has no access to models; set `contract` to `model_backed` or `model_access` to `mka1`"

HOST_NAME = "assay_host"
"""Looked up once, before the program is loaded; the host leaves every later lookup of the name undefined."""

DRIVER = f"""
import json

def make_context(metadata, host):
    def call(function, request):
        if host is None:
            raise RuntimeError({NO_MODEL_ACCESS!r})
        return json.loads(host(function, json.dumps(request)))

    class Context:
        def __init__(self):
            self.metadata = json.loads(metadata)

        def responses_create(self, model="auto", **request):
            return call("responses_create", {{"model": model, **request}})

        def embeddings_create(self, model="auto", **request):
            return call("embeddings_create", {{"model": model, **request}})

    return Context()

def load(source, entry):
    namespace = {{"__name__": "program"}}
    exec(source, namespace)
    return namespace.get(entry)

def call_once(function, seeded, arguments, metadata, host):
    if seeded:
        import random
        random.seed(0)
    if metadata is None:
        return function(*arguments)
    return function(*arguments, make_context(metadata, host))

def encode(value, limit):
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return "!" + type(value).__name__
    if len(text) > limit:
        return "#" + str(len(text))
    return "=" + text

def run_one(source, entry, seeded, arguments, metadata, host, limit):
    function = load(source, entry)
    return encode(call_once(function, seeded, json.loads(arguments), metadata, host), limit)

def run_many(source, entry, seeded, reload, cases, metadata, limit):
    replies = []
    function = None
    for arguments in json.loads(cases):
        try:
            if reload or function is None:
                function = load(source, entry)
            replies.append(encode(call_once(function, seeded, arguments, metadata, None), limit))
        except BaseException:
            replies.append(None)
    return json.dumps(replies)
"""

LOAD = DRIVER + "load(source, entry)\nencode(None, limit)"
RUN_ONE = DRIVER + "run_one(source, entry, seeded, arguments, metadata, None, limit)"
RUN_ONE_WITH_MODELS = DRIVER + f"host = {HOST_NAME}\nrun_one(source, entry, seeded, arguments, metadata, host, limit)"
RUN_MANY = DRIVER + "run_many(source, entry, seeded, reload, cases, metadata, limit)"
