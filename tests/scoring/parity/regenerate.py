"""Writes the expected values of the parity tests anew: `make parity`.

Needs the dependency group ``parity`` (lm-evaluation-harness and MTEB), which is far too large for everyday use. What is
recorded are inputs and numbers only, with the versions of what made them; the default test suite compares with those.
"""

from __future__ import annotations

import importlib
import json
import random
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
DIMENSIONS = 12
SEED = 20_261_126
WORDS = "the ferry sails from pier three at seven and returns to town before dark with post bread goats"


def main() -> None:
    """Write every file."""
    for name, made in {"embedding": embedding_tasks(), "text": text_metrics()}.items():
        path = FOLDER / f"{name}.json"
        path.write_text(json.dumps(made, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
        sys.stdout.write(f"{path}\n")


class StoredVectors:
    """A model that knows the vectors of its texts, as MTEB's evaluators want to be given one."""

    def __init__(self, vectors: Mapping[str, Sequence[float]]) -> None:
        self._vectors = {text: np.array(vector, dtype=np.float32) for text, vector in vectors.items()}
        self._similarity = importlib.import_module("mteb.similarity_functions")
        self.mteb_model_meta = importlib.import_module("mteb.models.model_meta").ModelMeta.create_empty()

    def encode(self, inputs: Any, **_: Any) -> Any:
        """Vectors of the texts of a data loader."""
        return np.stack([self._vectors[text] for batch in inputs for text in batch["text"]])

    def similarity(self, first: Any, second: Any) -> Any:
        """Cosine of all pairs."""
        return self._similarity.cos_sim(first, second)

    def similarity_pairwise(self, first: Any, second: Any) -> Any:
        """Cosine of rows."""
        return self._similarity.pairwise_cos_sim(first, second)


class Maker:
    """Makes texts with vectors that lean towards a topic; texts are mere names."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(SEED)
        self.topics = self.random.normal(size=(6, DIMENSIONS))
        self.vectors: dict[str, list[float]] = {}

    def text(self, name: str, *topics: int, noise: float = 0.9) -> str:
        """A text about some topics."""
        lean = np.sum([self.topics[topic] for topic in topics], axis=0) if topics else np.zeros(DIMENSIONS)
        vector = lean + self.random.normal(size=DIMENSIONS) * noise
        self.vectors[name] = [round(float(value), 4) for value in vector]
        return name

    def pick(self, count: int) -> list[int]:
        """Distinct topics."""
        return sorted(int(topic) for topic in self.random.choice(6, size=count, replace=False))


def embedding_tasks() -> dict[str, Any]:
    """All five kinds, by MTEB's own evaluators."""
    kinds = {
        "sts": _sts,
        "classification": _classification,
        "binary_classification": _binary_classification,
        "multilabel_classification": _multilabel,
        "retrieval": _retrieval,
        "reranking": _reranking,
    }
    made = {kind: make(Maker()) for kind, make in kinds.items()}
    return {"versions": _versions("mteb", "scikit-learn", "scipy", "pytrec-eval-terrier", "numpy", "torch"), **made}


def _versions(*names: str) -> dict[str, str]:
    return {name: version(name) for name in names}


def evaluate(module: str, task_class: str, dataset: Any, vectors: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Scores of a task of MTEB's with other data."""
    task: Any = getattr(importlib.import_module(f"mteb.mocks.mock_tasks.{module}"), task_class)()
    task.dataset, task.data_loaded = dataset, True
    scores: dict[str, Any] = task.evaluate(StoredVectors(vectors), split="test", encode_kwargs={"batch_size": 64})[
        "default"
    ]
    return {
        name: float(value)
        for name, value in scores.items()
        if "nauc" not in name and not isinstance(value, list) and value == value
    }


def rows_of(**columns: Sequence[Any]) -> Any:
    """A data set of these columns."""
    return importlib.import_module("datasets").Dataset.from_dict(columns)


def _splits(**splits: Any) -> Any:
    return importlib.import_module("datasets").DatasetDict(splits)


def _sts(maker: Maker) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for number in range(60):
        shared = number % 3 == 0
        topic, other = maker.pick(2)
        first = maker.text(f"a{number}", topic)
        second = maker.text(f"b{number}", topic if shared else other)
        rows.append({"sentence1": first, "sentence2": second, "score": float(maker.random.integers(0, 3) + 2 * shared)})
    dataset = _splits(test=rows_of(**_columns(rows)))
    return {"rows": rows, "vectors": maker.vectors, "expected": evaluate("sts", "MockSTSTask", dataset, maker.vectors)}


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _labelled(maker: Maker, part: str, count: int, labels: int) -> list[dict[str, Any]]:
    drawn = [int(label) for label in maker.random.integers(0, labels, size=count)]
    return [{"text": maker.text(f"{part}{no}", label, noise=2.0), "label": label} for no, label in enumerate(drawn)]


def _classification(maker: Maker, labels: int = 4) -> dict[str, Any]:
    train, test = _labelled(maker, "train", 90, labels), _labelled(maker, "test", 70, labels)
    dataset = _splits(train=rows_of(**_columns(train)), test=rows_of(**_columns(test)))
    expected = evaluate("classification", "MockClassificationTask", dataset, maker.vectors)
    return {"train": train, "rows": test, "vectors": maker.vectors, "expected": expected}


def _binary_classification(maker: Maker) -> dict[str, Any]:
    return _classification(maker, labels=2)


def _multilabel(maker: Maker) -> dict[str, Any]:
    def rows(part: str, count: int) -> list[dict[str, Any]]:
        drawn = [maker.pick(int(maker.random.integers(1, 4))) for _ in range(count)]
        return [{"text": maker.text(f"{part}{no}", *each, noise=1.5), "label": each} for no, each in enumerate(drawn)]

    train, test = rows("train", 80), rows("test", 50)
    dataset = _splits(train=rows_of(**_columns(train)), test=rows_of(**_columns(test)))
    expected = evaluate("classification", "MockMultilabelClassification", dataset, maker.vectors)
    return {"train": train, "rows": test, "vectors": maker.vectors, "expected": expected}


def _retrieval(maker: Maker, *, candidates: int | None = None) -> dict[str, Any]:
    corpus = [{"id": f"d{no}", "text": maker.text(f"document {no}", no % 6, noise=1.6)} for no in range(120)]
    queries = [{"id": f"q{no}", "text": maker.text(f"query {no}", no % 6, noise=1.6)} for no in range(18)]
    qrels = {
        query["id"]: {
            f"d{place}": int(maker.random.integers(0, 3))
            for place in maker.random.choice(
                range(no % 6, 120, 6), size=int(maker.random.integers(2, 9)), replace=False
            )
        }
        | {f"d{(no * 7 + 1) % 120}": 1}
        for no, query in enumerate(queries)
    }
    top_ranked = None
    if candidates is not None:
        top_ranked = {
            query["id"]: sorted({f"d{place}" for place in maker.random.choice(120, size=candidates, replace=False)}
                                | set(qrels[query["id"]]))
            for query in queries
        }  # fmt: skip
    split = {
        "corpus": rows_of(**_columns(corpus)),
        "queries": rows_of(**_columns(queries)),
        "relevant_docs": qrels,
        "top_ranked": top_ranked,
    }
    module, task = ("retrieval", "MockRetrievalTask") if candidates is None else ("reranking", "MockRerankingTask")
    expected = evaluate(module, task, {"default": {"test": split}}, maker.vectors)
    made = {"corpus": corpus, "queries": queries, "qrels": qrels, "top_ranked": top_ranked}
    return {**made, "vectors": maker.vectors, "expected": expected}


def _reranking(maker: Maker) -> dict[str, Any]:
    return _retrieval(maker, candidates=20)


def text_metrics() -> dict[str, Any]:
    """Answers and golds, scored by lm-evaluation-harness's own metric functions and by the reference libraries."""
    metrics: Any = importlib.import_module("lm_eval.api.metrics")
    pairs = _answers()
    answers, golds = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    items = list(zip(golds, answers, strict=True))
    exact = metrics.exact_match_hf_evaluate(
        predictions=answers, references=golds, ignore_case=True, ignore_punctuation=True
    )
    matched = [float(answer == gold) for answer, gold in pairs]
    expected = {
        "corpus_bleu": float(metrics.bleu(items)),
        "corpus_chrf": float(metrics.chrf(items)),
        "exact_match_normalized": float(exact["exact_match"]),
        "accuracy": float(metrics.mean(matched)),
    }
    return {
        "versions": _versions("lm_eval", "sacrebleu", "rouge-score", "jiwer", "numpy"),
        "pairs": pairs,
        "expected": expected,
        "samples": [_by_harness(answer, gold) for answer, gold in pairs],
        "libraries": _by_libraries(pairs),
    }


def _by_harness(answer: str, gold: str) -> dict[str, float]:
    """F1 and exact match as the harness computes MLQA's in English, and ROUGE as it computes TruthfulQA's."""
    mlqa: Any = importlib.import_module("lm_eval.tasks.mlqa.utils")
    truthful: Any = importlib.import_module("lm_eval.tasks.truthfulqa.utils")
    # Its confidence interval is drawn at random, so one pair at a time, where there is nothing to draw.
    rouge = {name: value / 100 for name, value in truthful.rouge([gold], [answer]).items()}
    exact, f1 = mlqa.exact_match_score(answer, gold, "en"), mlqa.f1_score(answer, gold, "en")
    return {"exact_match": float(exact), "f1": float(f1), **rouge}


def _by_libraries(pairs: Sequence[tuple[str, str]]) -> list[dict[str, float]]:
    rouge: Any = importlib.import_module("rouge_score.rouge_scorer")
    sacrebleu: Any = importlib.import_module("sacrebleu")
    jiwer: Any = importlib.import_module("jiwer")
    names = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    scorer = rouge.RougeScorer(names)
    return [
        {
            **{name: scorer.score(gold, answer)[name].fmeasure for name in names},
            "bleu": sacrebleu.sentence_bleu(answer, [gold]).score,
            "chrf": sacrebleu.sentence_chrf(answer, [gold]).score,
            "wer": jiwer.wer(gold, answer),
            "cer": jiwer.cer(gold, answer),
        }
        for answer, gold in pairs
    ]


def _answers() -> list[tuple[str, str]]:
    """Golds of drawn words, and answers that stray from them; in lower case, without punctuation within words."""
    draw = random.Random(SEED)
    words = WORDS.split()
    pairs = [("the ferry", "the ferry"), ("", "a gold"), ("größe über alles", "größe unter allem")]
    for _ in range(40):
        gold = [draw.choice(words) for _ in range(draw.randint(3, 18))]
        answer = [word if draw.random() < 0.75 else draw.choice(words) for word in gold if draw.random() < 0.9]
        pairs.append((" ".join(answer), " ".join(gold)))
    return pairs


if __name__ == "__main__":
    main()
