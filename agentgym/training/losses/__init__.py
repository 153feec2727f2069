"""The policy loss: ratio x clip x corrections + regularisers, aggregated.

Everything works on flat tensors of trained tokens, without padding. Legend: N trained tokens, R turns,
T trajectories, V vocabulary.

`aggregations` turns the per-token losses into one number by fixed weights that are computed once for the
whole batch, and parts that need statistics over the batch take them in `fit`, before any gradient is; so
splitting the batch into micro-batches changes nothing.
"""
