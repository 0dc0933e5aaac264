"""The json module with its C accelerator: dumps and loads of nested records."""

import json


def make_records(count):
    return [
        {
            "id": index,
            "name": f"user {index}",
            "score": index * 0.25,
            "active": index % 3 == 0,
            "tags": ["alpha", "beta", f"tag{index % 7}"],
            "address": {"street": "Main \u00e9 Street", "zip": str(10_000 + index), "geo": [index / 7, -index / 9]},
            "none": None,
        }
        for index in range(count)
    ]


def run():
    value = make_records(500)
    for _ in range(100):
        text = json.dumps(value)
        value = json.loads(text)
    return len(text), value[-1]["name"]
