# SPDX-License-Identifier: Apache-2.0
"""Reads a snapshot with h5py for test_store_h5py, or changes one so that it must be refused.

    store_h5py.py dump FILE     print every table, attribute and array in a canonical form
    store_h5py.py break FILE    make FILE.0, FILE.1, ...: copies with one change each; prints
                                what the reader must complain about, one a line
"""
import shutil
import struct
import sys
import zlib

try:
    import h5py
    import numpy
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(77)


def bits(value, form):
    return struct.pack(form, value)[::-1].hex()


def enum_name(table, column, value):
    names = h5py.check_enum_dtype(table.dtype[column])
    return {v: k for k, v in names.items()}[value]


def dump_trials(table):
    for row in table[()]:
        words = [row["id"]]
        words += [enum_name(table, c, row[c]) for c in ("state", "arm", "failure", "kind")]
        words += [row[c] for c in ("depth", "attempts", "worker", "slot", "policy_version",
                                   "arm_index", "seed", "same_as", "hash_low", "hash_high",
                                   "epochs")]
        words += [bits(row[c], "<d") for c in (
            "val_accuracy", "reward", "seconds", "params", "flops", "log_probability",
            "proposed_at", "finished_at", "saved_seconds")]
        words += [row["saved_epochs"], row["step"], row["part"]]
        words.append(",".join(str(t) for t in row["tokens"]))
        reason = row["reason"]
        reason = reason.decode() if isinstance(reason, bytes) else reason or ""
        words.append(row["kernels"].decode() + "|" + reason)
        print("trial", *words)


def dump_curves(table):
    # As bytes: numpy may quieten NaNs when it hands out single values.
    for row in table[()]:
        values = [row[c].tobytes()[::-1].hex() for c in (
            "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "seconds")]
        print("epoch", row["trial"], row["epoch"], *values)


def dump(file):
    meta = file["meta"].attrs
    print("meta", *(meta[k] for k in ("version", "seed", "name", "trials", "told",
                                      "journal_offset", "complete")))
    assert meta["archway"] and meta["space"] and meta["strategy"] and meta["config"]
    assert set(meta["kernels"].split()) <= {
        word for row in file["trials"][()] for word in row["kernels"].decode().split()}
    assert len(meta["created"]) == 20
    hours = file["hours"].attrs
    print("hours", *(bits(hours[k], "<d") for k in ("trained", "failed", "lost", "saved",
                                                    "idle_wait", "idle_tail")),
          hours["duplicates"])
    print("rng", file["rng"].attrs["algorithm"], file["rng"].attrs["key"])
    print("in_flight", *file["in_flight"][()])
    dump_trials(file["trials"])
    dump_curves(file["curves"])
    for name in meta["arrays"].split():
        array = file[name]
        if array.ndim and array.size:
            assert array.fletcher32, name
        assert array.compression == ("gzip" if array.fletcher32 and array.dtype.kind in "iu"
                                     else None), name
        print("array", name, array.dtype, *array.shape, zlib.crc32(array[()].tobytes()))
    for name in ("trials", "curves"):
        assert file[name].fletcher32 and file[name].compression == "gzip", name


def replace(file, name, data=None, **options):
    del file[name]
    file.create_dataset(name, data=data, **options)


def set_rows(file, column, value):
    rows = file["trials"][()]
    rows[column][5] = value
    file["trials"][...] = rows


def skip_curve(file):
    rows = file["trials"][()]
    rows["epochs"][numpy.flatnonzero(rows["epochs"])[0]] = 0
    file["trials"][...] = rows


def set_tokens(file):
    rows = file["trials"][()]
    rows["tokens"][5] = numpy.zeros(1025, numpy.uint16)
    file["trials"][...] = rows


def grow(file, table):
    file[table].resize(file[table].shape[0] + 1, axis=0)


def shrink(file, table):
    file[table].resize(file[table].shape[0] - 1, axis=0)


def drop_column(file):
    rows = file["curves"][()]
    names = [n for n in rows.dtype.names if n != "lr"]
    replace(file, "curves", numpy.array(rows[names].tolist(),
                                        [(n, rows.dtype[n]) for n in names]))


BREAKS = [
    ("'/trials' is missing", lambda f: f.__delitem__("trials")),
    ("'/curves' is missing", lambda f: f.__delitem__("curves")),
    ("'/hours' is missing", lambda f: f.__delitem__("hours")),
    ("'/meta' is missing", lambda f: f.__delitem__("meta")),
    ("'complete' is missing", lambda f: f["meta"].attrs.__delitem__("complete")),
    ("not written to its end",
     lambda f: f["meta"].attrs.modify("complete", numpy.uint64(0))),
    ("'complete' has another type", lambda f: f["meta"].attrs.create("complete", 1.0)),
    ("'lost' has another type", lambda f: f["hours"].attrs.create("lost", "much")),
    ("'config' has another type", lambda f: f["meta"].attrs.create("config", 3)),
    ("trials instead of", lambda f: f["meta"].attrs.modify("trials", numpy.uint64(9))),
    ("lacks column 'lr'", drop_column),
    ("no table", lambda f: replace(f, "trials", numpy.zeros(4))),
    ("no table", lambda f: replace(f, "curves", numpy.zeros((4, 4)))),
    ("too few rows", lambda f: shrink(f, "curves")),
    ("rows of no trial", lambda f: grow(f, "curves")),
    ("next id is", lambda f: grow(f, "trials")),
    ("unknown state 250", lambda f: set_rows(f, "state", 250)),
    ("unknown kind or failure", lambda f: set_rows(f, "failure", 8)),
    ("unknown arm", lambda f: set_rows(f, "arm", 2)),
    ("no earlier one", lambda f: set_rows(f, "same_as", 5)),
    ("next id is", lambda f: set_rows(f, "id", 77)),
    ("epochs", lambda f: set_rows(f, "epochs", 2**32 - 1)),
    ("curve is not where", skip_curve),
    ("too many tokens", set_tokens),
    ("'/nothing/here' is missing",
     lambda f: f["meta"].attrs.modify("arrays", "nothing/here\n")),
    ("cannot name an array", lambda f: f["meta"].attrs.modify("arrays", "meta\n")),
    ("controller/weights", lambda f: f["meta"].attrs.modify(
        "arrays", "controller/weights\ncontroller/weights\n")),
    ("controller/weights", lambda f: f.__delitem__("controller/weights")),
    ("'/controller/weights' has a type",
     lambda f: replace(f, "controller/weights", numpy.zeros((1, 1, 1, 1, 1), "f4"))),
    ("'/controller/weights' has a type",
     lambda f: replace(f, "controller/weights", numpy.zeros(3, "i2"))),
    ("'/controller/weights' has a type",
     lambda f: replace(f, "controller/weights", shape=(1 << 40, 1 << 20), dtype="f4",
                       chunks=(1024, 64))),
]


def main(arguments):
    if arguments[0] == "dump":
        with h5py.File(arguments[1], "r") as file:
            assert file.userblock_size == 512
            dump(file)
        return 0
    for number, (complaint, change) in enumerate(BREAKS):
        name = f"{arguments[1]}.{number}"
        shutil.copyfile(arguments[1], name)
        with h5py.File(name, "r+") as file:
            change(file)
        print(complaint)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
