"""Protobuf's canonical texts, which protoc must read as it reads the originals; names; what is refused."""

from __future__ import annotations

from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, empty_pb2, timestamp_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_tools import _proto, protoc

from ottla.schemas.limits import MAX_MESSAGES_DEEP, MAX_NAME, MAX_TEXT
from ottla.schemas.parsing import parse
from ottla.schemas.schema import InvalidSchemaError, ParsedSchema, SchemaType


def proto(text: str, references: dict[str, str] | None = None, *, new: bool = True) -> ParsedSchema:
    return parse(SchemaType.PROTOBUF, text, references, new=new)


def compiled(folder: Path, text: str, references: dict[str, str]) -> FileDescriptorProto:
    """What protoc makes of it."""
    for name, each in {"main.proto": text, **references}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(each)
    known = Path(_proto.__file__).parent if _proto.__file__ else Path(next(iter(_proto.__path__)))
    output = folder / "set"
    arguments = ["protoc", f"-I{folder}", f"-I{known}", f"--descriptor_set_out={output}", "main.proto"]
    assert protoc.main(arguments) == 0, text
    (file,) = FileDescriptorSet.FromString(output.read_bytes()).file
    return file


PROTOS = Path(__file__).parent / "protos"
OTHER = {"dir/other.proto": (PROTOS / "dir/other.proto").read_text()}
PROTO3, PROTO2 = ((PROTOS / f"{name}.proto").read_text() for name in ("proto3", "proto2"))
CANONICAL, NORMALISED = (
    (PROTOS / f"proto3.{name}.proto").read_text() for name in ("canonical", "normalised")
)
EDITION = 'edition = "2023"; message M {}'


def test_canonical_and_normalised_text() -> None:
    schema = proto(PROTO3, OTHER)
    assert schema.text == CANONICAL
    assert schema.normalised() == NORMALISED
    again, normal = proto(CANONICAL, OTHER), proto(NORMALISED, OTHER)
    assert again == schema
    assert (normal.text, normal.normalised()) == (NORMALISED, NORMALISED)


@pytest.mark.parametrize(("text", "references"), [(PROTO3, OTHER), (PROTO2, {}), (EDITION, {})])
def test_protoc_reads_the_canonical_text_as_it_reads_the_original(
    text: str, references: dict[str, str], tmp_path: Path
) -> None:
    schema = proto(text, references)
    original = compiled(tmp_path / "original", text, references)
    canonical = compiled(tmp_path / "canonical", schema.text, references)
    # Messages come before enums, and fields of oneofs after all others.
    assert sorted_fields(canonical) == sorted_fields(original)
    assert compiled(tmp_path / "normalised", schema.normalised(), references).message_type[0].name == "M"


def sorted_fields(file: FileDescriptorProto) -> FileDescriptorProto:
    """With nothing in an order that the canonical text changes: public imports come after others."""
    public = sorted(file.dependency[i] for i in file.public_dependency)
    file.ClearField("public_dependency")
    file.dependency.sort()
    assert all(name in file.dependency for name in public)
    for message in file.message_type:
        message.field.sort(key=lambda each: each.number)
    return file


@pytest.mark.parametrize(("text", "references"), [(PROTO3, OTHER), (PROTO2, {})])
def test_a_descriptor_is_the_file_that_it_was_made_of(
    text: str, references: dict[str, str], tmp_path: Path
) -> None:
    file = compiled(tmp_path / "file", text, references)
    schema = proto(b64encode(file.SerializeToString()).decode(), references)
    assert schema.text.startswith("syntax" if "proto3" in text else "\nmessage")
    # Normalised, maps are maps once more; in a text protoc refuses what a descriptor has for them.
    back = compiled(tmp_path / "back", schema.normalised(), references)
    for each in (file, back):
        each.ClearField("syntax")
        without_custom_options(each)
        for enum in each.enum_type:
            enum.value.sort(key=lambda value: (value.number, value.name))
    assert sorted_fields(back) == sorted_fields(file)
    plain = proto(text, references)
    assert schema.incompatibilities(plain) == plain.incompatibilities(schema) == []


