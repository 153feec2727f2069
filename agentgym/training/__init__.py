"""Training: an algorithm is a recipe, a composition of named parts.

    rollout -> credit (`turns`, `advantages`) -> pack (`packing`) -> loss (`losses`) -> step (`step`, `learner`)

`trainer` runs that loop, `recipe` is its configuration, `checkpoint` makes it resumable.
"""
