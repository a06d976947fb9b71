"""TFLite converts an export with all its signatures.

Vocabularies are tables, which TFLite runs by TensorFlow's own operations (its Flex delegate). The
interpreter of the Python package has none of them, so that answers cannot be asked for here.
"""

import pytest

from tests.serving.public_models import MODELS
from tfrecs._keras import tf
from tfrecs.serving.folder.manifest import read_manifest

NAMES = ["MatrixFactorization", *(name for name in MODELS if name != "MatrixFactorization")]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_all_signatures(name, public_export):
    folder = public_export(name)
    manifest = read_manifest(folder)
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(folder), signature_keys=list(manifest["signatures"])
    )
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS,
        tf.lite.OpsSet.SELECT_TF_OPS,
    ]
    content = converter.convert()
    interpreter = tf.lite.Interpreter(model_content=content)
    assert set(interpreter.get_signature_list()) == set(manifest["signatures"])