@pytest.mark.parametrize(("text", "references"), [(PROTO3, OTHER), (PROTO2, {}), (EDITION, {})])
def test_the_serialized_form_is_the_descriptor_that_protoc_makes(
    text: str, references: dict[str, str], tmp_path: Path
) -> None:
    schema = proto(text, references)
    file = compiled(tmp_path, text, references)
    made = FileDescriptorProto.FromString(b64decode(schema.formatted("serialized")))
    made.name = file.name
    for each in (file, made):
        if each.syntax == "proto2":
            each.ClearField("syntax")
        without_custom_options(each)
    assert sorted_fields(made) == sorted_fields(file)
    assert schema.formatted("SERIALIZED") == schema.formatted("serialized")
    assert schema.formatted("") == schema.formatted("unknown") == schema.text
    pool = DescriptorPool()
    pool.AddSerializedFile(descriptor_pb2.DESCRIPTOR.serialized_pb)
    for module in (timestamp_pb2, empty_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    for name, each in references.items():
        other = FileDescriptorProto.FromString(b64decode(proto(each).formatted("serialized")))
        other.name = name
        pool.Add(other)
    pool.Add(made)
    assert pool.FindFileByName("main.proto").message_types_by_name["M"]


def test_a_meta_option_is_in_the_serialized_form() -> None:
    text = (
        'import "confluent/meta.proto"; message M { optional bytes a = 1 [(confluent.field_meta) = '
        '{ doc: "d", params: [{ key: "k", value: "v" }], tags: ["t", "u"] }]; }'
    )
    serialized = proto(text).formatted("serialized")
    assert (
        proto(serialized).normalised().partition("message")[2]
        == proto(text).normalised().partition("message")[2]
    )


def without_custom_options(file: FileDescriptorProto) -> None:
    """Their names are in other descriptors, so they are lost, as in Confluent's registry."""
    fields = list(file.extension)
    ahead = list(file.message_type)
    while ahead:
        message = ahead.pop()
        ahead += message.nested_type
        fields += [*message.field, *message.extension]
        message.options.DiscardUnknownFields()
        # The messages of maps come after those that are written.
        message.nested_type.sort(key=lambda each: each.name)
    for field in fields:
        field.options.DiscardUnknownFields()
        if not field.options.ListFields():
            field.ClearField("options")
        if field.json_name != "S":
            field.ClearField("json_name")


def test_a_meta_option_of_a_descriptor_is_kept() -> None:
    param = b"\n\tprecision\x12\x0510000"
    meta = b"\n\x03why\x12" + bytes([len(param)]) + param + b"\x1a\x01t"
    file = FileDescriptorProto(name="x.proto", syntax="proto3")
    field = file.message_type.add(name="M").field.add(name="a", number=1, label=1, type=12)
    field.options.MergeFromString(b"\x82\x44" + bytes([len(meta)]) + meta)
    text = proto(b64encode(file.SerializeToString()).decode()).text
    assert "(confluent.field_meta) = {" in text
    assert 'doc: "why"' in text
    assert 'value: "10000",\n' in text
    assert 'key: "precision"' in text


OPTIONS = """
syntax = "proto2";
import "google/protobuf/descriptor.proto";
message Rule { optional int32 n = 1; repeated Tag tags = 2; optional Tag tag = 3; extensions 10 to 20; }
message Tag { optional string a = 1; optional string b = 2; }
extend google.protobuf.FieldOptions { optional Rule rule = 50000; }
extend Rule { optional double weight = 10; }
message M { optional int32 f = 1 [OPTIONS]; }
"""


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("(rule).n = 0x10, (rule).n = 17", "{n: 17}"),
        ('(rule).tag.b = "x", (rule).tag.a = "y"', '{tag: {a: "y",b: "x"}}'),
        ('(rule).tags = {a: "x"}, (rule).tags = {a: "y"}', '{tags: [{a: "x"},{a: "y"}]}'),
        ('(rule) = {tags: [{a: "x"}] tags {b: "y"}}', '{tags: [{a: "x"},{b: "y"}]}'),
        ("(rule) = {n: 1 [weight]: 1.50}", "{[weight]: 1.5,n: 1}"),
        ("(rule) = {[weight]: 1.23456789e2}", "{[weight]: 123.456789}"),
        ("(rule) = {[weight]: -1e300}", "{[weight]: -1e300}"),
        ("(rule) = {[weight]: inf}", "{[weight]: inf}"),
    ],
)
def test_options_are_merged_and_their_numbers_written_in_one_way(
    written: str, normal: str, tmp_path: Path
) -> None:
    text = OPTIONS.replace("OPTIONS", written)
    schema = proto(text).normalised()
    assert normal in "".join(line.strip() for line in schema.splitlines())
    if "n = 17" not in written:  # which protoc refuses
        compiled(tmp_path, text, {})
    compiled(tmp_path / "normalised", schema, {})


def test_names_are_found_by_name_whatever_the_order_of_the_references() -> None:
    references = {
        "a.proto": 'syntax = "proto3"; package p; import "b.proto"; message A { q.B b = 1; }',
        "b.proto": 'syntax = "proto3"; package q; message B { int32 x = 1; }',
    }
    text = 'syntax = "proto3"; import "a.proto"; message M { p.A a = 1; }'
    schema, turned = proto(text, references), proto(text, dict(reversed(references.items())))
    assert schema == turned
    assert schema.incompatibilities(turned) == []
    changed = proto(text, references | {"b.proto": references["b.proto"].replace("int32", "string")})
    assert [(each.type, each.path) for each in changed.incompatibilities(schema)] == [
        ("FIELD_SCALAR_KIND_CHANGED", "#/B/1"),
        ("FIELD_NAMED_TYPE_CHANGED", "#/A/1"),
        ("FIELD_NAMED_TYPE_CHANGED", "#/M/1"),
    ]


