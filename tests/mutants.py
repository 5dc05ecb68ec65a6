"""Saved surrogates changed at random, as damage would or as somebody with a purpose would."""

import json
import os
from copy import deepcopy

TEXT, WEIGHTS = "surrogate.json", "weights.safetensors"
EVIL = [
    "os.system",
    "builtins.eval",
    "builtins.exec",
    "subprocess.Popen",
    "pathlib.Path",
    "torch.load",
    "torch.nn.Linear",
    "pdeops",
    "pdeops.cli.main",
    "pdeops.app.main",
    "pdeops.data.module.Generated",
    "pdeops.data.published.Converted",
    "pdeops.data.engine.Processes",
    "pdeops.tasks.fit.Fit",
    "pdeops.tasks.loggers.Csv",
    "pdeops.sweeps.local.Local",
    "pdeops.surrogate.Surrogate",
    "pdeops.sources.hub.PLACE",
    "pdeops.models.fno.torch",
    "pdeops.models.fno.os.system",
    "pdeops.nn.compiled.job.Path",
    "pdeops.solvers.krylov.recycle.RecycleSpace.load",
    "pdeops.models.neuralop.NeuralOp",
    "pdeops.problems.base.Problem",
    "pdeops.problems.base.Solution",
    "pdeops.models.fno.FNO\n",
    "pdeops..models.fno.FNO",
    "",
    7,
    None,
    ["pdeops.models.fno.FNO"],
]
NUMBERS = [10**12, 10**9, 2**31, 2**20, 100_000, 5000, 0, -1]
VALUES = [None, True, False, 0, -1, 1, 3, 2**20, 10**12, 10**400, 0.5, -0.5, 1e308, "", "x", "1", "a" * 10_000, [], {}]
VALUES += [[1, 2], [[[[1]]]], [None], [[]], {"a": 1}, {"_target_": "pdeops.grid.Grid"}, "periodic", "fourier"]
TOKENS = ["NaN", "Infinity", "-Infinity", "1e400", "[" * 100_000, '{"a":' * 5000, "[" * 300 + "]" * 300, '"\\u0000"']
LINKS = ["/etc/passwd", "/dev/zero", "/dev/urandom", "/", "/nowhere"]
ENTRIES = {
    "shape": [[10**12], [2**40, 2**40], [-1], [], [0], [[1]], "x", [1] * 5000],
    "dtype": ["I64", "F64", "F16", "BF16", "BOOL", "F8_E4M3", "C64", "U8", "x", 3],
    "data_offsets": [[0, 10**15], [-4, 4], [0, 0], [8, 4], "x", [0]],
}


def change(folder, r):
    """One change to a saved surrogate, drawn by `r`; what it was, in words."""
    return r.choice(CHANGES)(folder, r)


def flipped(folder, r):
    victim = folder / r.choice([TEXT, WEIGHTS])
    data = bytearray(victim.read_bytes())
    reach = len(data) if r.random() < 0.5 else min(len(data), 2000)  # headers are at the beginning
    for _ in range(r.randint(1, 8)):
        data[r.randrange(reach)] ^= 1 << r.randrange(8)
    victim.write_bytes(data)
    return f"flipped bits of {victim.name}"


def truncated(folder, r):
    victim = folder / r.choice([TEXT, WEIGHTS])
    data = victim.read_bytes()
    victim.write_bytes(data[: r.randrange(len(data))] + b"\0" * r.choice([0, 0, 1000]))
    return f"truncated {victim.name}"


def value(folder, r):
    config = read(folder)
    where, new = r.choice(places(config)), r.choice(VALUES)
    write(folder, replaced(config, where, new))
    return f"{where} = {new!r:.60}"


def target(folder, r):
    config = read(folder)
    where, new = r.choice([w for w in places(config) if w[-1] == "_target_"]), r.choice(EVIL)
    write(folder, replaced(config, where, new))
    return f"{where} = {new!r}"


def number(folder, r):
    config = read(folder)
    where, new = r.choice([w for w in places(config) if type(at(config, w)) is int]), r.choice(NUMBERS)
    write(folder, replaced(config, where, new))
    return f"{where} = {new}"


def grafted(folder, r):
    config = read(folder)
    where, source = r.choice(places(config)), r.choice([w for w in places(config) if isinstance(at(config, w), dict)])
    write(folder, replaced(config, where, deepcopy(at(config, source))))
    return f"{where} = {source}"


def token(folder, r):
    config = read(folder)
    where, new = r.choice(places(config)), r.choice(TOKENS)
    write(folder, replaced(config, where, "@@@"))
    text = (folder / TEXT).read_text()
    (folder / TEXT).write_text(text.replace('"@@@"', new))
    return f"{where} = {new:.30}"


def dropped(folder, r):
    config = read(folder)
    where = r.choice(places(config))
    del at(config, where[:-1])[where[-1]]
    write(folder, config)
    return f"no {where}"


def doubled(folder, r):
    text = (folder / TEXT).read_text()
    (folder / TEXT).write_text(text.replace('"window": {', '"window": {"n_in": 3, ', 1))
    return "a key twice"


def linked(folder, r):
    victim, to = folder / r.choice([TEXT, WEIGHTS]), r.choice([*LINKS, "a pipe"])
    victim.unlink()
    os.mkfifo(victim) if to == "a pipe" else victim.symlink_to(to)
    return f"{victim.name} -> {to}"


def header(folder, r):
    """Of the weights, whose values stay."""
    path = folder / WEIGHTS
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    table, values = json.loads(data[8 : 8 + length]), data[8 + length :]
    name = r.choice(list(table))
    kind = r.choice([*ENTRIES, "name", "length"])
    told = None
    if kind in ENTRIES:
        table[name][kind] = r.choice(ENTRIES[kind])
    elif kind == "name":
        table[r.choice(["x", "model." + "y" * 1000, "__metadata__"])] = table.pop(name)
    else:
        told = r.choice([0, 1, 2**63, 10**9])
    body = json.dumps(table).encode()
    path.write_bytes((len(body) if told is None else told).to_bytes(8, "little") + body + values)
    return f"{kind} of {name} in the header: {told or table.get(name)}"[:200]


CHANGES = [flipped, truncated, value, value, value, target, number, grafted, token, dropped, doubled, linked, header]


def read(folder):
    return json.loads((folder / TEXT).read_text())


def write(folder, config):
    (folder / TEXT).write_text(json.dumps(config))


def places(part, where=()):
    """Every place in a description but its root, as the keys and indices that lead there."""
    found = [where] if where else []
    if isinstance(part, dict | list):
        for key, inner in part.items() if isinstance(part, dict) else enumerate(part):
            found += places(inner, (*where, key))
    return found


def at(config, where):
    for key in where:
        config = config[key]
    return config


def replaced(config, where, new):
    at(config, where[:-1])[where[-1]] = new
    return config
