"""SASRec and BERT4Rec of RePlay 0.22, for `benchmarks.sequential` and `.sequence_models`."""

import tempfile
from typing import Any

import lightning
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from replay.data import FeatureHint, FeatureSource, FeatureType
from replay.data.nn import (
    PandasSequentialDataset,
    ParquetModule,
    TensorFeatureInfo,
    TensorFeatureSource,
    TensorSchema,
)
from replay.models.nn.optimizer_utils import FatOptimizerFactory
from replay.models.nn.sequential.bert4rec import Bert4Rec, Bert4RecTrainingDataset
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

from benchmarks import protocol, sequence_models
from benchmarks.peers.torch_common import BARE, LightningTurns, encode_in_batches
from benchmarks.sequential import Settings
from benchmarks.worker import Worker

BUCKET_SIZE = 32


class Turns(LightningTurns, lightning.Callback):
    """Tells the worker about Lightning's loop."""


def schema_of(dim: int, num_items: int, padding: int) -> TensorSchema:
    """Returns the schema of a model's input: items 0..num_items - 1, and what stands for none."""
    return TensorSchema(
        TensorFeatureInfo(
            "item_id",
            is_seq=True,
            feature_type=FeatureType.CATEGORICAL,
            embedding_dim=dim,
            padding_value=padding,
            cardinality=num_items,
            feature_hint=FeatureHint.ITEM_ID,
            feature_sources=[TensorFeatureSource(FeatureSource.INTERACTIONS, "item_id")],
        )
    )


def build(settings: Settings, num_items: int) -> tuple[SasRec, TensorSchema]:
    """Returns the model and the schema of its input."""
    schema = schema_of(settings.dim, num_items, padding=num_items)
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


def train_bert4rec(settings: sequence_models.Settings, worker: Worker) -> None:
    """Trains BERT4Rec, to measure its speed; the feed-forward layers are four times as wide."""
    split = protocol.read(settings.data)
    torch.set_num_threads(settings.threads)
    lightning.seed_everything(settings.seed, verbose=False)
    # Its table has no row for padding; a mask tells it from the item of that number.
    schema = schema_of(settings.dim, split.num_items, padding=0)
    rows = [row - 1 for row in split.train]
    frame = pd.DataFrame({"user_id": np.arange(len(rows)), "item_id": rows})
    log = PandasSequentialDataset(schema, "user_id", "item_id", frame)
    data = Bert4RecTrainingDataset(
        log,
        settings.max_length,
        mask_prob=settings.mask_probability,
        padding_value=0,
    )
    loader = torch.utils.data.DataLoader(data, settings.batch_size, shuffle=True)
    model = Bert4Rec(
        schema,
        block_count=settings.num_blocks,
        head_count=settings.num_heads,
        hidden_size=settings.dim,
        max_seq_len=settings.max_length,
        dropout_rate=settings.dropout,
        optimizer_factory=FatOptimizerFactory(learning_rate=settings.learning_rate),
    )
    turns = Turns(worker, lambda batch: int((batch["pad_mask"] & ~batch["token_mask"]).sum()))
    trainer = lightning.Trainer(**BARE, limit_val_batches=0, callbacks=[turns])
    lengths = sum(min(len(row), settings.max_length) for row in rows)
    targets = round(settings.mask_probability * lengths)
    worker.ready(["replay-rec", "lightning", "torch"], targets)
    worker.run(lambda: trainer.fit(model, loader))
