"""How far the dream of a trained run can be trusted, measured on real games that it was never trained on.

Five parts, each a module: the real `games`, the dream one step ahead of them (`teacher_forced`), the dream on its own
(`open_loop`), what the `actions` change, and the `record` that puts the numbers together. docs/fidelity.md defines
every number.
"""
