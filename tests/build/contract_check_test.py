"""proto/check/check.py refuses each kind of mistake, by file and name, and lets through what harms nobody."""

import json
import pathlib
import subprocess
import sys

import pytest

CHECK = pathlib.Path(__file__).resolve().parents[2] / "proto" / "check" / "check.py"
FILE = "larder/shop/v1/shop.proto"

SOUND = """\
syntax = "proto3";

package larder.shop.v1;

// A shop.
service Shop {
  // Sells.
  rpc Sell(SellRequest) returns (SellResponse);

  // Says what is sold.
  rpc Follow(stream SellRequest) returns (stream SellResponse);
}

message SellRequest {
  reserved 7 to 9;
  reserved "haggle";

  // What.
  string item = 1;
  // How many.
  optional int32 count = 2;
  // How it is paid for.
  oneof payment {
    // In coins.
    int64 coins = 3;
    // On account of this customer.
    string account = 4;
  }
  // Words with it.
  map<string, string> notes = 5;
}

message SellResponse {
  // What came of it.
  Outcome outcome = 1;
  // What was handed over.
  repeated Parcel parcels = 2;
}

// Something handed over.
message Parcel {
  // In grams.
  int64 weight = 1;
}

// What came of a sale.
enum Outcome {
  // Never sent.
  OUTCOME_UNSPECIFIED = 0;
  // It was sold.
  OUTCOME_SOLD = 1;
  // There was none left.
  OUTCOME_OUT = 2;
}
"""


@pytest.fixture(name="shop")
def fixture_shop(tmp_path):
    """A tree with one sound contract, released as it is."""
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text(SOUND, encoding="utf-8")
    assert check(tmp_path, "--release") == (0, "")
    return tmp_path


