"""Data that comes as text, is looked through and goes as text."""

import base64
import collections
import csv
import dataclasses
import datetime
import hashlib
import io
import itertools
import json
import operator
import pickle
import struct
import xml.etree.ElementTree
import zlib


@dataclasses.dataclass(order=True)
class Sale:
    amount: float
    region: str
    product: str
    units: int = 1
    tags: list = dataclasses.field(default_factory=list)

    @property
    def total(self):
        return self.amount * self.units


def sales():
    regions = ["north", "south", "east", "west"]
    return [Sale(number * 1.25 % 97, regions[number % 4], f"product {number % 13}", number % 5 + 1) for number in range(600)]


def group(records):
    totals = collections.defaultdict(float)
    by_region = {}
    for record in records:
        totals[record.region, record.product] += record.total
        by_region.setdefault(record.region, []).append(record)
    best = {region: max(rows, key=lambda row: row.total) for region, rows in by_region.items()}
    ordered = sorted(records, key=operator.attrgetter("region", "amount"))
    grouped = {key: sum(row.units for row in rows) for key, rows in itertools.groupby(ordered, key=lambda row: row.region)}
    common = collections.Counter(row.product for row in records).most_common(3)
    return totals, best, grouped, common, sorted(records), [dataclasses.asdict(row) for row in records[:100]]


def documents():
    value = {
        "users": [
            {"id": number, "name": f"näme {number}", "score": number / 3, "ok": number % 2 == 0, "none": None, "nested": [[1, 2], {"k": -5}]}
            for number in range(120)
        ],
        "quote\"d": "line\nbreak\t\\ \u2028",
        "numbers": [0, -1, 1e300, 123456789012345678901234567890, 0.1],
    }
    for _ in range(12):
        text = json.dumps(value)
        json.loads(text)
    json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    json.loads(json.dumps(value, separators=(",", ":")), parse_float=float)
    try:
        json.loads("{bad json}")
    except json.JSONDecodeError:
        pass
    return value


def walk(value, depth=0):
    match value:
        case {"users": [*users], **rest}:
            return len(users) + walk(list(rest.values()), depth + 1)
        case dict():
            return sum(walk(item, depth + 1) for item in value.values())
        case [first, *others]:
            return walk(first, depth + 1) + walk(others, depth + 1)
        case int() | float() as number if number > 0:
            return 1
        case str(text):
            return len(text)
        case _:
            return 0


def tables():
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["name", "amount", "note"])
    for number in range(400):
        writer.writerow([f"n{number}", number * 0.5, 'with "quotes", and commas' if number % 9 == 0 else "plain"])
    total = 0.0
    for row in csv.DictReader(io.StringIO(out.getvalue())):
        total += float(row["amount"]) if row["note"] == "plain" else 0
    lines = [line.split(",") for line in out.getvalue().splitlines()]
    return total, [dict(zip(("a", "b"), line)) for line in lines]


def packed():
    for number in range(600):
        data = struct.pack("<IHd4s", number, number % 65536, number * 0.5, b"abcd")
        struct.unpack("<IHd4s", data)
    data = bytes(range(256)) * 60
    zlib.decompress(zlib.compress(data))
    zlib.crc32(data), hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest()
    base64.b64decode(base64.b64encode(data))
    records = [row.__dict__ for row in sales()]
    return pickle.loads(pickle.dumps(records)), pickle.loads(pickle.dumps(sales()))


def days():
    start = datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.timezone.utc)
    for number in range(400):
        day = start + datetime.timedelta(days=number, hours=number % 24)
        datetime.datetime.fromisoformat(day.isoformat())
        day.strftime("%Y-%m-%d %H:%M")
        day.weekday(), day.date() < start.date(), (day - start).total_seconds()
    return datetime.datetime.strptime("2024-02-29 10:11", "%Y-%m-%d %H:%M")


def trees():
    root = xml.etree.ElementTree.fromstring("<a>" + "".join(f'<b id="{n}">text {n}<c/></b>' for n in range(150)) + "</a>")
    return sum(int(node.get("id")) for node in root.iter("b")), xml.etree.ElementTree.tostring(root)


group(sales())
for _ in range(4):
    walk(documents())
tables(), packed(), days(), trees()
