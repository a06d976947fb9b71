"""SASRec of RePlay (replay-rec 0.22), for `benchmarks.sequential`."""

import tempfile
from typing import Any

import lightning
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from replay.data import FeatureHint, FeatureSource, FeatureType
from replay.data.nn import ParquetModule, TensorFeatureInfo, TensorFeatureSource, TensorSchema
from replay.nn.agg import SumAggregator
from replay.nn.embedding import SequenceEmbedding
from replay.nn.lightning import LightningModule
from replay.nn.lightning.optimizer import OptimizerFactory
from replay.nn.loss import CE, CESampled
from replay.nn.mask import DefaultAttentionMask
from replay.nn.sequential import (
    LengthBucketedQueryEncoder,
    PositionAwareAggregator,
    SasRec,
    SasRecBody,
    SasRecTransformerLayer,
)
from replay.nn.transform import UniformNegativeSamplingTransform
from replay.nn.transform.template import make_default_sasrec_transforms

from benchmarks import protocol
from benchmarks.peers.torch_common import BARE, LightningTurns, encode_in_batches
from benchmarks.sequential import Settings
from benchmarks.worker import Worker

BUCKET_SIZE = 32


class Turns(LightningTurns, lightning.Callback):
    """Tells the worker about Lightning's loop."""


def build(settings: Settings, num_items: int) -> tuple[SasRec, TensorSchema]:
    """Returns the model and the schema of its input: items 0..num_items - 1, padding num_items."""
    schema = TensorSchema(
        TensorFeatureInfo(
            "item_id",
            is_seq=True,
            feature_type=FeatureType.CATEGORICAL,
            embedding_dim=settings.dim,
            padding_value=num_items,
            cardinality=num_items,
            feature_hint=FeatureHint.ITEM_ID,
            feature_sources=[TensorFeatureSource(FeatureSource.INTERACTIONS, "item_id")],
        )
    )
    given = settings.take("num_heads", "num_blocks", "dropout")
    encoder = SasRecTransformerLayer(embedding_dim=settings.dim, activation="relu", **given)
    if settings.bucketed:
        encoder = LengthBucketedQueryEncoder(encoder, BUCKET_SIZE)
    aggregator = PositionAwareAggregator(
        embedding_aggregator=SumAggregator(embedding_dim=settings.dim),
        max_sequence_length=settings.max_length,
        dropout=settings.dropout,
    )
    body = SasRecBody(
        embedder=SequenceEmbedding(schema=schema),
        embedding_aggregator=aggregator,
        attn_mask_builder=DefaultAttentionMask("item_id", settings.num_heads),
        encoder=encoder,
        output_normalization=torch.nn.LayerNorm(settings.dim),
    )
    loss = {"full": CE, "sampled": CESampled}[settings.loss]
    return SasRec(body=body, loss=loss(ignore_index=num_items)), schema


def data_module(settings: Settings, split: protocol.Split, schema: Any, path: str) -> Any:
    """Returns the rows with at least one target as RePlay reads them: a Parquet file of lists."""
    rows = [row[-settings.max_length - 1 :] - 1 for row in split.train if len(row) > 1]
    pq.write_table(pa.table({"item_id": pa.array(rows, pa.list_(pa.int64()))}), path)
    transforms = make_default_sasrec_transforms(schema)["train"]
    if settings.loss == "sampled":
        negatives = UniformNegativeSamplingTransform(split.num_items, settings.num_negatives)
        transforms.append(negatives)
    shape = {"item_id": {"shape": settings.max_length + 1, "padding": split.num_items}}
    return ParquetModule(
        batch_size=settings.batch_size,
        metadata={"train": shape},
        transforms={"train": transforms},
        config={"train": {"generator": torch.Generator().manual_seed(settings.seed)}},
        train_path=path,
    )


def train(settings: Settings, worker: Worker) -> None:
    split = protocol.read(settings.data)
    torch.set_num_threads(settings.threads)
    lightning.seed_everything(settings.seed, verbose=False)
    model, schema = build(settings, split.num_items)

    def states(rows: list[np.ndarray]) -> torch.Tensor:
        shifted = [row - 1 for row in rows]
        items = torch.from_numpy(protocol.padded(shifted, settings.max_length, split.num_items))
        return model.body({"item_id": items}, items != split.num_items)[:, -1]

    def vectors() -> np.ndarray:
        weights = model.body.embedder.get_item_weights(torch.arange(split.num_items))
        return weights.detach().numpy()

    worker.set_model(split, encode_in_batches(model, states), vectors, settings.evaluate)
    turns = Turns(worker, lambda batch: int(batch["target_padding_mask"].sum()))
    trainer = lightning.Trainer(**BARE, limit_val_batches=0, callbacks=[turns])
    optimizer = OptimizerFactory(learning_rate=settings.learning_rate, betas=(0.9, 0.999))
    with tempfile.TemporaryDirectory() as folder:
        module = LightningModule(model, optimizer)
        data = data_module(settings, split, schema, f"{folder}/train.parquet")
        worker.ready(["replay-rec", "lightning", "torch"], split.num_targets(settings.max_length))
        worker.run(lambda: trainer.fit(module, datamodule=data))
