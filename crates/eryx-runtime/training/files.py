"""Files, paths and streams."""

import io
import os
import pathlib
import shutil
import tempfile
import zipfile


def lines(folder):
    path = folder / "lines.txt"
    with open(path, "w") as file:
        for number in range(1500):
            file.write(f"line {number} with some text é\n")
    total = 0
    with open(path, encoding="utf-8") as file:
        for line in file:
            total += len(line.rstrip("\n"))
    with open(path, "rb") as file:
        while chunk := file.read(4096):
            total += len(chunk)
        file.seek(10), file.tell(), file.readline()
    path.read_text().count("text"), path.read_bytes()
    return total


def folders(folder):
    for number in range(40):
        sub = folder / f"d{number % 4}" / "e"
        sub.mkdir(parents=True, exist_ok=True)
        (sub / f"f{number}.txt").write_text("x" * number)
    names = [os.path.join(root, name) for root, _, files in os.walk(folder) for name in files]
    sorted(folder.rglob("*.txt")), os.listdir(folder), [os.path.splitext(os.path.basename(name)) for name in names]
    for name in names:
        os.path.exists(name), os.stat(name).st_size, pathlib.PurePath(name).suffix, os.path.relpath(name, folder)
    shutil.copy(names[0], folder / "copy"), os.rename(folder / "copy", folder / "moved"), os.remove(folder / "moved")
    try:
        open(folder / "absent")
    except FileNotFoundError:
        pass


def archives():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(10):
            archive.writestr(zipfile.ZipInfo(f"f{number}"), "some text " * 100, zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(buffer) as archive:
        for name in archive.namelist():
            archive.read(name)


def database():
    import sqlite3

    connection = sqlite3.connect(":memory:")
    connection.execute("create table t (id integer primary key, name text, value real)")
    connection.executemany("insert into t (name, value) values (?, ?)", ((f"n{n % 20}", n * 0.5) for n in range(600)))
    connection.execute("create index i on t (name)")
    connection.execute("select name, sum(value), count(*) from t where value > 10 group by name order by 2 desc").fetchall()
    for n in range(100):
        connection.execute("select * from t where name = ? and id < ?", (f"n{n % 20}", n)).fetchall()
    connection.close()


with tempfile.TemporaryDirectory() as name:
    lines(pathlib.Path(name)), folders(pathlib.Path(name))
archives(), database()
