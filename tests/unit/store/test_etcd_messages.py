"""The generated messages are those of the .proto file beside them."""

from __future__ import annotations

from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

from ottla.store.etcd import messages_pb2


def test_what_is_generated_is_current(tmp_path: Path) -> None:
    source = Path(messages_pb2.__file__).with_name("messages.proto")
    found = tmp_path / "messages"
    arguments = [f"-I{source.parent}", f"--descriptor_set_out={found}", source.name]
    assert protoc.main(["protoc", *arguments]) == 0
    (written,) = FileDescriptorSet.FromString(found.read_bytes()).file
    generated = FileDescriptorProto()
    messages_pb2.DESCRIPTOR.CopyToProto(generated)
    for message in written.message_type:
        for field in message.field:
            field.ClearField("json_name")  # only the compiler's own output has it
    assert generated == written
