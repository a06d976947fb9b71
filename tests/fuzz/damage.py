"""Damages to files, by a seed: flipped bits, cuts, repeats, swaps, and plausible lies in JSON."""

import json

import yaml

LIES = [
    None,
    True,
    -1,
    0,
    1e308,
    2**70,
    "",
    "x" * 5000,
    "../../etc/passwd",
    [],
    {},
    [[]],
    float("nan"),
]
LIES += ["canary_module.Thing", {"class_path": "canary_module.Thing"}, {"class_name": "Thing"}]
LIES += [
    {"class_path": "os.system", "init_args": {"command": "touch canary"}},
    "\x00",
    "\ud83d\ude00",
]


def damaged(content, rng):
    """Bytes with one random damage."""
    content = bytearray(content)
    kind = rng.integers(8)
    place = int(rng.integers(max(len(content), 1)))
    if kind == 0 or not content:
        return b""
    if kind == 1:
        return bytes(content[:place])
    if kind == 2:
        content[place] ^= 1 << int(rng.integers(8))
    elif kind == 3:
        for _ in range(20):
            content[int(rng.integers(len(content)))] = int(rng.integers(256))
    elif kind == 4:
        content[place:place] = bytes(rng.integers(0, 256, 50, dtype="uint8"))
    elif kind == 5:
        content[place:place] = content[: 2 * place]
    elif kind == 6:
        del content[place : place + int(rng.integers(1, 40))]
    else:
        content[place:place] = [b"\x00\x00\x00", b"\n", b'"', b"[" * 5000, b"\xff\xfe", b"*a "][
            int(rng.integers(6))
        ]
    return bytes(content)


def lied(content, rng):
    """A JSON or YAML value with one part replaced, removed or renamed."""
    places = []

    def walk(value):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in parts:
            places.append((value, key))
            if isinstance(part, dict | list) and part:
                walk(part)

    walk(content)
    parent, key = places[int(rng.integers(len(places)))]
    kind = rng.integers(4)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[f"{key}x"] = parent.pop(key)
    else:
        parent[key] = LIES[int(rng.integers(len(LIES)))]
    return content


def damage_file(path, rng):
    """Damages one file in place."""
    if path.suffix in (".json", ".yaml") and rng.random() < 0.6:
        load, dump = (
            (json.loads, json.dumps)
            if path.suffix == ".json"
            else (
                yaml.safe_load,
                yaml.safe_dump,
            )
        )
        path.write_text(dump(lied(load(path.read_text("utf-8")), rng)), encoding="utf-8")
    else:
        path.write_bytes(damaged(path.read_bytes(), rng))
