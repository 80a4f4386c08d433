"""Embedding tasks: their texts become samples, their vectors are scored together.

    datasets ──layout──► one item for each text ──lane──► vectors of each sample ──scoring──► metrics and scores
                         (a pair in sts)                  in batches

The samples of a task come in this order: the rows of its dataset, then those of ``train_dataset`` or
``corpus_dataset``. An item's ``protocol`` says which of them a text is, and what the protocol has to know of it.
"""
