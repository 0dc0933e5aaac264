"""Regular expressions, and a parser that uses them."""

import re

LOG = "\n".join(
    f'10.0.{n % 256}.{n * 7 % 256} - user{n} [0{n % 9 + 1}/Jan/2025:10:{n % 60:02}:00 +0000] "GET /path/{n}?q={n * 3} HTTP/1.1" {200 if n % 5 else 404} {n * 17}'
    for n in range(250)
)
LINE = re.compile(r'(?P<address>\d+\.\d+\.\d+\.\d+) - (?P<user>\w+) \[(?P<time>[^\]]+)\] "(\w+) (\S+) [^"]*" (\d{3}) (\d+)')
TOKEN = re.compile(r"\s*(?:(\d+\.?\d*)|([A-Za-z_]\w*)|(\*\*|[-+*/()]))")


def parse_log():
    bad = []
    for line in LOG.splitlines():
        match = LINE.match(line)
        if match and match[6] == "404":
            bad.append((match["user"], match.group("address"), match.start(5)))
    return bad


def evaluate(text, names):
    tokens = [match.groups() for match in TOKEN.finditer(text)]
    position = 0

    def peek():
        return tokens[position][2] if position < len(tokens) else None

    def atom():
        nonlocal position
        number, name, sign = tokens[position]
        position += 1
        if number is not None:
            return float(number)
        if name is not None:
            return names[name]
        if sign == "-":
            return -atom()
        value = expression()
        position += 1
        return value

    def term():
        nonlocal position
        value = atom()
        while peek() in ("*", "/"):
            sign = tokens[position][2]
            position += 1
            value = value * atom() if sign == "*" else value / atom()
        return value

    def expression():
        nonlocal position
        value = term()
        while peek() in ("+", "-"):
            sign = tokens[position][2]
            position += 1
            value = value + term() if sign == "+" else value - term()
        return value

    return expression()


def scans():
    re.findall(r"\b\w+ser\d\b", LOG)
    re.findall(r"[aeiou]{2,}|[0-9a-f]+", LOG[:4000])
    re.sub(r"(\d+)/(\w+)/(\d+)", r"\3-\2-\1", LOG)
    re.sub(r"\d+", lambda match: str(int(match[0]) + 1), LOG[:6000])
    re.split(r"[\s,;:]+", LOG)
    re.search(r"path/249", LOG)
    re.search(r"(?i)HTTP/9\.9", LOG)
    [m.span() for m in re.finditer(r"(?<=user)\d+(?= )", LOG)]
    re.fullmatch(r"(a|b)*?c?[^x]*", "abababacd" * 10)
    re.match(r"^(?:(\w+)\s?)+$", "many words in one line")
    re.findall(rb"\d{2,}", LOG.encode())
    for text in ("user@example.org", "not an address", "a.b+c@d.co.uk"):
        re.fullmatch(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", text)


for repeat in range(6):
    parse_log()
    scans()
for repeat in range(150):
    evaluate("(x + 3.5) * y - 4 / (2 + x) * -z + 10", {"x": 2.0, "y": 3.0, "z": repeat})
for number in range(12):
    re.compile(rf"(\w{{{number + 1},}})\s+({number}|x[a-z]*)+?$", re.MULTILINE)