def test_an_import_without_a_reference_is_an_error_only_where_it_is_needed() -> None:
    text = 'syntax = "proto3"; import "lost.proto"; message M { int32 a = 1; }'
    assert proto(text).text.count("lost.proto") == 1
    used = text.replace("int32", "lost.Type")
    with pytest.raises(InvalidSchemaError, match=r"lost\.Type"):
        proto(used)
    stored = proto(used, new=False)
    assert stored.incompatibilities(stored) == []
    assert "lost.Type a = 1" in stored.normalised()
    known = text.replace("lost.proto", "google/protobuf/timestamp.proto")
    known = known.replace("int32", "google.protobuf.Timestamp")
    assert ".google.protobuf.Timestamp a = 1" in proto(known).normalised()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "message",
        "message M {",
        "message M { string }",
        "message M { string a = x; }",
        "message M { string a = 1 }",
        "message M { string a = 0; }",
        "message M { string a = -1; }",
        "message M { string a = 19500; }",
        "message M { string a = 536870912; }",
        "message M { string a = 1; int32 b = 1; }",
        "message M { string a = 1; int32 a = 2; }",
        "message M { string a = 1; oneof a { int32 b = 2; } }",
        "message M { oneof o { repeated int32 b = 2; } }",
        "message M { reserved 1; string a = 1; }",
        "message M { reserved 1 to 5; oneof o { string a = 3; } }",
        'message M { reserved "a"; string a = 3; }',
        "message M { reserved 5 to 3; }",
        "message M { reserved 1 to 9, 2, 20; string a = 8; }",
        "message M { reserved 20, 3; string a = 8; string b = 20; }",
        "message M { Missing a = 1; }",
        "message M { map<string, Missing> a = 1; }",
        "message M { map<string> a = 1; }",
        "message M {} message M {}",
        "message M {} enum M { A = 0; }",
        "enum E {}",
        "enum E { A = 0; A = 1; }",
        "enum E { A = 0; B = 0; }",
        "enum E { A = 3000000000; }",
        'syntax = "proto3"; enum E { A = 1; }',
        'syntax = "proto3"; message M { required int32 a = 1; }',
        'syntax = "proto4";',
        "syntax = proto3;",
        'syntax = "proto3"',
        "package 5;",
        "import x;",
        "option x;",
        "option (x = 5;",
        'option x = "unended;',
        "option x = { a: };",
        "/* unended",
        "service S { rpc R (M) returns (M); }",
        "service S { rpc R M returns M; }",
        "extend Missing { optional int32 a = 1; }",
        "message é {}",
        "message M { 1string a = 1; }",
        "x",
        "AAAA",
        "// nothing",
        "/////w==",
        "CgF4",
        "CgX4",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(InvalidSchemaError) as caught:
        proto(text)
    assert str(caught.value)


def test_depth_names_and_size_are_limited() -> None:
    def nested(levels: int) -> str:
        return "message M {" * levels + "}" * levels

    assert proto(nested(MAX_MESSAGES_DEEP)).text.count("message") == MAX_MESSAGES_DEEP
    for text in (
        nested(MAX_MESSAGES_DEEP + 1),
        nested(50_000),
        "option x = " + "{ a: " * 5_000 + "1" + "}" * 5_000 + ";",
        "option x = " + "[" * 5_000 + "]" * 5_000 + ";",
        "option (x)" + ".y" * 400 + " = 1;",
        "message " + "M" * (MAX_NAME + 1) + " {}",
        "// " + "x" * MAX_TEXT,
        # Short as it is written, long as it is indented.
        "message M {" * 30 + " ".join(f"message A{i} {{}}" for i in range(40_000)) + "}" * 30,
    ):
        with pytest.raises(InvalidSchemaError):
            proto(text)


def test_many_fields_and_many_reserved_numbers_are_no_trouble() -> None:
    reserved = ", ".join(str(i) for i in range(30_000, 90_000))
    fields = " ".join(f"optional int32 f{i} = {i};" for i in range(1, 15_000))
    assert proto(f"message M {{ reserved {reserved}; {fields} }}").text.count("int32") == 14_999


def test_a_schema_can_be_asked_again_and_again() -> None:
    option = f"({'.'.join('abcdefghij')}.x) = 1"
    fields = " ".join(f"optional int32 f{i} = {i} [{option}];" for i in range(1, 200))
    schema = proto(f"package {'.'.join(f'p{i}' for i in range(20))}; message M {{ {fields} }}")
    assert len({schema.normalised() for _ in range(20)}) == 1


def test_looking_for_names_is_limited() -> None:
    package = ".".join(f"p{i}" for i in range(200))
    fields = " ".join(f"a.T{i} f{i} = {i};" for i in range(1, 15_000))
    schema = proto(f"package {package}; message M {{ {fields} }}", new=False)
    with pytest.raises(InvalidSchemaError, match="steps"):
        schema.incompatibilities(schema)
