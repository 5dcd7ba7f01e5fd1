"""contrib/python/jobtab.py against include/jobtab.h: the same structs, constants and names."""

import ctypes
import re
import shutil
import subprocess

import pytest

from conftest import TOP
from python_support import MODULE, jobtab

HEADER = TOP / "include" / "jobtab.h"

STRUCTS = {
    "struct jobtab_id": jobtab._Id,
    "struct jobtab_token": jobtab._Token,
    "struct jobtab_owner": jobtab._Owner,
    "struct jobtab_job": jobtab._Job,
    "struct jobtab_options": jobtab._Options,
    "struct jobtab_submit": jobtab._Submit,
    "struct jobtab_claim": jobtab._ClaimArg,
    "struct jobtab_report": jobtab._Report,
    "struct jobtab_finish": jobtab._Finish,
    "struct jobtab_bytes": jobtab._Bytes,
    "struct jobtab_op": jobtab._Op,
    "struct jobtab_filter": jobtab._Filter,
    "struct jobtab_stat": jobtab._Stat,
    "struct jobtab_swept": jobtab._Swept,
}

CONSTANTS = {
    **{f"JOBTAB_{name}": getattr(jobtab, name) for name in ("KIND_MAX", "MESSAGE_MAX", "KEY_MAX", "WHY_MAX")},
    **{
        f"JOBTAB_{name}": getattr(jobtab, f"_{name}")
        for name in (
            "OK", "NOTFOUND", "EMPTY", "FORBIDDEN", "STALE", "STOP", "CONFLICT", "FULL", "INVALID", "TOOBIG",
            "TIMEOUT", "FORKED", "BUSY", "NOTABLE", "SCHEMA", "DAMAGED", "SYSTEM", "BROKEN", "SUBMIT",
            "CLAIM", "REPORT", "RENEW", "LOG", "FINISH", "RELEASE", "CANCEL", "RETRY", "DELETE", "TAKE",
            "SUCCEEDED", "TRY_AGAIN", "GIVE_UP", "STOPPED", "JSON", "TEXT", "BYTES", "LOGTEXT",
        )
    },
    "JOBTAB_NONE": jobtab._NO_RESULT,
    "JOBTAB_VERBS": 12,
    "JOBTAB_STATES": len(jobtab._STATES),
    "JOBTAB_REASONS": len(jobtab._REASONS),
}  # fmt: skip


def lines_of(structs):
    """What the C compiler is asked, and what ctypes has: (name, C expression, number)."""
    for name, struct in structs.items():
        yield f"sizeof {name}", f"sizeof({name})", ctypes.sizeof(struct)
        for field, *_ in struct._fields_:
            if field in getattr(struct, "_anonymous_", ()):
                inner = getattr(struct, field).offset
                for one, *_ in dict(struct._fields_)[field]._fields_:
                    yield f"{name}.{one}", f"offsetof({name}, {one})", inner
                continue
            place = getattr(struct, field)
            yield f"{name}.{field}", f"offsetof({name}, {field})", place.offset
            yield f"{name}.{field}'s size", f"sizeof((({name} *)0)->{field})", place.size


def differences(private, structs):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler")
    wanted = list(lines_of(structs)) + [(name, f"(long)({name})", value) for name, value in CONSTANTS.items()]
    source, program = private / "layout.c", private / "layout"
    body = "".join(f'    printf("%ld\\n", (long)({expression}));\n' for _, expression, _ in wanted)
    source.write_text(f'#include "jobtab.h"\n#include <stdio.h>\nint main(void)\n{{\n{body}    return 0;\n}}\n')
    subprocess.run([compiler, f"-I{HEADER.parent}", "-o", program, source], check=True)
    numbers = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()
    return [
        f"{name} is {number} in C and {ours} here"
        for (name, _, ours), number in zip(wanted, map(int, numbers))
        if number != ours
    ]


def test_every_struct_and_constant_is_as_the_header_has_it(private):
    assert differences(private, STRUCTS) == []


def test_control_fields_that_changed_places_are_seen(private):
    moved = {"_fields_": [("lease", ctypes.c_int64), ("kind", ctypes.c_char_p)]}
    structs = {"struct jobtab_claim": type("Moved", (ctypes.Structure,), moved)}
    assert len(differences(private, structs)) == 2


def test_every_field_of_the_header_is_there():
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)
    for name, struct in STRUCTS.items():
        body = re.search(re.escape(name) + r" \{\n(.*?)\n\};", text, re.S).group(1)
        body = re.sub(r"union \{(.*?)\};", r"\1", body, flags=re.S)
        body = re.sub(r"\(\*(\w+)\)\([^)]*\)", r"\1", body)  # a pointer to a function
        names = [
            re.sub(r"\[.*|.*[ *]", "", part.strip().split("[")[0])
            for line in body.split(";")
            for part in line.strip().split(",")
            if line.strip()
        ]
        ours = [field for field, *_ in struct._fields_]
        if name == "struct jobtab_op":
            ours = [f for f in ours if f != "input"] + [f for f, *_ in jobtab._Input._fields_]
        assert sorted(names) == sorted(ours), name


def test_every_function_is_called_with_as_many_arguments_as_the_header_has():
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)
    for name, (_, *arguments) in jobtab._PROTOTYPES.items():
        declared = re.search(rf"\b{name}\(([^;]*)\);", text).group(1)
        number = 0 if declared == "void" else declared.count(",") + 1
        assert number == len(arguments), name


def test_the_module_is_of_this_tree():
    assert jobtab.__file__ == str(MODULE / "jobtab.py")
