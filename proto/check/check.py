#!/usr/bin/python3
"""Lints the public contract and refuses changes that would break a peer built against the last release.

check.py              lint the protos, compare them with the lock of the last release
check.py --release    lint them, then write the lock anew: done once, in the commit that makes a release
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2

HERE = pathlib.Path(__file__).resolve().parent
LOCK = "released/contract.json"

UPPER_CAMEL = re.compile(r"[A-Z][A-Za-z0-9]*$")
LOWER_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*$")
UPPER_SNAKE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$")

Field = descriptor_pb2.FieldDescriptorProto
TYPES = {number: name[len("TYPE_"):].lower() for name, number in Field.Type.items()}

# Numbers of the fields that lead from a file to its parts in a SourceCodeInfo path.
FILE_MESSAGE, FILE_ENUM, FILE_SERVICE = 4, 5, 6
MESSAGE_FIELD, MESSAGE_NESTED, MESSAGE_ENUM, MESSAGE_ONEOF = 2, 3, 4, 8
ENUM_VALUE = 2
SERVICE_METHOD = 2


def load(root):
    """Every file under root/larder, with its comments. Raises CalledProcessError if one does not compile."""
    files = sorted(str(path.relative_to(root)) for path in root.glob("larder/**/*.proto"))
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(
            ["protoc", f"--proto_path={root}", "--include_source_info", f"--descriptor_set_out={out.name}", *files],
            check=True,
        )
        descriptors = descriptor_pb2.FileDescriptorSet()
        descriptors.ParseFromString(out.read())
    return descriptors.file


def upper_snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).upper()


class Linter:
    """The rules of style for one file. Problems are lines of the form `file:line: name: what`.

    Everything has a comment, but for the messages that an rpc of the file takes or returns: its comment is theirs.
    """

    def __init__(self, file):
        self.file = file
        self.problems = []
        self.locations = {tuple(location.path): location for location in file.source_code_info.location}
        methods = [method for service in file.service for method in service.method]
        self.explained_by_rpc = {kind for method in methods for kind in (method.input_type, method.output_type)}

    def run(self):
        expected = str(pathlib.PurePosixPath(self.file.name).parent).replace("/", ".")
        if self.file.package != expected:
            self.report((2,), self.file.package, f"the package of a file in this folder is {expected}")
        if not re.search(r"\.v[1-9][0-9]*$", self.file.package):
            self.report((2,), self.file.package, "a package ends with a version, as in .v1")
        if self.file.syntax != "proto3":
            self.report((12,), self.file.name, "the syntax is proto3")
        for index, message in enumerate(self.file.message_type):
            self.message(message, (FILE_MESSAGE, index), "")
        for index, enum in enumerate(self.file.enum_type):
            self.enum(enum, (FILE_ENUM, index), "")
        for index, service in enumerate(self.file.service):
            self.service(service, (FILE_SERVICE, index))
        return self.problems

    def report(self, path, name, what):
        location = self.locations.get(tuple(path))
        line = location.span[0] + 1 if location else 1
        self.problems.append(f"{self.file.name}:{line}: {name}: {what}")

    def named(self, path, name, pattern, style):
        if not pattern.match(name.rsplit(".", 1)[-1]):
            self.report(path, name, f"should be {style}")

    def commented(self, path, name):
        location = self.locations.get(tuple(path))
        if location is None or not location.leading_comments.strip():
            self.report(path, name, "has no comment above it")

    def message(self, message, path, scope):
        if message.options.map_entry:
            return
        name = scope + message.name
        self.named(path, name, UPPER_CAMEL, "UpperCamelCase")
        if f".{self.file.package}.{name}" not in self.explained_by_rpc:
            self.commented(path, name)
        for index, field in enumerate(message.field):
            at = (*path, MESSAGE_FIELD, index)
            self.named(at, f"{name}.{field.name}", LOWER_SNAKE, "lower_snake_case")
            self.commented(at, f"{name}.{field.name}")
        optionals = {field.oneof_index for field in message.field if field.proto3_optional}
        for index, oneof in enumerate(message.oneof_decl):
            if index not in optionals:
                at = (*path, MESSAGE_ONEOF, index)
                self.named(at, f"{name}.{oneof.name}", LOWER_SNAKE, "lower_snake_case")
                self.commented(at, f"{name}.{oneof.name}")
        for index, nested in enumerate(message.nested_type):
            self.message(nested, (*path, MESSAGE_NESTED, index), name + ".")
        for index, enum in enumerate(message.enum_type):
            self.enum(enum, (*path, MESSAGE_ENUM, index), name + ".")

    def enum(self, enum, path, scope):
        name = scope + enum.name
        prefix = upper_snake(enum.name) + "_"
        self.named(path, name, UPPER_CAMEL, "UpperCamelCase")
        self.commented(path, name)
        if enum.options.allow_alias:
            self.report(path, name, "two values may not share a number")
        for index, value in enumerate(enum.value):
            at = (*path, ENUM_VALUE, index)
            self.named(at, f"{name}.{value.name}", UPPER_SNAKE, "UPPER_SNAKE_CASE")
            self.commented(at, f"{name}.{value.name}")
            if not value.name.startswith(prefix):
                self.report(at, f"{name}.{value.name}", f"should begin with {prefix}")
            if (value.number == 0) != (value.name == prefix + "UNSPECIFIED"):
                self.report(at, f"{name}.{value.name}", f"0 is {prefix}UNSPECIFIED, and nothing else is")

    def service(self, service, path):
        self.named(path, service.name, UPPER_CAMEL, "UpperCamelCase")
        self.commented(path, service.name)
        for index, method in enumerate(service.method):
            at = (*path, SERVICE_METHOD, index)
            self.named(at, f"{service.name}.{method.name}", UPPER_CAMEL, "UpperCamelCase")
            self.commented(at, f"{service.name}.{method.name}")


def lint(files):
    return [problem for file in files for problem in Linter(file).run()]


class Contract:
    """What a peer relies on, as plain data: {"messages": {full name: ...}, "enums": ..., "services": ...}."""

    def __init__(self, files):
        self.data = {"messages": {}, "enums": {}, "services": {}}
        for file in files:
            scope = file.package + "."
            for message in file.message_type:
                self.message(file, message, scope)
            for enum in file.enum_type:
                self.enum(file, enum, scope)
            for service in file.service:
                self.data["services"][scope + service.name] = {
                    "file": file.name,
                    "rpcs": {method.name: self.rpc(method) for method in service.method},
                }

    @staticmethod
    def rpc(method):
        request = ("stream " if method.client_streaming else "") + method.input_type.lstrip(".")
        response = ("stream " if method.server_streaming else "") + method.output_type.lstrip(".")
        return f"({request}) returns ({response})"

    def message(self, file, message, scope):
        name = scope + message.name
        fields = {}
        for field in message.field:
            kind = field.type_name.lstrip(".") or TYPES[field.type]
            if field.label == Field.LABEL_REPEATED:
                kind = "repeated " + kind
            elif field.proto3_optional:
                kind = "optional " + kind
            elif field.HasField("oneof_index"):
                kind = f"oneof {message.oneof_decl[field.oneof_index].name} {kind}"
            fields[field.name] = {"number": field.number, "type": kind}
        self.data["messages"][name] = {
            "file": file.name,
            "fields": fields,
            # protoc's ends are exclusive here and inclusive in enums.
            "reserved": sorted([r.start, r.end - 1] for r in message.reserved_range),
            "reserved_names": sorted(message.reserved_name),
        }
        for nested in message.nested_type:
            self.message(file, nested, name + ".")
        for enum in message.enum_type:
            self.enum(file, enum, name + ".")

    def enum(self, file, enum, scope):
        self.data["enums"][scope + enum.name] = {
            "file": file.name,
            "values": {value.name: {"number": value.number} for value in enum.value},
            "reserved": sorted([r.start, r.end] for r in enum.reserved_range),
            "reserved_names": sorted(enum.reserved_name),
        }


def breaking(released, present):
    """What `present` does to peers that were built against `released`; both are Contract.data."""
    problems = []

    def report(file, name, what):
        problems.append(f"{file}: {name}: {what}")

    for kind, members in (("messages", "fields"), ("enums", "values")):
        for name, old in released[kind].items():
            new = present[kind].get(name)
            if new is None:
                report(old["file"], name, "was removed")
                continue
            if new["file"] != old["file"]:
                report(old["file"], name, f"was moved to {new['file']}")
            for member, what in compare_members(old, new, members):
                report(new["file"], f"{name}.{member}", what)

    for name, old in released["services"].items():
        new = present["services"].get(name)
        if new is None:
            report(old["file"], name, "was removed")
            continue
        for rpc, signature in old["rpcs"].items():
            if rpc not in new["rpcs"]:
                report(new["file"], f"{name}.{rpc}", "was removed")
            elif new["rpcs"][rpc] != signature:
                report(new["file"], f"{name}.{rpc}", f"was {signature}, is {new['rpcs'][rpc]}")
    return problems


def compare_members(old, new, members):
    """Fields of a message or values of an enum: each is unchanged, or its name and number are reserved."""
    for member, was in old[members].items():
        now = new[members].get(member)
        if now is None:
            number_reserved = any(first <= was["number"] <= last for first, last in new["reserved"])
            if not number_reserved or member not in new["reserved_names"]:
                yield member, f"was removed, but its name and its number {was['number']} are not both reserved"
        elif now["number"] != was["number"]:
            yield member, f"was number {was['number']}, is {now['number']}"
        elif now.get("type") != was.get("type"):
            yield member, f"was of type {was['type']}, is of type {now['type']}"
    for first, last in old["reserved"]:
        if not any(a <= first and last <= b for a, b in new["reserved"]):
            yield f"{first} to {last}", "is no longer reserved"
    for member in sorted(set(old["reserved_names"]) - set(new["reserved_names"])):
        yield member, "is no longer a reserved name"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=HERE.parent, help="what holds larder/ and released/")
    parser.add_argument("--release", action="store_true", help="write the lock anew")
    arguments = parser.parse_args()
    lock = arguments.root / LOCK

    try:
        files = load(arguments.root)
    except subprocess.CalledProcessError:
        return 1  # protoc has said why
    present = Contract(files).data
    problems = lint(files)
    if not arguments.release:
        try:
            released = json.loads(lock.read_text(encoding="utf-8"))
        except OSError as error:
            problems.append(f"{LOCK}: {error.strerror}")
        else:
            problems += breaking(released, present)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        return 1
    if arguments.release:
        lock.parent.mkdir(exist_ok=True)
        lock.write_text(json.dumps(present, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
