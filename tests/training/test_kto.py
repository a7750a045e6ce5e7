"""KTO's class weights and order; reward models' scores."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from errata.errors import Malformed
from tests.training import desk, methods
from tests.training.desk import Ground
from tests.training.episodes import decided, nobody, proposal
from training import bundle, kto, reward, running
from training.kto import KtoConfig
from training.reward import RewardConfig

pytestmark = methods.pytestmark


@pytest.mark.parametrize(("good", "bad"), [(1, 99), (3, 7), (10, 10), (40, 30), (7, 3), (99, 1)])
def test_class_weights_lie_in_the_papers_range(good: int, bad: int):
    factors = kto.balance([True] * good + [False] * bad)
    assert 1 <= good * factors.desirable / (bad * factors.undesirable) <= 4 / 3
    assert min(factors) == 1
    if 1 <= good / bad <= 4 / 3:
        assert factors == (1, 1)


def test_approvals_alone_are_told(ground: Ground, tmp_path: Path):
    approved = [decided(proposal(f"p{n}", message="?")) for n in range(3)]
    bundle.export(approved, tmp_path / "data", parents=nobody, kind="kto", split=0)
    config = KtoConfig(data=tmp_path / "data", model=ground.base, out=tmp_path / "out")
    with pytest.raises(Malformed, match="all 3 rows are approved turns, and KTO needs both: use"):
        kto.train(config)


def test_a_single_row_at_a_time_is_told(tmp_path: Path):
    with pytest.raises(ValueError, match="greater than or equal to 2"):
        KtoConfig(data=tmp_path, model=tmp_path, out=tmp_path, batch_size=1)


def test_ktos_rows_are_drawn_by_weight_in_an_order_that_is_kept(ground: Ground, tmp_path: Path):
    refused = [desk.draft(n, desk.curt(n), "reject") for n in desk.TAUGHT[36:40]]
    edited = desk.corrections()[:12]
    data = tmp_path / "data"
    bundle.export([*refused, *edited], data, parents=nobody, kind="kto", split=0)
    config = KtoConfig(data=data, model=ground.base, out=tmp_path / "out", epochs=3, batch_size=4)
    with running.started(config, "kto") as begun:
        trainer = kto.prepare(config, begun)
        rows = running.rows(trainer)
        batches = list(trainer.get_train_dataloader())
    assert len(rows) == 3 * 28
    seen = Counter(zip(rows["pair_id"], rows["weight"], strict=True))
    # 4 rows weigh 1 and 24 weigh 1/2: in a pass 28 * 1 / 16 and half of that, up or down
    for (_, weight), times in seen.items():
        assert times in ({3, 4, 5, 6} if weight == 1 else {0, 1, 2, 3})
    read = [ids for batch in batches for ids in decoded_ends(batch)]
    assert read == [row[-3:] for row in rows["completion_ids"]]
    assert trainer.args.num_train_epochs == 1


def decoded_ends(batch: dict[str, torch.Tensor]) -> list[list[int]]:
    return [
        ids[kept.bool()][-3:].tolist()
        for ids, kept in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]


def test_kto_stops_when_the_good_turns_become_unlikely(ground: Ground, tmp_path: Path):
    bundle.export(desk.corrections(), tmp_path / "data", parents=nobody, kind="kto", split=0)
    config = KtoConfig(
        data=tmp_path / "data",
        model=ground.base,
        out=tmp_path / "out",
        epochs=10,
        learning_rate=1e-2,
        desirable_weight=1e-6,  # so that only the bad turns, with half of the words, teach
    )
    with pytest.raises(
        Malformed, match=r"nats per token .*Lower learning_rate, or raise desirable"
    ):
        kto.train(config)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("lora_r", [None, 8])
def test_a_reward_model_scores_what_people_preferred_higher(
    ground: Ground, tmp_path: Path, lora_r: int | None
):
    bundle.export(desk.corrections(), tmp_path / "data", parents=nobody, kind="reward", split=0)
    made = reward.train(
        RewardConfig(
            data=tmp_path / "data",
            model=ground.base,
            out=tmp_path / "out",
            epochs=4,
            learning_rate=1e-2 if lora_r else 1e-3,
            lora_r=lora_r,
        )
    )
    tokenizer = AutoTokenizer.from_pretrained(made.path)
    model = AutoModelForSequenceClassification.from_pretrained(made.path).eval()

    def score(n: int, text: str) -> float:
        turns = [
            {"role": "user", "content": desk.request(n)},
            {"role": "assistant", "content": text},
        ]
        ids = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)
        with torch.no_grad():
            return float(model(torch.tensor([ids])).logits)

    gaps = [score(n, desk.kind(n)) - score(n, desk.curt(n)) for n in desk.HELD_OUT]
    assert sum(gap > 0 for gap in gaps) == 16
    assert (made.path / "adapter").is_dir() == (lora_r is not None)
