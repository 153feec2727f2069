"""Teachers: what the policy's own tokens are compared with, besides the rewards.

`base` has the kind, `model` and `itself` the parts. A part is settings; at work it is a `Tutor`, which gives a
`Lesson` on each batch: the teacher's log-probability of every trained token, or its whole distribution there.
"""
