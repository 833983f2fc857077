#!/usr/bin/env python3
"""The statistics the flights example must reproduce, computed without any stream.

  reference.py [--inject N] [FLIGHTS]

FLIGHTS is a flights CSV, plain or .gz (default: data/flights-2013-07.csv.gz);
planes and airlines are read from its folder. README.md defines every number.
"""
import argparse, csv, datetime, gzip, pathlib, re, sys
from collections import defaultdict

COLUMNS = ("year month day dep_time sched_dep_time dep_delay arr_time sched_arr_time arr_delay carrier "
           "flight tailnum origin dest air_time distance hour minute time_hour").split()
CARRIER, AIRPORT, INT = re.compile("[A-Z0-9]{2}"), re.compile("[A-Z]{3}"), re.compile("-?[0-9]+")


def lines(path):
    if not path.exists() and path.suffix != ".gz":
        path = path.with_name(path.name + ".gz")
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", newline="") as f:
        yield from f.read().splitlines()


def records(path, inject):
    """The data lines, and after each inject-th one an extra record: its first 3 columns."""
    for n, line in enumerate(list(lines(path))[1:], 1):
        yield line
        if inject and n % inject == 0:
            yield ",".join(line.split(",")[:3])


def parse(line):
    """The row as a dict with `ts`, ints and None for NA; None when the row is bad."""
    cells = line.split(",")
    if len(cells) != len(COLUMNS):
        return None
    row = dict(zip(COLUMNS, cells))
    if not (CARRIER.fullmatch(row["carrier"]) and AIRPORT.fullmatch(row["origin"]) and AIRPORT.fullmatch(row["dest"])):
        return None
    for c in ("dep_time", "dep_delay", "arr_delay", "year", "month", "day", "sched_dep_time"):
        if row[c] == "NA" and c in ("dep_time", "dep_delay", "arr_delay"):
            row[c] = None
        elif INT.fullmatch(row[c]):
            row[c] = int(row[c])
        else:
            return None
    h, m = divmod(row["sched_dep_time"], 100)
    if not (0 <= h <= 23 and m <= 59 or (h, m) == (24, 0)):
        return None
    try:
        day = datetime.date(row["year"], row["month"], row["day"])
    except ValueError:
        return None
    row["ts"] = ((day - datetime.date(1970, 1, 1)).days * 1440 + h * 60 + m) * 60_000
    return row


def mean(total, count):
    """total / count to 2 decimals, halves away from zero, in integers only."""
    if count == 0:
        return "NA"
    q = (200 * abs(total) + count) // (2 * count)
    return f"{'-' if total < 0 and q else ''}{q // 100}.{q % 100:02}"


def statistics(path, inject):
    table = lambda name: csv.DictReader(lines(path.parent / name))
    seats = {p["tailnum"]: int(p["seats"]) for p in table("planes.csv")}
    names = {a["carrier"]: a["name"] for a in table("airlines.csv")}
    airlines, routes, delays = defaultdict(lambda: defaultdict(int)), defaultdict(int), defaultdict(list)
    rows = bad = 0
    for line in records(path, inject):
        rows += 1
        r = parse(line)
        if r is None:
            bad += 1
            continue
        carrier, route, hour = r["carrier"], f"{r['origin']}-{r['dest']}", r["ts"] // 3_600_000 % 24
        a = airlines[carrier]
        a["flights"] += 1
        routes[route] += 1
        if r["dep_time"] is None:
            a["cancelled"] += 1
            continue
        a["seats"] += seats.get(r["tailnum"], 0)
        a["unknown_planes"] += r["tailnum"] not in seats
        if r["dep_delay"] is None or r["arr_delay"] is None:
            a["diverted"] += 1
            continue
        for key in (("airline", carrier), ("route", route), ("hour", hour, carrier)):
            delays[key].append(r["arr_delay"])
    for c, a in airlines.items():
        d = delays["airline", c]
        yield (f'airline {c} name="{names.get(c, "")}" flights={a["flights"]} cancelled={a["cancelled"]} '
               f'diverted={a["diverted"]} late={sum(x > 15 for x in d)} arr_delay_sum={sum(d)} '
               f'arr_delay_count={len(d)} arr_delay_min={min(d, default="NA")} arr_delay_max={max(d, default="NA")} '
               f'arr_delay_mean={mean(sum(d), len(d))} seats={a["seats"]} unknown_planes={a["unknown_planes"]}')
    for route, n in routes.items():
        d = delays["route", route]
        yield f'route {route} flights={n} sum={sum(d)} count={len(d)} max={max(d, default="NA")}'
    for (kind, *key), d in delays.items():
        if kind == "hour":
            yield f"hour {key[0]:02} {key[1]} sum={sum(d)} count={len(d)}"
    yield f"total rows={rows} bad={bad}"


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--inject", type=int, default=5000, metavar="N", help="a truncated extra record after each N-th row; 0: none (default 5000)")
    p.add_argument("flights", nargs="?", type=pathlib.Path, metavar="FLIGHTS",
                   default=pathlib.Path(__file__).resolve().parent / "data" / "flights-2013-07.csv.gz")
    a = p.parse_args()
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    print("\n".join(sorted(statistics(a.flights, a.inject))))
