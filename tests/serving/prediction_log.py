"""`PredictionLog` as tensorflow_serving/apis/prediction_log.proto has it, as far as warmup goes.

The fields are those of github.com/tensorflow/serving; the package that has the classes is not
needed for this.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tensorflow.core.framework import resource_handle_pb2, tensor_pb2, tensor_shape_pb2, types_pb2

Field = descriptor_pb2.FieldDescriptorProto
PACKAGE = ".tensorflow.serving"
TENSOR = ".tensorflow.TensorProto"
# Of each message: name, number and type of a field; a type with a dot is a message's name.
MESSAGES = {
    "ModelSpec": [("name", 1, None), ("signature_name", 3, None)],
    "PredictRequest": [("model_spec", 1, f"{PACKAGE}.ModelSpec")],
    "PredictLog": [("request", 1, f"{PACKAGE}.PredictRequest")],
    "PredictionLog": [("predict_log", 6, f"{PACKAGE}.PredictLog")],
}


def _add(message, name, number, kind, label=Field.LABEL_OPTIONAL):
    field = message.field.add(name=name, number=number, label=label)
    field.type = Field.TYPE_STRING if kind is None else Field.TYPE_MESSAGE
    if kind is not None:
        field.type_name = kind


def _prediction_log():
    file = descriptor_pb2.FileDescriptorProto(
        name="prediction_log_of_tests.proto",
        package=PACKAGE[1:],
        syntax="proto3",
        dependency=[tensor_pb2.DESCRIPTOR.name],
    )
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields:
            _add(message, *field)
        if name == "PredictRequest":
            entry = message.nested_type.add(name="InputsEntry")
            entry.options.map_entry = True
            _add(entry, "key", 1, None)
            _add(entry, "value", 2, TENSOR)
            of_entry = f"{PACKAGE}.PredictRequest.InputsEntry"
            _add(message, "inputs", 2, of_entry, label=Field.LABEL_REPEATED)
        if name == "PredictionLog":
            message.oneof_decl.add(name="log_type")
            message.field[0].oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    for module in (types_pb2, tensor_shape_pb2, resource_handle_pb2, tensor_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    name = f"{PACKAGE[1:]}.PredictionLog"
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


PredictionLog = _prediction_log()
