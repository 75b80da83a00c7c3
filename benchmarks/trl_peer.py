"""TRL's SFTTrainer as a peer in the training benchmark; runs in a process of its own.

It is given token ids and masks as they are, the adapters' initial weights, the batches, the
learning rate of each step, AdamW and the clipping that Molting has, so that only the engine differs.
Gradient checkpointing (TRL's default) is off: it saves memory and costs a third of the time.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.training_gate import Gate
from benchmarks.training_rows import from_json
from molting.core.config import Train
from molting.core.schedule import learning_rate, peak_rate, warmup_and_total
from molting.models.base import load_model
from molting.models.likelihood import mean_loss, row_losses
from molting.models.lora import adapter_state, attach_lora, lora_config, save_adapter
from molting.models.sources import find_model
from molting.train.batches import epoch_batches


def main() -> None:
    gate = Gate()
    wanted = json.loads(Path(sys.argv[1]).read_text())
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(wanted, gate, folder)
        import torch
        import trl

        gate.ready(threads=torch.get_num_threads(), version=trl.__version__)
        trainer.train()
        gate.finish()


def _trainer(wanted: dict[str, Any], gate: Gate, folder: str) -> Any:
    import torch
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    train = Train(**wanted["train"])
    rows, held_out = from_json(wanted["rows"]), from_json(wanted["held_out"])
    loaded = load_model(find_model(wanted["model"]), wanted["dtype"])
    model = attach_lora(loaded.model, train, "x", train.seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            # As PEFT does by default: adapters in float32 on weights in bfloat16.
            parameter.data = parameter.data.float()
    order = [
        i
        for epoch in range(1, train.epochs + 1)
        for batch in epoch_batches(rows, train.batch_rows, epoch, train.seed)
        for i in batch
    ]
    data = Dataset.from_list(
        [
            {
                "input_ids": list(rows[i].ids),
                "labels": [
                    t if on else -100 for t, on in zip(rows[i].ids, rows[i].trained, strict=True)
                ],
            }
            for i in order
        ]
    )
    peak = peak_rate(train, loaded.model.config.hidden_size).value
    warmup, total = warmup_and_total(len(rows), train)
    masters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(masters, lr=peak, weight_decay=train.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate(peak, step, warmup, total) / peak
    )

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            # From here on, so that fetching and padding a batch count as they do for Molting.
            gate.before()

        def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
            if "loss" in logs:
                gate.after(logs["loss"])
                gate.before()

    pad = loaded.tokenizer.pad_token_id
    gate.evaluate = lambda: mean_loss(row_losses(model, held_out, pad))
    # Saved as Molting saves: what PEFT's own function would ask of the Hub is not needed.
    gate.save = lambda folder: save_adapter(
        lora_config(train, "x"), adapter_state(model), Path(folder)
    )
    trainer = SFTTrainer(
        model=model,
        processing_class=loaded.tokenizer,
        train_dataset=data,
        args=SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=train.batch_rows,
            num_train_epochs=1,
            max_length=None,
            padding_free=wanted["padding_free"],
            max_grad_norm=train.clip_norm,
            bf16=wanted["dtype"] == "bfloat16",
            gradient_checkpointing=False,
            train_sampling_strategy="sequential",
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
            dataloader_pin_memory=False,
            seed=train.seed,
        ),
        optimizers=(optimizer, schedule),
        callbacks=[Clock()],
    )
    _same_tokens(trainer, rows, order, train.batch_rows)
    return trainer


def _same_tokens(trainer: Any, rows: list[Any], order: list[int], batch_rows: int) -> None:
    """What TRL will feed its model, the first batch, holds the tokens and masks it was given."""
    batch = next(iter(trainer.get_train_dataloader()))
    seen = [
        (int(t), int(label))
        for t, label in zip(batch["input_ids"].flatten(), batch["labels"].flatten(), strict=True)
    ]
    seen = [pair for pair in seen if pair[1] != -100]
    given = [
        t
        for i in order[:batch_rows]
        for t, on in zip(rows[i].ids, rows[i].trained, strict=True)
        if on
    ]
    if [pair[1] for pair in seen] != given or any(t != label for t, label in seen):
        raise RuntimeError("TRL trains other tokens than it was given")


if __name__ == "__main__":
    main()
