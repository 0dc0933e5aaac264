"""The re module: search, substitute and split over generated log lines."""

import re

LINE = re.compile(r'(\d+\.\d+\.\d+\.\d+) - (\w+) \[([^\]]+)\] "(GET|POST) ([^"]+)" (\d{3}) (\d+)')
WORD = re.compile(r"\b[a-z]+\d*\b", re.IGNORECASE)
NUMBER = re.compile(r"\d+")
MAIL = re.compile(r"[\w.]+@[\w.]+\.\w+")


def make_text(lines):
    return "\n".join(
        f"10.0.{i % 256}.{i * 7 % 256} - user{i} [10/Oct/2024:13:55:{i % 60:02}] "
        f'"{"GET" if i % 3 else "POST"} /path/{i}?q={i * 3}" {200 + i % 5} {i * 11} user{i}@mail.example.org'
        for i in range(lines)
    )


def run():
    text = make_text(1_400)
    total = 0
    for _ in range(11):
        total += sum(int(match.group(7)) for match in LINE.finditer(text))
        total += len(WORD.findall(text))
        total += len(NUMBER.sub(lambda match: match.group()[::-1], text))
        total += len(MAIL.findall(text))
        total += len(re.split(r"[\s,\"]+", text))
    return total