def check(root, *arguments):
    done = subprocess.run(
        [sys.executable, str(CHECK), "--root", str(root), *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def edit(root, old, new):
    source = (root / FILE).read_text(encoding="utf-8")
    assert source.count(old) == 1, f"{old!r} is there {source.count(old)} times"
    (root / FILE).write_text(source.replace(old, new), encoding="utf-8")


def test_the_tree_passes():
    assert check(CHECK.parents[1]) == (0, "")


def test_a_sound_contract_passes(shop):
    assert check(shop) == (0, "")


STYLE = {
    "message name": ("message Parcel {", "message parcel_v {", "parcel_v: should be UpperCamelCase"),
    "field name": ("int64 weight = 1", "int64 netWeight = 1", "Parcel.netWeight: should be lower_snake_case"),
    "oneof name": ("oneof payment", "oneof Payment", "SellRequest.Payment: should be lower_snake_case"),
    "rpc name": ("rpc Sell(", "rpc sell_it(", "Shop.sell_it: should be UpperCamelCase"),
    "service name": ("service Shop {", "service shop {", "shop: should be UpperCamelCase"),
    "value prefix": ("OUTCOME_SOLD = 1", "SOLD = 1", "Outcome.SOLD: should begin with OUTCOME_"),
    "zero value": (
        "OUTCOME_UNSPECIFIED = 0",
        "OUTCOME_NONE = 0",
        "Outcome.OUTCOME_NONE: 0 is OUTCOME_UNSPECIFIED, and nothing else is",
    ),
    "alias": (
        "  // There was none left.\n",
        "  option allow_alias = true;\n  // It was given.\n  OUTCOME_GIVEN = 1;\n  // There was none left.\n",
        "Outcome: two values may not share a number",
    ),
    "package": (
        "package larder.shop.v1;",
        "package larder.shop.v2;",
        "larder.shop.v2: the package of a file in this folder is larder.shop.v1",
    ),
    "message comment": ("// Something handed over.\n", "", "Parcel: has no comment above it"),
    "field comment": ("  // In grams.\n", "", "Parcel.weight: has no comment above it"),
    "oneof comment": ("  // How it is paid for.\n", "", "SellRequest.payment: has no comment above it"),
    "enum comment": ("// What came of a sale.\n", "", "Outcome: has no comment above it"),
    "value comment": ("  // It was sold.\n", "", "Outcome.OUTCOME_SOLD: has no comment above it"),
    "service comment": ("// A shop.\n", "", "Shop: has no comment above it"),
    "rpc comment": ("  // Sells.\n", "", "Shop.Sell: has no comment above it"),
}


@pytest.mark.parametrize("old,new,message", STYLE.values(), ids=STYLE.keys())
def test_bad_style_is_refused(shop, old, new, message):
    edit(shop, old, new)
    if old == "message Parcel {":
        edit(shop, "repeated Parcel", "repeated parcel_v")
    status, output = check(shop)
    assert status == 1
    # With the line, which depends on the edit.
    assert any(line.startswith(FILE + ":") and line.endswith(": " + message) for line in output.splitlines()), output


def test_a_package_without_a_version_is_refused(shop):
    (shop / "larder/shop/v1/shop.proto").rename(shop / "larder/shop/shop.proto")
    source = (shop / "larder/shop/shop.proto").read_text(encoding="utf-8").replace("larder.shop.v1", "larder.shop")
    (shop / "larder/shop/shop.proto").write_text(source, encoding="utf-8")
    status, output = check(shop)
    assert status == 1
    assert "larder/shop/shop.proto:3: larder.shop: a package ends with a version, as in .v1\n" in output


BREAKING = {
    "field removed": (
        "  // In grams.\n  int64 weight = 1;\n",
        "",
        "larder.shop.v1.Parcel.weight: was removed, but its name and its number 1 are not both reserved",
    ),
    "field removed, number reserved only": (
        "  // In grams.\n  int64 weight = 1;\n",
        "  reserved 1;\n",
        "larder.shop.v1.Parcel.weight: was removed, but its name and its number 1 are not both reserved",
    ),
    "field renamed": (
        "int64 weight = 1",
        "int64 mass = 1",
        "larder.shop.v1.Parcel.weight: was removed, but its name and its number 1 are not both reserved",
    ),
    "field renumbered": ("int64 weight = 1", "int64 weight = 2", "larder.shop.v1.Parcel.weight: was number 1, is 2"),
    "field retyped": (
        "int64 weight = 1",
        "uint32 weight = 1",
        "larder.shop.v1.Parcel.weight: was of type int64, is of type uint32",
    ),
    "field repeated": (
        "int64 weight = 1",
        "repeated int64 weight = 1",
        "larder.shop.v1.Parcel.weight: was of type int64, is of type repeated int64",
    ),
    "presence lost": (
        "optional int32 count",
        "int32 count",
        "larder.shop.v1.SellRequest.count: was of type optional int32, is of type int32",
    ),
    "oneof renamed": (
        "oneof payment",
        "oneof tender",
        "larder.shop.v1.SellRequest.coins: was of type oneof payment int64, is of type oneof tender int64",
    ),
    "map retyped": (
        "map<string, string>",
        "map<string, bytes>",
        "larder.shop.v1.SellRequest.NotesEntry.value: was of type string, is of type bytes",
    ),
    "reservation lifted": (
        "reserved 7 to 9;",
        "reserved 7 to 8;",
        "larder.shop.v1.SellRequest.7 to 9: is no longer reserved",
    ),
    "reserved name lifted": (
        '  reserved "haggle";\n',
        "",
        "larder.shop.v1.SellRequest.haggle: is no longer a reserved name",
    ),
    "value removed": (
        "  // There was none left.\n  OUTCOME_OUT = 2;\n",
        "",
        "larder.shop.v1.Outcome.OUTCOME_OUT: was removed, but its name and its number 2 are not both reserved",
    ),
    "value renumbered": (
        "OUTCOME_OUT = 2",
        "OUTCOME_OUT = 3",
        "larder.shop.v1.Outcome.OUTCOME_OUT: was number 2, is 3",
    ),
    "rpc removed": (
        "  // Sells.\n  rpc Sell(SellRequest) returns (SellResponse);\n",
        "",
        "larder.shop.v1.Shop.Sell: was removed",
    ),
    "response changed": (
        "rpc Sell(SellRequest) returns (SellResponse)",
        "rpc Sell(SellRequest) returns (Parcel)",
        "larder.shop.v1.Shop.Sell: was (larder.shop.v1.SellRequest) returns (larder.shop.v1.SellResponse), "
        "is (larder.shop.v1.SellRequest) returns (larder.shop.v1.Parcel)",
    ),
    "stream made unary": (
        "rpc Follow(stream SellRequest)",
        "rpc Follow(SellRequest)",
        "larder.shop.v1.Shop.Follow: was (stream larder.shop.v1.SellRequest) returns (stream "
        "larder.shop.v1.SellResponse), is (larder.shop.v1.SellRequest) returns (stream larder.shop.v1.SellResponse)",
    ),
}


@pytest.mark.parametrize("old,new,message", BREAKING.values(), ids=BREAKING.keys())
def test_a_breaking_change_is_refused(shop, old, new, message):
    edit(shop, old, new)
    status, output = check(shop)
    assert (status, f"{FILE}: {message}" in output.splitlines()) == (1, True), output


def test_a_removed_message_enum_and_service_are_refused(shop):
    for begin, end in (("// What came of a sale.", None), ("// A shop.", "message SellRequest {")):
        source = (shop / FILE).read_text(encoding="utf-8")
        tail = source[source.index(end):] if end else ""
        (shop / FILE).write_text(source[:source.index(begin)] + tail, encoding="utf-8")
    edit(shop, "  // What came of it.\n  Outcome outcome = 1;\n", "")
    edit(shop, "  // What was handed over.\n  repeated Parcel parcels = 2;\n", "")
    source = (shop / FILE).read_text(encoding="utf-8")
    (shop / FILE).write_text(source[:source.index("// Something handed over.")], encoding="utf-8")
    status, output = check(shop)
    assert status == 1
    for name in ("Parcel", "Outcome", "Shop"):
        assert f"{FILE}: larder.shop.v1.{name}: was removed" in output.splitlines()


ADDITIONS = {
    "field": ("  int64 weight = 1;\n", "  int64 weight = 1;\n  // In millimetres.\n  int64 width = 2;\n"),
    "value": ("  OUTCOME_OUT = 2;\n", "  OUTCOME_OUT = 2;\n  // Later.\n  OUTCOME_LATER = 3;\n"),
    "rpc": ("  // Sells.\n", "  // Buys.\n  rpc Buy(SellRequest) returns (SellResponse);\n  // Sells.\n"),
    "message": ("// Something handed over.\n", "// Nothing.\nmessage Nothing {}\n// Something handed over.\n"),
    "field removed and reserved": (
        "  // In grams.\n  int64 weight = 1;\n",
        '  reserved 1;\n  reserved "weight";\n',
    ),
    "value removed and reserved": (
        "  // There was none left.\n  OUTCOME_OUT = 2;\n",
        '  reserved 2;\n  reserved "OUTCOME_OUT";\n',
    ),
}


@pytest.mark.parametrize("old,new", ADDITIONS.values(), ids=ADDITIONS.keys())
def test_a_harmless_change_passes(shop, old, new):
    edit(shop, old, new)
    assert check(shop) == (0, "")


def test_a_file_that_does_not_compile_is_refused(shop):
    edit(shop, "int64 weight = 1;", "int64 weight;")
    status, output = check(shop)
    assert status == 1
    assert f"{FILE}:" in output


def test_a_missing_lock_is_refused(shop):
    (shop / "released/contract.json").unlink()
    assert check(shop) == (1, "released/contract.json: No such file or directory\n")


def test_a_release_writes_what_is_there(shop):
    edit(shop, "int64 weight = 1", "int64 mass = 1")
    assert check(shop, "--release") == (0, "")
    lock = json.loads((shop / "released/contract.json").read_text(encoding="utf-8"))
    assert lock["messages"]["larder.shop.v1.Parcel"]["fields"] == {"mass": {"number": 1, "type": "int64"}}
    assert check(shop) == (0, "")


def test_a_release_of_bad_style_is_refused_and_writes_nothing(shop):
    before = (shop / "released/contract.json").read_bytes()
    edit(shop, "int64 weight = 1", "int64 netWeight = 1")
    assert check(shop, "--release")[0] == 1
    assert (shop / "released/contract.json").read_bytes() == before
